import type { ContentHash } from "./record.ts";

/** One file of a source; `problem` instead of a hash where it can't be used (a symbolic link, unreadable). */
export type SourceFile =
  | { readonly hash: ContentHash; readonly size: number; readonly problem?: undefined }
  | { readonly problem: string };

/** Where a server's files live beside the declaration. Paths are those below the configuration directory. */
export interface Source {
  /** What messages call it, e.g. the directory's path. */
  readonly name: string;
  /** Every file, hashed. A source that does not exist yet is empty. */
  list(): Promise<ReadonlyMap<string, SourceFile>>;
  read(path: string): Promise<Buffer>;
  /** Creates a file whole or not at all, and never overwrites: `false` when the path is taken. */
  create(path: string, bytes: Uint8Array): Promise<boolean>;
  /** Removes what `create` made, if it still has this hash: `false` when it has not. */
  removeIfUnchanged(path: string, hash: ContentHash): Promise<boolean>;
  /** Puts bytes aside, restorably, beside the record. Whole or not at all; replaces what was kept for that path. */
  keep(path: string, bytes: Uint8Array): Promise<void>;
  /** The import record's text, or undefined where there is none. */
  readRecord(): Promise<string | undefined>;
  /** Where messages point for the record. */
  readonly recordFile: string;
  writeRecord(text: string): Promise<void>;
  /** Runs `work` while nobody else writes to this source. Throws `SourceUnavailable` when somebody does. */
  exclusively<T>(work: () => Promise<T>): Promise<T>;
}
