import type { ContentHash } from "./record.ts";

/** One entry of a server's configuration directory, as a pass saw it. */
export interface ObservedFile {
  /** Path below the configuration directory, with `/`. */
  readonly path: string;
  readonly kind: "file" | "link" | "directory" | "other";
  /** Of the content; through the link for a link. Undefined where `problem` says why. */
  readonly hash?: ContentHash;
  /** Bytes. */
  readonly size: number;
  /** Four octal digits, e.g. `0640`. */
  readonly mode: string;
  /** `user:group`. */
  readonly owner: string;
  readonly linkTarget?: string;
  /** Who writes this file, where a distribution does. */
  readonly generatedBy?: string;
  /** Why its content is not known: unreadable, a link that leads nowhere, too large. */
  readonly problem?: string;
}
