/** A lab's servers as the engine takes them, in this process. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadManifests } from "../cli/manifests.ts";
import { SecretDirectory } from "../cli/secrets.ts";
import { DirectorySource } from "../engine/directory-source.ts";
import type { SecretStore } from "../engine/secrets.ts";
import type { ServerDeclaration } from "../engine/session.ts";
import { labDown, labUp, type LabServer } from "../lab/lab.ts";

export interface BenchServer {
  readonly lab: LabServer;
  readonly declaration: ServerDeclaration;
  /** The folder of its source. */
  readonly source: string;
}

export interface BenchLab {
  readonly directory: string;
  readonly manifests: string;
  readonly secrets: SecretStore;
  readonly servers: readonly BenchServer[];
}

/** Progress goes where it does not mix with the figures. */
export function progress(message: string): void {
  console.error(`      ${message}`);
}

/** Runs `work` with a lab of its own, which is gone afterwards. */
export async function withLab<T>(count: number, work: (lab: BenchLab) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), "asterisk-iac-bench-"));
  try {
    const { servers } = await labUp({ directory, count, tiedToParent: true, onProgress: progress });
    const manifests = join(directory, "manifests.yaml");
    const declared = new Map((await loadManifests([manifests])).servers.map((one) => [one.name, one]));
    return await work({
      directory,
      manifests,
      secrets: new SecretDirectory(join(directory, "secrets")),
      servers: servers.map((lab) => {
        const one = declared.get(lab.name);
        if (one === undefined) throw new Error(`the lab does not declare ${lab.name}`);
        const { sourceDirectory: source, resource } = one;
        const declaration = {
          name: lab.name,
          spec: resource.spec,
          source: new DirectorySource(source),
          accounts: [],
          files: [],
        };
        return { lab, declaration, source };
      }),
    });
  } finally {
    await labDown({ directory });
    await rm(directory, { recursive: true, force: true });
  }
}
