/** What holds for every parsed file, whatever was in it. */
import { type ConfNode, parse, type Range, stringify } from "../../core/conf/cst.ts";

/** Throws, saying what is wrong, unless parsing `bytes` loses nothing and every node knows where it stands. */
export function checkConfInvariants(bytes: Uint8Array): void {
  const file = parse(bytes);
  if (Buffer.compare(stringify(file), bytes) !== 0) throw new Error("stringify(parse(x)) is not x");
  let offset = 0;
  let line = 1;
  for (const node of file.nodes) {
    if (node.source === "") throw new Error(`an empty node at ${offset}`);
    if (node.offset !== offset) throw new Error(`a node at ${node.offset} instead of ${offset}`);
    if (node.line !== line) throw new Error(`a node on line ${node.line} instead of ${line}`);
    checkRanges(node);
    offset += node.source.length;
    if (node.source.endsWith("\n")) line++;
    else if (node.source.includes("\n")) throw new Error(`a node over two lines at ${offset}`);
  }
}

function checkRanges(node: ConfNode): void {
  const at = ({ start, end }: Range) => node.source.slice(start - node.offset, end - node.offset);
  const ranges: Range[] = [];
  if (node.kind === "variable") {
    ranges.push(node.nameRange, node.operatorRange, node.valueRange);
    if (!node.interrupted) {
      same(unescape(at(node.nameRange)).replace(/^\\/, ""), node.name);
      same(at(node.operatorRange), node.operator);
      same(unescape(at(node.valueRange)), node.value);
    }
  } else if (node.kind === "section") {
    ranges.push(node.nameRange, ...(node.options ?? []).map(({ range }) => range));
    if (node.rest) ranges.push(node.rest);
  } else if (node.kind === "directive") {
    ranges.push(node.argumentRange);
  }
  if (node.comment) ranges.push(node.comment);
  let end = node.offset;
  for (const range of ranges) {
    if (range.start < end || range.end < range.start || range.end > node.offset + node.source.length) {
      throw new Error(`ranges out of order: ${JSON.stringify({ ranges, node })}`);
    }
    end = range.end;
  }
}

function unescape(text: string): string {
  return text.replaceAll("\\;", ";");
}

function same(actual: string, expected: string): void {
  if (actual !== expected) throw new Error(`${JSON.stringify(actual)} is not ${JSON.stringify(expected)}`);
}
