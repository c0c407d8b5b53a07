import { decode, encodingOf } from "../encoding.ts";
import type { SecretRule } from "../secrets.ts";
import { maskLine } from "../secrets.ts";
import { trimBlanks } from "../text.ts";
import type { Diagnostic } from "./diagnostic.ts";
import { escapeHTML, inert } from "./inert.ts";

export interface RenderOptions {
  /** `html`: the same text with its markup characters escaped, for a page's `<pre>`. Default `text`. */
  readonly format?: "text" | "html";
  /** Where the file can be opened from here; default its path below the configuration directory. */
  readonly shownAs?: string;
  /** What is masked in the line; default what is known to hold a secret. */
  readonly rules?: readonly SecretRule[];
}

/** How much of a long line is shown around the place. */
const widest = 100;
/** Asterisk reads no longer ones, so nothing behind it is ever pointed at. */
const longestLine = 8192;

/**
 * A diagnostic as lines for people: place, message, the line with carets under the place, the fix. Secrets in the
 * line are masked, and whatever could act on a terminal is shown instead of sent.
 * @param source the line of the file that it is about, its bytes as latin1; empty where there is none
 */
export function renderDiagnostic(
  diagnostic: Diagnostic,
  source: string,
  options: RenderOptions = {},
): string {
  const { file, line, column, endColumn, severity, rule, message, fix } = diagnostic;
  const lines = [
    `${inert(options.shownAs ?? file)}:${String(line)}:${String(column)}: ${severity}: ${inert(message)} [${rule}]`,
  ];
  const seen = source.slice(0, trimBlanks(source, 0, Math.min(source.length, longestLine)));
  if (seen !== "") lines.push(...underlined(maskLine(file, seen, options.rules), line, column, endColumn));
  lines.push(`  fix: ${inert(fix)}`);
  const text = lines.join("\n");
  return options.format === "html" ? escapeHTML(text) : text;
}

function underlined(source: string, line: number, column: number, endColumn: number): string[] {
  const encoding = encodingOf(Buffer.from(source, "latin1"));
  const shown = (from: number, to?: number): string =>
    inert(decode(source.slice(from, to), encoding).replaceAll("\t", " "));
  let before = shown(0, column - 1);
  const marked = shown(column - 1, endColumn - 1).slice(0, widest);
  let after = shown(endColumn - 1);
  if (before.length > widest) before = `…${before.slice(1 - widest)}`;
  if (after.length > widest) after = `${after.slice(0, widest - 1)}…`;
  const gutter = String(line);
  const carets = "^".repeat(Math.max(1, [...marked].length));
  return [
    `  ${gutter} | ${before}${marked}${after}`,
    `  ${" ".repeat(gutter.length)} | ${" ".repeat([...before].length)}${carets}`,
  ];
}
