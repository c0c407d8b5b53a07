import type { ContentHash } from "./record.ts";

/** One file of a source; `problem` instead of a hash where it can't be used (a symbolic link, unreadable). */
export type SourceFile =
  | { readonly hash: ContentHash; readonly size: number; readonly problem?: undefined }
  | { readonly problem: string };

/** Old bytes of a source, put aside before they were overwritten. `id` names the run that did it. */
export interface KeptFile {
  readonly id: string;
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  readonly keptAt: Date;
}

/** What is recorded beside a source: the initial import, and what was collected from the server since. */
export type RecordName = "import" | "collected";

/** Where a server's files live beside the declaration. Paths are those below the configuration directory. */
export interface Source {
  /** What messages call it, e.g. the directory's path. */
  readonly name: string;
  /** Whether this path is its to have. Where it is not, there are only resources, and nothing is ever missing from it. */
  holds(path: string): boolean;
  /** Every file, hashed. A source that does not exist yet is empty. */
  list(): Promise<ReadonlyMap<string, SourceFile>>;
  read(path: string): Promise<Buffer>;
  /**
   * Writes a file whole or not at all. `expected` is what must be there now, null for nothing; what is there is kept
   * under `keepAs` first. False, and nothing done, when something else is there.
   */
  write(path: string, bytes: Uint8Array, expected: ContentHash | null, keepAs: string): Promise<boolean>;
  /** Removes a file that still has this hash; it is kept first. False when it has not. */
  remove(path: string, expected: ContentHash, keepAs: string): Promise<boolean>;
  /** Puts bytes aside that never were in the source, restorably. */
  keep(path: string, bytes: Uint8Array, keepAs: string): Promise<void>;
  /** All that was kept, newest first. */
  listKept(): Promise<readonly KeptFile[]>;
  readKept(id: string, path: string): Promise<Buffer>;
  /** A record's text, or undefined where there is none. */
  readRecord(name: RecordName): Promise<string | undefined>;
  writeRecord(name: RecordName, text: string): Promise<void>;
  /** Where messages point for a record. */
  recordFile(name: RecordName): string;
  /** Runs `work` while nobody else writes to this source. Throws `SourceUnavailable` when somebody does. */
  exclusively<T>(work: () => Promise<T>): Promise<T>;
}
