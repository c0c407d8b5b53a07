import { z } from "zod";
import { AsteriskIacError } from "./errors.ts";
import { recordedAfterImport } from "./import.ts";
import type { ContentHash, ImportRecord, RecordedHash } from "./record.ts";
import { comparePaths } from "./record.ts";

const collectedFile = z.object({
  /** Null: it was removed from the source because it is gone from the server. */
  hash: z.string().nullable(),
  /** The generation of the server's record when this was collected. */
  generation: z.int().min(0),
});

const collectedRecord = z.object({ version: z.literal(1), files: z.record(z.string(), collectedFile) });
/** What was collected from the server since the import; kept beside the source in `.asterisk-iac/collected.json`. */
export type CollectedRecord = z.infer<typeof collectedRecord>;

/** Reads a record's JSON; without one, nothing was collected yet. Throws `RecordInvalid`. */
export function parseCollectedRecord(text: string | undefined, file: string): CollectedRecord {
  if (text === undefined) return { version: 1, files: {} };
  try {
    return collectedRecord.parse(JSON.parse(text));
  } catch (cause) {
    throw new AsteriskIacError("RecordInvalid", "the record of what was collected can't be read", {
      where: { file },
      cause,
      hint: "Restore it from your backup or from git.",
    });
  }
}

/** A record's JSON, sorted by path. */
export function formatCollectedRecord({ version, files }: CollectedRecord): string {
  const sorted = Object.fromEntries(Object.entries(files).sort(([a], [b]) => comparePaths(a, b)));
  return `${JSON.stringify({ version, files: sorted }, undefined, 2)}\n`;
}

/** What the server's own record says of a path: the generation that wrote it, null where it was removed. */
export interface AppliedFile {
  readonly hash: ContentHash | null;
  readonly generation: number;
}

/** All that is recorded of one server and its source. */
export interface Records {
  readonly imported: ImportRecord;
  readonly collected: CollectedRecord;
  /** By path, from the server's record; empty before the first apply. */
  readonly applied: Readonly<Record<string, AppliedFile>>;
  readonly recorded: (hash: ContentHash) => RecordedHash;
}

/**
 * What a path was when both sides were last in step: the entry of the side that was written last, and before the first
 * apply the import's. The order comes from the generations of the server's record: the clocks of two machines differ.
 */
export function recordedOf(
  path: string,
  { imported, collected, applied, recorded }: Records,
): RecordedHash | null {
  const onServer = applied[path];
  const inSource = collected.files[path];
  const since = inSource?.generation ?? imported.generation;
  if (onServer !== undefined && onServer.generation > since)
    return onServer.hash === null ? null : recorded(onServer.hash);
  if (inSource !== undefined) return inSource.hash;
  return recordedAfterImport(imported.files[path]);
}
