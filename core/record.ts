import type { KeyObject } from "node:crypto";
import { createHash, createHmac, createSecretKey } from "node:crypto";
import { z } from "zod";
import { AsteriskIacError } from "./errors.ts";

/** SHA-256 of a file's bytes, 64 lower case hex digits. Compared on the host and in memory; never leaves them. */
export type ContentHash = string;

/** SHA-256 of bytes. */
export function contentHash(bytes: Uint8Array): ContentHash {
  return createHash("sha256").update(bytes).digest("hex");
}

/**
 * HMAC-SHA-256 of a content hash under the record key, as `hmac-sha256:<hex>`. A plain hash of a short file would
 * help to guess the secrets in it, and records leave the host (they are pushed to git, shown in a status).
 */
export type RecordedHash = string;

/** What came of one path in the initial import. */
export const importOutcome = z.enum([
  /** Copied into the source. */
  "Stored",
  /** The source had it with the same bytes. */
  "Equal",
  /** The source's copy differs and was kept; the server's bytes lie restorably beside the record. */
  "Kept",
  /** Not selected by `files`, and included by nothing that is. */
  "Outside",
  /** Unmanaged by a rule. */
  "Unmanaged",
  /** Could not be stored; `reason` says why. */
  "Skipped",
]);
export type ImportOutcome = z.infer<typeof importOutcome>;

const recordedFile = z.object({
  outcome: importOutcome,
  hash: z.string().optional(),
  size: z.number().optional(),
  mode: z.string().optional(),
  owner: z.string().optional(),
  encoding: z.string().optional(),
  linkTarget: z.string().optional(),
  generatedBy: z.string().optional(),
  reason: z.string().optional(),
});
/** One path of the import: `hash` is a RecordedHash, `mode` four octal digits, `owner` is `user:group`. */
export type RecordedFile = z.infer<typeof recordedFile>;

const identity = z.object({
  /** HMAC of the machine-id: machine-id(5) asks not to publish the id itself. */
  machine: z.string(),
  /** The configuration directory with every symbolic link resolved. */
  configDirectory: z.string(),
});
/** What makes a server this server: its machine, and which of its configuration directories. */
export type Identity = z.infer<typeof identity>;

const importRecord = z.object({
  version: z.literal(1),
  server: z.string(),
  state: z.enum(["Importing", "Done"]),
  startedAt: z.string(),
  doneAt: z.string().optional(),
  asteriskVersion: z.string(),
  /** The generation of the server's own record when this was made; 0 where nothing was ever applied. */
  generation: z.int().min(0),
  identity,
  /** How the hashes were made: the HMAC of a fixed text, so that a wrong key is noticed before it is used. */
  keyCheck: z.string(),
  files: z.record(z.string(), recordedFile),
});
/**
 * The record of the initial import, kept beside the source in `.asterisk-iac/import.json`. While `state` is
 * `Importing`, `files` holds what was promised or done so far: an entry is written before its file is.
 */
export type ImportRecord = z.infer<typeof importRecord>;

/** Reads a record's JSON. Throws `RecordInvalid`. */
export function parseImportRecord(text: string, file: string): ImportRecord {
  try {
    return importRecord.parse(JSON.parse(text));
  } catch (cause) {
    throw new AsteriskIacError("RecordInvalid", "the import record can't be read", {
      where: { file },
      cause,
      hint: "Restore it from your backup or from git; `import --again` makes a new one and keeps what the source has.",
    });
  }
}

/** A record's JSON: sorted by path, one line a field, with a final newline, so that git shows small diffs. */
export function formatImportRecord(record: ImportRecord): string {
  const files = Object.fromEntries(Object.entries(record.files).sort(([a], [b]) => comparePaths(a, b)));
  return `${JSON.stringify({ ...record, files }, undefined, 2)}\n`;
}

/** Byte order of UTF-16 units: the same everywhere, unlike a locale's. */
export function comparePaths(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

const keyCheckText = "asterisk-iac record key";

/** Makes and checks recorded hashes under one key of 32 bytes. */
export class RecordKey {
  readonly #key: KeyObject;
  /** By content hash: a pass asks for each several times. */
  readonly #recorded = new Map<ContentHash, RecordedHash>();

  constructor(key: Uint8Array) {
    if (key.length !== 32) {
      throw new AsteriskIacError("RecordKeyMissing", `the record key has ${key.length} bytes instead of 32`, {
        hint: "Restore the secret `asterisk-iac`, key `record-key`, from your backup.",
      });
    }
    // Each use of plain bytes would make a key of them.
    this.#key = createSecretKey(key);
  }

  #mac(text: string): string {
    return `hmac-sha256:${createHmac("sha256", this.#key).update(text).digest("hex")}`;
  }

  recorded(hash: ContentHash): RecordedHash {
    const known = this.#recorded.get(hash) ?? this.#mac(`content ${hash}`);
    this.#recorded.set(hash, known);
    return known;
  }

  identity(machineId: string, configDirectory: string): Identity {
    return { machine: this.#mac(`machine ${machineId.trim()}`), configDirectory };
  }

  get check(): string {
    return this.#mac(keyCheckText);
  }

  /** Throws `RecordKeyMissing` when the record was made under another key. */
  verify(record: ImportRecord, file: string): void {
    if (record.keyCheck === this.check) return;
    throw new AsteriskIacError("RecordKeyMissing", "the record was made under another record key", {
      where: { file },
      hint: "Put back the secret `asterisk-iac`, key `record-key`, that belongs to it, or make a new record with `import --again`.",
    });
  }
}
