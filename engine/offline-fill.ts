import { hasErrorCode } from "../core/errors.ts";
import type { SecretRule } from "../core/conf/secrets.ts";
import { fillSecrets, secretReferences } from "../core/secret-references.ts";
import type { GitSourceSpec } from "../core/resource/index.ts";
import { secretPlaces } from "../git/secrets-places.ts";
import { room } from "../git/snapshot.ts";
import type { PlaceholderSecrets } from "./placeholder-secrets.ts";
import type { RepositoryFiles } from "./repository-files.ts";
import type { SecretStore } from "./secrets.ts";
import { vaultOf } from "./source-secrets.ts";
import type { Fill } from "./tree-source.ts";

/** How the files of a server in git are filled in, without a key to their secrets too. */
export interface OfflineFill {
  readonly fill: Fill;
  /** The values as they lie in the repository, where the key to them is not there. */
  readonly sealed: Buffer | undefined;
  /** The files that were filled in and hold secrets in the clear all the same. */
  readonly inTheClear: ReadonlySet<string>;
}

/** Where a server's files are in one state of a repository. */
export interface GitDirectory {
  readonly server: string;
  readonly git: GitSourceSpec;
  readonly files: RepositoryFiles;
  /** From the repository's root; empty for itself. */
  readonly directory: string;
}

/**
 * Opens the secrets of a server's files with what `store` has; what it has not, `secrets` stands in for. Throws
 * `RecordInvalid` for values that can't be read with the key that is there.
 */
export async function openFill(
  { server, git, files, directory }: GitDirectory,
  store: SecretStore,
  secrets: PlaceholderSecrets,
): Promise<OfflineFill> {
  const vault = vaultOf(server, git, store);
  if (vault === undefined) return { ...asTheyAre, sealed: undefined };
  const inTheClear = new Set<string>();
  const filled = filledFrom(secrets);
  const fill: Fill = (path, bytes) => {
    if (holdsSecret(path, bytes, vault.rules)) inTheClear.add(path);
    return filled(path, bytes);
  };
  if (vault.file === undefined) return { fill, inTheClear, sealed: undefined };
  const path = `${room}/${vault.file}`;
  const place = directory === "" ? path : `${directory}/${path}`;
  const isThere = (await files.list(directory)).get(path) === "file";
  const sealed = isThere ? (await files.read([place])).get(place) : undefined;
  try {
    secrets.provide(vault.name, await vault.read(sealed));
    return { fill, inTheClear, sealed: undefined };
  } catch (cause) {
    if (!hasErrorCode(cause, "SecretMissing")) throw cause;
    return { fill, inTheClear, sealed };
  }
}

/** Files that keep their secrets in the clear, because their owner says so. */
const asTheyAre = {
  fill: (_: string, bytes: Buffer) => Promise.resolve(bytes),
  inTheClear: new Set<string>(),
};

/** Whether something stands where secrets stand that refers to none. */
function holdsSecret(path: string, bytes: Buffer, rules: readonly SecretRule[]): boolean {
  const text = bytes.toString("latin1");
  return secretPlaces(path, text, rules).some(
    ({ start, end }) => text.slice(start, end).replace(/@\{secret:[^{}]*\}/g, "") !== "",
  );
}

/** Whether a value may stand at its place is judged where it is really known. */
function filledFrom(secrets: PlaceholderSecrets): Fill {
  return async (path, bytes) => {
    const text = bytes.toString("latin1");
    const names = [...new Set(secretReferences(text, path).map(({ name }) => name))];
    const found = new Map(
      await Promise.all(names.map(async (name) => [name, await secrets.read(name)] as const)),
    );
    const filled = fillSecrets(text, path, ({ name, key }) => found.get(name)?.get(key)?.toString("latin1"), {
      problemOf: () => undefined,
    });
    return Buffer.from(filled, "latin1");
  };
}
