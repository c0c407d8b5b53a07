import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { open, readFile } from "node:fs/promises";
import { request } from "node:https";
import { join } from "node:path";
import type { Writable } from "node:stream";
import { AsteriskIacError } from "../../core/errors.ts";
import { hostEnvironment, runsAsRoot } from "../platform.ts";
import { processIdentity } from "../process.ts";
import { waitUntilReady, type Condition } from "../readiness.ts";
import type { KubernetesPrograms } from "./binaries.ts";

/** Where the things of a control plane are, all in its folder. */
export function controlPlanePaths(directory: string) {
  return {
    log: join(directory, "log", "kube-apiserver"),
    auditLog: join(directory, "log", "audit"),
    auditPolicy: join(directory, "audit-policy.json"),
    bootLog: join(directory, "boot.log"),
    pidFile: join(directory, "pid"),
    certificate: join(directory, "certificates", "apiserver.crt"),
    tokens: join(directory, "tokens.csv"),
    serviceAccountKey: join(directory, "service-account.key"),
    kubeconfig: join(directory, "kubeconfig"),
  };
}

/** Who asked for what, and what was answered, of service accounts; without bodies. JSON is YAML. */
export const auditPolicy = JSON.stringify({
  apiVersion: "audit.k8s.io/v1",
  kind: "Policy",
  omitStages: ["RequestReceived"],
  rules: [{ level: "Metadata", userGroups: ["system:serviceaccounts"] }, { level: "None" }],
});

/** What a control plane is started from. Its folder is there, with tokens, the key of service accounts, the policy. */
export interface ControlPlaneOptions {
  readonly directory: string;
  readonly programs: KubernetesPrograms;
  readonly port: number;
  /** The administrator's. */
  readonly token: string;
}

/** A control plane that lives no longer than this process, unless it is told to. */
export interface StartedControlPlane {
  /** Of its process 1, with which everything of it ends; see `processIdentity`. */
  readonly identity: string;
  /** Lets it live on when this process ends. */
  letStay(): Promise<void>;
}

/**
 * Process 1 of a PID namespace, in the control plane's folder. $1 is etcd, $2 the API server, $3 the controller
 * manager, $4 the API server's port. It ends when its lifeline (descriptor 0), etcd or the API server does, and
 * everything ends with it; a line in the lifeline lets it live on without its parent. The controller manager gives up
 * where it finds no API server yet, and is started again.
 */
const script = `
set -eu
umask 077
read -r pid rest </proc/self/stat
echo "$pid" >pid
mkdir -p log etcd
exec 3<&0 </dev/null
(read -r stay && exec sleep infinity </dev/null 3<&-) <&3 &
lifeline=$!
exec 3<&-
run() {
  name=$1
  shift
  (set +e; "$@" >"log/$name" 2>&1; echo "$name ended with exit code $?"; kill -KILL "$lifeline") &
}
export ETCD_UNSAFE_NO_FSYNC=true
run etcd "$1" --data-dir=etcd/data --listen-client-urls=unix://etcd.sock:0 --advertise-client-urls=unix://etcd.sock:0 \\
  --listen-peer-urls=unix://peer.sock:0 --log-level=warn --logger=zap
unset ETCD_UNSAFE_NO_FSYNC
run kube-apiserver "$2" --etcd-servers=unix://etcd.sock:0 --cert-dir=certificates --bind-address=127.0.0.1 \\
  --secure-port="$4" --advertise-address=127.0.0.1 --endpoint-reconciler-type=none --authorization-mode=RBAC \\
  --token-auth-file=tokens.csv --service-account-issuer=https://kubernetes.default.svc \\
  --service-account-key-file=service-account.key --service-account-signing-key-file=service-account.key \\
  --disable-admission-plugins=ServiceAccount --audit-policy-file=audit-policy.json --audit-log-path=log/audit \\
  --audit-log-maxsize=50 --audit-log-maxbackup=1
(until "$3" --kubeconfig=kubeconfig --controllers=namespace-controller,garbage-collector-controller \\
  --leader-elect=false --secure-port=0; do sleep 1; done >log/kube-controller-manager 2>&1) &
wait "$lifeline"
`;

/** Starts a control plane and waits until it is ready: /readyz says ok, and the namespace `default` is there. */
export async function startControlPlane(options: ControlPlaneOptions): Promise<StartedControlPlane> {
  const { directory } = options;
  const paths = controlPlanePaths(directory);
  const child = await spawnScript(options);
  const lifeline = child.stdin as Writable;
  const stop = async () => {
    lifeline.destroy();
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  };
  const letStay = async () => {
    await new Promise((resolve) => lifeline.end("stay\n", () => resolve(undefined)));
    lifeline.destroy();
  };
  try {
    const why = await waitUntilReady(child, [
      answers(options, "/readyz", "the API server did not say that it is ready"),
      answers(options, "/api/v1/namespaces/default", "the namespace default did not appear"),
    ]);
    if (why !== undefined)
      throw new AsteriskIacError("LabFailed", await complaint(directory, why), { next: "Retry" });
    const identity = (await processIdentity(Number(await readFile(paths.pidFile, "utf8")))) ?? "";
    child.unref();
    return { identity, letStay };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function spawnScript(options: ControlPlaneOptions): Promise<ChildProcess> {
  const { directory, programs, port } = options;
  const user = runsAsRoot() ? [] : ["--user", "--map-root-user"];
  const namespaces = [...user, "--pid", "--fork", "--kill-child"];
  const log = await open(controlPlanePaths(directory).bootLog, "w");
  try {
    const { etcd, apiServer, controllerManager } = programs;
    const command = ["sh", "-c", script, "sh", etcd, apiServer, controllerManager, String(port)];
    const child = spawn("unshare", [...namespaces, ...command], {
      cwd: directory,
      env: hostEnvironment,
      stdio: ["pipe", log.fd, log.fd],
      detached: true,
    });
    await once(child, "spawn");
    // One that ends early closes it; its end is what is reported.
    (child.stdin as Writable).on("error", () => undefined);
    return child;
  } finally {
    await log.close();
  }
}

/** The API server proves by its certificate that it is this one, and lets the administrator in. */
function answers(
  { directory, port, token }: ControlPlaneOptions,
  path: string,
  complaint: string,
): Condition {
  const { certificate } = controlPlanePaths(directory);
  const isMet = async () => {
    const ca = await readFile(certificate).catch(() => undefined);
    if (ca === undefined) return false;
    const headers = { authorization: `Bearer ${token}` };
    return new Promise<boolean>((resolve) => {
      const asked = request({ host: "127.0.0.1", port, path, ca, headers, agent: false, timeout: 5_000 });
      asked.on("response", (response) => {
        response.resume();
        resolve(response.statusCode === 200);
      });
      asked.on("timeout", () => asked.destroy());
      asked.on("error", () => resolve(false));
      asked.end();
    });
  };
  return { complaint, isMet };
}

async function complaint(directory: string, why: string): Promise<string> {
  const paths = controlPlanePaths(directory);
  const boot = await readFile(paths.bootLog, "utf8");
  const log = await readFile(paths.log, "utf8").catch(() => "");
  const end = log.trim().split("\n").slice(-8).join("\n");
  return `Kubernetes did not start: ${why}. ${boot}${end}`.trimEnd();
}
