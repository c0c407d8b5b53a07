import { isDeepStrictEqual } from "node:util";
import { ConfError } from "../core/conf/errors.ts";
import {
  isAsOwned,
  overlappingKeys,
  ownedKeys,
  readOwned,
  restoreOwned,
  writeOwned,
} from "../core/conf/owned.ts";
import type { OwnedKeys, OwnedSection } from "../core/conf/owned.ts";
import type { Change, DiffPolicy, Take, Triple } from "../core/diff.ts";
import { AsteriskIacError } from "../core/errors.ts";
import type { ObservedFile } from "../core/observed.ts";
import type {
  DesiredFile,
  DesiredSections,
  OwnedChange,
  OwnedTriple,
  Owner,
  RecordedOwnership,
} from "../core/ownership.ts";
import { combine, diffOwned, hashOwned, takesDeclaration } from "../core/ownership.ts";
import { contentHash } from "../core/record.ts";
import type { ContentHash } from "../core/record.ts";
import type { SourceFile } from "../core/source.ts";
import type { Desired } from "./desired.ts";
import type { ServerView } from "./pass.ts";

/** A file in which resources own something, or did. */
export interface OwnedFile {
  readonly path: string;
  readonly desired: DesiredFile | undefined;
  readonly recorded: RecordedOwnership | undefined;
  /** Of the bytes that we wrote there last, if these were the recorded base and the owned keys. */
  readonly writtenHash: ContentHash | null | undefined;
  /** What is on the server; undefined: nothing. */
  readonly observed: Buffer | undefined;
  /** What the file is to be without the owned keys: a ConfFile's content, the source's copy; undefined: what the server has. */
  readonly base: Buffer | undefined;
  /** What was there before the first owner; null: nothing; undefined: not known, or nothing was changed. */
  readonly original: Buffer | null | undefined;
  /** The server's file without the owned keys: what a source may see of it. Null: nothing but owned keys is there. */
  readonly projected: Buffer | null;
}

/** An owned file, what happens to its base, and what to each owner's keys. */
export interface ComparedOwnedFile {
  readonly file: OwnedFile;
  readonly base: Change | undefined;
  readonly owned: readonly OwnedChange[];
}

/** Reads what is needed of every file in which resources own something, or did: two round trips at most. */
export async function ownedFiles(
  pass: ServerView,
  desired: Pick<Desired, "files">,
  { source, selected }: { source: ReadonlyMap<string, SourceFile>; selected: ReadonlySet<string> },
): Promise<ReadonlyMap<string, OwnedFile>> {
  const recorded = new Map(
    Object.entries(pass.hostRecord?.files ?? {}).flatMap(([path, { ownership }]) =>
      ownership === undefined ? [] : [[path, ownership] as const],
    ),
  );
  const paths = [...new Set([...desired.files.keys(), ...recorded.keys()])];
  const there = new Map(pass.files.map((file) => [file.path, file]));
  const [observed, originals] = await Promise.all([
    pass.read(paths.filter((path) => there.get(path)?.hash !== undefined)),
    readOriginals(pass, desired, recorded),
  ]);
  const files = paths.map(async (path): Promise<[string, OwnedFile]> => {
    const wanted = desired.files.get(path);
    const inSource = source.get(path);
    const hasCopy = selected.has(path) && inSource !== undefined && inSource.problem === undefined;
    const base = wanted?.content?.bytes ?? (hasCopy ? await pass.declaration.source.read(path) : undefined);
    const file = {
      path,
      desired: wanted,
      recorded: recorded.get(path),
      writtenHash: writtenInStep(pass.hostRecord?.files[path]),
      observed: observed.get(path),
      base,
      original: recorded.get(path)?.original === null ? null : originals.get(path),
    };
    return [path, { ...file, projected: editing(path, () => projectedOf(file)) }];
  });
  return new Map(await Promise.all(files));
}

/** A base that was recorded before the file was written had drifted by then, so that the bytes say nothing of it. */
function writtenInStep(
  file:
    { hash: ContentHash | null; generation: number; ownership?: RecordedOwnership | undefined } | undefined,
): ContentHash | null | undefined {
  const since = file?.ownership?.base?.generation;
  return file !== undefined && since !== undefined && since >= file.generation ? file.hash : undefined;
}

/** The bytes from before the first owner, of files from which an owner, or some of its keys, went away. */
async function readOriginals(
  pass: ServerView,
  desired: Pick<Desired, "files">,
  recorded: ReadonlyMap<string, RecordedOwnership>,
): Promise<ReadonlyMap<string, Buffer>> {
  const wanted = [...recorded].filter(
    ([path, { original, sections, content }]) =>
      typeof original === "string" &&
      (Object.values(sections).some(
        ({ keys }) => withoutClaimed(keys as OwnedKeys[], desired.files.get(path)).length > 0,
      ) ||
        (content !== undefined && desired.files.get(path)?.content?.owner !== content.owner)),
  );
  const ids = [...new Set(wanted.map(([, { original }]) => original ?? ""))];
  const kept = new Map(await Promise.all(ids.map(async (id) => [id, await pass.readKept(id)] as const)));
  return new Map(
    wanted.flatMap(([path, { original }]) => {
      const bytes = kept.get(original ?? "")?.get(path);
      return bytes === undefined ? [] : [[path, bytes] as const];
    }),
  );
}

/** Of some keys those that no resource declares. */
function withoutClaimed(keys: readonly OwnedKeys[], desired: DesiredFile | undefined): OwnedKeys[] {
  return without(keys, ownedKeys((desired?.sections ?? []).flatMap(({ sections }) => sections)));
}

/** What of `keys` is not among `claimed`. Of a whole section nothing can be taken but the whole. */
function without(keys: readonly OwnedKeys[], claimed: readonly OwnedKeys[]): OwnedKeys[] {
  const isFree = (section: string, of: OwnedKeys["keys"]): boolean =>
    overlappingKeys([{ section, keys: of }], claimed).every(
      (shared) => of === "all" && shared.keys !== "all",
    );
  return keys.flatMap(({ section, keys: of }): OwnedKeys[] => {
    if (of === "all") return isFree(section, of) ? [{ section, keys: of }] : [];
    const free = of.filter((key) => isFree(section, [key]));
    return free.length === 0 ? [] : [{ section, keys: free }];
  });
}

function isDeclared(desired: DesiredFile | undefined, owner: Owner): boolean {
  return desired?.sections.some((sections) => sections.owner === owner) === true;
}

/** The bytes without what is owned in them, these keys as the base has them. Null where nothing else is in a file of ours. */
function projectedOf({
  observed,
  desired,
  recorded,
  base,
  original,
}: Omit<OwnedFile, "projected">): Buffer | null {
  if (observed === undefined) return null;
  const wanted = (desired?.sections ?? []).flatMap(({ sections }) => sections);
  const keys = [
    ...ownedKeys(wanted),
    ...Object.values(recorded?.sections ?? {}).flatMap((owned) => owned.keys as OwnedKeys[]),
  ];
  const bytes = restoreOwned(observed, keys, base ?? original ?? undefined);
  return isBlank(bytes) && isOurs({ base, original }) ? null : bytes;
}

interface ComparePolicy extends Omit<DiffPolicy, "take"> {
  readonly take: Take | undefined;
  readonly released: ReadonlySet<Owner>;
  readonly triple: Triple | undefined;
  readonly observed: ObservedFile | undefined;
  readonly only: ReadonlySet<Owner> | undefined;
  readonly keepsOthers: boolean;
}

/** What happens to an owned file as a whole; `change` is undefined where it is no part of the plan. */
export function compareOwned(
  file: OwnedFile,
  fromTable: Change | undefined,
  policy: ComparePolicy,
): ComparedOwnedFile & { readonly change: Change | undefined } {
  const { path } = file;
  const { only } = policy;
  const contentOwner = file.desired?.content?.owner ?? file.recorded?.content?.owner;
  const declared = new Set([
    file.desired?.content?.owner,
    ...(file.desired?.sections ?? []).map(({ owner }) => owner),
  ]);
  const isHeld = (owner: Owner): boolean =>
    only === undefined ? policy.keepsOthers && !declared.has(owner) : !only.has(owner);
  const isBaseHeld = contentOwner === undefined ? only !== undefined : isHeld(contentOwner);
  const withdrawn = isBaseHeld ? undefined : withdrawnContent(file, policy);
  const base = isBaseHeld
    ? undefined
    : (withdrawn?.base ?? (file.desired?.content === undefined ? fromTable : ofContent(file, fromTable)));
  const compared = withdrawn?.file ?? file;
  if (policy.observed?.problem !== undefined)
    return { file, base, owned: [], change: { kind: "Unknown", path, side: "server" } };
  const owned = ownedChanges(compared, policy).map((change): OwnedChange =>
    isHeld(change.owner) ? { owner: change.owner, kind: "Held" } : change,
  );
  const isPending = owned.some(({ kind }) => kind === "Write" || kind === "Remove" || kind === "Conflict");
  const hasDirection =
    policy.pathPolicy(path).kind !== "DirectionNotSet" || takesDeclaration(policy.take, path);
  if (isPending && !hasDirection)
    return { file: compared, base, owned, change: { kind: "DirectionNotSet", path } };
  if (base === undefined && owned.every(({ kind }) => kind === "Held"))
    return { file: compared, base, owned, change: undefined };
  return { file: compared, base, owned, change: combine(path, base, owned, file.observed !== undefined) };
}

/** Nothing is written into a declaration, and what is recorded of it is what it says. */
function ofContent({ path, desired, recorded }: OwnedFile, change: Change | undefined): Change | undefined {
  const [declared, before] = [desired?.content, recorded?.content];
  const isRecorded = before?.owner === declared?.owner && before?.deletionPolicy === declared?.deletionPolicy;
  if (change?.kind === "InSync" && !isRecorded) return { kind: "Record", path };
  if (change === undefined || !("to" in change) || change.to === "server") return change;
  return { kind: "Conflict", path, why: "declared" };
}

/** What becomes of a file whose ConfFile is gone and that no source has: the bytes from before come back. */
function withdrawnContent(
  file: OwnedFile,
  { prune, released, take, triple }: ComparePolicy,
): { readonly base: Change; readonly file: OwnedFile } | undefined {
  const { path, desired, recorded, base, original, projected } = file;
  const content = recorded?.content;
  if (content === undefined || desired?.content !== undefined || base !== undefined) return undefined;
  const isDeleted = released.has(content.owner);
  if (!isDeleted && !prune) return { base: { kind: "Left", path, on: "server" }, file };
  if (content.deletionPolicy === "Retain" || original === undefined || projected === null)
    return { base: { kind: "Record", path }, file };
  const hasMoved = recorded?.base?.hash !== contentHash(projected) && triple?.server !== triple?.recorded;
  if (hasMoved && !isDeleted && !takesDeclaration(take, path))
    return { base: { kind: "Conflict", path, why: "moved-and-gone" }, file };
  if (original === null) return { base: { kind: "Remove", path, to: "server" }, file };
  return {
    base: original.equals(projected)
      ? { kind: "Record", path }
      : { kind: "Write", path, to: "server", cause: "change", creates: false },
    file: { ...file, base: original },
  };
}

function ownedChanges(file: OwnedFile, { drift, prune, released, take }: ComparePolicy): OwnedChange[] {
  const { path, desired, recorded, observed = Buffer.alloc(0) } = file;
  const isTaken = takesDeclaration(take, path);
  if (take?.scope === "all" && !isTaken) return [];
  const policy = { drift, prune, released, isTaken };
  const before = recorded?.sections ?? {};
  const declared = (desired?.sections ?? []).map((sections): OwnedChange => {
    const recordedOwner = before[sections.owner];
    const change = diffOwned(declaredTriple(sections, recordedOwner, file), policy);
    const isRecorded = recordedOwner?.deletionPolicy === sections.deletionPolicy;
    return change.kind === "InSync" && !isRecorded ? { ...change, kind: "Record" } : change;
  });
  const withdrawn = Object.entries(before)
    .filter(([owner]) => !isDeclared(desired, owner))
    .map(([owner, { keys, hash, deletionPolicy }]) => {
      const observedHash = hashOwned(readOwned(observed, keys as OwnedKeys[]));
      const isThere = has(observed, withoutClaimed(keys as OwnedKeys[], desired));
      const triple = { owner, desired: null, recorded: hash, deletionPolicy };
      return diffOwned({ ...triple, observed: isThere ? observedHash : null }, policy);
    });
  return [...declared, ...withdrawn];
}

/** One owner's keys three ways. Those that it declared once and does not any more have to be as they were before. */
function declaredTriple(
  { owner, sections, deletionPolicy }: DesiredSections,
  before: RecordedOwnership["sections"][string] | undefined,
  file: OwnedFile,
): OwnedTriple {
  const { observed = Buffer.alloc(0) } = file;
  const keys = ownedKeys(sections);
  const keysBefore = (before?.keys ?? []) as OwnedKeys[];
  const isAsBefore =
    before !== undefined &&
    hashOwned(readOwned(observed, keysBefore)) === before.hash &&
    !has(observed, without(keys, keysBefore));
  const isUnchanged =
    before?.hash === hashOwned(sections.map(({ variables }) => variables)) &&
    isDeepStrictEqual(keysBefore, keys);
  const isAsDeclared =
    sections.every((section) => isAsOwned(observed, section)) &&
    withoutDropped(observed, keysBefore, file).equals(observed);
  const recorded = before === undefined ? null : isUnchanged ? "declared" : "recorded";
  const seen = isAsDeclared
    ? "declared"
    : isAsBefore && !isUnchanged
      ? "recorded"
      : has(observed, [...keys, ...keysBefore])
        ? "other"
        : null;
  return { owner, desired: "declared", observed: seen, recorded, deletionPolicy };
}

/** Whether a file has a value for any of the keys. */
function has(bytes: Buffer, keys: readonly OwnedKeys[]): boolean {
  return readOwned(bytes, keys).some((variables) => variables !== null && variables.length > 0);
}

/** The file with those of the keys that no resource declares any more as they were before. */
function withoutDropped(
  bytes: Buffer,
  keys: readonly OwnedKeys[],
  { desired, base, original }: OwnedFile,
): Buffer {
  const dropped = withoutClaimed(keys, desired);
  return dropped.length === 0 ? bytes : restoreOwned(bytes, dropped, base ?? original ?? undefined);
}

/** The file as it is to be, for a change that writes it to the server. Throws `ConfInvalid` for what can't be written. */
export function desiredBytes({ file, base, owned }: ComparedOwnedFile): Buffer {
  const { path, desired, recorded } = file;
  const observed = file.observed ?? Buffer.alloc(0);
  const isBaseWritten = (base?.kind === "Write" || base?.kind === "Remove") && base.to === "server";
  const fromBase = base?.kind === "Write" ? file.base : undefined;
  const isUnowned = owned.every(({ kind }) => kind === "Remove" || kind === "Release");
  // Taking keys out one owner at a time may leave a blank line too many.
  if (isUnowned && file.base !== undefined && (base?.kind === "InSync" || base?.kind === "Record"))
    return file.base;
  let bytes: Buffer = isBaseWritten ? (fromBase ?? Buffer.alloc(0)) : observed;
  editing(path, () => {
    const keysOf = (owner: Owner): OwnedKeys[] => (recorded?.sections[owner]?.keys ?? []) as OwnedKeys[];
    for (const { owner, kind } of owned)
      if (!isBaseWritten && (kind === "Remove" || kind === "Write"))
        bytes = withoutDropped(bytes, keysOf(owner), file);
    for (const { owner, kind } of owned) {
      const declared = desired?.sections.find((sections) => sections.owner === owner);
      if (kind === "Left" || kind === "Drift" || kind === "Held") {
        const keys = declared === undefined ? withoutClaimed(keysOf(owner), desired) : keysOf(owner);
        if (isBaseWritten) bytes = writeOwned(bytes, sectionsOf(observed, keys));
      } else if (declared !== undefined) bytes = writeOwned(bytes, declared.sections);
    }
  });
  return isUnowned && isOurs(file) && isBlank(bytes) ? Buffer.alloc(0) : bytes;
}

/** A file that resources made, and nobody else has anything of. */
function isOurs({ base, original }: Pick<OwnedFile, "base" | "original">): boolean {
  return base === undefined && original === null;
}

function isBlank(bytes: Buffer): boolean {
  return bytes.toString("latin1").trim() === "";
}

/** What a file has of some keys, as sections. */
function sectionsOf(bytes: Buffer, keys: readonly OwnedKeys[]): OwnedSection[] {
  return readOwned(bytes, keys).flatMap((variables, at) => {
    const key = keys[at];
    if (variables === null || key === undefined) return [];
    return [{ name: key.section, variables, whole: key.keys === "all" }];
  });
}

/** An edit of a file that .conf syntax does not allow is told with its file and line. */
export function editing<T>(path: string, edit: () => T): T {
  try {
    return edit();
  } catch (error) {
    if (!(error instanceof ConfError)) throw error;
    throw new AsteriskIacError("ConfInvalid", `${path} can't be written: ${error.message}`, {
      where: { file: path, ...(error.line === undefined ? {} : { line: error.line }) },
      hint: error.hint,
    });
  }
}
