import { skipBlanks, strip } from "../text.ts";

/** One `exten =>` or `same =>` value, read as pbx/pbx_config.c (pbx_load_config) reads it. */
export interface Exten {
  /** Up to the first comma; `undefined` for a `same` line. Still with `/callerid`. */
  readonly extension: string | undefined;
  /** What stands between the extension's comma and the next, trimmed, without label and `+N`. */
  readonly priority: string;
  readonly label: string | undefined;
  /** The label's `(` is never closed: Asterisk skips the line. */
  readonly labelOpen: boolean;
  /** N of `n+N`. */
  readonly plus: number;
  /** The application's name, trimmed at its start; empty where the line has none. */
  readonly application: string;
  /** The application's `(` is never closed: Asterisk warns and takes the rest of the line as arguments. */
  readonly argumentsOpen: boolean;
}

/** Reads the value of an `exten` line (`kind` "exten") or of a `same` line, whose extension is the last one's. */
export function parseExten(kind: "exten" | "same", value: string): Exten {
  let rest: string | undefined = value;
  let extension: string | undefined;
  if (kind === "exten") [extension, rest] = splitExtension(value);

  const [written = "", applicationText = ""] = cutAt(rest ?? "", ",");
  const priorityText = strip(written);

  const open = priorityText.indexOf("(");
  const close = open < 0 ? -1 : priorityText.indexOf(")", open);
  const numbered = open < 0 ? priorityText : priorityText.slice(0, open);
  const plusAt = numbered.indexOf("+");
  const { application, argumentsOpen } = splitApplication(applicationText);
  return {
    extension,
    priority: plusAt < 0 ? numbered : numbered.slice(0, plusAt),
    label: open < 0 || close < 0 ? undefined : priorityText.slice(open + 1, close),
    labelOpen: open >= 0 && close < 0,
    plus: plusAt < 0 ? 0 : Number.parseInt(numbered.slice(plusAt + 1), 10) || 0,
    application,
    argumentsOpen,
  };
}

// pbx_strsep: a comma inside brackets or behind a backslash belongs to the extension.
function splitExtension(value: string): [string, string | undefined] {
  let depth = 0;
  for (let at = 0; at < value.length; at++) {
    const character = value[at];
    if (character === "[") depth++;
    else if (character === "]") depth = Math.max(0, depth - 1);
    else if (character === "\\") at++;
    else if (character === "," && depth === 0) return [value.slice(0, at), value.slice(at + 1) || undefined];
  }
  return [value, undefined];
}

function splitApplication(text: string): { application: string; argumentsOpen: boolean } {
  const open = text.indexOf("(");
  const name = open < 0 ? text : text.slice(0, open);
  // A variable before any `(`, as in `hint,DAHDI/g0/${GLOBAL(x)}`: all of it is the application.
  const whole = open < 0 || /\$[{[]/.test(name);
  return {
    application: skipBlanksOf(whole ? text : name),
    argumentsOpen: !whole && !text.includes(")", open + 1),
  };
}

function skipBlanksOf(text: string): string {
  return text.slice(skipBlanks(text, 0, text.length));
}

/** What stands before the first `mark`, and what behind it. */
function cutAt(text: string, mark: string): [string, string?] {
  const at = text.indexOf(mark);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}
