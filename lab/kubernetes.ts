import { generateKeyPairSync, randomBytes } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { stringify } from "yaml";
import { AsteriskIacError } from "../core/errors.ts";
import { kubernetesPrograms, type KubernetesPrograms } from "./kubernetes/binaries.ts";
import { exists } from "./cache.ts";
import { auditPolicy, controlPlanePaths, startControlPlane } from "./kubernetes/control-plane.ts";
import { writeResources } from "./kubernetes/resources.ts";
import { alone } from "./lock.ts";
import type { Progress } from "./platform.ts";
import { reservePort } from "./ports.ts";
import { isRunning, killProcess } from "./process.ts";

export { kubernetesPrograms } from "./kubernetes/binaries.ts";

export interface KubernetesUpOptions {
  /** The lab's; everything goes into `kubernetes/` below it. */
  readonly directory: string;
  /** Whether it ends with this process, however that ends; default false: it runs until `kubernetesDown`. */
  readonly tiedToParent?: boolean;
  readonly onProgress?: Progress;
}

/**
 * A real Kubernetes API server on loopback, with its own etcd and the controllers that delete what is in a deleted
 * namespace and what has lost its owner.
 */
export interface LabKubernetes {
  /** `kubernetes/` in the lab's directory. */
  readonly directory: string;
  /** The file of the administrator's kubeconfig. */
  readonly kubeconfig: string;
  /** The URL of the API server. */
  readonly url: string;
  /** The PEM file to verify the API server with. */
  readonly certificate: string;
  /** The path of the command. */
  readonly kubectl: string;
  /** Process 1 of the PID namespace in which all of it runs; see `processIdentity`. */
  readonly identity: string;
}

/** What is kept of one that is up, in `lab.json`: nothing secret. */
type State = Pick<LabKubernetes, "url" | "identity">;

/**
 * Starts a control plane on 127.0.0.1 and writes `kubernetes/kubeconfig`; if there are servers in the lab,
 * `kubernetes/resources.yaml` too: their Secrets and AsteriskServers. One that runs there already is left as it is.
 *
 * Rejects with `LabFailed`: the programs can't be had, they do not start, `kubernetes/` is somebody else's.
 */
export async function kubernetesUp(options: KubernetesUpOptions): Promise<LabKubernetes> {
  const { onProgress = () => undefined } = options;
  const programs = await kubernetesPrograms(onProgress);
  await mkdir(options.directory, { recursive: true });
  return alone("kubernetes", options.directory, async (lab) => {
    const directory = join(lab, "kubernetes");
    await refuseForeignFiles(directory);
    const state = (await findState(directory)) ?? (await start(directory, programs, options));
    if (await exists(join(lab, "manifests.yaml")))
      await writeResources(lab, join(directory, "resources.yaml"));
    onProgress(`Kubernetes is up: ${state.url}`);
    return describe(directory, state, programs.kubectl);
  });
}

/** Ends the API server of a lab and removes `kubernetes/`. A directory without one is no error. */
export async function kubernetesDown({ directory }: { readonly directory: string }): Promise<void> {
  if (!(await exists(join(directory, "kubernetes")))) return;
  await alone("kubernetes", directory, async (lab) => {
    await refuseForeignFiles(join(lab, "kubernetes"));
    await clear(join(lab, "kubernetes"));
  });
}

/** The text of a kubeconfig for whom a token stands. */
export function kubeconfig(
  { url, certificate }: Pick<LabKubernetes, "url" | "certificate">,
  user: { readonly name: string; readonly token: string; readonly namespace?: string },
): string {
  const { name, token, namespace = "default" } = user;
  return stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "lab", cluster: { server: url, "certificate-authority": certificate } }],
    users: [{ name, user: { token } }],
    contexts: [{ name: "lab", context: { cluster: "lab", user: name, namespace } }],
    "current-context": "lab",
  });
}

async function start(
  directory: string,
  programs: KubernetesPrograms,
  { tiedToParent = false }: KubernetesUpOptions,
): Promise<State> {
  await clear(directory);
  await mkdir(directory, { mode: 0o700 });
  await writeFile(markerFile(directory), "Made by asteriskctl lab up, removed by asteriskctl lab down.\n");
  const paths = controlPlanePaths(directory);
  const token = randomBytes(24).toString("hex");
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const port = await reservePort();
  const url = `https://127.0.0.1:${port.port}`;
  const administrator = kubeconfig({ url, certificate: paths.certificate }, { name: "administrator", token });
  await writePrivate(paths.tokens, `${token},administrator,administrator,system:masters\n`);
  await writePrivate(paths.serviceAccountKey, privateKey.export({ type: "sec1", format: "pem" }).toString());
  await writePrivate(paths.auditPolicy, auditPolicy);
  await writePrivate(paths.kubeconfig, administrator);
  try {
    const started = await startControlPlane({ programs, directory, port: port.port, token });
    const state: State = { url, identity: started.identity };
    await writeFile(stateFile(directory), `${JSON.stringify(state, null, 2)}\n`);
    if (!tiedToParent) await started.letStay();
    return state;
  } finally {
    await port.release();
  }
}

function writePrivate(file: string, content: string): Promise<void> {
  return writeFile(file, content, { mode: 0o600, flag: "wx" });
}

async function clear(directory: string): Promise<void> {
  const state = await findState(directory);
  if (state !== undefined) await killProcess(state.identity);
  await rm(directory, { recursive: true, force: true });
}

/** Of a control plane that runs. */
async function findState(directory: string): Promise<State | undefined> {
  const text = await readFile(stateFile(directory), "utf8").catch(() => undefined);
  const state = text === undefined ? undefined : (JSON.parse(text) as State);
  return state !== undefined && (await isRunning(state.identity)) ? state : undefined;
}

function describe(directory: string, { url, identity }: State, kubectl: string): LabKubernetes {
  const { certificate, kubeconfig } = controlPlanePaths(directory);
  return { directory, kubeconfig, url, certificate, kubectl, identity };
}

function stateFile(directory: string): string {
  return join(directory, "lab.json");
}

/** Says whose `kubernetes/` is: without it the lab removes nothing. */
function markerFile(directory: string): string {
  return join(directory, "made-by-asteriskctl-lab");
}

async function refuseForeignFiles(directory: string): Promise<void> {
  if (!(await exists(directory)) || (await exists(markerFile(directory)))) return;
  throw new AsteriskIacError("LabFailed", `${directory} is there, and no lab made it`, {
    hint: "Give the lab a directory of its own with --dir.",
  });
}
