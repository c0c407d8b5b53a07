import { promisify } from "node:util";
import { deflateRaw, inflateRaw } from "node:zlib";
import type { RecordName, SourceFile } from "../core/source.ts";

/** What an import holds but for the contents, as they are read. */
export interface ImportContents {
  readonly files: Readonly<Record<string, SourceFile>>;
  readonly records: Readonly<Partial<Record<RecordName, string>>>;
}

/** Bytes that zlib works on at a time: each chunk is a way to another thread and back. */
const chunkSize = 64 * 1024;

/** The same, small enough to be remembered for thousands of servers. */
export interface ImportIndex {
  /** The resourceVersion of the Secret that it is from. */
  readonly version: string;
  readonly packed: Buffer;
}

/** Remembers what one import holds from one pass to the next. */
export interface ImportMemory {
  /** What is remembered of the Secret, unless it is known to be older than what is there. */
  recall(secret: string): ImportIndex | undefined;
  remember(index: ImportIndex): void;
}

export async function pack(contents: ImportContents, version: string): Promise<ImportIndex> {
  const packed = await promisify(deflateRaw)(JSON.stringify(contents), { chunkSize });
  // A copy: what zlib answers lies in a larger buffer.
  return { version, packed: Buffer.from(packed) };
}

export async function unpack({ packed }: ImportIndex): Promise<ImportContents> {
  return JSON.parse((await promisify(inflateRaw)(packed, { chunkSize })).toString("utf8")) as ImportContents;
}
