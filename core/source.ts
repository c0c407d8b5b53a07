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

/** What is recorded beside a source: the initial import, what was collected since, and what the server said of itself. */
export type RecordName = "import" | "collected" | "server";

/** A moment in the history of a source that has one. */
export interface Revision {
  /** The commit's id. */
  readonly commit: string;
  readonly branch: string;
  /** What it waits in to be reviewed; undefined where it is in the source's own branch. */
  readonly pullRequest?: PendingReview;
}

/** What a revision says of itself, without a secret. */
export interface RevisionText {
  /** Of the commit. */
  readonly message: string;
  /** For those who decide whether it is merged: Markdown, at most `longestReview` characters. Default: the message. */
  readonly review?: string;
}

/** The pull request of a server, after what was written to its source was published. */
export interface PendingReview {
  /** Of its page. */
  readonly url: string;
  readonly number: number;
  /**
   * `Opened`; `Updated`: was open, and has the new bytes now; `Unchanged`: is open with these very bytes; `Rejected`: was
   * closed unmerged with these very bytes, and is not opened again until there are others; `Withdrawn`: was closed by us, for
   * there is nothing to propose any more; `Behind`: is open with these very bytes, its base has others for this server since,
   * and people committed to its branch, so that bringing the two together is left to them.
   */
  readonly outcome: "Opened" | "Updated" | "Unchanged" | "Behind" | "Rejected" | "Withdrawn";
}

/** Whether it is in a pull request since an earlier run, open still or not wanted: there is nothing new to tell. */
export function waitsInReview({ outcome }: PendingReview): boolean {
  return outcome === "Unchanged" || outcome === "Behind" || outcome === "Rejected";
}

/** Where a server's files live beside the declaration. Paths are those below the configuration directory. */
export interface Source {
  /** What messages call it, e.g. the directory's path. */
  readonly name: string;
  /** Whether this path is its to have. Where it is not, there are only resources, and nothing is ever missing from it. */
  holds(path: string): boolean;
  /** Every file, hashed. A source that does not exist yet is empty. */
  list(): Promise<ReadonlyMap<string, SourceFile>>;
  read(path: string): Promise<Buffer>;
  /** The values that users' references to Secrets stand for in its files; none may be shown. */
  secretsFilledIn?(): Promise<ReadonlySet<string>>;
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
  /**
   * Runs `work` while nobody else writes to this source. Throws `SourceUnavailable` when somebody does. Where a source has
   * a history, all that was written becomes one revision at the end, or nothing does; `describe` says what it is.
   */
  exclusively<T>(work: () => Promise<T>, describe?: (result: T) => RevisionText): Promise<T>;
  /** Of a source that is read as a whole at one moment: takes that moment anew. */
  refresh?(): Promise<void>;
  /** Of a source with a history: what is read now, or was written last; undefined where it is empty. */
  readonly revision?: Revision | undefined;
  /** Whether that comes after another commit, or is it. */
  descendsFrom?(commit: string): Promise<boolean>;
  /** Of a source that others write to: calls `wake` after they did, until what it returns is called. */
  onChange?(wake: () => void): () => void;
  /** Of a source that proposes what is written to it: there is nothing to propose. Undefined where nothing was open. */
  withdraw?(): Promise<Revision | undefined>;
}
