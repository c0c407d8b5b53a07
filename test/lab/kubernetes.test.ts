import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { KubeConfig, Watch } from "@kubernetes/client-node";
import {
  kubernetesDown,
  kubernetesUp,
  type KubernetesUpOptions,
  type LabKubernetes,
} from "../../lab/kubernetes.ts";
import { labServers } from "../../lab/lab.ts";
import { isRunning, processIdentity, until } from "../../lab/process.ts";
import { asteriskctl, asteriskctlJSON } from "../support/asteriskctl.ts";
import { kubernetesOf, useKubernetes } from "../support/kubernetes.ts";
import { isListening, processesBeside } from "../support/processes.ts";

/** A definition that takes any spec. */
function definition(group: string, kind: string, plural: string): string {
  return `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: ${plural}.${group} }
spec:
  group: ${group}
  names: { kind: ${kind}, plural: ${plural} }
  scope: Namespaced
  versions:
    - name: v1alpha1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec: { type: object, x-kubernetes-preserve-unknown-fields: true }
`;
}

/** Watches once the server lets it: of a kind that is new it refuses watches (429) for a moment. */
async function watch(kubeconfig: string, path: string, onEvent: (phase: string, object: unknown) => void) {
  const config = new KubeConfig();
  config.loadFromFile(kubeconfig);
  const deadline = performance.now() + 10_000;
  for (;;) {
    const refusals: unknown[] = [];
    const watching = await new Watch(config).watch(path, {}, onEvent, (error) => refusals.push(error));
    if (refusals.length === 0) return watching;
    if (performance.now() > deadline) throw refusals[0];
  }
}

/** Everything that runs for an API server, taken while it does. */
async function censusOf({ identity, url }: Pick<LabKubernetes, "identity" | "url">) {
  const pids = await processesBeside(Number(identity.split("/")[1]));
  const identities = await Promise.all(pids.map(processIdentity));
  return { processes: identities.filter((each) => each !== undefined), port: Number(new URL(url).port) };
}

/** What of a census still lives. */
async function leftovers({ processes, port }: Awaited<ReturnType<typeof censusOf>>): Promise<string[]> {
  const running = await Promise.all(processes.map(isRunning));
  return [
    ...processes.filter((_, index) => running[index]),
    ...((await isListening(port)) ? [`port ${port}`] : []),
  ];
}

describe("an API server", () => {
  const kubernetes = useKubernetes();

  const door = (width: number) =>
    `apiVersion: lab.test/v1alpha1\nkind: Door\nmetadata: { name: front }\nspec: { width: ${width} }\n`;

  test("takes a definition and an object by server-side apply, and tells a watch of every change", async () => {
    await kubernetes.apply(definition("lab.test", "Door", "doors"));
    await kubernetes.kubectl(["wait", "--for=condition=Established", "crd/doors.lab.test"]);
    const seen: string[] = [];
    const watching = await watch(kubernetes.kubeconfig, "/apis/lab.test/v1alpha1/doors", (phase, object) => {
      seen.push(`${phase} ${(object as { spec: { width: number } }).spec.width}`);
    });
    try {
      await kubernetes.apply(door(80));
      await kubernetes.apply(door(90));
      await kubernetes.kubectl(["delete", "door", "front"]);
      await until(async () => seen.length === 3, 10_000);
      expect(seen).toEqual(["ADDED 80", "MODIFIED 90", "DELETED 90"]);
    } finally {
      watching.abort();
    }
  });

  test("keeps field managers apart: what another owns is a conflict", async () => {
    const map = (value: string) =>
      `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: owned }\ndata: { key: ${value} }\n`;
    await kubernetes.apply(map("first"));
    const other = ["apply", "--server-side", "--field-manager=other", "-f", "-"];
    await expect(kubernetes.kubectl(other, { input: map("second") })).rejects.toThrow("conflict");
    expect(await kubernetes.get(["configmap", "owned"])).toMatchObject({ data: { key: "first" } });
  });

  test("deletes a namespace with what is in it, and what has lost its owner", async () => {
    const { kubectl } = kubernetes;
    await kubectl(["create", "namespace", "passing"]);
    await kubectl(["create", "configmap", "inside", "--namespace", "passing"]);
    await kubectl(["delete", "namespace", "passing", "--timeout=30s"]);
    await expect(kubectl(["get", "namespace", "passing"])).rejects.toThrow("not found");
    await kubectl(["create", "configmap", "owner"]);
    const owner = await kubernetes.get<{ metadata: { uid: string } }>(["configmap", "owner"]);
    await kubernetes.apply(`
apiVersion: v1
kind: Secret
metadata:
  name: orphan
  ownerReferences: [{ apiVersion: v1, kind: ConfigMap, name: owner, uid: ${owner.metadata.uid} }]
`);
    await kubectl(["delete", "configmap", "owner"]);
    await kubectl(["wait", "--for=delete", "secret/orphan", "--timeout=30s"]);
  });

  test("denies a service account what no role grants, and what one grants in another namespace", async () => {
    await kubernetes.apply(`
apiVersion: v1
kind: Namespace
metadata: { name: elsewhere }
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: reader, namespace: default }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: { name: reader, namespace: default }
rules: [{ apiGroups: [""], resources: [configmaps], verbs: [get, list] }]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: { name: reader, namespace: default }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader }
subjects: [{ kind: ServiceAccount, name: reader, namespace: default }]
`);
    const as = { kubeconfig: await kubernetes.serviceAccountKubeconfig("default", "reader") };
    expect(await kubernetes.get(["configmaps"], as)).toMatchObject({ kind: "List" });
    const denied = [["secrets"], ["configmaps", "--namespace", "elsewhere"]];
    for (const args of denied)
      await expect(kubernetes.get(args, as)).rejects.toThrow(
        'User "system:serviceaccount:default:reader" cannot list resource',
      );
  });

  test("its files are for their owner only, and no secret is in a process list", async () => {
    expect((await stat(kubernetes.directory)).mode & 0o777).toBe(0o700);
    const secrets = await Promise.all(
      ["tokens.csv", "service-account.key"].map((name) => readFile(join(kubernetes.directory, name), "utf8")),
    );
    const [token = ""] = secrets.join("").split(",");
    const pids = await processesBeside(Number(kubernetes.identity.split("/")[1]));
    const commands = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8")));
    expect(commands.join("\n")).toContain("--token-auth-file");
    expect(token).toMatch(/^[0-9a-f]{48}$/);
    expect(commands.join("\n")).not.toContain(token);
  });
});

describe("up and down", () => {
  let directory = "";

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "asterisk-iac-kubernetes-test-"));
  });

  afterEach(async () => {
    await rm(join(directory, "foreign"), { recursive: true, force: true });
    await kubernetesDown({ directory });
    await asteriskctl(["lab", "down", "--dir", directory]);
    await rm(directory, { recursive: true, force: true });
  });

  test("up again finds the same one running; down leaves no process, listener or file", async () => {
    const first = await kubernetesUp({ directory, tiedToParent: true });
    const census = await censusOf(first);
    expect(census.processes.length).toBeGreaterThanOrEqual(4);
    expect(await kubernetesUp({ directory, tiedToParent: true })).toEqual(first);
    await kubernetesDown({ directory });
    expect(await leftovers(census)).toEqual([]);
    expect(await readdir(directory)).toEqual([]);
    await kubernetesDown({ directory });
  });

  test("one that is tied ends with the process that brought it up, and the next up replaces what it left", async () => {
    const { child, up } = await upInAnotherProcess({ directory, tiedToParent: true });
    const census = await censusOf(up);
    expect(await leftovers(census)).not.toEqual([]);
    child.kill("SIGKILL");
    expect(await until(async () => (await leftovers(census)).length === 0, 10_000)).toBe(true);
    const next = await kubernetesUp({ directory, tiedToParent: true });
    expect(next.identity).not.toBe(up.identity);
    await expect(kubernetesOf(() => next).kubectl(["get", "namespace", "default"])).resolves.toContain(
      "Active",
    );
  });

  test("one that is not tied outlives the process that brought it up", async () => {
    const { child, up } = await upInAnotherProcess({ directory });
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
    await expect(kubernetesOf(() => up).kubectl(["get", "--raw", "/readyz"])).resolves.toBe("ok");
    const census = await censusOf(up);
    await kubernetesDown({ directory });
    expect(await leftovers(census)).toEqual([]);
  });

  test("with one of its programs everything of it ends", async () => {
    const up = await kubernetesUp({ directory, tiedToParent: true });
    const census = await censusOf(up);
    const pids = await processesBeside(Number(up.identity.split("/")[1]));
    const names = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/comm`, "utf8")));
    process.kill(pids[names.findIndex((name) => name.startsWith("etcd"))] as number, "SIGKILL");
    expect(await until(async () => (await leftovers(census)).length === 0, 10_000)).toBe(true);
  });

  test("a folder kubernetes/ of somebody else is left alone", async () => {
    const foreign = join(directory, "foreign");
    await mkdir(join(foreign, "kubernetes"), { recursive: true });
    await writeFile(join(foreign, "kubernetes", "mine"), "mine");
    for (const work of [kubernetesUp, kubernetesDown])
      await expect(work({ directory: foreign })).rejects.toMatchObject({ code: "LabFailed" });
    expect(await readFile(join(foreign, "kubernetes", "mine"), "utf8")).toBe("mine");
  });

  test("lab up --kubernetes has the servers and secrets of the lab as objects; lab down ends both", async () => {
    const { kubeconfig } = await asteriskctlJSON<{ kubeconfig: string }>([
      ...["lab", "up", "--dir", directory, "--count", "2", "--kubernetes"],
    ]);
    expect(kubeconfig).toBe(join(directory, "kubernetes", "kubeconfig"));
    const servers = await labServers(directory);
    const up = await kubernetesUp({ directory });
    const census = await censusOf(up);
    const kubernetes = kubernetesOf(() => up);
    await kubernetes.apply(definition("asterisk-iac.dev", "AsteriskServer", "asteriskservers"));
    await kubernetes.kubectl(["wait", "--for=condition=Established", "crd/asteriskservers.asterisk-iac.dev"]);
    await kubernetes.kubectl(["apply", "--server-side", "-f", join(up.directory, "resources.yaml")]);
    for (const { name, sshPort, amiPort, amiPassword, privateKeyFile, knownHosts } of servers) {
      const object = await kubernetes.get<{ spec: object }>([
        "asteriskserver",
        name,
        "--namespace",
        "default",
      ]);
      expect(object.spec).toEqual({
        ssh: {
          ...{ host: "127.0.0.1", port: sshPort, user: "admin", become: "asterisk" },
          credentialsSecretRef: { name: `${name}-ssh` },
        },
        ami: { host: "127.0.0.1", port: amiPort, credentialsSecretRef: { name: `${name}-ami` } },
        updateDirection: "ToAsterisk",
      });
      const ssh = await kubernetes.get<Secret>(["secret", `${name}-ssh`, "--namespace", "default"]);
      expect(ssh.type).toBe("kubernetes.io/ssh-auth");
      expect(decoded(ssh)).toEqual({
        "ssh-privatekey": await readFile(privateKeyFile, "utf8"),
        known_hosts: knownHosts,
      });
      const ami = await kubernetes.get<Secret>(["secret", `${name}-ami`, "--namespace", "default"]);
      expect(ami.type).toBe("kubernetes.io/basic-auth");
      expect(decoded(ami)).toMatchObject({ password: amiPassword });
    }
    expect((await asteriskctl(["lab", "down", "--dir", directory])).code).toBe(0);
    expect(await leftovers(census)).toEqual([]);
    expect(await labServers(directory)).toEqual([]);
    expect(await readdir(directory)).toEqual(["source"]);
  });
});

interface Secret {
  readonly type: string;
  readonly data: Readonly<Record<string, string>>;
}

function decoded({ data }: Secret): Record<string, string> {
  const keys = Object.entries(data);
  return Object.fromEntries(keys.map(([key, value]) => [key, Buffer.from(value, "base64").toString()]));
}

const kubernetesModule = new URL("../../lab/kubernetes.ts", import.meta.url).href;

/** Brings one up in a process that then stays; made to be killed. */
async function upInAnotherProcess(options: KubernetesUpOptions) {
  const program = `
    const { kubernetesUp } = await import(${JSON.stringify(kubernetesModule)});
    console.log(JSON.stringify(await kubernetesUp(${JSON.stringify(options)})));
    setInterval(() => {}, 60_000);`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", program], {
    env: { ...process.env, NODE_OPTIONS: "" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = (await once(createInterface(child.stdout), "line")) as [string];
  return { child, up: JSON.parse(line) as LabKubernetes };
}
