/**
 * Why a change was refused. `NotFound`: the file holds nothing of that name. `Ambiguous`: it holds several, or
 * more than what was named would change. `Unwritable`: no line reads back as the name or value asked for.
 * `NotRead`: Asterisk would not read what is written there. `InUse`: another section is built on this one.
 */
export type ConfErrorCode = "NotFound" | "Ambiguous" | "Unwritable" | "NotRead" | "InUse";

/** A change that a .conf file cannot take. The message never holds a value, which may be a secret. */
export class ConfError extends Error {
  override readonly name = "ConfError";
  readonly code: ConfErrorCode;
  /** What to do about it. */
  readonly hint: string;
  /** The line that stands in the way, from 1, where there is one. */
  readonly line: number | undefined;

  constructor(code: ConfErrorCode, message: string, hint: string, line?: number) {
    super(message);
    this.code = code;
    this.hint = hint;
    this.line = line;
  }
}
