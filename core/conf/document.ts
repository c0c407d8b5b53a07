/** The effective view: what Asterisk sees when it reads a file, as text for people and for comparison. */
import type { Operator } from "./cst.ts";
import { decode, type Encoding } from "./encoding.ts";
import { type ConfFiles, load, type Loaded, type LoadOptions } from "./load.ts";
import type { Problem } from "./problems.ts";
import { globAsterisk } from "./glob.ts";

/** A variable as its section has it in the end, whatever `+=` lines made of it. */
export interface Variable {
  readonly name: string;
  readonly value: string;
  /** Of the line that created it: `+=` only where there was nothing to extend. */
  readonly operator: Operator;
  /** The file that created it, below the configuration directory, and the line from 1. */
  readonly file: string;
  readonly line: number;
  /** Set where it was cloned from a parent. */
  readonly inherited?: true;
}

/** A section. Two of the same name stay two, in order. */
export interface Section {
  /** At most 79 bytes: what Asterisk keeps. */
  readonly name: string;
  readonly template: boolean;
  /** Its parents' names, in order. */
  readonly inherits: readonly string[];
  /** Where it was opened first; `(+)` elsewhere only adds variables. */
  readonly file: string;
  readonly line: number;
  readonly variables: readonly Variable[];
}

/** What a file amounts to. */
export interface EffectiveView {
  /** In Asterisk's order; where `invalid` is set, what it had read until then. */
  readonly sections: readonly Section[];
  /** All that Asterisk warns about or refuses, in the order in which it comes to it. */
  readonly problems: readonly Problem[];
  /** Why Asterisk refuses the file; undefined if it does not. */
  readonly invalid: Problem | undefined;
  /** Something could not be followed: an `#exec`, or an include that leaves the configuration directory. */
  readonly incomplete: boolean;
  /** The files read, the root first. */
  readonly included: readonly string[];
}

/**
 * What Asterisk sees in the file `root` (a path below the configuration directory) and all that it includes.
 * Pure but for the reader; throws nothing but what the reader throws.
 */
export function effectiveView(root: string, files: ConfFiles, options: LoadOptions = {}): EffectiveView {
  return viewOf(load(root, files, options));
}

/** What was loaded, as text for people. */
export function viewOf(loaded: Loaded): EffectiveView {
  const sections = loaded.sections.map(
    ({ name, template, inherits, file, line, encoding, variables }): Section => ({
      name: decode(name, encoding),
      template,
      inherits: inherits.map((parent) => decode(parent, encoding)),
      file,
      line,
      variables: variables.map(toVariable),
    }),
  );
  return { ...loaded, sections };
}

function toVariable(loaded: {
  name: string;
  value: string;
  operator: Operator;
  file: string;
  line: number;
  encoding: Encoding;
  inherited: boolean;
}): Variable {
  const { operator, file, line, encoding, inherited } = loaded;
  const variable = {
    name: decode(loaded.name, encoding),
    value: decode(loaded.value, encoding),
    operator,
    file,
    line,
  };
  return inherited ? { ...variable, inherited } : variable;
}

/** A reader of files that are all at hand, by path below the configuration directory. */
export function filesOf(contents: ReadonlyMap<string, Uint8Array>): ConfFiles {
  return {
    read: (path) => contents.get(path),
    glob: (pattern) => globAsterisk(pattern, contents.keys()),
  };
}
