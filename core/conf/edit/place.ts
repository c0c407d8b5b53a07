import type { ConfFile, ConfNode, SectionNode, VariableNode } from "../cst.ts";
import type { SectionReference, VariableReference } from "../edit.ts";
import { ConfError } from "../errors.ts";

/** The lines of a section: `nodes[first]` is its header (none in a fragment's head), `nodes[end]` the next one's. */
export interface Place {
  readonly header: SectionNode | undefined;
  /** Index of the first line behind the header. */
  readonly first: number;
  readonly end: number;
}

/** Finds a section that Asterisk reads; throws NotFound, Ambiguous or NotRead. */
export function findSection(file: ConfFile, reference: SectionReference): Place {
  const { nodes } = file;
  const places: Place[] = [];
  const isHeader = (node: ConfNode): boolean => node.kind === "section";
  const endFrom = (from: number): number => {
    const next = nodes.findIndex((node, index) => index >= from && isHeader(node));
    return next < 0 ? nodes.length : next;
  };
  if (reference.name === undefined) places.push({ header: undefined, first: 0, end: endFrom(0) });
  else {
    for (const [index, node] of nodes.entries()) {
      if (node.kind !== "section" || node.name !== reference.name) continue;
      places.push({ header: node, first: index + 1, end: endFrom(index + 1) });
    }
  }
  const found = choose(places, reference.occurrence, `section [${reference.name ?? ""}]`, "");
  refuseUnread(file, found.first);
  return found;
}

/** The variables of a section in order, `+=` lines included. */
export function variablesIn(file: ConfFile, place: Place): { node: VariableNode; index: number }[] {
  const found: { node: VariableNode; index: number }[] = [];
  for (let index = place.first; index < place.end; index++) {
    const node = file.nodes[index];
    if (node?.kind === "variable") found.push({ node, index });
  }
  return found;
}

/** Finds a variable that one line holds; throws NotFound, Ambiguous or NotRead. */
export function findVariable(
  file: ConfFile,
  reference: VariableReference,
): { node: VariableNode; index: number } {
  const place = findSection(file, reference.section);
  const named = variablesIn(file, place).filter(({ node }) => node.name === reference.name);
  const plain = named.filter(({ node }) => node.operator !== "+=");
  const what = `variable "${reference.name}"`;
  const only = named[0];
  if (plain.length === 0 && only) throw extended(reference.name, only.node.line);
  const found = choose(plain, reference.occurrence, what, ` in section [${reference.section.name ?? ""}]`);
  refuseUnread(file, found.index);
  refuseExtended(file, place, reference.name, found.index + 1);
  if (found.node.interrupted) {
    const message = `A block comment stands inside ${what}, line ${String(found.node.line)}.`;
    throw new ConfError(
      "Ambiguous",
      message,
      "Move the comment to a line of its own first.",
      found.node.line,
    );
  }
  return found;
}

/** Refuses where a later `+=` would extend whatever variable of that name stands just before line `from`. */
export function refuseExtended(file: ConfFile, place: Place, name: string, from: number): void {
  const section = place.header?.name.toLowerCase();
  let current = section;
  for (let index = from; index < file.nodes.length; index++) {
    const node = file.nodes[index];
    if (node?.kind === "section") current = node.name.toLowerCase();
    if (node?.kind !== "variable" || node.name !== name || current !== section) continue;
    if (node.operator === "+=") throw extended(name, node.line);
    return;
  }
}

/** Depth of block comments before the line at `index`. */
export function depthBefore(file: ConfFile, index: number): number {
  return file.nodes[index - 1]?.depth ?? 0;
}

/** Refuses a place behind a line at which Asterisk gives the file up. */
export function refuseUnread(file: ConfFile, index: number): void {
  const stop = file.nodes.find((node, at) => at < index && node.kind === "invalid");
  if (!stop) return;
  const message = `Asterisk stops reading at line ${String(stop.line)}, which it cannot parse.`;
  throw new ConfError("NotRead", message, "Mend that line first.", stop.line);
}

function choose<T>(found: readonly T[], occurrence: number | undefined, what: string, where: string): T {
  if (occurrence === undefined && found.length > 1) {
    const message = `There are ${String(found.length)} of ${what}${where}.`;
    throw new ConfError("Ambiguous", message, "Say which one, from 0.");
  }
  const one = found[occurrence ?? 0];
  if (one !== undefined) return one;
  const message = `There is no ${occurrence === undefined ? "" : `occurrence ${String(occurrence)} of `}${what}${where}.`;
  throw new ConfError("NotFound", message, "Compare the name with the file: upper and lower case differ.");
}

function extended(name: string, line: number): ConfError {
  const message = `Variable "${name}" is extended with += in line ${String(line)}, so its value stands on several lines.`;
  return new ConfError("Ambiguous", message, "Write the whole value on one line first.", line);
}
