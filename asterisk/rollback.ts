import { AsteriskIacError } from "../core/errors.ts";
import type { ContentHash } from "../core/record.ts";
import type { Host } from "./host.ts";
import { readHostState } from "./host-record.ts";
import type { HostRecord } from "./host-record.ts";
import { readKept } from "./kept.ts";
import type { Kept, KeptFile } from "./kept.ts";
import { applyTransaction } from "./transaction.ts";
import type { Applied, FileRemoval, FileWrite } from "./transaction.ts";

export interface Rollback {
  /** Real path. */
  readonly configDirectory: string;
  readonly spoolDirectory: string;
  /** The apply to undo: an id of `listKept`. */
  readonly id: string;
  /** ISO 8601. */
  readonly appliedAt: string;
  /** Only these files of it; default all. */
  readonly paths?: readonly string[];
  /** What is at a path now (null: nothing), where others wrote since; default: what the apply left there. */
  readonly present?: ReadonlyMap<string, ContentHash | null>;
}

/**
 * Puts back the bytes, modes and owners that one apply overwrote, and removes what it made: an apply like any other, kept
 * and recorded with the next generation. Of its files the record then says what it had said before that apply. Four round trips.
 * Rejects as `applyTransaction` and `readKept` do.
 */
export async function rollback(host: Host, options: Rollback): Promise<Applied> {
  const { configDirectory, spoolDirectory, appliedAt } = options;
  const [{ record }, { kept, contents }] = await Promise.all([
    readHostState(host, spoolDirectory),
    readKept(host, options),
  ]);
  if (record === undefined)
    throw new AsteriskIacError("RecordInvalid", "There is no record of what was applied.", {
      where: { file: `${spoolDirectory}/asterisk-iac/record` },
    });
  const files = chosen(kept, options.paths);
  const { writes, removals } = undo(files, contents, options.present);
  return applyTransaction(host, {
    configDirectory,
    spoolDirectory,
    generation: record.generation,
    writes,
    removals,
    record: { ...recordBefore(record, kept), appliedAt },
    recordedFiles: new Map(files.map(({ path, recorded }) => [path, recorded])),
  });
}

function chosen(kept: Kept, paths: readonly string[] | undefined): readonly KeptFile[] {
  if (paths === undefined) return kept.files;
  return paths.map((path) => {
    const file = kept.files.find((each) => each.path === path);
    if (file === undefined)
      throw new AsteriskIacError("InvalidArgument", `${path} is not among the files of ${kept.id}.`, {
        hint: `They are ${kept.files.map((each) => each.path).join(", ")}.`,
      });
    return file;
  });
}

function undo(
  files: readonly KeptFile[],
  contents: ReadonlyMap<string, Buffer>,
  present: ReadonlyMap<string, ContentHash | null> | undefined,
): { writes: FileWrite[]; removals: FileRemoval[] } {
  const writes: FileWrite[] = [];
  const removals: FileRemoval[] = [];
  for (const { path, before, after } of files) {
    const now = present?.get(path);
    const expected = now === undefined ? (after?.hash ?? null) : now;
    const bytes = contents.get(path);
    if (before !== null && bytes !== undefined)
      writes.push({ path, bytes, mode: before.mode, owner: before.owner, expected });
    else if (expected !== null) removals.push({ path, expected });
  }
  return { writes, removals };
}

/** What undoing the newest apply makes of the record; an older one leaves it as it is. */
function recordBefore(record: HostRecord, { generation, previous }: Kept): HostRecord {
  if (generation !== record.generation || previous === null) return { ...record, verified: false };
  return { ...record, revision: undefined, ...previous };
}
