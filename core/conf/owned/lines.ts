/** Where in a parsed file the lines are that somebody owns. Names and values are bytes here, as in cst.ts. */
import { type ConfFile, type Operator, parse, type SectionNode, type VariableNode } from "../cst.ts";
import { storedName } from "../section-table.ts";
import { lowerASCII, strip } from "../text.ts";

/** A file, parsed once. */
export interface Opened {
  readonly bytes: Buffer;
  readonly file: ConfFile;
}

/** Keys of a section, all of it or those of these names. */
export interface Claim {
  readonly section: string;
  readonly keys: readonly string[] | "all";
}

/** A variable as a line is to hold it; `source` is that line as it once stood in a file. */
export interface WantedLine {
  readonly name: string;
  readonly value: string;
  /** Not given: as the lines beside it, else `=`. */
  readonly operator?: Operator | undefined;
  /** The blanks that a `+=` appends before its value. */
  readonly gap?: string;
  readonly source?: string | undefined;
}

/** One header and its lines, `nodes[index]` up to `nodes[end]`. */
export interface Part {
  readonly header: SectionNode;
  readonly index: number;
  readonly end: number;
}

/** A variable, and where it stands. */
export interface OwnedLine {
  readonly node: VariableNode;
  readonly index: number;
  readonly part: Part;
}

/** Parses a file. */
export function open(bytes: Buffer): Opened {
  return { bytes, file: parse(bytes) };
}

/** As Asterisk compares the names of sections and, in ast_variable_find (main/config.c), those of variables. */
export function comparable(name: string): string {
  return lowerASCII(name);
}

/** Whether two names are one section's to Asterisk, which keeps 79 bytes of them. */
export function isSameSection(a: string, b: string): boolean {
  return comparable(storedName(a)) === comparable(storedName(b));
}

/** The section's parts in order: a name may have several headers. */
export function partsOf(file: ConfFile, section: string): Part[] {
  const headers: { header: SectionNode; index: number }[] = [];
  for (const [index, node] of file.nodes.entries()) {
    if (node.kind === "section") headers.push({ header: node, index });
  }
  return headers.flatMap(({ header, index }, at) =>
    isSameSection(header.name, section)
      ? [{ header, index, end: headers[at + 1]?.index ?? file.nodes.length }]
      : [],
  );
}

/** The lines of the parts that the claim covers, `+=` lines included. */
export function ownedLines(file: ConfFile, parts: readonly Part[], { keys }: Claim): OwnedLine[] {
  const names = keys === "all" ? undefined : new Set(keys.map(comparable));
  const lines: OwnedLine[] = [];
  for (const part of parts) {
    for (let index = part.index + 1; index < part.end; index++) {
      const node = file.nodes[index];
      if (node?.kind !== "variable" || names?.has(comparable(node.name)) === false) continue;
      lines.push({ node, index, part });
    }
  }
  return lines;
}

/** A line to want just as it stands in its file. */
export function asWanted({ node }: OwnedLine): WantedLine {
  const { name, value, operator, gap, source } = node;
  return { name, value, operator, gap, source };
}

/** The variables that the lines make: the text of a `+=` goes to the last variable of its very name. */
export function joined(lines: readonly OwnedLine[]): { name: string; value: string; operator: "=" | "=>" }[] {
  const variables: { name: string; value: string; operator: "=" | "=>" }[] = [];
  for (const { node } of lines) {
    const { name, value, operator, gap } = node;
    const extended = operator === "+=" ? variables.findLast((variable) => variable.name === name) : undefined;
    if (extended) extended.value = strip(extended.value + gap + value);
    else variables.push({ name, value, operator: operator === "=>" ? "=>" : "=" });
  }
  return variables;
}

/** A line without its end; carriage returns at the end of a file are one half of it. */
export function textOf(source: string): string {
  return source.replace(/[\r\n]+$/, "");
}
