import type { Edit } from "../edit.ts";
import type { LoadOptions } from "../load.ts";

/** `error`: Asterisk refuses it, or it deletes a user, widens a listener or drops the rest of a file. */
export type Severity = "error" | "warning";

/** What is looked for, by name. */
export type Rule =
  // lines and sections (lines.ts, reading.ts)
  | "append-arrow"
  | "block-comment-stray-end"
  | "block-comment-too-deep"
  | "block-comment-unterminated"
  | "byte-order-mark"
  | "carriage-return"
  | "empty-parent"
  | "file-missing"
  | "filter-invalid"
  | "hash-text"
  | "header-text"
  | "header-unclosed"
  | "inherits-itself"
  | "invalid-escape"
  | "line-too-long"
  | "name-cut"
  | "no-equals"
  | "no-name"
  | "no-section"
  | "nul-byte"
  | "semicolon-text"
  | "slash-text"
  | "template-unused"
  | "too-large"
  | "unknown-parent"
  | "unknown-section"
  // directives (includes.ts)
  | "directive-argument"
  | "exec"
  | "include-circle"
  | "include-external"
  | "include-missing"
  | "include-too-deep"
  | "include-unreadable"
  | "unknown-directive"
  // manager.conf (manager*.ts)
  | "acl-invalid"
  | "acl-ipv4-only"
  | "acl-locks-out"
  | "acl-missing"
  | "bindaddr-any"
  | "bindaddr-invalid"
  | "duplicate-key"
  | "duplicate-section"
  | "event-filter-invalid"
  | "permission-unknown"
  | "permission-widened"
  | "port-invalid"
  | "privileged-write"
  | "sample-account"
  | "secret-default"
  | "secret-guessable"
  | "secret-missing"
  | "secret-short"
  | "setvar-invalid"
  | "unknown-key"
  | "web-enabled"
  | "write-timeout-invalid"
  // dialplan.ts
  | "application-missing"
  | "exten-skipped"
  | "parenthesis-open"
  | "pattern-too-wide"
  | "priority-carried-over"
  | "priority-taken"
  | "same-prefix"
  // the rest
  | "duplicate-object"
  | "mapped-to-database";

/** One finding, where it stands. Neither message nor fix holds a secret or a control character. */
export interface Diagnostic {
  /** Path below the configuration directory. */
  readonly file: string;
  /** From 1; 0 where it is about the file as a whole. */
  readonly line: number;
  /** In bytes of the line, from 1; `endColumn` is the first byte behind. */
  readonly column: number;
  readonly endColumn: number;
  readonly severity: Severity;
  readonly rule: Rule;
  /** What Asterisk really does. */
  readonly message: string;
  /** What to write instead. */
  readonly fix: string;
  /** The fix as edits of the file, where it is mechanical. */
  readonly edits?: readonly Edit[];
}

export interface LintOptions extends LoadOptions {
  /** Whether `#exec` is accepted; default false. */
  readonly allowExec?: boolean;
}

/** By file, line and column; errors before warnings. */
export function compareDiagnostics(a: Diagnostic, b: Diagnostic): number {
  if (a.file !== b.file) return a.file < b.file ? -1 : 1;
  return a.line - b.line || a.column - b.column || (a.severity < b.severity ? -1 : 1);
}
