import { endOfLine } from "../cst.ts";
import type { ConfFile, VariableNode } from "../cst.ts";
import type { AddVariable, Edit, RemoveVariable, SetVariable } from "../edit.ts";
import { ConfError } from "../errors.ts";
import { byteOrderMark } from "../lexer.ts";
import { parseLine, replaceValue, unwritable, variableLine } from "./line.ts";
import {
  depthBefore,
  findSection,
  findVariable,
  refuseExtended,
  refuseUnread,
  variablesIn,
} from "./place.ts";
import { endOfLineOf, styleFor } from "./style.ts";

/** Another value in the place of the old one. */
export function setVariable(file: ConfFile, change: SetVariable): Edit[] {
  const { node, index } = findVariable(file, change);
  return [valueEdit(file, node, index, change.value)];
}

/** Another value for the variable at `index`, read back as Asterisk would; ConfError where no line can hold it. */
export function valueEdit(file: ConfFile, node: VariableNode, index: number, value: string): Edit {
  const { offset, length, text } = replaceValue(node, value);
  const at = offset - node.offset;
  const source = node.source.slice(0, at) + text + node.source.slice(at + length);
  const read = parseLine(source, depthBefore(file, index), index === 0 && file.byteOrderMark);
  const same =
    read?.kind === "variable" &&
    read.name === node.name &&
    read.operator === node.operator &&
    read.value === value &&
    read.depth === node.depth;
  if (!same) throw unwritable(`variable "${node.name}"`, source);
  return { offset, length, text };
}

/** A new line among the variables of its name, or behind the section's last one. */
export function addVariable(file: ConfFile, change: AddVariable): Edit[] {
  const place = findSection(file, change.section);
  const variables = variablesIn(file, place);
  const named = variables.filter(({ node }) => node.name === change.name);
  const plain = named.filter(({ node }) => node.operator !== "+=");
  const behind = named.at(-1) ?? variables.at(-1);
  const inFront = change.at === undefined || change.at === plain.length ? undefined : plain[change.at];
  if (change.at !== undefined && change.at !== plain.length && !inFront) {
    const message = `There are ${String(plain.length)} variables "${change.name}", so none can be put in at ${String(change.at)}.`;
    throw new ConfError("NotFound", message, "Count from 0 up to their number.");
  }
  const line = variableLine(
    change.name,
    change.value,
    styleFor(file, change.name, (inFront ?? behind)?.node),
  );
  const index = inFront
    ? inFront.index
    : lineOutsideComments(file, behind ? behind.index + 1 : place.first, place.end);
  refuseUnread(file, index);
  refuseExtended(file, place, change.name, index);
  if (inFront && depthBefore(file, index) !== 0) throw insideComment(file, index);
  return [insertLine(file, index, line)];
}

/** The line goes; where a block comment begins or ends on it, only the variable does. */
export function removeVariable(file: ConfFile, change: RemoveVariable): Edit[] {
  const { node, index } = findVariable(file, change);
  if (depthBefore(file, index) === node.depth) return [removeLines(file, index, index + 1)];
  const { start } = node.nameRange;
  const { end } = node.valueRange;
  return [{ offset: start, length: end - start, text: "" }];
}

/** The lines from `from` up to `to` go; a byte order mark in front of the first one stays. */
export function removeLines(file: ConfFile, from: number, to: number): Edit {
  const start = file.nodes[from]?.offset ?? 0;
  const next = file.nodes[to];
  const end = next?.offset ?? file.nodes.reduce((length, node) => length + node.source.length, 0);
  if (from === 0 && !file.byteOrderMark && next?.source.startsWith(byteOrderMark) === true) {
    const message = `Line ${String(next.line)} begins with a byte order mark, which Asterisk would skip if it came first.`;
    throw new ConfError("Ambiguous", message, "Remove that byte order mark first.", next.line);
  }
  const offset = start + (from === 0 && file.byteOrderMark ? byteOrderMark.length : 0);
  return { offset, length: end - offset, text: "" };
}

/** A whole line put in before the line at `index`, or at the end of the file. */
export function insertLine(file: ConfFile, index: number, line: string): Edit {
  const lineEnd = endOfLineOf(file);
  const next = file.nodes[index];
  const previous = file.nodes[index - 1];
  if (!previous)
    return { offset: file.byteOrderMark ? byteOrderMark.length : 0, length: 0, text: line + lineEnd };
  const offset = next ? next.offset : previous.offset + previous.source.length;
  return { offset, length: 0, text: (endOfLine(previous) === "" ? lineEnd : "") + line + lineEnd };
}

/** The first place from `index` on, up to `end`, that is outside block comments; throws NotRead where none is. */
export function lineOutsideComments(file: ConfFile, index: number, end: number): number {
  for (let at = index; at <= end; at++) if (depthBefore(file, at) === 0) return at;
  throw insideComment(file, index);
}

function insideComment(file: ConfFile, index: number): ConfError {
  const line = file.nodes[index - 1]?.line ?? 1;
  const silenced = depthBefore(file, index) < 0;
  const message = silenced
    ? `A "--;" outside a block comment makes Asterisk ignore what follows line ${String(line)}.`
    : `What follows line ${String(line)} is inside a block comment.`;
  return new ConfError(
    "NotRead",
    message,
    silenced ? "Remove the `--;`." : "Close the comment with `--;` first.",
    line,
  );
}
