import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { hostEnvironment, type Progress } from "../platform.ts";
import { cached, exists } from "../cache.ts";
import { goCommand, runTiedGo } from "./go.ts";

/** Each program of a Kubernetes control plane, and the client, by the name of its file; and where it is built from. */
const packages = {
  etcd: "go.etcd.io/etcd/server/v3",
  "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
  "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
  kubectl: "k8s.io/kubernetes/cmd/kubectl",
};

/** The name of a program of Kubernetes that the lab can run. */
export type KubernetesProgram = keyof typeof packages;

/** The paths of the programs. */
export interface KubernetesPrograms {
  readonly etcd: string;
  readonly apiServer: string;
  readonly controllerManager: string;
  readonly kubectl: string;
}

/** The paths of all; see `kubernetesProgram`. */
export async function kubernetesPrograms(onProgress: Progress): Promise<KubernetesPrograms> {
  return {
    etcd: await kubernetesProgram("etcd", onProgress),
    apiServer: await kubernetesProgram("kube-apiserver", onProgress),
    controllerManager: await kubernetesProgram("kube-controller-manager", onProgress),
    kubectl: await kubernetesProgram("kubectl", onProgress),
  };
}

/**
 * The path of a program of Kubernetes: in `$KUBEBUILDER_ASSETS` or on the PATH if it is there, else built with Go from
 * the modules that go.mod beside this file names. For all together that takes ten minutes of processor time the first
 * time; the lab's cache keeps what was built. Of two callers at once one builds and the other waits.
 *
 * Rejects with `LabFailed`: Go or the modules can't be had, or the build failed.
 */
export async function kubernetesProgram(program: KubernetesProgram, onProgress: Progress): Promise<string> {
  const make = (file: string) => build(program, file, onProgress);
  return (await installed(program)) ?? cached(await cacheName(program), make, onProgress);
}

async function build(program: KubernetesProgram, file: string, onProgress: Progress): Promise<void> {
  const go = await goCommand(onProgress);
  onProgress(`building ${program} with Go: once, some minutes`);
  const flags = ["-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags", await linkerFlags()];
  const args = ["build", "-C", import.meta.dirname, ...flags, "-o", file, packages[program]];
  await runTiedGo(go, args, onProgress);
}

async function installed(program: KubernetesProgram): Promise<string | undefined> {
  const folders = [
    process.env["KUBEBUILDER_ASSETS"] ?? "",
    ...(hostEnvironment["PATH"] ?? "").split(delimiter),
  ];
  for (const folder of folders)
    if (folder !== "" && (await exists(join(folder, program)))) return join(folder, program);
  return undefined;
}

/** Names all that decides what is built, so that another version is built anew. */
async function cacheName(program: KubernetesProgram): Promise<string> {
  const recipe = [packages[program], process.arch, await goModule(), await linkerFlags()];
  return `${program}-${createHash("sha256").update(JSON.stringify(recipe)).digest("hex").slice(0, 12)}`;
}

/** Go's checksums of modules (go.sum) follow from their versions. */
function goModule(): Promise<string> {
  return readFile(join(import.meta.dirname, "go.mod"), "utf8");
}

/** No symbols; and the version, which is not in the source that the module proxy has. */
async function linkerFlags(): Promise<string> {
  const version = /k8s\.io\/kubernetes (v\S+)/.exec(await goModule())?.[1] ?? "";
  const variables = ["k8s.io/component-base/version.gitVersion", "k8s.io/client-go/pkg/version.gitVersion"];
  return ["-s", "-w", ...variables.map((variable) => `-X ${variable}=${version}`)].join(" ");
}
