/** What Asterisk, or our reading in its stead, stumbles over while it loads a file. */

/** Ends the reading of the file that holds it; of the whole, where that is the root file. */
export type FatalKind =
  /** A line that needs a section, and none is open. */
  | "no-section"
  /** `[x](parent)`: no section of that name so far. */
  | "unknown-parent"
  /** `[x](+)`: no such section so far, or none that is no template, or none that the filter lets through. */
  | "unknown-section"
  /** An `#include` that finds no file, or a pattern that matches none. */
  | "include-missing"
  | "no-closing-bracket"
  | "no-closing-parenthesis"
  | "invalid-escape"
  /** `[x](+,x)`, where x has variables: Asterisk never ends copying them. */
  | "inherits-itself"
  /** The 129th nested `;--`: Asterisk never ends reading. */
  | "nested-too-deep"
  /** More than an honest configuration holds (see `sizeLimit`): it is we who stop, not Asterisk. */
  | "too-large"
  /** The root file itself is not there. */
  | "file-missing";

export type WarningKind =
  /** An include deeper than ten levels, which finds nothing: fatal for an `#include`. */
  | "include-too-deep"
  /** A file that is being read includes itself. Asterisk goes round until the depth ends it. */
  | "include-circle"
  /** An include that leaves the configuration directory; not followed here, so the view is incomplete. */
  | "include-external"
  /** One of the files that an include names is not there, or cannot be read; Asterisk goes on. */
  | "include-unreadable"
  /** `#exec`: never run here, so the view is incomplete. */
  | "exec"
  | "unknown-directive"
  | "directive-without-argument"
  /** `[x](+filter)` with a regular expression that regcomp(3) refuses. */
  | "filter-refused"
  /** A section name over 79 bytes. */
  | "name-cut"
  | "too-long"
  | "no-equals"
  | "no-name"
  /** The first of the lines that a `--;` outside a block comment silenced. */
  | "silenced"
  /** The line of the `;--` that nothing closes. */
  | "unterminated-comment";

/** One thing found, where it stands. */
export interface Problem {
  readonly kind: FatalKind | WarningKind;
  /** Path below the configuration directory. */
  readonly file: string;
  /** From 1; 0 for a file that is not there. */
  readonly line: number;
  /** What it is about: the include's path, the parent's or section's name, the directive; else empty. */
  readonly subject: string;
  /** Asterisk stops reading this file here. */
  readonly fatal: boolean;
}
