/**
 * Keys of a file that several own: each owner's sections are merged into it without touching what is another's, and
 * taken out of it again. An owner has whole sections or single keys of a section.
 *
 * Names and values are text here, in the encoding of the file (`encodingOf`). What no line can hold so that
 * Asterisk reads it back is refused with a ConfError, whose message never holds a value.
 */
import { type ConfFile, parse, type SectionNode } from "./cst.ts";
import { sectionLine, variableLine } from "./edit/line.ts";
import { refuseUnread } from "./edit/place.ts";
import { decode, type Encoding, encode, encodingOf } from "./encoding.ts";
import { ConfError } from "./errors.ts";
import {
  type Claim,
  comparable,
  isSameSection,
  joined,
  open,
  ownedLines,
  partsOf,
  type WantedLine,
} from "./owned/lines.ts";
import { merge, type Wish } from "./owned/merge.ts";
import { refuseLoss } from "./owned/others.ts";
import { restore } from "./owned/restore.ts";

/** A variable; `operator` is how it is written (default: as those beside it, else `=`), and means nothing. */
export interface OwnedVariable {
  readonly name: string;
  readonly value: string;
  readonly operator?: "=" | "=>";
}

/** A section as one owner wants it. */
export interface OwnedSection {
  readonly name: string;
  /** In the order in which Asterisk is to read them; one name may come more than once. */
  readonly variables: readonly OwnedVariable[];
  /** True: every variable of the section is the owner's (an AMI account). False: only those whose names occur in `variables`. */
  readonly whole: boolean;
}

/** What is owned, without values, as a record keeps it. */
export interface OwnedKeys {
  readonly section: string;
  readonly keys: readonly string[] | "all";
}

/** The keys of each section, in the same order; each key once. */
export function ownedKeys(sections: readonly OwnedSection[]): OwnedKeys[] {
  return sections.map(({ name, variables, whole }) => ({
    section: name,
    keys: whole ? "all" : namesOf(variables),
  }));
}

function namesOf(variables: readonly OwnedVariable[]): string[] {
  const names = new Map<string, string>();
  for (const { name } of variables) if (!names.has(comparable(name))) names.set(comparable(name), name);
  return [...names.values()];
}

/**
 * What a file holds of these keys itself (includes and templates not followed); null for a section that is not
 * there. The parts of a section with several headers count as one, and a `+=` as part of what it extends.
 */
export function readOwned(
  bytes: Uint8Array,
  keys: readonly OwnedKeys[],
): (readonly OwnedVariable[] | null)[] {
  const file = parse(bytes);
  const encoding = encodingOf(bytes);
  return keys.map((one) => {
    const claim = encodeKeys(one, encoding);
    const parts = partsOf(file, claim.section);
    if (parts.length === 0) return null;
    return joined(ownedLines(file, parts, claim)).map(({ name, value, operator }) => ({
      name: decode(name, encoding),
      value: decode(value, encoding),
      operator,
    }));
  });
}

/**
 * Whether the file holds the section exactly as wanted, and Asterisk comes to read it. No `+=` has a part in it; for
 * a whole section also: one header of that name only, without options such as a template.
 */
export function isAsOwned(bytes: Uint8Array, section: OwnedSection): boolean {
  const encoding = encodingOf(bytes);
  return holds(parse(bytes), wishFor(section, encoding));
}

function holds(file: ConfFile, { claim, lines, alone }: Wish & { lines: readonly WantedLine[] }): boolean {
  if (file.nodes.some(({ kind }) => kind === "invalid")) return false;
  const parts = partsOf(file, claim.section);
  if (parts.length === 0) return false;
  if (alone === true && (parts.length > 1 || parts[0]?.header.options)) return false;
  const held = ownedLines(file, parts, claim);
  return (
    held.length === lines.length &&
    held.every(({ node }, index) => {
      const wanted = lines[index];
      return node.operator !== "+=" && node.name === wanted?.name && node.value === wanted.value;
    })
  );
}

/**
 * The file with the sections as wanted; the same bytes (same Buffer object) where they are so already. Comments and
 * everything not owned stay byte for byte. Lines that stay keep their comments, a changed value its line, and a
 * missing section is appended with one blank line before it. Throws ConfError, also for two sections that claim
 * one key, and for single keys where the file has several sections of that name.
 */
export function writeOwned(bytes: Uint8Array, sections: readonly OwnedSection[]): Buffer {
  refuseNothing(sections);
  refuseOverlap(sections);
  const start = open(asBuffer(bytes));
  const wishes = sections.map((section) => wishFor(section, encodingOf(bytes)));
  for (const wish of wishes) refuseUnwritable(wish);
  const undone = wishes.filter((wish) => !holds(start.file, wish));
  if (undone.length === 0) return start.bytes;
  refuseUnread(start.file, start.file.nodes.length);
  let written = start;
  for (const wish of undone) {
    refuseSeveral(start.file, wish);
    written = merge(written, wish);
  }
  const claims = wishes.map(({ claim }) => claim);
  refuseLoss(start.file, written.file, claims);
  const missed = sections.find(
    (section) => !holds(written.file, wishFor(section, encodingOf(written.bytes))),
  );
  if (missed) throw notReadBack(missed.name);
  return written.bytes;
}

function wishFor(section: OwnedSection, encoding: Encoding): Wish & { lines: readonly WantedLine[] } {
  const { name, variables, whole } = section;
  const keys = whole ? "all" : namesOf(variables);
  const lines = variables.map((one) => ({
    name: encode(one.name, encoding),
    value: encode(one.value, encoding),
    operator: one.operator,
  }));
  return { claim: encodeKeys({ section: name, keys }, encoding), lines, alone: whole };
}

function refuseUnwritable({ claim, lines = [] }: Wish): void {
  sectionLine(claim.section, false, []);
  for (const { name, value } of lines) variableLine(name, value, plainStyle);
}

/** Single keys may be of any of several sections of that name; headers that only continue one do not count. */
function refuseSeveral(file: ConfFile, { claim, alone }: Wish): void {
  if (alone === true) return;
  const continues = ({ options }: SectionNode) => options?.some(({ kind }) => kind === "append") === true;
  const second = partsOf(file, claim.section).filter(({ header }) => !continues(header))[1];
  if (!second) return;
  const { name, line } = second.header;
  const message = `The file has several sections [${name}], the second in line ${String(line)}.`;
  throw new ConfError("Ambiguous", message, "Own the file as a whole, or make them one section first.", line);
}

const plainStyle = {
  indent: "",
  beforeOperator: "",
  operator: "=",
  afterOperator: "",
  endOfLine: "\n",
} as const;

/**
 * The file with the owned keys put back to what `original` has (undefined: there was no file): removed where it has
 * none; a section that original does not have and that holds nothing of others any more goes with the blank line
 * that came with it. Comments are nobody's: they stay, and keep no section. Throws ConfError where a line of
 * others would get into another section.
 */
export function restoreOwned(
  bytes: Uint8Array,
  keys: readonly OwnedKeys[],
  original: Uint8Array | undefined,
): Buffer {
  const encoding = encodingOf(bytes);
  const before = asBuffer(original ?? Buffer.alloc(0));
  return restore(
    asBuffer(bytes),
    keys.map((one) => encodeKeys(one, encoding)),
    before,
  );
}

/** Keys that two owners claim: the same key of the same section (names as Asterisk compares them), or a whole section and anything in it. */
export function overlappingKeys(a: readonly OwnedKeys[], b: readonly OwnedKeys[]): OwnedKeys[] {
  return a.flatMap((one) =>
    b
      .filter((other) => isSameSection(one.section, other.section))
      .flatMap((other) => {
        const keys = sharedKeys(one.keys, other.keys);
        return keys.length === 0 ? [] : [{ section: one.section, keys }];
      }),
  );
}

function sharedKeys(a: OwnedKeys["keys"], b: OwnedKeys["keys"]): OwnedKeys["keys"] {
  if (a === "all") return b.length === 0 ? "all" : b;
  if (b === "all") return a.length === 0 ? "all" : a;
  const names = new Set(b.map(comparable));
  return a.filter((name) => names.has(comparable(name)));
}

/**
 * The variables of lines as a person writes them in a section (`member => PJSIP/100`); ConfError with the line for
 * anything that is not a variable, a comment or blank (a section header, a directive, `+=`, a block comment).
 */
export function parseOwnedLines(text: string): OwnedVariable[] {
  return parse(Buffer.from(text, "utf8")).nodes.flatMap((node) => {
    if (node.kind === "blank" || node.kind === "comment") return [];
    if (node.kind !== "variable" || node.operator === "+=") throw noVariable(node.line);
    const { start } = node.nameRange;
    const end = node.comment?.start ?? node.offset + node.source.length;
    const around =
      node.source.slice(0, start - node.offset) +
      node.source.slice(node.valueRange.end - node.offset, end - node.offset);
    if (node.interrupted || node.depth !== 0 || /[^\t\r\n \xEF\xBB\xBF]/.test(around))
      throw noVariable(node.line);
    try {
      variableLine(node.name, node.value, plainStyle);
    } catch (error) {
      if (!(error instanceof ConfError)) throw error;
      throw new ConfError(error.code, error.message, error.hint, node.line);
    }
    return [
      { name: decode(node.name, "utf-8"), value: decode(node.value, "utf-8"), operator: node.operator },
    ];
  });
}

function refuseNothing(sections: readonly OwnedSection[]): void {
  const empty = sections.find(({ whole, variables }) => !whole && variables.length === 0);
  if (!empty) return;
  const message = `Section [${empty.name}] is neither owned as a whole nor given any variables.`;
  throw new ConfError(
    "Unwritable",
    message,
    "Own it as a whole to have an empty section, or name its variables.",
  );
}

function refuseOverlap(sections: readonly OwnedSection[]): void {
  const keys = ownedKeys(sections);
  for (const [index, one] of keys.entries()) {
    const [overlap] = overlappingKeys([one], keys.slice(index + 1));
    if (!overlap) continue;
    const what = overlap.keys === "all" ? "the whole section" : `"${overlap.keys.join(`", "`)}"`;
    const message = `Section [${overlap.section}] is asked for twice, both times with ${what}.`;
    throw new ConfError("Ambiguous", message, "Put all that belongs to one key of a section together.");
  }
}

function notReadBack(name: string): ConfError {
  const message = `Section [${name}], once written, would not read back as it is wanted.`;
  return new ConfError("Unwritable", message, "Simplify the lines around it, and keep to ASCII.");
}

function noVariable(line: number): ConfError {
  const message = `Line ${String(line)} is no variable.`;
  const hint = "Write `name = value` or `name => value`, comments behind a `;`, nothing else.";
  return new ConfError("Unwritable", message, hint, line);
}

function encodeKeys({ section, keys }: OwnedKeys, encoding: Encoding): Claim {
  return {
    section: encode(section, encoding),
    keys: keys === "all" ? keys : keys.map((key) => encode(key, encoding)),
  };
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
