import type { ConfFile, ConfNode, SectionNode } from "../cst.ts";
import type { AddSection, Edit, RemoveSection, RenameSection } from "../edit.ts";
import { ConfError } from "../errors.ts";
import { escapeSectionName, parseLine, sectionLine, unwritable, variableLine } from "./line.ts";
import { depthBefore, findSection, refuseUnread } from "./place.ts";
import type { Place } from "./place.ts";
import { endOfLineOf, styleFor } from "./style.ts";
import { insertLine, lineOutsideComments, removeLines } from "./variable.ts";

/** A new section at the end of the file. */
export function addSection(file: ConfFile, change: AddSection): Edit[] {
  const end = file.nodes.length;
  refuseUnread(file, end);
  lineOutsideComments(file, end, end);
  const lines = [
    sectionLine(change.name, change.template === true, change.inherits ?? []),
    ...(change.variables ?? []).map(({ name, value }) =>
      variableLine(name, value, styleFor(file, name, undefined)),
    ),
  ];
  const last = file.nodes.at(-1);
  if (last && last.kind !== "blank") lines.unshift("");
  return [insertLine(file, end, lines.join(endOfLineOf(file)))];
}

/** Header to last variable, and the blank lines below. */
export function removeSection(file: ConfFile, change: RemoveSection): Edit[] {
  const place = findSection(file, change.section);
  const { header } = place;
  if (!header) {
    throw new ConfError("NotFound", "The lines before the first header are no section.", "Name the section.");
  }
  refuseUnread(file, place.end);
  refuseUsed(file, header, place);
  const last = lastLine(file, place);
  const runs: { from: number; to: number }[] = [];
  let from = place.first - 1;
  for (let index = place.first; index < place.end; index++) {
    const node = file.nodes[index];
    if (node?.kind !== "directive" || node.directive === undefined) continue;
    if (change.keepIncludes !== true) throw holdsInclude(header, node);
    if (index > last) break;
    runs.push({ from, to: index });
    from = index + 1;
  }
  runs.push({ from, to: last + 1 });
  return runs.filter((run) => run.to > run.from).map((run) => removal(file, run));
}

/** Another name between the brackets. */
export function renameSection(file: ConfFile, change: RenameSection): Edit[] {
  const place = findSection(file, change.section);
  const { header } = place;
  if (!header) {
    throw new ConfError("NotFound", "The lines before the first header have no name.", "Name the section.");
  }
  refuseUsed(file, header, place);
  if (header.options?.some((option) => option.kind === "append"))
    throw inUse(header.name, header, "continues");
  const captured = referenceTo(file, change.to, place.first);
  if (captured) throw inUse(change.to, captured, "is built on");
  const text = escapeSectionName(change.to);
  const { start, end } = header.nameRange;
  const source =
    header.source.slice(0, start - header.offset) + text + header.source.slice(end - header.offset);
  const index = place.first - 1;
  const read = parseLine(source, depthBefore(file, index), index === 0 && file.byteOrderMark);
  if (read?.kind !== "section" || read.name !== change.to || read.depth !== header.depth) {
    throw unwritable(`section "${change.to}"`, source);
  }
  return [{ offset: start, length: end - start, text }];
}

// Comments below the last variable may belong to the next section: they stay.
function lastLine(file: ConfFile, place: Place): number {
  const stays = new Set(["blank", "comment", "block-comment", "directive"]);
  let last = place.end - 1;
  while (last >= place.first && stays.has(file.nodes[last]?.kind ?? "")) last--;
  const above = file.nodes[place.first - 2];
  if (above && above.kind !== "blank") return last;
  while (last + 1 < place.end && file.nodes[last + 1]?.kind === "blank") last++;
  return last;
}

function removal(file: ConfFile, { from, to }: { from: number; to: number }): Edit {
  if (depthBefore(file, from) === depthBefore(file, to)) return removeLines(file, from, to);
  const line = file.nodes[to - 1]?.line ?? 1;
  const message = `A block comment crosses the end of the section in line ${String(line)}.`;
  throw new ConfError("Ambiguous", message, "Move the comment's ends to lines of their own first.", line);
}

function refuseUsed(file: ConfFile, header: SectionNode, place: Place): void {
  const isAppend = header.options?.some((option) => option.kind === "append") ?? false;
  const reference = isAppend ? undefined : referenceTo(file, header.name, place.first);
  if (reference) throw inUse(header.name, reference, "is built on");
}

/**
 * The first header from line `from` on that is built on section `name`. Asterisk looks names up without regard to
 * case, and an empty one stands for any section.
 */
export function referenceTo(file: ConfFile, name: string, from: number): SectionNode | undefined {
  const isMeant = (written: string): boolean =>
    written === "" || written.toLowerCase() === name.toLowerCase();
  for (let index = from; index < file.nodes.length; index++) {
    const node = file.nodes[index];
    if (node?.kind !== "section") continue;
    const refers = node.options?.some(
      (option) =>
        (option.kind === "inherit" && isMeant(option.name)) ||
        (option.kind === "append" && isMeant(node.name)),
    );
    if (refers === true) return node;
  }
  return undefined;
}

function inUse(name: string, by: SectionNode, how: string): ConfError {
  const message = `Section [${by.name}], line ${String(by.line)}, ${how} [${name}].`;
  return new ConfError("InUse", message, "Change that section first.", by.line);
}

function holdsInclude(header: SectionNode, node: ConfNode): ConfError {
  const message = `Section [${header.name}] holds an include, line ${String(node.line)}, which may belong to the file.`;
  return new ConfError(
    "Ambiguous",
    message,
    "Keep the includes, if what they include begins with a header.",
    node.line,
  );
}
