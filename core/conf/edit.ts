/**
 * Edits of a .conf file as values: `modify` says which bytes to replace, `applyEdits` replaces them. Every byte
 * outside the edits stays where it was, and each line written is read again first: a change that Asterisk would
 * read as something else, or not at all, is refused with a ConfError.
 *
 * Names and values are bytes, one character each, as in cst.ts; `encode` of encoding.ts makes them from text.
 */
import type { ConfFile } from "./cst.ts";
import { addSection, removeSection, renameSection } from "./edit/section.ts";
import { addVariable, removeVariable, setVariable } from "./edit/variable.ts";
import { ConfError } from "./errors.ts";

/** Replace `length` bytes at `offset` by `text`, whose characters are bytes. */
export interface Edit {
  readonly offset: number;
  readonly length: number;
  readonly text: string;
}

/**
 * A section of the file: by its header's name, and among several of that name by which one, from 0. Without a
 * name: the lines before the first header, which a fragment adds to the section that includes it.
 */
export interface SectionReference {
  readonly name?: string;
  readonly occurrence?: number;
}

/**
 * A variable of a section, and among several of that name which one, from 0. A `+=` counts as part of the
 * variable that it extends; such a variable is refused, for its value stands on several lines.
 */
export interface VariableReference {
  readonly section: SectionReference;
  readonly name: string;
  readonly occurrence?: number;
}

/** Another value in the place of the old one; spacing, operator and comment of the line stay. */
export interface SetVariable extends VariableReference {
  readonly kind: "set-variable";
  readonly value: string;
}

/**
 * A new line behind the last variable of its name, or else behind the section's last variable; with `at`, in
 * front of that one (from 0) of the variables of its name. It is spaced and ended as its neighbours are.
 */
export interface AddVariable {
  readonly kind: "add-variable";
  readonly section: SectionReference;
  readonly name: string;
  readonly value: string;
  readonly at?: number;
}

/** The whole line goes, with the comment at its end. */
export interface RemoveVariable extends VariableReference {
  readonly kind: "remove-variable";
}

/** A new section at the end of the file, behind a blank line. That its parents exist is not looked at. */
export interface AddSection {
  readonly kind: "add-section";
  readonly name: string;
  readonly template?: boolean;
  readonly inherits?: readonly string[];
  readonly variables?: readonly { readonly name: string; readonly value: string }[];
}

/**
 * Header to last variable go, with the comments between them and the blank lines below. Comments below stay:
 * they may belong to what follows. A section with an `#include` in it is refused, because what is included may
 * go on in this section or open others; with `keepIncludes` those lines stay.
 */
export interface RemoveSection {
  readonly kind: "remove-section";
  readonly section: SectionReference;
  readonly keepIncludes?: boolean;
}

/** Another name between the brackets. Refused where another section of the file is built on either name. */
export interface RenameSection {
  readonly kind: "rename-section";
  readonly section: SectionReference;
  readonly to: string;
}

/** What to change. */
export type Change = SetVariable | AddVariable | RemoveVariable | AddSection | RemoveSection | RenameSection;

/** The edits that make `change` in `file`, sorted and without overlap; throws ConfError where it cannot be made. */
export function modify(file: ConfFile, change: Change): Edit[] {
  refuseCutLines(file);
  switch (change.kind) {
    case "set-variable":
      return setVariable(file, change);
    case "add-variable":
      return addVariable(file, change);
    case "remove-variable":
      return removeVariable(file, change);
    case "add-section":
      return addSection(file, change);
    case "remove-section":
      return removeSection(file, change);
    case "rename-section":
      return renameSection(file, change);
  }
}

/**
 * Refuses a file in which Asterisk goes on in the middle of a line, one of more than 8190 bytes that holds a NUL:
 * where it goes on, any edit may move.
 */
export function refuseCutLines({ nodes }: ConfFile): void {
  const cut = nodes.find((node, index) => index < nodes.length - 1 && !node.source.endsWith("\n"));
  if (!cut) return;
  const message = `Line ${String(cut.line)} holds a NUL byte and more than 8190 bytes: Asterisk reads it as several.`;
  throw new ConfError("Ambiguous", message, "Remove the NUL byte first.", cut.line);
}

/** The bytes with the edits made; their order is free. Throws RangeError where two overlap or one leaves the file. */
export function applyEdits(bytes: Uint8Array, edits: readonly Edit[]): Uint8Array {
  const parts: Uint8Array[] = [];
  let at = 0;
  for (const { offset, length, text } of edits.toSorted((a, b) => a.offset - b.offset)) {
    if (offset < at || length < 0 || offset + length > bytes.length) {
      throw new RangeError(
        `Edit of ${String(length)} bytes at ${String(offset)} overlaps another or leaves the file.`,
      );
    }
    parts.push(bytes.subarray(at, offset), Buffer.from(text, "latin1"));
    at = offset + length;
  }
  parts.push(bytes.subarray(at));
  return Buffer.concat(parts);
}
