/** The sections that Asterisk holds while it loads, and what each line does to them. */
import type { SectionNode, VariableNode } from "./cst.ts";
import { encodingOf } from "./encoding.ts";
import { passesFilter } from "./filter.ts";
import type { LoadedSection, LoadedVariable } from "./load.ts";
import type { FatalKind, WarningKind } from "./problems.ts";
import { lowerASCII, strip } from "./text.ts";

/** More than any honest configuration inherits; sections that inherit twice from each other reach 2^n. */
const mostInherited = 4_000_000;
/** Asterisk keeps this much of a section's name (struct ast_category). */
const longestName = 79;

/** Which section takes the next variable. Each file that is being read has its own. */
export interface Cursor {
  section: LoadedSection | undefined;
}

/** The file that a line stands in. */
export type Place = Pick<LoadedVariable, "file" | "encoding">;

/** Tells of a problem; `subject` is the name or expression in question, `fatal` ends the reading of the file. */
export type Tell = (kind: FatalKind | WarningKind, subject: string, fatal: boolean) => void;

/** The part of a section's name that Asterisk keeps. */
export function storedName(name: string): string {
  return name.slice(0, longestName);
}

/** Asterisk's struct ast_config. Names are looked up without regard to ASCII case. */
export class SectionTable {
  readonly sections: LoadedSection[] = [];
  readonly #byName = new Map<string, LoadedSection[]>();
  readonly #asteriskVersion: number;
  #inherited = 0;
  /** The last section opened, in whatever file: where a file that is included goes on. */
  #current: LoadedSection | undefined;

  constructor(asteriskVersion: number) {
    this.#asteriskVersion = asteriskVersion;
  }

  /** A cursor for a file that begins to be read. */
  cursor(): Cursor {
    return { section: this.#current };
  }

  /** A section header. False, and told why, where Asterisk refuses it and with it the rest of the file. */
  open(node: SectionNode, cursor: Cursor, place: Place, tell: Tell): boolean {
    const name = storedName(node.name);
    if (name !== node.name) tell("name-cut", node.name, false);
    let created: LoadedSection | undefined = {
      name,
      template: false,
      inherits: [],
      line: node.line,
      ...place,
      variables: [],
    };
    let section = created;
    for (const option of node.options ?? []) {
      if (option.kind === "template") {
        section.template = true;
      } else if (option.kind === "append") {
        const existing = this.#find(node.name, option.filter, tell);
        if (existing === undefined) {
          tell("unknown-section", node.name, true);
          return false;
        }
        if (created !== undefined) {
          existing.template ||= created.template;
          for (const variable of created.variables) existing.variables.push(variable);
          created = undefined;
          this.#current = existing;
        }
        section = existing;
      } else {
        const parent = this.#named(option.name)[0];
        if (parent === undefined) {
          tell("unknown-parent", option.name, true);
          return false;
        }
        if (parent === section && parent.variables.length > 0) {
          tell("inherits-itself", option.name, true);
          return false;
        }
        if ((this.#inherited += parent.variables.length) > mostInherited) {
          tell("too-large", option.name, true);
          return false;
        }
        section.inherits.push(parent.name);
        for (const variable of parent.variables) section.variables.push({ ...variable, inherited: true });
      }
    }
    cursor.section = section;
    if (created !== undefined) this.#append(created);
    return true;
  }

  /** A variable in the section of the cursor. */
  set(node: VariableNode, section: LoadedSection, place: Place): void {
    const { name, operator, value, line } = node;
    if (operator === "+=" && this.#extend(section, name, node.gap + value, place)) return;
    section.variables.push({ name, value, operator, line, ...place, inherited: false });
  }

  /**
   * The text of a `+=` goes to the last variable of that name, as Asterisk intends; but then it looks for the
   * variable to write to by name and old value, without regard to case, and takes the first (from 23.0 the last).
   */
  #extend(section: LoadedSection, name: string, text: string, place: Place): boolean {
    const { variables } = section;
    const extended = variables.findLast((variable) => variable.name === name);
    if (extended === undefined) return false;
    const isMeant = (variable: LoadedVariable) =>
      lowerASCII(variable.name) === lowerASCII(name) &&
      (extended.value === "" || lowerASCII(variable.value) === lowerASCII(extended.value));
    const index =
      this.#asteriskVersion >= 23 ? variables.findLastIndex(isMeant) : variables.findIndex(isMeant);
    const written = variables[index];
    if (written === undefined) return false;
    const value = strip(extended.value + text);
    const encoding =
      written.encoding === place.encoding ? place.encoding : encodingOf(Buffer.from(value, "latin1"));
    variables[index] = { ...written, name, value, encoding, inherited: false };
    return true;
  }

  #append(section: LoadedSection): void {
    this.sections.push(section);
    this.#current = section;
    const key = lowerASCII(section.name);
    const namesakes = this.#byName.get(key);
    if (namesakes === undefined) this.#byName.set(key, [section]);
    else namesakes.push(section);
  }

  #find(name: string, filter: string, tell: Tell): LoadedSection | undefined {
    const refused = (expression: string) => {
      tell("filter-refused", expression, false);
    };
    return this.#named(name).find((section) => passesFilter(section, filter, this.#asteriskVersion, refused));
  }

  /** An empty name stands for every section. */
  #named(name: string): readonly LoadedSection[] {
    return name === "" ? this.sections : (this.#byName.get(lowerASCII(name)) ?? []);
  }
}
