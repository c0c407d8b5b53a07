import { createHash } from "node:crypto";
import { parseCollectedRecord } from "../core/recorded.ts";
import type { GitObjects } from "./objects.ts";
import type { GitChange } from "./publisher.ts";
import { room } from "./snapshot.ts";

/**
 * What tells a change of a server's files from another: a digest over their paths and bytes, and over the recorded hashes
 * of the files that changed, which are keyed, for a secret behind a reference can change alone. What lies beside the files
 * (kept bytes, times, encrypted secrets) differs from pass to pass and does not count. Nothing can be guessed from it.
 */
export async function changeDigest(objects: GitObjects, change: GitChange): Promise<string> {
  const record = recordFileOf(change);
  const before = await recordOf(objects, change.base, record);
  const now = parsed(change.changes.get(record), record);
  const recorded = [...now].filter(([path, hash]) => before.get(path) !== hash);
  const files = [...change.changes]
    .filter(([path]) => !isBeside(path, change))
    .map(([path, bytes]) => [path, bytes === null ? null : sha256(bytes)]);
  return sha256(JSON.stringify([files.sort(byPath), recorded.sort(byPath)]));
}

/** Whether two commits hold the same, as far as it counts in the digest of a change. */
export async function holdsSame(
  objects: GitObjects,
  one: string,
  other: string,
  change: GitChange,
): Promise<boolean> {
  const [here, there] = [await objects.tree(one, ""), await objects.tree(other, "")];
  const record = recordFileOf(change);
  const [recordHere, recordThere] = [
    await recordOf(objects, one, record),
    await recordOf(objects, other, record),
  ];
  const isSameFile = (path: string): boolean =>
    isBeside(path, change) || here.get(path)?.id === there.get(path)?.id;
  return (
    [...here.keys(), ...there.keys()].every(isSameFile) &&
    [...recordHere.keys(), ...recordThere.keys()].every(
      (path) => recordHere.get(path) === recordThere.get(path),
    )
  );
}

/** Whether a path in the repository is none of the server's files, but lies in the directory of records beside them. */
function isBeside(path: string, change: GitChange): boolean {
  return path.startsWith(`${besideDirectory(change)}/`);
}

function besideDirectory({ path }: GitChange): string {
  return path === "" ? room : `${path}/${room}`;
}

/** The record of what was collected from the server. */
function recordFileOf(change: GitChange): string {
  return `${besideDirectory(change)}/collected.json`;
}

/** The recorded hashes of a commit by path, null for what is gone. */
async function recordOf(
  objects: GitObjects,
  commit: string | undefined,
  file: string,
): Promise<RecordedHashes> {
  const slash = file.lastIndexOf("/");
  const directory = commit === undefined ? undefined : await objects.tree(commit, file.slice(0, slash));
  const id = directory?.get(file.slice(slash + 1))?.id;
  return parsed(id === undefined ? undefined : (await objects.blobs([id])).get(id), file);
}

function parsed(bytes: Uint8Array | null | undefined, file: string): RecordedHashes {
  const { files } = parseCollectedRecord(bytes ? Buffer.from(bytes).toString("utf8") : undefined, file);
  return new Map(Object.entries(files).map(([path, { hash }]) => [path, hash]));
}

type RecordedHashes = ReadonlyMap<string, string | null>;

function sha256(data: string | Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}

/** By the first of two, in the order of their UTF-16 units, which no locale changes. */
function byPath([a]: readonly unknown[], [b]: readonly unknown[]): number {
  return String(a) < String(b) ? -1 : 1;
}
