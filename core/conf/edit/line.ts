import { parse } from "../cst.ts";
import type { ConfNode, VariableNode } from "../cst.ts";
import type { Edit } from "../edit.ts";
import { ConfError } from "../errors.ts";

/** How the lines of a file are written: what stands around the operator, and what ends a line. */
export interface LineStyle {
  readonly indent: string;
  readonly beforeOperator: string;
  readonly afterOperator: string;
  readonly operator: "=" | "=>";
  readonly endOfLine: "\n" | "\r\n";
}

/** A variable's line without its end, such that Asterisk reads exactly this name and value; else ConfError. */
export function variableLine(name: string, value: string, style: LineStyle): string {
  checkName(name);
  const { indent, beforeOperator, operator, afterOperator } = style;
  const line = `${indent}${name}${beforeOperator}${operator}${value === "" ? "" : afterOperator}${escapeValue(name, value)}`;
  const node = parseLine(line + style.endOfLine);
  if (node?.kind === "variable" && node.name === name && node.operator === operator && node.value === value)
    return line;
  throw unwritable(`variable "${name}"`, line);
}

/** A section's header without its end of line, such that Asterisk reads exactly this; else ConfError. */
export function sectionLine(name: string, template: boolean, inherits: readonly string[]): string {
  const header = `[${escapeSectionName(name)}]`;
  for (const parent of inherits) {
    if (parent === "" || parent === "!" || parent.startsWith("+") || /[,)]/.test(parent)) {
      throw new ConfError(
        "Unwritable",
        `Section "${name}" cannot inherit from "${parent}": between the parentheses that name means something else.`,
        "Rename the parent: no `,` or `)`, not `!`, and no `+` in front.",
      );
    }
  }
  const options = [...(template ? ["!"] : []), ...inherits.map(escapeSectionName)];
  const line = options.length === 0 ? header : `${header}(${options.join(",")})`;
  const node = parseLine(`${line}\n`);
  const read = node?.kind === "section" ? (node.options ?? []) : undefined;
  const same =
    node?.kind === "section" &&
    node.name === name &&
    read?.filter((option) => option.kind === "template").length === (template ? 1 : 0) &&
    read.flatMap((option) => (option.kind === "inherit" ? [option.name] : [])).join() === inherits.join();
  if (same) return line;
  throw unwritable(`section "${name}"`, line);
}

/** The edit that puts another value in the place of a variable's; ConfError where no line can hold it. */
export function replaceValue(node: VariableNode, value: string): Edit {
  const { start, end } = node.valueRange;
  const written = escapeValue(node.name, value);
  const beforeOperator = node.source[node.operatorRange.start - node.offset - 1] ?? "";
  const first = node.value === "" && value !== "" && /[\t ]/.test(beforeOperator) ? " " : "";
  // A backslash or a dash would join with the `;` of a comment directly behind the value.
  const joins = /[\\-]$/.test(value) && node.source[end - node.offset] === ";";
  return { offset: start, length: end - start, text: `${first}${written}${joins ? " " : ""}` };
}

/** `text` as the one line that it is, or undefined where it is none or several. */
export function parseLine(text: string, depth = 0, skipByteOrderMark = false): ConfNode | undefined {
  const { nodes } = parse(Buffer.from(text, "latin1"), { depth, skipByteOrderMark });
  return nodes.length === 1 ? nodes[0] : undefined;
}

/** The refusal of a text that no line can hold; `line` is looked at for its length only. */
export function unwritable(what: string, line: string): ConfError {
  return line.length > 8190
    ? new ConfError(
        "Unwritable",
        `The line for ${what} would be ${String(line.length)} bytes long.`,
        "Asterisk skips lines of more than 8190 bytes: shorten it.",
      )
    : new ConfError(
        "Unwritable",
        `No line reads back as this ${what}.`,
        "Write it without `;`, `=`, brackets and blanks at its ends.",
      );
}

/** A section's name as it is written between the brackets; ConfError where Asterisk could not read it back. */
export function escapeSectionName(name: string): string {
  checkBytes("section name", name);
  if (name.includes("]")) {
    throw new ConfError(
      "Unwritable",
      "A section name cannot hold a `]`: Asterisk ends the name there.",
      "Leave it out.",
    );
  }
  if (name.length > 79) {
    throw new ConfError(
      "Unwritable",
      `A section name of ${String(name.length)} bytes: Asterisk keeps 79.`,
      "Shorten it.",
    );
  }
  return name.replaceAll(";", "\\;");
}

function escapeValue(name: string, value: string): string {
  checkBytes(`value of "${name}"`, value);
  if (/^[\0-\x20]|[\0-\x20]$/.test(value)) {
    throw new ConfError(
      "Unwritable",
      `The value of "${name}" begins or ends with a blank: Asterisk cuts it off.`,
      "Trim the value.",
    );
  }
  if (value.startsWith(">")) {
    throw new ConfError(
      "Unwritable",
      `The value of "${name}" starts with ">": Asterisk reads "=>" as the operator.`,
      "Start it with something else.",
    );
  }
  return value.replaceAll(";", "\\;");
}

function checkName(name: string): void {
  checkBytes("variable name", name);
  if (name === "" || /^[[#\\]|[=;]|\+$|^[\0-\x20]|[\0-\x20]$/.test(name)) {
    throw new ConfError(
      "Unwritable",
      `"${name}" cannot be a variable's name: Asterisk would read the line as something else.`,
      "A name is not empty, holds no `=` or `;`, starts with none of `[`, `#`, `\\` and a blank, and ends in neither `+` nor a blank.",
    );
  }
}

function checkBytes(what: string, text: string): void {
  const bad = [
    [/[\r\n\0]/, "holds a line end or a NUL byte"],
    [/--;/, "holds `--;`, which ends a block comment"],
    [/[^\0-\xff]/, "holds characters that are no bytes"],
  ] as const;
  for (const [pattern, problem] of bad) {
    if (!pattern.test(text)) continue;
    throw new ConfError(
      "Unwritable",
      `The ${what} ${problem}.`,
      "Leave it out, or encode the text to bytes first.",
    );
  }
}
