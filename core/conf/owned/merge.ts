/** The edits that make a section's owned lines those that are wanted, with as little change as can be. */
import type { ConfFile, ConfNode } from "../cst.ts";
import { applyEdits, refuseCutLines } from "../edit.ts";
import type { Edit } from "../edit.ts";
import { parseLine, sectionLine, unwritable, variableLine } from "../edit/line.ts";
import type { LineStyle } from "../edit/line.ts";
import { depthBefore } from "../edit/place.ts";
import { referenceTo } from "../edit/section.ts";
import { endOfLineOf, styleFor } from "../edit/style.ts";
import { insertLine, lineOutsideComments, removeLines, valueEdit } from "../edit/variable.ts";
import { ConfError } from "../errors.ts";
import { open, ownedLines, partsOf, textOf } from "./lines.ts";
import type { Claim, Opened, OwnedLine, Part, WantedLine } from "./lines.ts";
import { match, type Match } from "./match.ts";
import { standsAnywhere } from "./others.ts";

/** What a section is to hold of a claim; `undefined`: it is not to be there for this owner's sake. */
export interface Wish {
  readonly claim: Claim;
  readonly lines: readonly WantedLine[] | undefined;
  /** A section that is wholly the owner's: one header without options, and no second one. */
  readonly alone?: boolean;
}

/** The file with the wish granted: the same object where it is so already. What became of others is not looked at. */
export function merge(opened: Opened, wish: Wish): Opened {
  const { bytes, file } = opened;
  const parts = partsOf(file, wish.claim.section);
  const edits = parts.length > 0 ? editsOfSection(file, parts, wish) : editsOfMissing(file, wish);
  if (edits.length === 0) return opened;
  refuseCutLines(file);
  return open(Buffer.from(applyEdits(bytes, edits)));
}

function editsOfMissing(file: ConfFile, { claim, lines }: Wish): Edit[] {
  if (!lines) return [];
  const end = file.nodes.length;
  lineOutsideComments(file, end, end);
  const texts = [
    sectionLine(claim.section, false, []),
    ...lines.map((line) => lineFor(line, styleOf(file, line, undefined))),
  ];
  const last = file.nodes.at(-1);
  if (last && last.kind !== "blank") texts.unshift("");
  return [insertLine(file, end, texts.join(endOfLineOf(file)))];
}

function editsOfSection(file: ConfFile, parts: readonly Part[], { claim, lines, alone }: Wish): Edit[] {
  const [first, ...others] = parts;
  if (!first) return [];
  const all = ownedLines(file, parts, claim);
  const owned = alone === true ? all.filter(({ part }) => part === first) : all;
  const wanted = lines ?? [];
  const matches = match(owned, wanted);
  const kept = new Set(matches.map(({ line }) => owned[line]));
  const removals = all.filter((line) => !kept.has(line)).map((line) => removalOf(file, line));
  const goes = lines === undefined ? headersToRemove(file, parts, claim) : [];
  const edits: Edit[] = [];
  for (const { line, wanted: at, same } of matches) {
    const found = owned[line];
    const want = wanted[at];
    if (!same && found && want) edits.push(valueEdit(file, found.node, found.index, want.value));
  }
  // In this order where they meet: a value at the end of the file, a line put in there, a line that goes.
  edits.push(...insertions(file, first, owned, wanted, matches), ...removals);
  if (alone) {
    if (first.header.options) edits.push(withoutOptions(file, first));
    goes.push(...others);
  }
  for (const part of goes) {
    refuseOthers(file, part);
    edits.push(headerRemoval(file, part, lines === undefined));
  }
  return edits;
}

/** The wanted lines that match none. */
function insertions(
  file: ConfFile,
  part: Part,
  owned: readonly OwnedLine[],
  wanted: readonly WantedLine[],
  matches: readonly Match[],
): Edit[] {
  const found = matches.map((one) => ({ ...one, at: owned[one.line] }));
  const byPlace = new Map<number, string[]>();
  for (const [index, line] of wanted.entries()) {
    if (found.some((one) => one.wanted === index)) continue;
    const before = found.findLast((one) => one.wanted < index)?.at;
    const after = found.find((one) => one.wanted > index)?.at;
    const place = placeFor(file, part, owned, before, after);
    const like =
      owned.findLast(({ node }) => node.name === line.name) ?? before ?? after ?? lastVariable(file, part);
    const texts = byPlace.get(place) ?? [];
    texts.push(lineFor(line, styleOf(file, line, like)));
    byPlace.set(place, texts);
  }
  return [...byPlace].map(([place, texts]) => insertLine(file, place, texts.join(endOfLineOf(file))));
}

/** Behind the line that comes before, else in front of the one that comes behind, else where the owner's lines were. */
function placeFor(
  file: ConfFile,
  part: Part,
  owned: readonly OwnedLine[],
  before: OwnedLine | undefined,
  after: OwnedLine | undefined,
): number {
  if (before) {
    const end = after && after.part === before.part ? after.index : before.part.end;
    return lineOutsideComments(file, before.index + 1, end);
  }
  if (after) return lineOutsideComments(file, after.index, after.index);
  const [replaced] = owned;
  if (replaced) return lineOutsideComments(file, replaced.index, replaced.part.end);
  const last = lastVariable(file, part);
  return lineOutsideComments(file, (last?.index ?? part.index) + 1, part.end);
}

function lastVariable(file: ConfFile, part: Part): OwnedLine | undefined {
  return ownedLines(file, [part], { section: part.header.name, keys: "all" }).at(-1);
}

function styleOf(file: ConfFile, line: WantedLine, like: OwnedLine | undefined): LineStyle {
  const style = styleFor(file, line.name, like?.node.interrupted === true ? undefined : like?.node);
  if (line.operator === "=" || line.operator === "=>") return { ...style, operator: line.operator };
  return like?.node.name === line.name ? style : { ...style, operator: "=" };
}

/** The line as it once stood, where it still reads so by itself, else in the file's style. */
function lineFor(line: WantedLine, style: LineStyle): string {
  const { name, value, operator, source } = line;
  if (source !== undefined) {
    const text = textOf(source);
    const node = parseLine(`${text}\n`);
    if (node?.kind === "variable" && node.name === name && node.value === value && node.depth === 0)
      return text;
  }
  if (operator === "+=") throw unwritable(`extension of "${name}"`, source ?? "");
  return variableLine(name, value, style);
}

/** The line goes, unless a block comment shares it: then only the variable does. */
function removalOf(file: ConfFile, { node, index }: OwnedLine): Edit {
  if (node.interrupted) {
    const message = `A block comment stands inside variable "${node.name}", line ${String(node.line)}.`;
    throw new ConfError("Ambiguous", message, "Move the comment to a line of its own first.", node.line);
  }
  const { start } = node.nameRange;
  const { end } = node.valueRange;
  const rest = node.source.slice(0, start - node.offset) + node.source.slice(end - node.offset);
  const left = rest === "" ? undefined : parseLine(rest, depthBefore(file, index));
  if (left?.kind === "block-comment" && left.depth === node.depth) {
    return { offset: start, length: end - start, text: "" };
  }
  if (depthBefore(file, index) === node.depth) return removeLines(file, index, index + 1);
  const message = `Variable "${node.name}" shares line ${String(node.line)} with the end of a block comment.`;
  throw new ConfError("Ambiguous", message, "Move the comment to a line of its own first.", node.line);
}

/** The header's options go, and what stands behind them, but not a comment. */
function withoutOptions(file: ConfFile, { header, index }: Part): Edit {
  const offset = header.nameRange.end + 1;
  const end = header.rest?.end ?? (header.options?.at(-1)?.range.end ?? offset) + 1;
  const at = (position: number) => position - header.offset;
  const removed = header.source.slice(at(offset), at(end));
  const left = header.source.slice(0, at(offset)) + header.source.slice(at(end));
  const read = parseLine(left, depthBefore(file, index), index === 0 && file.byteOrderMark);
  const isPlain =
    read?.kind === "section" && read.name === header.name && !read.options && read.depth === header.depth;
  if (isPlain && !removed.includes(";--")) return { offset, length: end - offset, text: "" };
  const message = `The options of section [${header.name}], line ${String(header.line)}, share it with a block comment.`;
  throw new ConfError("Ambiguous", message, "Move the comment to a line of its own first.", header.line);
}

/** The headers that nobody else needs. Those of a section that is all the owner's go in any case, or are refused. */
function headersToRemove(file: ConfFile, parts: readonly Part[], { keys, section }: Claim): Part[] {
  const own = new Set(ownedLines(file, parts, { section, keys }).map(({ index }) => index));
  return parts.filter((part) => {
    const user = referenceTo(file, part.header.name, part.index + 1);
    if (keys === "all") {
      if (!user || isSamePart(parts, user)) return true;
      const message = `Section [${user.name}], line ${String(user.line)}, is built on [${part.header.name}].`;
      throw new ConfError("InUse", message, "Change that section first.", user.line);
    }
    const isNeeded = (node: ConfNode, index: number) =>
      node.kind === "variable" ? !own.has(index) : isOfOthers(node);
    for (let index = part.index + 1; index < part.end; index++) {
      const node = file.nodes[index];
      if (node && isNeeded(node, index)) return false;
    }
    return !user;
  });
}

function isSamePart(parts: readonly Part[], header: ConfNode): boolean {
  return parts.some((part) => part.header === header);
}

/** A line, no variable, that would mean something else in the section above. */
function isOfOthers(node: ConfNode): boolean {
  return node.kind !== "variable" && !standsAnywhere(node);
}

function refuseOthers(file: ConfFile, part: Part): void {
  const other = file.nodes.slice(part.index + 1, part.end).find(isOfOthers);
  if (!other) return;
  const message = `Section [${part.header.name}] is to go, but line ${String(other.line)}, no variable, stands in it.`;
  throw new ConfError("Ambiguous", message, "Move that line above the section, or remove it.", other.line);
}

/** The header goes and, if it came with one, the blank line above. */
function headerRemoval(file: ConfFile, { header, index }: Part, withBlank: boolean): Edit {
  if (depthBefore(file, index) !== header.depth) {
    const message = `The header [${header.name}], line ${String(header.line)}, shares it with the end of a block comment.`;
    throw new ConfError("Ambiguous", message, "Move the comment to a line of its own first.", header.line);
  }
  const above = file.nodes[index - 1];
  const isBlank = withBlank && index > 1 && above?.kind === "blank";
  return removeLines(file, isBlank ? index - 1 : index, index + 1);
}
