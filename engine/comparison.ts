import type { Change, Take, Triple } from "../core/diff.ts";
import { diff } from "../core/diff.ts";
import type { Owner } from "../core/ownership.ts";
import { AsteriskIacError } from "../core/errors.ts";
import type { ObservedFile } from "../core/observed.ts";
import type { ImportRecord } from "../core/record.ts";
import { comparePaths, contentHash } from "../core/record.ts";
import type { CollectedRecord, Records } from "../core/recorded.ts";
import { parseCollectedRecord, recordedOf } from "../core/recorded.ts";
import { pathPolicy } from "../core/resource/index.ts";
import type { SourceFile } from "../core/source.ts";
import type { ServerView } from "./pass.ts";
import { assertIdentity } from "./pass.ts";
import type { WantedAccount } from "./account-files.ts";
import { desiredOf } from "./desired.ts";
import type { ComparedOwnedFile, OwnedFile } from "./ownership.ts";
import { compareOwned, ownedFiles } from "./ownership.ts";
import { selectForPlan } from "./select.ts";

/** Source, server and record side by side, and what the table makes of it. */
export interface Comparison {
  readonly record: ImportRecord;
  readonly collected: CollectedRecord;
  readonly source: ReadonlyMap<string, SourceFile>;
  readonly observed: ReadonlyMap<string, ObservedFile>;
  readonly triples: ReadonlyMap<string, Triple>;
  readonly changes: readonly Change[];
  /** The files in which resources own something, or did. */
  readonly owned: ReadonlyMap<string, ComparedOwnedFile>;
  /** Every secret that resources bring; none may be shown. */
  readonly secrets: ReadonlySet<string>;
  readonly accounts: ReadonlyMap<Owner, WantedAccount>;
}

export interface CompareOptions {
  readonly take?: Take;
  /** Owners that were deleted: what they own goes without `prune`. */
  readonly released?: ReadonlySet<Owner>;
  /** Only what these own is compared; everything else stays as it is. */
  readonly only?: ReadonlySet<Owner>;
  /** What is owned by resources that are not declared here is declared elsewhere: it stays as it is. */
  readonly keepsOthers?: boolean;
}

/**
 * Compares one server three ways. Throws `ImportNotDone` before the initial import, `IdentityChanged` on another machine
 * than it was made on, and what `desiredOf` throws.
 */
export async function compare(pass: ServerView, options: CompareOptions = {}): Promise<Comparison> {
  const { declaration, record, key } = pass;
  const { spec, source: target } = declaration;
  const { take } = options;
  if (record?.state !== "Done") {
    throw new AsteriskIacError(
      "ImportNotDone",
      record === undefined ? "the initial import was not made yet" : "the initial import was interrupted",
      { hint: `Run: asteriskctl import ${declaration.name}` },
    );
  }
  assertIdentity(pass, record);
  const [source, collectedText, desired] = await Promise.all([
    target.list(),
    target.readRecord("collected"),
    desiredOf(pass),
  ]);
  const collected = parseCollectedRecord(collectedText, target.recordFile("collected"));
  const records: Records = {
    imported: record,
    collected,
    applied: pass.applied,
    recorded: (hash) => key.recorded(hash),
  };
  const selected = await selectForPlan(pass, source, records);
  const observed = new Map(pass.files.map((file) => [file.path, file]));
  const inSource = [...selected].filter(
    (path) => target.holds(path) && !wasPassedOver(path, record, observed, source),
  );
  const owned = await ownedFiles(pass, desired, { source, selected: new Set(inSource) });
  const triples = new Map(
    inSource.map((path) => [path, tripleOf(path, { pass, records, source, observed })]),
  );
  for (const [path, file] of owned) {
    const triple = ownedTriple(file, triples.get(path), { records, observed });
    if (triple === undefined) triples.delete(path);
    else triples.set(path, triple);
  }
  const policy = { pathPolicy: pathPolicy(spec), prune: spec.prune, drift: spec.drift };
  const fromTable = diff([...triples.values()], { ...policy, ...(take === undefined ? {} : { take }) });
  const bases = new Map(fromTable.map((change) => [change.path, change]));
  const compared = new Map<string, ComparedOwnedFile>();
  const changes = options.only === undefined ? fromTable.filter(({ path }) => !owned.has(path)) : [];
  for (const [path, file] of owned) {
    const { change, ...rest } = compareOwned(file, bases.get(path), {
      ...{ ...policy, take, released: options.released ?? new Set(), triple: triples.get(path) },
      only: options.only,
      keepsOthers: options.keepsOthers === true,
      observed: observed.get(path),
    });
    compared.set(path, rest);
    if (change !== undefined) changes.push(change);
  }
  changes.sort((a, b) => comparePaths(a.path, b.path));
  const { accounts } = desired;
  const secrets = new Set([...desired.secrets, ...((await target.secretsFilledIn?.()) ?? [])]);
  return { record, collected, source, observed, triples, changes, owned: compared, secrets, accounts };
}

/** Base and record of an owned file; the server's side is what is left without the owned keys. */
function ownedTriple(
  file: OwnedFile,
  plain: Triple | undefined,
  { records, observed }: { records: Records; observed: ReadonlyMap<string, ObservedFile> },
): Triple | undefined {
  const { path, base, recorded, projected, desired } = file;
  if (plain === undefined && base === undefined) return undefined;
  if (plain?.source === "unknown" && desired?.content === undefined) return plain;
  const seen = observed.get(path);
  const server =
    plain?.server === "unknown" || seen?.problem !== undefined
      ? "unknown"
      : isUntouched(file, seen) && recorded?.base !== undefined
        ? recorded.base.hash
        : projected === null
          ? null
          : contentHash(projected);
  return {
    path,
    source: base === undefined ? null : records.recorded(contentHash(base)),
    server: server === null || server === "unknown" ? server : records.recorded(server),
    recorded: plain?.recorded ?? recordedOf(path, records),
  };
}

/** Whether the server's file has the very bytes that were written there last. */
function isUntouched({ writtenHash }: OwnedFile, seen: ObservedFile | undefined): boolean {
  return seen?.hash !== undefined && seen.hash === writtenHash;
}

interface TripleParts {
  readonly pass: ServerView;
  readonly records: Records;
  readonly source: ReadonlyMap<string, SourceFile>;
  readonly observed: ReadonlyMap<string, ObservedFile>;
}

function tripleOf(path: string, { pass, records, source, observed }: TripleParts): Triple {
  const hashOf = (
    file: { hash?: string; problem?: string } | SourceFile | undefined,
  ): string | null | "unknown" => {
    if (file === undefined) return null;
    return file.problem !== undefined || file.hash === undefined ? "unknown" : records.recorded(file.hash);
  };
  return {
    path,
    source: hashOf(source.get(path)),
    server: liesInUnlisted(path, pass.files) ? "unknown" : hashOf(observed.get(path)),
    recorded: recordedOf(path, records),
  };
}

/** Whether a directory above the path could not be listed: then nothing is known of it, least of all that it is gone. */
function liesInUnlisted(path: string, files: readonly ObservedFile[]): boolean {
  return files.some(
    (file) => file.kind === "directory" && file.problem !== undefined && path.startsWith(`${file.path}/`),
  );
}

/** What the import could not take and the source does not have either is in the record, with the reason. */
function wasPassedOver(
  path: string,
  record: ImportRecord,
  observed: ReadonlyMap<string, ObservedFile>,
  source: ReadonlyMap<string, SourceFile>,
): boolean {
  return (
    record.files[path]?.outcome === "Skipped" &&
    observed.get(path)?.problem !== undefined &&
    !source.has(path)
  );
}
