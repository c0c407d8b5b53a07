import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll } from "@jest/globals";
import { kubeconfig, kubernetesDown, kubernetesUp, type LabKubernetes } from "../../lab/kubernetes.ts";
import { runCommand } from "../../lab/process.ts";

export interface KubectlOptions {
  /** Text for standard input, which `-f -` reads. */
  readonly input?: string;
  /** Default: the administrator's. */
  readonly kubeconfig?: string;
}

/** What the tests of one file or one `describe` have of an API server. Nothing of it is there before `beforeAll`. */
export interface Kubernetes {
  /** `kubernetes/` in a temporary directory: kubeconfig, `log/kube-apiserver` and so on. */
  readonly directory: string;
  /** The file of the administrator's kubeconfig. */
  readonly kubeconfig: string;
  /** Process 1 of the namespace in which all of it runs; see `processIdentity`. */
  readonly identity: string;
  /** Runs kubectl and resolves to its output; rejects with what it says if it fails. */
  kubectl(args: readonly string[], options?: KubectlOptions): Promise<string>;
  /** Applies YAML, one document or more, by server-side apply. */
  apply(yaml: string, options?: KubectlOptions): Promise<string>;
  /** `kubectl get … -o json`, parsed. */
  get<T>(args: readonly string[], options?: KubectlOptions): Promise<T>;
  /** The file of a kubeconfig with a new token, good for a day, of a service account that is there. */
  serviceAccountKubeconfig(namespace: string, name: string): Promise<string>;
}

/** The first API server of a machine is built: a quarter of an hour of processor time. */
const upDeadlineMs = 45 * 60_000;

/**
 * A Kubernetes API server for the tests of the `describe` or file that calls it: up before the first, gone after the
 * last, and gone too if the test process is killed.
 */
export function useKubernetes(): Kubernetes {
  let up: LabKubernetes | undefined;
  let directory = "";
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "asterisk-iac-kubernetes-"));
    up = await kubernetesUp({ directory, tiedToParent: true });
  }, upDeadlineMs);
  afterAll(async () => {
    await kubernetesDown({ directory });
    await rm(directory, { recursive: true, force: true });
  });
  return kubernetesOf(() => {
    if (up === undefined) throw new Error("Kubernetes is not up before beforeAll");
    return up;
  });
}

/** The same for one that was brought up in another way. */
export function kubernetesOf(up: () => LabKubernetes): Kubernetes {
  const kubectl = async (args: readonly string[], options: KubectlOptions = {}) => {
    const { directory, kubeconfig, kubectl } = up();
    const flags = ["--kubeconfig", options.kubeconfig ?? kubeconfig, "--cache-dir", join(directory, "cache")];
    const run = await runCommand([kubectl, ...flags, ...args], options);
    if (run.code !== 0) throw new Error(`kubectl ${args.join(" ")} exited ${run.code}: ${run.stderr.trim()}`);
    return run.stdout;
  };
  return {
    get directory() {
      return up().directory;
    },
    get kubeconfig() {
      return up().kubeconfig;
    },
    get identity() {
      return up().identity;
    },
    kubectl,
    apply: (yaml, options) => kubectl(["apply", "--server-side", "-f", "-"], { ...options, input: yaml }),
    get: async <T>(args: readonly string[], options?: KubectlOptions) =>
      JSON.parse(await kubectl(["get", ...args, "-o", "json"], options)) as T,
    serviceAccountKubeconfig: async (namespace, name) => {
      const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`;
      const asked = {
        apiVersion: "authentication.k8s.io/v1",
        kind: "TokenRequest",
        spec: { expirationSeconds: 86_400 },
      };
      const answer = await kubectl(["create", "--raw", path, "-f", "-"], { input: JSON.stringify(asked) });
      const { status } = JSON.parse(answer) as { status: { token: string } };
      const file = join(up().directory, `${namespace}-${name}.kubeconfig`);
      await writeFile(file, kubeconfig(up(), { name, token: status.token, namespace }), { mode: 0o600 });
      return file;
    },
  };
}
