import { randomBytes } from "node:crypto";
import { open, readFile, realpath, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { Pair, Scalar, YAMLMap, YAMLSeq } from "yaml";
import { Document, isMap, isScalar, isSeq, parseAllDocuments, visit } from "yaml";
import { AsteriskIacError } from "../core/errors.ts";

/** A change of a manifest: the lines that are new, as `bootstrap` shows them. */
export interface ManifestEdit {
  readonly text: string;
  readonly added: readonly string[];
}

/** A resource as one document of YAML; lists of words, and what lists hold, on one line each. */
export function formatResource(resource: object): string {
  const document = new Document(resource);
  visit(document, {
    Map: (_, node, path) => void (node.flow = isSeq(path.at(-1)) && !hasLines(node)),
    Seq: (_, node) => void (node.flow = node.items.every((item) => isScalar(item))),
  });
  return document.toString({ flowCollectionPadding: false });
}

/** Text of several lines stands in lines of its own. */
function hasLines({ items }: YAMLMap): boolean {
  return items.some(({ value }) => isScalar(value) && String(value.value).includes("\n"));
}

/** The manifest with one more document at its end. Every other byte stays. */
export function addDocument(text: string, resource: object): ManifestEdit {
  const end = lineEnd(text);
  const document = `---\n${formatResource(resource)}`.replaceAll("\n", end);
  const separator = text === "" || text.endsWith("\n") ? "" : end;
  return { text: `${text}${separator}${document}`, added: linesOf(document) };
}

/**
 * The manifest with a rule ToAsterisk for one file, in front of the other rules of a server. Every other byte stays.
 * Throws `InvalidManifest` where the document is written so that this can't be done.
 */
export function addRule(text: string, server: string, file: string): ManifestEdit {
  const documents = parseAllDocuments(text).filter((document) => "errors" in document);
  const index = documents.findIndex(
    (document) =>
      document.get("kind") === "AsteriskServer" && document.getIn(["metadata", "name"]) === server,
  );
  const document = documents[index];
  const rule = `{files: ${JSON.stringify(file)}, updateDirection: ToAsterisk}`;
  const insertion = document === undefined ? undefined : insertionOf(document, text, rule);
  if (insertion !== undefined && document !== undefined) {
    const changed = `${text.slice(0, insertion.at)}${insertion.text}${text.slice(insertion.at)}`;
    if (isOnlyAddition(documents, changed, index, file))
      return { text: changed, added: linesOf(insertion.text) };
  }
  throw new AsteriskIacError(
    "InvalidManifest",
    `the rules of AsteriskServer ${server} can't be added to as they are written`,
    { hint: `Put this rule first in spec.rules yourself, then run this again: ${rule}` },
  );
}

interface Insertion {
  readonly at: number;
  readonly text: string;
}

function insertionOf(document: Document.Parsed, text: string, rule: string): Insertion | undefined {
  const end = lineEnd(text);
  const spec = document.get("spec");
  if (!isMap(spec)) return undefined;
  const rules = pairOf(spec, "rules")?.value;
  if (isSeq(rules)) return inSequence(rules, text, rule, end);
  if (rules !== undefined) return undefined;
  const first = spec.items[0]?.key;
  const start = isScalar(first) ? first.range?.[0] : undefined;
  if (start === undefined) return undefined;
  if (spec.flow === true) return { at: start, text: `rules: [${rule}], ` };
  const indent = indentBefore(text, start);
  // Beside the direction that it is an exception from, where there is one.
  const direction = pairOf(spec, "updateDirection");
  const beside = direction === undefined ? start : (direction.key.range?.[0] ?? start);
  if (indent === undefined) return undefined;
  return { at: lineStart(text, beside), text: `${indent}rules:${end}${indent}  - ${rule}${end}` };
}

function inSequence(rules: YAMLSeq, text: string, rule: string, end: string): Insertion | undefined {
  const start = rules.range?.[0];
  if (start === undefined) return undefined;
  if (rules.flow === true) return { at: start + 1, text: rules.items.length === 0 ? rule : `${rule}, ` };
  // A block sequence begins with the dash of its first item.
  const indent = indentBefore(text, start);
  return indent === undefined ? undefined : { at: lineStart(text, start), text: `${indent}- ${rule}${end}` };
}

/** The blanks in front of what a line begins with; undefined where something else stands there. */
function indentBefore(text: string, offset: number): string | undefined {
  const before = text.slice(lineStart(text, offset), offset);
  return /^ *$/.test(before) ? before : undefined;
}

function lineStart(text: string, offset: number): number {
  return text.lastIndexOf("\n", offset - 1) + 1;
}

function pairOf(map: YAMLMap, key: string): Pair<Scalar, unknown> | undefined {
  const pair = map.items.find((each) => isScalar(each.key) && each.key.value === key);
  return pair as Pair<Scalar, unknown> | undefined;
}

/** Whether the new text says all that the old one said, and the rule. */
function isOnlyAddition(
  before: readonly Document.Parsed[],
  changed: string,
  index: number,
  file: string,
): boolean {
  const after = parseAllDocuments(changed).filter((document) => "errors" in document);
  const wanted = before.map((document, at) => {
    const value = document.toJS() as { spec?: { rules?: unknown[] } };
    if (at !== index) return value;
    const rules = [{ files: file, updateDirection: "ToAsterisk" }, ...(value.spec?.rules ?? [])];
    return { ...value, spec: { ...value.spec, rules } };
  });
  return (
    after.every(({ errors }) => errors.length === 0) &&
    isDeepStrictEqual(
      after.map((document) => document.toJS() as unknown),
      wanted,
    )
  );
}

/**
 * Puts a new text in the place of a manifest, all at once, with the mode that it had; a link stays a link. Throws
 * `ChangedMeanwhile` where the file does not say `before` any more.
 */
export async function replaceManifest(file: string, before: string, text: string): Promise<void> {
  const real = await realpath(file);
  if ((await readFile(real, "utf8")) !== before) {
    throw new AsteriskIacError("ChangedMeanwhile", "the manifest was changed while this ran", {
      where: { file },
      next: "Retry",
      hint: "Run this again: it goes on where it stopped.",
    });
  }
  await writeAtomically(real, text, (await stat(real)).mode & 0o7777);
}

/** Writes a file all at once: whoever reads it sees the old text or the new one. */
export async function writeAtomically(file: string, text: string, mode: number): Promise<void> {
  const temporary = join(dirname(file), `.asteriskctl-${randomBytes(8).toString("hex")}`);
  try {
    const handle = await open(temporary, "wx", mode);
    try {
      await handle.chmod(mode);
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
  } finally {
    await rm(temporary, { force: true });
  }
}

function lineEnd(text: string): string {
  return text.includes("\r\n") ? "\r\n" : "\n";
}

function linesOf(text: string): string[] {
  return text.split(/\r?\n/).filter((line) => line !== "");
}
