/**
 * The lossless model of a .conf file: `stringify(parse(bytes))` gives back every byte of any input.
 *
 * The text is read as bytes, one character each (latin1), because Asterisk does so too; encoding.ts turns parts
 * of it into text for people. One node is one line as Asterisk reads it (config_text_file_load in its
 * main/config.c), so a block comment over five lines is five nodes, and the text before and after it stays with
 * the line it stands on. What a node *means* (whether there is a section to hold it, what it inherits) is not
 * known here: that depends on the files around it, see document.ts.
 */
import { classify } from "./classify.ts";
import { byteOrderMark, LineScanner, uncomment } from "./lexer.ts";

/** Half-open range of byte offsets, counted from the start of the file. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

interface NodeBase {
  /** The bytes of the line, its end of line included. */
  readonly source: string;
  /** Where `source` begins in the file, in bytes. */
  readonly offset: number;
  /** Line number, from 1. */
  readonly line: number;
  /**
   * Depth of block comments after this line. Above 0 at the last node: a block comment is never closed. Below 0:
   * a `--;` outside a block comment silenced the lines that follow.
   */
  readonly depth: number;
  /** The `; comment` that ends the line, without the end of line. */
  readonly comment: Range | undefined;
}

/** Nothing but bytes below 33. */
export interface BlankNode extends NodeBase {
  readonly kind: "blank";
}

/** Nothing but a `; comment`. */
export interface CommentNode extends NodeBase {
  readonly kind: "comment";
}

/** A line of which block comments leave nothing: inside one, or the line of a `;--` or `--;`. */
export interface BlockCommentNode extends NodeBase {
  readonly kind: "block-comment";
}

/** One entry of the list in `[name](…)`. `range` is the entry as written. */
export type SectionOption =
  /** `!`: the section is a template. */
  | { readonly kind: "template"; readonly range: Range }
  /** `+` or `+filter`: append to a section that exists. */
  | { readonly kind: "append"; readonly filter: string; readonly range: Range }
  /** Anything else: inherit from the section of that name, taken as written, blanks and all. */
  | { readonly kind: "inherit"; readonly name: string; readonly range: Range };

/** `[name]` or `[name](options)`. */
export interface SectionNode extends NodeBase {
  readonly kind: "section";
  /** As written; Asterisk keeps 79 bytes of it (`storedName` in load.ts). */
  readonly name: string;
  readonly nameRange: Range;
  /** The entries between the parentheses; `undefined` where no `(` stands directly behind the `]`. */
  readonly options: readonly SectionOption[] | undefined;
  /** What stands behind the header, comment excluded: Asterisk drops it without a word. */
  readonly rest: Range | undefined;
}

export type Operator = "=" | "=>" | "+=";

/** `name = value`, `name => value`, `name += value`. */
export interface VariableNode extends NodeBase {
  readonly kind: "variable";
  /** As Asterisk sees it: `\;` read as `;`, a leading `\` removed. Never empty. */
  readonly name: string;
  readonly operator: Operator;
  /** As Asterisk sees it: `\;` read as `;`, without blanks around it. */
  readonly value: string;
  /** The blanks between operator and value; a `+=` appends them too. */
  readonly gap: string;
  /** A leading `\` included. */
  readonly nameRange: Range;
  readonly operatorRange: Range;
  /** Empty, directly behind the operator, where there is no value. */
  readonly valueRange: Range;
  /** A block comment lies between the start of the name and the end of the value, so a range may hold one. */
  readonly interrupted: boolean;
}

export type Directive = "include" | "tryinclude" | "exec";

/** `#include "path"` and its kin. */
export interface DirectiveNode extends NodeBase {
  readonly kind: "directive";
  /** `undefined`: an unknown word, which Asterisk skips with a warning. */
  readonly directive: Directive | undefined;
  /** The word behind the `#`, as written. */
  readonly word: string;
  /** Without its quotes; `undefined` where there is none, and Asterisk skips the line with a warning. */
  readonly argument: string | undefined;
  /** Without the quotes; empty, at the end of the word, where there is no argument. */
  readonly argumentRange: Range;
}

/**
 * What Asterisk skips, with no more than a warning: `too-long`, more than 8190 bytes; `silenced`, after a `--;`
 * outside a block comment; `no-equals` and `no-name`, no variable (fatal, though, where no section is open).
 */
export interface IgnoredNode extends NodeBase {
  readonly kind: "ignored";
  readonly reason: "too-long" | "silenced" | "no-equals" | "no-name";
}

/**
 * What makes Asterisk refuse the file, from here on: a `[` without `]`, a `(` without `)`, a leading `\` with a
 * blank or nothing behind it. `nested-too-deep`, the 129th nested `;--`, is worse: Asterisk never ends reading.
 */
export interface InvalidNode extends NodeBase {
  readonly kind: "invalid";
  readonly reason: "no-closing-bracket" | "no-closing-parenthesis" | "invalid-escape" | "nested-too-deep";
}

export type ConfNode =
  | BlankNode
  | CommentNode
  | BlockCommentNode
  | SectionNode
  | VariableNode
  | DirectiveNode
  | IgnoredNode
  | InvalidNode;

/** A parsed file: its nodes in order, without a gap. */
export interface ConfFile {
  readonly nodes: readonly ConfNode[];
  /** The file begins with a UTF-8 byte order mark, which Asterisk skips; it is in the first node's `source`. */
  readonly byteOrderMark: boolean;
}

/** What a file takes over from the one before it when a glob includes both. */
export interface ParseOptions {
  /** Depth of block comments before the first line; default 0. */
  readonly depth?: number;
  /** Whether a byte order mark is skipped; default true. Asterisk looks for it in a glob's first file only. */
  readonly skipByteOrderMark?: boolean;
}

/** Reads any bytes; never throws. Takes what Node can hold as one string: 512 MiB. */
export function parse(bytes: Uint8Array, options: ParseOptions = {}): ConfFile {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
  const marked = text.startsWith(byteOrderMark);
  const skipMark = marked && options.skipByteOrderMark !== false;
  const nodes: ConfNode[] = [];
  let depth = options.depth ?? 0;
  let line = 1;
  for (const scanner = new LineScanner(text); scanner.next();) {
    const { start: offset, end, visibleLength } = scanner;
    const source = text.slice(offset, end);
    if (scanner.tooLong) {
      nodes.push({ kind: "ignored", reason: "too-long", source, offset, line, depth, comment: undefined });
    } else {
      const start = offset === 0 && skipMark ? byteOrderMark.length : 0;
      const node = classify(uncomment(source, start, visibleLength, depth), source, offset, line);
      nodes.push(node);
      depth = node.depth;
    }
    if (text.charCodeAt(end - 1) === 0x0a) line++;
  }
  return { nodes, byteOrderMark: marked };
}

/** The bytes of a file: its nodes' sources, one after the other. */
export function stringify(file: ConfFile): Uint8Array {
  let text = "";
  for (const node of file.nodes) text += node.source;
  return Buffer.from(text, "latin1");
}

/** The end of line that closes a node: empty in a last line without one. A lone CR is none. */
export function endOfLine(node: ConfNode): "\r\n" | "\n" | "" {
  if (node.source.endsWith("\r\n")) return "\r\n";
  return node.source.endsWith("\n") ? "\n" : "";
}
