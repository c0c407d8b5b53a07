import { z } from "zod";
import { AsteriskIacError } from "../core/errors.ts";
import { recordedOwnership } from "../core/ownership.ts";
import type { Host } from "./host.ts";
import { ask } from "./transaction-answer.ts";
import { RECORD_SCRIPT, STATE_SCRIPT } from "./transaction-scripts.ts";

/** See HostFile. */
export const hostFile = z.object({
  /** SHA-256 of the content: this record stays on the host, beside the files themselves. Null: it was removed. */
  hash: z.string().nullable(),
  /** The generation whose apply wrote or removed it. */
  generation: z.number().int().positive(),
  /** Four octal digits. */
  mode: z.string().optional(),
  /** `user:group`. */
  owner: z.string().optional(),
  /** Who owns what in it, where resources do. */
  ownership: recordedOwnership.optional(),
});
/** One file, as it was left there by the write that recorded it. */
export type HostFile = z.infer<typeof hostFile>;

/** The fields that say which apply it was. */
export const applyFields = {
  /** Who applies: which command line, stack or operator. */
  manager: z.string(),
  planHash: z.string(),
  /** Of a git source. */
  revision: z.string().optional(),
  /** ISO 8601. */
  appliedAt: z.string(),
};

const hostRecord = z.object({
  version: z.literal(1),
  /** Counts the applies from 1 on. */
  generation: z.number().int().positive(),
  ...applyFields,
  /** Whether Asterisk was seen to work with it. */
  verified: z.boolean(),
  /** By path below the configuration directory. */
  files: z.record(z.string(), hostFile),
});
/** The applied record: what the last apply left on a server. It lies there, in `<spool directory>/asterisk-iac/record`. */
export type HostRecord = z.infer<typeof hostRecord>;

/** A transaction that was begun and neither finished nor undone. */
export interface Intent {
  readonly id: string;
  /** Files may have been renamed already; else only staged files and the like lie about. */
  readonly committing: boolean;
}

export interface HostState {
  /** Undefined before the first apply. */
  readonly record: HostRecord | undefined;
  /** What was interrupted, or is being written right now: `recover` tells, as it takes the lock. */
  readonly intent: Intent | undefined;
}

/** What the host itself knows of what was applied: one round trip, nothing written. Rejects with `RecordInvalid`. */
export async function readHostState(host: Host, spoolDirectory: string): Promise<HostState> {
  const answer = await ask(host, STATE_SCRIPT, { configDirectory: "/", spoolDirectory });
  const text = answer.one("record")?.[0];
  const open = answer.all("open").map(([id = "", state]): Intent => ({ id, committing: state === "intent" }));
  return {
    record: text === undefined ? undefined : parseHostRecord(text, spoolDirectory),
    intent: open.find(({ committing }) => committing) ?? open[0],
  };
}

/** Notes in the record that Asterisk was seen to work with it. Rejects with `StaleGeneration` after another apply. */
export async function markVerified(
  host: Host,
  { spoolDirectory, record }: { spoolDirectory: string; record: HostRecord },
): Promise<HostRecord> {
  const verified = { ...record, verified: true };
  await ask(host, RECORD_SCRIPT, {
    configDirectory: "/",
    spoolDirectory,
    args: [String(record.generation)],
    stdin: Buffer.from(formatHostRecord(verified)),
  });
  return verified;
}

/** Reads a record's JSON. Throws `RecordInvalid`. */
export function parseHostRecord(text: string, spoolDirectory: string): HostRecord {
  try {
    return hostRecord.parse(JSON.parse(text));
  } catch (cause) {
    throw new AsteriskIacError("RecordInvalid", "the record of what was applied can't be read", {
      where: { file: `${spoolDirectory}/asterisk-iac/record` },
      hint: "Restore it from a backup of the server, or remove it: then every file that differs is a conflict.",
      cause,
    });
  }
}

/** A record's JSON, its fields always in this order and on lines of their own: scripts read `generation` with sed. */
export function formatHostRecord(record: HostRecord): string {
  const { version, generation, manager, planHash, revision, appliedAt, verified, files } = record;
  const ordered = { version, generation, manager, planHash, revision, appliedAt, verified, files };
  return `${JSON.stringify(ordered, undefined, 2)}\n`;
}
