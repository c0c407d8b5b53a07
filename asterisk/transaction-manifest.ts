import { posix } from "node:path";
import { AsteriskIacError } from "../core/errors.ts";
import { checkPath } from "../core/paths.ts";
import { comparePaths, contentHash } from "../core/record.ts";
import type { ContentHash } from "../core/record.ts";
import { nameProblem } from "./path-bytes.ts";

/** One file of a transaction; without `bytes` it is removed. */
export interface Operation {
  readonly path: string;
  readonly bytes?: Buffer;
  readonly mode?: string;
  readonly owner?: string;
  readonly expected: ContentHash | null;
}

/** With the hash of its bytes; empty for a removal. */
export interface HashedOperation extends Operation {
  readonly hash: ContentHash;
}

/** Scripts collect the names of one group in their positional parameters. */
const MAX_GROUP = 100;

/**
 * The operations in the manifest's order, each with its hash. Throws `PathRefused` for a path that could not come from a
 * source, and `InvalidArgument` for a path that is there twice, or a hash, mode or owner that is none.
 */
export function manifestOf(operations: readonly Operation[]): HashedOperation[] {
  const seen = new Set<string>();
  for (const operation of operations) {
    check(operation);
    if (seen.has(operation.path)) throw invalid(operation.path, "is there twice");
    seen.add(operation.path);
  }
  return operations
    .map((operation) => ({
      ...operation,
      hash: operation.bytes === undefined ? "" : contentHash(operation.bytes),
    }))
    .sort(
      (a, b) => comparePaths(posix.dirname(a.path), posix.dirname(b.path)) || comparePaths(a.path, b.path),
    );
}

/** The manifest that the scripts read; transaction-scripts.ts says how. */
export function formatManifest(operations: readonly HashedOperation[]): Buffer {
  const lines = directoriesOf(operations).map((path) => `- d - - - - - ./${path}`);
  let group = -1;
  let size = 0;
  let directory: string | undefined;
  for (const { path, bytes, hash, mode, owner, expected } of operations) {
    if (directory !== posix.dirname(path) || size === MAX_GROUP) {
      directory = posix.dirname(path);
      group += 1;
      size = 0;
    }
    size += 1;
    const old = expected ?? "-";
    lines.push(
      bytes === undefined
        ? `${group} r ${old} - - - - ./${path}`
        : `${group} w ${old} ${hash} ${bytes.length} ${mode ?? "-"} ${owner ?? "-"} ./${path}`,
    );
  }
  return Buffer.from(lines.map((line) => `${line}\n`).join(""));
}

/** The directories that new files need, each after the one that holds it. */
function directoriesOf(operations: readonly Operation[]): string[] {
  const directories = new Set<string>();
  for (const { path, expected } of operations) {
    if (expected !== null) continue;
    for (let at = path.indexOf("/"); at !== -1; at = path.indexOf("/", at + 1))
      directories.add(path.slice(0, at));
  }
  return [...directories].sort(comparePaths);
}

function check({ path, bytes, mode, owner, expected }: Operation): void {
  checkPath(path);
  const problem = nameProblem(path);
  if (problem !== undefined)
    throw new AsteriskIacError("PathRefused", `${JSON.stringify(path)} can't be written: ${problem}.`);
  if (expected !== null && !/^[0-9a-f]{64}$/.test(expected))
    throw invalid(path, "has an expected hash that is none");
  if (bytes === undefined && expected === null) throw invalid(path, "is to be removed and is not there");
  if (mode !== undefined && !/^[0-7]{4}$/.test(mode))
    throw invalid(path, "has a mode that is not four octal digits");
  if (owner !== undefined && !/^[A-Za-z0-9_][^\s:]*:[A-Za-z0-9_][^\s:]*$/.test(owner))
    throw invalid(path, "has an owner that is not user:group");
}

function invalid(path: string, why: string): AsteriskIacError {
  return new AsteriskIacError("InvalidArgument", `${path} ${why}.`);
}
