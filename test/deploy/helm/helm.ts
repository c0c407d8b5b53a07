import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { cached } from "../../../lab/cache.ts";
import { goCommand, runTiedGo } from "../../../lab/kubernetes/go.ts";
import { runCommand } from "../../../lab/process.ts";

/** Longer than the build of a busy machine takes. */
export const helmDeadlineMs = 30 * 60_000;

const chart = join(import.meta.dirname, "../../../deploy/chart/asterisk-iac");

/** An object of Kubernetes, as YAML has it. */
export interface Manifest {
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}

export interface RenderOptions {
  readonly release?: string;
  readonly values?: unknown;
}

/** Paths of helm, built with Go from the modules that go.mod beside this file names, and kept in the lab's cache. */
export async function helmProgram(): Promise<string> {
  const recipe = await readFile(join(import.meta.dirname, "go.mod"), "utf8");
  const name = `helm-${createHash("sha256").update(`${recipe}${process.arch}`).digest("hex").slice(0, 12)}`;
  const onProgress = (line: string): void => void process.stderr.write(`${line}\n`);
  return cached(name, build, onProgress);

  async function build(file: string): Promise<void> {
    onProgress("building helm with Go: once, some minutes");
    const flags = ["-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w"];
    const args = ["build", "-C", import.meta.dirname, ...flags, "-o", file, "helm.sh/helm/v3/cmd/helm"];
    await runTiedGo(await goCommand(onProgress), args, onProgress);
  }
}

/** The text of what the chart installs. Rejects with what helm says of it. */
export async function render(helm: string, { release = "asterisk-iac", values = {} }: RenderOptions = {}) {
  const flags = ["--namespace", "asterisk-iac-system", "--values", "-"];
  const run = await runCommand([helm, "template", release, chart, ...flags], {
    input: JSON.stringify(values),
  });
  if (run.code !== 0) throw new Error(run.stderr.trim());
  return run.stdout;
}

/** The objects of a stream of YAML documents. */
export function manifestsOf(yaml: string): Manifest[] {
  const documents = parseAllDocuments(yaml).map((document) => document.toJS() as Manifest | null);
  return documents.filter((one) => one !== null);
}
