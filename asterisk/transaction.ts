import { randomBytes } from "node:crypto";
import { AsteriskIacError } from "../core/errors.ts";
import type { RecordedOwnership } from "../core/ownership.ts";
import type { ContentHash } from "../core/record.ts";
import type { Host } from "./host.ts";
import { formatHostRecord, parseHostRecord } from "./host-record.ts";
import type { HostFile, HostRecord } from "./host-record.ts";
import { formatKept, pruneKept, MAX_KEPT, MAX_KEPT_KIB } from "./kept.ts";
import type { Kept } from "./kept.ts";
import { ask } from "./transaction-answer.ts";
import type { Answer } from "./transaction-answer.ts";
import { formatManifest, manifestOf } from "./transaction-manifest.ts";
import type { HashedOperation, Operation } from "./transaction-manifest.ts";
import { packEntries } from "./transaction-entries.ts";
import { ABANDON_SCRIPT, COMMIT_SCRIPT, RECOVER_SCRIPT, STAGE_SCRIPT } from "./transaction-scripts.ts";

/** A file to write, by its path below the configuration directory. Directories that are missing are made. */
export interface FileWrite {
  readonly path: string;
  readonly bytes: Buffer;
  /** Four octal digits. Default: of the file that it replaces, ACL and extended attributes too; 0640 for a new one. */
  readonly mode?: string;
  /** `user:group`. Default: of the file that it replaces; for a new one of its directory, as far as it can be given. */
  readonly owner?: string;
  /** What must be there now; null: nothing may be. */
  readonly expected: ContentHash | null;
}

export interface FileRemoval {
  readonly path: string;
  readonly expected: ContentHash;
  /** Left there without content, where something includes it by name and makes it anew. */
  readonly emptyInstead?: boolean;
}

export interface Transaction {
  /** Real path. */
  readonly configDirectory: string;
  /** Asterisk's `astspooldir`; `asterisk-iac` in it is made by the first write. */
  readonly spoolDirectory: string;
  /** Of the record that the plan was made from; 0 before the first. */
  readonly generation: number;
  readonly writes: readonly FileWrite[];
  readonly removals: readonly FileRemoval[];
  /** The record to be. In `files`, those of this transaction are put in and taken out as they are on the host. */
  readonly record: Omit<HostRecord, "generation">;
  /** What the record shall say of a file of this transaction instead (null: nothing), when it is undoing another. */
  readonly recordedFiles?: ReadonlyMap<string, HostFile | null>;
  /** What the record shall say of who owns what, by path: of files that are written, and of others. */
  readonly owned?: ReadonlyMap<string, OwnedFileRecord>;
}

/** Without `ownership` nobody owns anything any more; with `isOurs` the file stays recorded all the same. */
export interface OwnedFileRecord {
  readonly ownership?: RecordedOwnership;
  readonly isOurs: boolean;
  /** Of what is there, where it is not written. */
  readonly hash: ContentHash | null;
}

export interface Applied {
  readonly generation: number;
  /** The id by which what was overwritten is kept; see `listKept`. */
  readonly kept: string;
  readonly record: HostRecord;
}

/**
 * Writes and removes files all together or not at all, the old bytes kept first: two round trips (more only to clean up
 * after a refusal, or when old applies are let go of). Whatever is killed on the way, `recover` finishes or undoes it.
 *
 * Rejects before anything is renamed with `ChangedMeanwhile` (a file is not what was expected), `StaleGeneration` (another
 * apply), `WriteInProgress`, `Interrupted` (`recover` first), `PathRefused` (a link, or in a linked directory) and
 * `PermissionDenied` (a mode, owner or attribute that would differ); with every file as it was also with `WriteFailed`. After
 * `ConnectionLost` and `TimedOut` only the host knows how it ended.
 */
export async function applyTransaction(host: Host, transaction: Transaction): Promise<Applied> {
  const { generation, configDirectory, spoolDirectory } = transaction;
  const operations = operationsOf(transaction);
  const id = `${String(generation + 1).padStart(8, "0")}-${randomBytes(8).toString("hex")}`;
  const answer = await stage(host, transaction, operations, id);

  let kept: Kept;
  let record: HostRecord;
  try {
    const before = new Abouts(answer.one("before")?.[0]);
    const after = new Abouts(answer.one("after")?.[0]);
    const moves = operations.map((operation) => ({
      operation,
      before: operation.expected === null ? undefined : before.next(),
      after: operation.bytes === undefined ? undefined : after.next(),
    }));
    for (const move of moves) refuseOther(move, answer, configDirectory);
    const text = answer.one("record")?.[0] ?? "";
    const previous = text === "" ? undefined : parseHostRecord(text, spoolDirectory);
    record = recordOf(id, transaction, moves);
    kept = keptOf(id, record, previous, moves);
  } catch (error) {
    await ask(host, ABANDON_SCRIPT, { configDirectory, spoolDirectory, args: [id] });
    throw error;
  }

  const [recordText, index] = [Buffer.from(formatHostRecord(record)), Buffer.from(formatKept(kept))];
  await ask(host, COMMIT_SCRIPT, {
    configDirectory,
    spoolDirectory,
    args: [id, String(generation), String(recordText.length), String(index.length)],
    stdin: Buffer.concat([recordText, index]),
  });
  const [count, size] = answer.one("kept") ?? [];
  if (Number(count) >= MAX_KEPT || Number(size) >= MAX_KEPT_KIB) await pruneKept(host, transaction, record);
  return { generation: record.generation, kept: id, record };
}

export interface Recovery {
  /** `RolledForward`: an interrupted apply is done now. `Restored`: it is undone, or had written nothing yet. */
  readonly outcome: "Nothing" | "RolledForward" | "Restored";
  /** Files that were neither old nor new: somebody else wrote them since. They were left as they are. */
  readonly left: readonly string[];
}

/**
 * Ends what was interrupted: goes forward if every file is as the intent says, else back, and removes what was staged.
 * Waits for a write that is under way. May be killed and run again. Rejects with `Interrupted` where neither is possible now.
 */
export async function recover(
  host: Host,
  where: { configDirectory: string; spoolDirectory: string },
): Promise<Recovery> {
  const answer = await ask(host, RECOVER_SCRIPT, where);
  const left = answer.all("left").map(([path = ""]) => path.replace(/^\.\//, ""));
  const ended = new Set(answer.entries.map(([word]) => word));
  if (ended.has("forward")) return { outcome: "RolledForward", left };
  return { outcome: ended.has("restored") || ended.has("abandoned") ? "Restored" : "Nothing", left };
}

function operationsOf({ writes, removals }: Transaction): HashedOperation[] {
  return manifestOf([
    ...writes,
    ...removals.map(({ emptyInstead, ...removal }): Operation =>
      emptyInstead === true ? { ...removal, bytes: Buffer.alloc(0) } : removal,
    ),
  ]);
}

async function stage(
  host: Host,
  { configDirectory, spoolDirectory, generation }: Transaction,
  operations: readonly HashedOperation[],
  id: string,
): Promise<Answer> {
  const manifest = formatManifest(operations);
  const { entries, together } = packEntries(operations);
  return ask(host, STAGE_SCRIPT, {
    configDirectory,
    spoolDirectory,
    args: [id, String(generation), String(manifest.length), together ? "together" : "apart"],
    stdin: Buffer.concat([manifest, ...entries]),
  });
}

interface About {
  readonly size: number;
  readonly mode: string;
  /** By number. */
  readonly ids: string;
  /** By name; where there is none, by number. */
  readonly owner: string;
}

/** Lines of stat, in the manifest's order. */
class Abouts {
  readonly #lines: readonly string[];
  #at = 0;

  constructor(text = "") {
    this.#lines = text.split("\n");
  }

  next(): About {
    const line = this.#lines[this.#at++] ?? "";
    const [, size, mode = "", ids = "", names = ""] = /^(\d+) ([0-7]+) (\d+:\d+) (\S+:\S+)$/.exec(line) ?? [];
    if (size === undefined)
      throw new AsteriskIacError("ChangedMeanwhile", "A file went away while it was about to be replaced.", {
        next: "Retry",
      });
    const numbers = ids.split(":");
    const owner = names.split(":").map((name, at) => (name === "UNKNOWN" ? numbers[at] : name));
    return { size: Number(size), mode: mode.padStart(4, "0"), ids, owner: owner.join(":") };
  }
}

interface Move {
  readonly operation: HashedOperation;
  readonly before: About | undefined;
  readonly after: About | undefined;
}

/** A file that would have another mode, owner or attribute than it should is not written. */
function refuseOther({ operation, before, after }: Move, answer: Answer, configDirectory: string): void {
  if (after === undefined) return;
  const { path } = operation;
  const mode = operation.mode ?? before?.mode ?? after.mode;
  const owner = operation.owner ?? before?.owner ?? after.owner;
  const isOwner =
    owner === after.owner || owner === after.ids || (owner === before?.owner && before.ids === after.ids);
  if (after.mode === mode && isOwner && !isUnlike(answer, path)) return;
  const why =
    after.mode === mode && isOwner
      ? `its attributes can't be kept: ${unlikeLine(answer, path) ?? ""}`
      : `it would be ${after.mode} ${after.owner} instead of ${mode} ${owner}`;
  throw new AsteriskIacError("PermissionDenied", `${path} was not written: ${why}. No file was.`, {
    where: { file: `${configDirectory}/${path}` },
    hint: `Only its owner, or root, can write it so: set \`become: ${owner.split(":")[0] ?? ""}\`.`,
  });
}

function isUnlike(answer: Answer, path: string): boolean {
  return answer.one("staged")?.[0] === "yes" && unlikeLine(answer, path) !== undefined;
}

/** What cp, chown or chmod said of a staged file; of any, where the line names none. */
function unlikeLine({ stderr }: Answer, path: string): string | undefined {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const lines = stderr.split("\n").filter((line) => /^(cp|chown|chmod): /.test(line));
  return lines.find((line) => line.includes(`/${name}'`)) ?? lines.find((line) => !line.includes("'"));
}

function recordOf(id: string, transaction: Transaction, moves: readonly Move[]): HostRecord {
  const { generation, record, recordedFiles } = transaction;
  const files = new Map(Object.entries(record.files));
  for (const { operation, after } of moves) {
    const { path, hash } = operation;
    const written: HostFile = {
      ...(after === undefined ? { hash: null } : hostFile(hash, after)),
      generation: generation + 1,
    };
    const recorded = recordedFiles?.has(path) === true ? (recordedFiles.get(path) ?? null) : written;
    if (recorded === null) files.delete(path);
    else files.set(path, recorded);
  }
  for (const [path, owned] of transaction.owned ?? []) {
    const move = moves.find(({ operation }) => operation.path === path);
    const file = files.get(path) ?? { hash: owned.hash, generation: generation + 1 };
    if (owned.ownership !== undefined) {
      const original = move?.before === undefined ? null : id;
      const { ownership } = owned;
      const isFirst = move !== undefined && ownership.original === undefined;
      files.set(path, { ...file, ownership: isFirst ? { ...ownership, original } : ownership });
    } else if (owned.isOurs) {
      const unowned = { ...file };
      delete unowned.ownership;
      files.set(path, unowned);
    } else files.delete(path);
  }
  return { ...record, generation: generation + 1, files: Object.fromEntries(files) };
}

function keptOf(
  id: string,
  { version, generation, manager, planHash, revision, appliedAt }: HostRecord,
  previous: HostRecord | undefined,
  moves: readonly Move[],
): Kept {
  return {
    version,
    id,
    generation,
    manager,
    planHash,
    revision,
    appliedAt,
    previous:
      previous === undefined
        ? null
        : { planHash: previous.planHash, revision: previous.revision, verified: previous.verified },
    files: moves.map(({ operation: { path, hash, expected }, before, after }) => ({
      path,
      before:
        before === undefined || expected === null
          ? null
          : { ...hostFile(expected, before), size: before.size },
      after: after === undefined ? null : hostFile(hash, after),
      recorded: previous?.files[path] ?? null,
    })),
  };
}

function hostFile(
  hash: ContentHash,
  { mode, owner }: About,
): { hash: ContentHash; mode: string; owner: string } {
  return { hash, mode, owner };
}
