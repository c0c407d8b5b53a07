import { parse } from "../core/conf/index.ts";
import type { SectionNode } from "../core/conf/index.ts";
import type { SecretRule } from "../core/conf/secrets.ts";
import { secretFinder } from "../core/conf/secrets.ts";

/** A secret in a file: half-open, in bytes. */
export interface SecretPlace {
  readonly start: number;
  readonly end: number;
  /** The name of the section that it stands in, empty where none is open. */
  readonly section: string;
  /** The variable that holds it, or what else it is called. */
  readonly variable: string;
}

interface Section {
  readonly name: string;
  readonly type: string | undefined;
  /** Where the line of its header begins, and its name. */
  readonly offset: number;
  readonly nameRange: SectionNode["nameRange"];
}

/** The secrets in a file, in order. `text` has one character a byte. */
export function secretPlaces(path: string, text: string, rules: readonly SecretRule[]): SecretPlace[] {
  const places: SecretPlace[] = [];
  const find = secretFinder(path, rules);
  const sections = sectionsOf(text);
  let at = -1;
  let name = "";
  for (let start = 0; start < text.length;) {
    const newline = text.indexOf("\n", start);
    const end = newline === -1 ? text.length : newline;
    const before = at;
    while ((sections[at + 1]?.offset ?? Infinity) < end) at++;
    const section = sections[at];
    const place = { name: section?.name, type: section?.type };
    const spans = find(text.slice(start, end), place);
    if (section !== undefined && at !== before) {
      const { nameRange } = section;
      // A name that holds a secret itself must not become a part of a key.
      const isPlain = !spans.some(
        (span) => start + span.start < nameRange.end && start + span.end > nameRange.start,
      );
      name = isPlain ? section.name : "";
    }
    for (const span of spans) {
      let first = start + span.start;
      // Signs in front of a reference would make it an escape: they belong to the secret.
      while (text[first - 1] === "@") first--;
      places.push({ start: first, end: start + span.end, section: name, variable: span.name });
    }
    start = end + 1;
  }
  return places;
}

/** Types are inherited within the file; those of templates in other files are not known here. */
function sectionsOf(text: string): Section[] {
  const sections: Section[] = [];
  const types = new Map<string, string>();
  for (const node of parse(Buffer.from(text, "latin1")).nodes) {
    const last = sections.at(-1);
    if (node.kind === "section") {
      const parents = node.options?.flatMap((option) => (option.kind === "inherit" ? [option.name] : []));
      const inherited = parents?.map((parent) => types.get(parent.toLowerCase()));
      const type = inherited?.findLast((each) => each !== undefined);
      if (type !== undefined) types.set(node.name.toLowerCase(), type);
      sections.push({ name: node.name, type, offset: node.offset, nameRange: node.nameRange });
    } else if (node.kind === "variable" && last !== undefined && node.name.toLowerCase() === "type") {
      types.set(last.name.toLowerCase(), node.value);
      sections[sections.length - 1] = { ...last, type: node.value };
    }
  }
  return sections;
}
