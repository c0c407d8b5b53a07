import type { OwnedFileRecord } from "../asterisk/transaction.ts";
import { readKept } from "../asterisk/kept.ts";
import { ConfError } from "../core/conf/errors.ts";
import { isAsOwned, ownedKeys, readOwned, restoreOwned, writeOwned } from "../core/conf/owned.ts";
import type { OwnedKeys, OwnedSection } from "../core/conf/owned.ts";
import type { Change, DiffPolicy, Take, Triple } from "../core/diff.ts";
import { AsteriskIacError } from "../core/errors.ts";
import type { ObservedFile } from "../core/observed.ts";
import type {
  DesiredFile,
  DesiredSections,
  OwnedChange,
  Owner,
  RecordedOwnership,
} from "../core/ownership.ts";
import { combine, diffOwned, hashOwned, takesDeclaration } from "../core/ownership.ts";
import { contentHash } from "../core/record.ts";
import type { ContentHash } from "../core/record.ts";
import type { SourceFile } from "../core/source.ts";
import type { Desired } from "./desired.ts";
import type { Pass } from "./pass.ts";

/** A file in which resources own something, or did. */
export interface OwnedFile {
  readonly path: string;
  readonly desired: DesiredFile | undefined;
  readonly recorded: RecordedOwnership | undefined;
  /** Of the bytes that we wrote there last. */
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
  pass: Pass,
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
      writtenHash: pass.hostRecord?.files[path]?.hash,
      observed: observed.get(path),
      base,
      original: recorded.get(path)?.original === null ? null : originals.get(path),
    };
    return [path, { ...file, projected: projectedOf(file) }];
  });
  return new Map(await Promise.all(files));
}

/** The bytes from before the first owner, of files from which an owner went away. */
async function readOriginals(
  pass: Pass,
  desired: Pick<Desired, "files">,
  recorded: ReadonlyMap<string, RecordedOwnership>,
): Promise<ReadonlyMap<string, Buffer>> {
  const wanted = [...recorded].filter(
    ([path, { original, sections, content }]) =>
      typeof original === "string" &&
      (Object.keys(sections).some((owner) => !isDeclared(desired.files.get(path), owner)) ||
        (content !== undefined && desired.files.get(path)?.content?.owner !== content.owner)),
  );
  const ids = [...new Set(wanted.map(([, { original }]) => original ?? ""))];
  const kept = new Map(
    await Promise.all(
      ids.map(async (id) => {
        const { contents } = await readKept(pass.session.host, { spoolDirectory: pass.spoolDirectory, id });
        return [id, contents] as const;
      }),
    ),
  );
  return new Map(
    wanted.flatMap(([path, { original }]) => {
      const bytes = kept.get(original ?? "")?.get(path);
      return bytes === undefined ? [] : [[path, bytes] as const];
    }),
  );
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
  return bytes.length === 0 && base === undefined && original === null ? null : bytes;
}

interface ComparePolicy extends Omit<DiffPolicy, "take"> {
  readonly take: Take | undefined;
  readonly released: ReadonlySet<Owner>;
  readonly triple: Triple | undefined;
  readonly observed: ObservedFile | undefined;
  readonly only: ReadonlySet<Owner> | undefined;
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
  const isBaseHeld = only !== undefined && (contentOwner === undefined || !only.has(contentOwner));
  const withdrawn = isBaseHeld ? undefined : withdrawnContent(file, policy);
  const base = isBaseHeld
    ? undefined
    : (withdrawn?.base ?? (file.desired?.content === undefined ? fromTable : neverToSource(fromTable)));
  const compared = withdrawn?.file ?? file;
  if (policy.observed?.problem !== undefined)
    return { file, base, owned: [], change: { kind: "Unknown", path, side: "server" } };
  const owned = ownedChanges(compared, policy).map((change): OwnedChange =>
    only === undefined || only.has(change.owner) ? change : { owner: change.owner, kind: "Held" },
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

/** Nothing is written into a declaration. */
function neverToSource(change: Change | undefined): Change | undefined {
  if (change === undefined || !("to" in change) || change.to === "server") return change;
  return { kind: "Conflict", path: change.path, why: "both-moved" };
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

function ownedChanges(
  { path, desired, recorded, observed = Buffer.alloc(0) }: OwnedFile,
  { drift, prune, released, take }: ComparePolicy,
): OwnedChange[] {
  const isTaken = takesDeclaration(take, path);
  if (take?.scope === "all" && !isTaken) return [];
  const policy = { drift, prune, released, isTaken };
  const before = recorded?.sections ?? {};
  const declared = (desired?.sections ?? []).map(({ owner, sections, deletionPolicy }) =>
    diffOwned(
      {
        owner,
        desired: hashOwned(sections.map(({ variables }) => variables)),
        observed: observedHash(observed, sections),
        recorded: before[owner]?.hash ?? null,
        deletionPolicy,
      },
      policy,
    ),
  );
  const withdrawn = Object.entries(before)
    .filter(([owner]) => !isDeclared(desired, owner))
    .map(([owner, { keys, hash, deletionPolicy }]) => {
      const values = readOwned(observed, keys as OwnedKeys[]);
      const isThere = values.some((variables) => variables !== null && variables.length > 0);
      const triple = { owner, desired: null, recorded: hash, deletionPolicy };
      return diffOwned({ ...triple, observed: isThere ? hashOwned(values) : null }, policy);
    });
  return [...declared, ...withdrawn];
}

function observedHash(observed: Buffer, sections: readonly OwnedSection[]): string | null {
  const values = readOwned(observed, ownedKeys(sections));
  if (values.every((variables) => variables === null || variables.length === 0)) return null;
  const hash = hashOwned(values);
  // The values may be right and the section still not what it seems, as with a template in its header.
  const seemsRight = hash === hashOwned(sections.map(({ variables }) => variables));
  return seemsRight && !sections.every((section) => isAsOwned(observed, section))
    ? `${hash} otherwise`
    : hash;
}

/** The file as it is to be, for a change that writes it to the server. Throws `ConfInvalid` for what can't be written. */
export function desiredBytes({ file, base, owned }: ComparedOwnedFile): Buffer {
  const { path, desired, recorded, original } = file;
  const observed = file.observed ?? Buffer.alloc(0);
  const isBaseWritten = (base?.kind === "Write" || base?.kind === "Remove") && base.to === "server";
  const fromBase = base?.kind === "Write" ? file.base : undefined;
  let bytes: Buffer = isBaseWritten ? (fromBase ?? Buffer.alloc(0)) : observed;
  try {
    for (const { owner, kind } of owned) {
      const declared = desired?.sections.find((sections) => sections.owner === owner);
      const keys = (recorded?.sections[owner]?.keys ?? []) as OwnedKeys[];
      if (kind === "Remove" && !isBaseWritten)
        bytes = restoreOwned(bytes, keys, file.base ?? original ?? undefined);
      else if (kind === "Left" || kind === "Drift" || kind === "Held") {
        if (isBaseWritten) bytes = writeOwned(bytes, sectionsOf(observed, keys));
      } else if (declared !== undefined) bytes = writeOwned(bytes, declared.sections);
    }
  } catch (error) {
    if (!(error instanceof ConfError)) throw error;
    throw new AsteriskIacError("ConfInvalid", `${path} can't be written: ${error.message}`, {
      where: { file: path, ...(error.line === undefined ? {} : { line: error.line }) },
      hint: error.hint,
    });
  }
  return bytes;
}

/** What a file has of some keys, as sections. */
function sectionsOf(bytes: Buffer, keys: readonly OwnedKeys[]): OwnedSection[] {
  return readOwned(bytes, keys).flatMap((variables, at) => {
    const key = keys[at];
    if (variables === null || key === undefined) return [];
    return [{ name: key.section, variables, whole: key.keys === "all" }];
  });
}

/** What the record says of a file once its change was carried out, at `generation`. */
export function ownershipAfter(
  { file, base, owned }: ComparedOwnedFile,
  generation: number,
  previous: { readonly hash: string | null; readonly generation: number } | undefined,
): OwnedFileRecord {
  const { desired, recorded } = file;
  const sections: RecordedOwnership["sections"] = {};
  for (const { owner, kind } of owned) {
    const declared = desired?.sections.find((one) => one.owner === owner);
    const before = recorded?.sections[owner];
    if (kind === "Remove" || kind === "Release") continue;
    if (kind === "Left" || kind === "Drift" || kind === "Held") {
      if (before !== undefined) sections[owner] = before;
    } else if (declared !== undefined) sections[owner] = recordedSections(declared);
  }
  const content = desired?.content ?? (base?.kind === "Left" ? recorded?.content : undefined);
  const nextBase = baseAfter(
    { file, base, owned },
    generation,
    recorded === undefined ? previous : recorded.base,
  );
  const hash = file.observed === undefined ? null : contentHash(file.observed);
  if (content === undefined && Object.keys(sections).length === 0)
    return { isOurs: nextBase !== undefined, hash };
  return {
    isOurs: true,
    hash,
    ownership: {
      sections,
      ...(nextBase === undefined ? {} : { base: nextBase }),
      ...(content === undefined
        ? {}
        : { content: { owner: content.owner, deletionPolicy: content.deletionPolicy } }),
      ...(recorded?.original === undefined ? {} : { original: recorded.original }),
    },
  };
}

/** The base as it is in step now; as it was recorded before, where it is not. */
function baseAfter(
  { file, base }: ComparedOwnedFile,
  generation: number,
  before: RecordedOwnership["base"],
): RecordedOwnership["base"] {
  const isReleased =
    file.recorded?.content !== undefined && file.desired?.content === undefined && base?.kind !== "Left";
  const hasOther =
    file.desired?.content !== undefined || (file.base !== undefined && file.base !== file.original);
  if (isReleased && !hasOther) return undefined;
  switch (base?.kind) {
    case "InSync":
    case "Record":
      return file.base === undefined ? before : { hash: contentHash(file.base), generation };
    case "Write":
    case "Remove":
      if (base.to === "source") return before;
      return {
        hash: base.kind === "Remove" || file.base === undefined ? null : contentHash(file.base),
        generation,
      };
    default:
      return before;
  }
}

/** What the record says of one owner's keys. */
export function recordedSections({
  sections,
  deletionPolicy,
}: DesiredSections): RecordedOwnership["sections"][string] {
  return {
    keys: ownedKeys(sections).map(({ section, keys }) => ({
      section,
      keys: keys === "all" ? keys : [...keys],
    })),
    hash: hashOwned(sections.map(({ variables }) => variables)),
    deletionPolicy,
  };
}
