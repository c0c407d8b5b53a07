/** Rules for single lines, whatever file they stand in. */
import type { ConfNode, SectionNode, VariableNode } from "../cst.ts";
import { byteOrderMark } from "../lexer.ts";
import { isSecretKey } from "../secrets.ts";
import { skipBlanks, trimBlanks } from "../text.ts";
import type { Findings, Spot } from "./findings.ts";

/** Looks at every line of a file. */
export function lintLines(file: string, findings: Findings): void {
  let depth = 0;
  for (const node of findings.nodes(file)) {
    const spot: Spot = { file, line: node.line };
    if (depth >= 0 && node.depth < 0) strayCommentEnd(node, spot, findings);
    if (depth >= 0) lintBytes(node, spot, findings);
    if (node.kind === "section") lintHeader(node, spot, findings);
    if (node.kind === "variable") lintVariable(node, spot, findings);
    depth = node.depth;
  }
}

function strayCommentEnd(node: ConfNode, spot: Spot, findings: Findings): void {
  const start = node.offset + node.source.lastIndexOf("--;");
  findings.error(
    { ...spot, range: { start, end: start + 3 } },
    {
      rule: "block-comment-stray-end",
      message:
        "This `--;` closes a block comment that was never opened: Asterisk silently ignores the rest of the file.",
      fix: "Remove the `--;`, or open the comment with `;--` where it should begin.",
    },
  );
}

function lintBytes(node: ConfNode, spot: Spot, findings: Findings): void {
  const { source, offset } = node;
  const carriageReturn = source.indexOf("\r");
  if (carriageReturn >= 0 && carriageReturn < trimBlanks(source, 0, source.length)) {
    const start = offset + carriageReturn;
    findings.warning(
      { ...spot, range: { start, end: start + 1 } },
      {
        rule: "carriage-return",
        message:
          "A carriage return alone ends no line: for Asterisk the text behind it still belongs to this one.",
        fix: "End lines with a line feed.",
        edits: [{ offset: start, length: 1, text: "\n" }],
      },
    );
  }
  const nul = source.indexOf("\0");
  if (nul >= 0) {
    findings.warning(
      { ...spot, range: { start: offset + nul, end: offset + nul + 1 } },
      {
        rule: "nul-byte",
        message: "Asterisk does not see what stands behind a NUL byte in a line.",
        fix: "Remove the NUL byte.",
        edits: [{ offset: offset + nul, length: 1, text: "" }],
      },
    );
  }
  const begin = skipBlanks(source, 0, source.length);
  if (node.line > 1 && source.startsWith(byteOrderMark, begin)) markInside(node, spot, findings);
}

/** A byte order mark where Asterisk skips none: it becomes part of the line. */
export function markInside(node: ConfNode, spot: Spot, findings: Findings): void {
  const start = node.offset + node.source.indexOf(byteOrderMark);
  const behind = start - node.offset + byteOrderMark.length;
  const header = node.source[skipBlanks(node.source, behind, node.source.length)] === "[";
  const finding = {
    rule: "byte-order-mark",
    message: header
      ? "Asterisk skips a byte order mark in line 1 only: this header is none, and the lines below go to the section before."
      : "Asterisk skips a byte order mark in line 1 only: here it becomes part of the line.",
    fix: "Remove the byte order mark (the bytes EF BB BF).",
    edits: [{ offset: start, length: byteOrderMark.length, text: "" }],
  } as const;
  const place = { ...spot, range: { start, end: start + byteOrderMark.length } };
  if (header) findings.error(place, finding);
  else findings.warning(place, finding);
}

function lintHeader(node: SectionNode, spot: Spot, findings: Findings): void {
  const { rest, options = [] } = node;
  if (rest) {
    const text = node.source.slice(rest.start - node.offset, rest.end - node.offset);
    const place = { ...spot, range: rest };
    if (options.length === 0 && text.startsWith("(")) {
      const offset = node.nameRange.end + 1;
      findings.error(place, {
        rule: "header-text",
        message:
          "Asterisk silently ignores these parentheses, because they do not stand directly behind the `]`: nothing is inherited.",
        fix: "Write `](` without a blank.",
        edits: [{ offset, length: rest.start - offset, text: "" }],
      });
    } else {
      findings.warning(place, {
        rule: "header-text",
        message: "Asterisk silently ignores what stands behind a section's header.",
        fix: "Remove it, or put a `;` in front to make it a comment.",
        edits: [{ offset: rest.start, length: 0, text: "; " }],
      });
    }
  }
  const empty = options.find((option) => option.kind === "inherit" && option.name === "");
  if (empty) {
    const { start, end } = empty.range;
    findings.warning(
      { ...spot, range: { start: Math.max(node.offset, start - 1), end } },
      {
        rule: "empty-parent",
        message:
          "An empty name between the parentheses means the first section of all: Asterisk copies its variables.",
        fix: "Name the parent, or remove the empty parentheses or the extra comma.",
      },
    );
  }
}

function lintVariable(node: VariableNode, spot: Spot, findings: Findings): void {
  const { value, valueRange } = node;
  if (node.operator === "+=" && node.gap === "" && value.startsWith(">")) {
    findings.warning(
      { ...spot, range: { start: valueRange.start, end: valueRange.start + 1 } },
      {
        rule: "append-arrow",
        message: "`+=>` is no operator: Asterisk appends a text that starts with `>`.",
        fix: "Write `+=`.",
        edits: [{ offset: valueRange.start, length: 1, text: "" }],
      },
    );
  }
  const text = node.source.slice(valueRange.start - node.offset, valueRange.end - node.offset);
  const hash = hashAt(text);
  // Where it breaks an address, that is told with what comes of it.
  if (hash !== undefined && !findings.hasError(spot)) {
    const start = valueRange.start + hash;
    findings.warning(
      { ...spot, range: { start, end: valueRange.end } },
      {
        rule: "hash-text",
        message: "`#` starts no comment here: what follows is part of the value.",
        fix: "Start the comment with `;`.",
        edits: [{ offset: start, length: 1, text: ";" }],
      },
    );
  }
  if (node.comment?.start === valueRange.end && value !== "" && isSecretKey(spot.file, node.name)) {
    findings.warning(
      { ...spot, range: node.comment },
      {
        rule: "semicolon-text",
        message: "`;` starts a comment: the secret ends in front of it.",
        fix: "Write `\\;` if it belongs to the secret, or a blank in front if a comment is meant.",
      },
    );
  }
  const slashes = /[\t ]\/\/[\t ]/.exec(text)?.index;
  if (slashes !== undefined) {
    const start = valueRange.start + slashes + 1;
    findings.warning(
      { ...spot, range: { start, end: valueRange.end } },
      {
        rule: "slash-text",
        message: "`//` starts no comment in Asterisk: what follows is part of the value.",
        fix: "Start the comment with `;`.",
        edits: [{ offset: start, length: 2, text: ";" }],
      },
    );
  }
}

/** Where in a value a `#` stands that looks like the start of a comment: behind a blank. */
export function hashAt(value: string): number | undefined {
  const found = /[\t ]#/.exec(value);
  return found ? found.index + 1 : undefined;
}
