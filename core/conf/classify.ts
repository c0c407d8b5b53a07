/** What one line is to Asterisk: process_text_line of its main/config.c, without what it does. */
import type { ConfNode, Directive, Range, SectionOption } from "./cst.ts";
import type { Uncommented } from "./lexer.ts";
import { lowerASCII, skipBlanks, trimBlanks } from "./text.ts";

/** What every node has in common. */
interface Place {
  readonly source: string;
  readonly offset: number;
  readonly line: number;
  readonly depth: number;
  readonly comment: Range | undefined;
}

/** The node of a line, from what the lexer left of it. */
export function classify(line: Uncommented, source: string, offset: number, lineNumber: number): ConfNode {
  const comment = line.comment === -1 ? undefined : commentRange(line.comment, source, offset);
  const { depth } = line;
  switch (line.state) {
    case "inside":
      return { kind: "block-comment", source, offset, line: lineNumber, depth, comment };
    case "silenced":
      return { kind: "ignored", reason: "silenced", source, offset, line: lineNumber, depth, comment };
    case "nested-too-deep":
      return { kind: "invalid", reason: "nested-too-deep", source, offset, line: lineNumber, depth, comment };
    case "text":
  }
  const { text } = line;
  const start = skipBlanks(text, line.start, line.end);
  const end = trimBlanks(text, start, line.end);
  if (start === end) {
    const kind = line.blocks ? "block-comment" : comment ? "comment" : "blank";
    return { kind, source, offset, line: lineNumber, depth, comment };
  }
  const place: Place = { source, offset, line: lineNumber, depth, comment };
  switch (text.charCodeAt(start)) {
    case 0x5b: // [
      return section(line, start, end, place);
    case 0x23: // #
      return directive(line, start, end, place);
    default:
      return variable(line, start, end, place);
  }
}

function section(line: Uncommented, start: number, end: number, place: Place): ConfNode {
  const { text } = line;
  const close = indexWithin(text, "]", start, end);
  if (close === -1) return invalid("no-closing-bracket", place);
  const { source, offset, depth, comment } = place;
  const name = text.slice(start + 1, close);
  const nameRange = rangeOf(line, start + 1, close, place);
  let options: SectionOption[] | undefined;
  let restStart = close + 1;
  if (restStart < end && text[restStart] === "(") {
    const last = indexWithin(text, ")", restStart, end);
    if (last === -1) return invalid("no-closing-parenthesis", place);
    options = sectionOptions(line, restStart + 1, last, place);
    restStart = last + 1;
  }
  restStart = skipBlanks(text, restStart, end);
  const rest = restStart < end ? rangeOf(line, restStart, end, place) : undefined;
  return {
    kind: "section",
    source,
    offset,
    line: place.line,
    depth,
    comment,
    name,
    nameRange,
    options,
    rest,
  };
}

function sectionOptions(line: Uncommented, start: number, end: number, place: Place): SectionOption[] {
  const options: SectionOption[] = [];
  for (let from = start; from <= end;) {
    const comma = indexWithin(line.text, ",", from, end);
    const to = comma === -1 ? end : comma;
    const option = line.text.slice(from, to);
    const range = rangeOf(line, from, to, place);
    if (option === "!") options.push({ kind: "template", range });
    else if (option.startsWith("+")) options.push({ kind: "append", filter: option.slice(1), range });
    else options.push({ kind: "inherit", name: option, range });
    from = to + 1;
  }
  return options;
}

const directives: readonly Directive[] = ["include", "tryinclude", "exec"];

function directive(line: Uncommented, start: number, end: number, place: Place): ConfNode {
  const { text } = line;
  let wordEnd = start + 1;
  // Asterisk compares signed characters with a blank: bytes above 127 end the word too.
  while (wordEnd < end && text.charCodeAt(wordEnd) > 32 && text.charCodeAt(wordEnd) < 128) wordEnd++;
  const word = text.slice(start + 1, wordEnd);
  let from = skipBlanks(text, wordEnd + 1, end);
  let to = end;
  let argument: string | undefined;
  if (from < end) {
    const quote = text[from] === "<" ? ">" : text[from] === '"' ? '"' : undefined;
    if (quote !== undefined && text[end - 1] === quote) {
      from++;
      to = Math.max(from, end - 1);
    }
    argument = text.slice(from, to);
  } else {
    from = to = wordEnd;
  }
  return {
    kind: "directive",
    source: place.source,
    offset: place.offset,
    line: place.line,
    depth: place.depth,
    comment: place.comment,
    directive: directives.find((known) => known === lowerASCII(word)),
    word,
    argument,
    argumentRange: rangeOf(line, from, to, place),
  };
}

function variable(line: Uncommented, start: number, end: number, place: Place): ConfNode {
  const { text } = line;
  const escaped = text.charCodeAt(start) === 0x5c;
  const nameStart = escaped ? start + 1 : start;
  if (escaped) {
    // Signed characters again: a byte above 127 counts as a blank.
    const next = nameStart < end ? text.charCodeAt(nameStart) : 0;
    if (next < 33 || next > 127) return invalid("invalid-escape", place);
  }
  const equals = indexWithin(text, "=", escaped ? nameStart + 1 : nameStart, end);
  if (equals === -1) return ignored("no-equals", place);
  const appends = equals > (escaped ? nameStart + 1 : nameStart) && text[equals - 1] === "+";
  const operatorStart = appends ? equals - 1 : equals;
  const operatorEnd = !appends && equals + 1 < end && text[equals + 1] === ">" ? equals + 2 : equals + 1;
  const nameEnd = trimBlanks(text, nameStart, operatorStart);
  if (nameEnd === nameStart) return ignored("no-name", place);
  const valueStart = skipBlanks(text, operatorEnd, end);
  const nameRange = rangeOf(line, start, nameEnd, place);
  const operatorRange = rangeOf(line, operatorStart, operatorEnd, place);
  const valueRange =
    valueStart < end
      ? rangeOf(line, valueStart, end, place)
      : { start: operatorRange.end, end: operatorRange.end };
  return {
    kind: "variable",
    source: place.source,
    offset: place.offset,
    line: place.line,
    depth: place.depth,
    comment: place.comment,
    name: text.slice(nameStart, nameEnd),
    operator: appends ? "+=" : operatorEnd === equals + 2 ? "=>" : "=",
    value: text.slice(valueStart, end),
    gap: text.slice(operatorEnd, valueStart),
    nameRange,
    operatorRange,
    valueRange,
    interrupted: isInterrupted(line, start, end),
  };
}

function ignored(reason: "no-equals" | "no-name", place: Place): ConfNode {
  return { kind: "ignored", reason, ...place };
}

function invalid(
  reason: "no-closing-bracket" | "no-closing-parenthesis" | "invalid-escape",
  place: Place,
): ConfNode {
  return { kind: "invalid", reason, ...place };
}

function commentRange(index: number, source: string, offset: number): Range {
  let end = source.length;
  if (source.endsWith("\n")) end -= source.endsWith("\r\n") ? 2 : 1;
  return { start: offset + index, end: offset + end };
}

/** Like indexOf, but never looks beyond `end`. Lines are short, or skipped. */
function indexWithin(text: string, character: string, start: number, end: number): number {
  const index = text.indexOf(character, start);
  return index < end ? index : -1;
}

/** The range in the file of the text from `start` to `end`: whatever stands between its first and last byte. */
function rangeOf(line: Uncommented, start: number, end: number, { offset }: Place): Range {
  const { segments } = line;
  if (segments === undefined) return { start: offset + start, end: offset + end };
  if (start === end) {
    const position = offset + sourceEnd(line, start);
    return { start: position, end: position };
  }
  return { start: offset + sourceStart(line, start), end: offset + sourceEnd(line, end) };
}

/** Where the character at `index` begins in the source, the `\` before an escaped `;` included. */
function sourceStart({ segments = [] }: Uncommented, index: number): number {
  const segment = segments.findLast(({ inText }) => inText <= index);
  if (segment === undefined) return index;
  const position = segment.inSource + index - segment.inText;
  return segment.escaped && segment.inText === index ? position - 1 : position;
}

/** Where the text before `index` ends in the source. */
function sourceEnd({ segments = [] }: Uncommented, index: number): number {
  const segment = segments.findLast(({ inText }) => inText < index) ?? segments[0];
  return segment === undefined ? index : segment.inSource + index - segment.inText;
}

/** Whether a block comment was taken out of the text between `start` and `end`. */
function isInterrupted({ segments, blocks }: Uncommented, start: number, end: number): boolean {
  if (segments === undefined || !blocks) return false;
  return segments.some((segment, index) => {
    const previous = segments[index - 1];
    if (previous === undefined || segment.inText <= start || segment.inText >= end) return false;
    const gapStart = previous.inSource + segment.inText - previous.inText;
    return segment.inSource - gapStart > (segment.escaped ? 1 : 0);
  });
}
