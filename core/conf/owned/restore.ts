/** Owned keys put back to what they were, among what others have changed since. */
import type { ConfFile, SectionNode } from "../cst.ts";
import { applyEdits } from "../edit.ts";
import { referenceTo } from "../edit/section.ts";
import { endOfLineOf } from "../edit/style.ts";
import { ConfError } from "../errors.ts";
import { asWanted, open, ownedLines, partsOf } from "./lines.ts";
import type { Claim, Opened } from "./lines.ts";
import { merge } from "./merge.ts";
import { hasSameOthers, refuseLoss } from "./others.ts";
import { mergeLines } from "./three-way.ts";

/**
 * `bytes` with the claimed keys as in `original`. Where only their owner has changed it since, that is original
 * itself. Where others did elsewhere, what the owner did is undone line by line, so that every byte comes back;
 * where they did so in the owner's own lines, its keys are put back one by one.
 */
export function restore(bytes: Buffer, claims: readonly Claim[], original: Buffer): Buffer {
  const now = open(bytes);
  const before = open(original);
  const written = writtenAgain(now.file, claims, before);
  if (written?.bytes.equals(bytes) === true) return original;
  const undone = undo(written, now, before, claims);
  if (undone) return undone.bytes.equals(bytes) ? bytes : undone.bytes;
  let restored = now;
  for (const claim of claims) {
    const alone = writtenAgain(restored.file, [claim], before);
    restored = undo(alone, restored, before, [claim]) ?? putBack(restored, claim, before.file);
  }
  refuseLoss(now.file, restored.file, claims);
  return restored.bytes;
}

/** What writing the keys as `file` has them into `original` gives; undefined where it cannot be done. */
function writtenAgain(file: ConfFile, claims: readonly Claim[], original: Opened): Opened | undefined {
  try {
    let written = original;
    for (const claim of claims) {
      const parts = partsOf(file, claim.section);
      if (parts.length === 0) continue;
      const lines = ownedLines(file, parts, claim)
        .map(asWanted)
        .map((line) => (line.operator === "+=" ? line : { ...line, source: undefined }));
      written = merge(written, { claim, lines, alone: claim.keys === "all" });
    }
    return written;
  } catch (error) {
    if (error instanceof ConfError) return undefined;
    throw error;
  }
}

/** What led from `written` to `before`, done to `now`; undefined where that does not come out right. */
function undo(
  written: Opened | undefined,
  now: Opened,
  before: Opened,
  claims: readonly Claim[],
): Opened | undefined {
  if (!written) return undefined;
  const lineEnd = endOfLineOf(written.file);
  const text = mergeLines(sourcesOf(written), sourcesOf(before), sourcesOf(now), lineEnd);
  if (text === undefined) return undefined;
  const undone = open(Buffer.from(text, "latin1"));
  const isRight =
    hasSameOthers(now.file, undone.file, claims) &&
    claims.every(
      (claim) =>
        meaningOf(undone.file, claim) === meaningOf(before.file, claim) &&
        !isMissed(now.file, undone.file, claim),
    );
  return isRight ? undone : undefined;
}

/** The keys of one section, line by line as they once stood. */
function putBack(now: Opened, claim: Claim, before: ConfFile): Opened {
  const parts = partsOf(before, claim.section);
  const lines = parts.length > 0 ? ownedLines(before, parts, claim).map(asWanted) : undefined;
  if (lines?.length === 0 && partsOf(now.file, claim.section).length === 0) return now;
  const restored = merge(now, { claim, lines });
  return claim.keys === "all" && parts[0] ? withOptions(restored, parts[0].header) : restored;
}

/** A whole section may have had options, a template for one, which were taken from it. */
function withOptions(now: Opened, before: SectionNode): Opened {
  const [first] = partsOf(now.file, before.name);
  const last = before.options?.at(-1);
  if (!first || first.header.options || !last) return now;
  const start = before.nameRange.end + 1 - before.offset;
  const text = before.source.slice(start, last.range.end + 1 - before.offset);
  const edit = { offset: first.header.nameRange.end + 1, length: 0, text };
  return open(Buffer.from(applyEdits(now.bytes, [edit])));
}

/** Whether a section is gone on which another is built. */
function isMissed(was: ConfFile, is: ConfFile, { section }: Claim): boolean {
  const isGone = partsOf(was, section).length > 0 && partsOf(is, section).length === 0;
  return isGone && referenceTo(is, section, 0) !== undefined;
}

function sourcesOf({ file: { nodes } }: Opened): string[] {
  return nodes.map(({ source }) => source);
}

function meaningOf(file: ConfFile, claim: Claim): string {
  const parts = partsOf(file, claim.section);
  const lines = ownedLines(file, parts, claim).map(({ node }) => {
    const { name, operator, gap, value } = node;
    return operator === "+=" ? [name, operator, gap + value] : [name, value];
  });
  return JSON.stringify([parts.map(({ header }) => optionsOf(header)), lines]);
}

function optionsOf({ options }: SectionNode): string[] | undefined {
  return options?.map((option) => JSON.stringify({ ...option, range: undefined }));
}
