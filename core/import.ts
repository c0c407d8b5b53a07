import type { ObservedFile } from "./observed.ts";
import type { ContentHash, ImportOutcome, ImportRecord, RecordedFile, RecordedHash } from "./record.ts";
import { comparePaths } from "./record.ts";
import type { PathPolicy } from "./resource/index.ts";
import type { SourceFile } from "./source.ts";

/** What the import does with one path; only `Stored` and `Kept` move bytes. */
export interface ImportStep {
  readonly path: string;
  readonly outcome: ImportOutcome;
  readonly file: ObservedFile;
  /** With `Stored`: an earlier, interrupted import put these other bytes there; they are ours to replace. */
  readonly replaces?: ContentHash;
  readonly reason?: string;
}

export interface ImportInput {
  readonly observed: readonly ObservedFile[];
  /** Whether a path belongs to the import: it matches `files`, or something that does includes it. */
  readonly selected: (path: string) => boolean;
  readonly pathPolicy: (path: string) => PathPolicy;
  readonly source: ReadonlyMap<string, SourceFile>;
  /** What an interrupted import had promised; empty at the first try. */
  readonly promised: Readonly<Record<string, RecordedFile>>;
  readonly recorded: (hash: ContentHash) => RecordedHash;
}

/** Decides the initial import: one step a path of the server, sorted. What the source already has is kept. Pure. */
export function planImport(input: ImportInput): ImportStep[] {
  return input.observed
    .filter((file) => file.kind !== "directory" || file.problem !== undefined)
    .map((file) => importStep(file, input))
    .sort((a, b) => comparePaths(a.path, b.path));
}

function importStep(file: ObservedFile, input: ImportInput): ImportStep {
  const { path } = file;
  // What lies in a directory that can't be listed is not known; that must be seen in the record.
  if (file.kind === "directory") return { path, outcome: "Skipped", file, reason: file.problem ?? "" };
  if (!input.selected(path)) return { path, outcome: "Outside", file };
  const policy = input.pathPolicy(path);
  if (policy.kind === "Unmanaged") return { path, outcome: "Unmanaged", file, reason: `rule ${policy.rule}` };
  if (file.problem !== undefined) return { path, outcome: "Skipped", file, reason: file.problem };
  if (file.hash === undefined) return { path, outcome: "Skipped", file, reason: "is not a regular file" };

  const there = input.source.get(path);
  if (there === undefined) return { path, outcome: "Stored", file };
  if (there.problem !== undefined)
    return { path, outcome: "Kept", file, reason: `the source's copy ${there.problem}` };
  if (there.hash === file.hash) return { path, outcome: wasOurs(there.hash) ? "Stored" : "Equal", file };
  if (wasOurs(there.hash)) return { path, outcome: "Stored", file, replaces: there.hash };
  return { path, outcome: "Kept", file };

  function wasOurs(hash: ContentHash): boolean {
    const promise = input.promised[path];
    return promise?.outcome === "Stored" && promise.hash === input.recorded(hash);
  }
}

/**
 * The hash that counts as recorded for a path after the import: where both sides were equal when it ended.
 * `Kept` files stay unrecorded, so that the difference shows up as a conflict for a person to decide.
 */
export function recordedAfterImport(file: RecordedFile | undefined): RecordedHash | null {
  return file !== undefined && (file.outcome === "Stored" || file.outcome === "Equal")
    ? (file.hash ?? null)
    : null;
}

/** How many paths had each outcome. */
export function countOutcomes(record: ImportRecord): Record<ImportOutcome, number> {
  const counts = { Stored: 0, Equal: 0, Kept: 0, Outside: 0, Unmanaged: 0, Skipped: 0 };
  for (const file of Object.values(record.files)) counts[file.outcome] += 1;
  return counts;
}
