import { structuredPatch } from "diff";
import { decode, isBinary } from "../core/conf/index.ts";
import type { SecretRule } from "../core/conf/secrets.ts";
import { hideSecrets } from "../core/conf/secrets.ts";
import type { Change, Side } from "../core/diff.ts";
import { hideDeclaredSecrets } from "../core/difference/hide.ts";
import type { PathFacts } from "../core/guard.ts";
import { leftAlone } from "../core/guard.ts";
import type { DifferenceHunk, DifferenceLine, Plan, PlannedChange } from "../core/plan.ts";
import { makePlan } from "../core/plan.ts";
import type { LiveModules, ReloadPlan } from "../core/reloads.ts";
import { planReloads } from "../core/reloads.ts";
import type { SourceFile } from "../core/source.ts";
import type { OwnedChange } from "../core/ownership.ts";
import { contentHash } from "../core/record.ts";
import { redact } from "../core/redact.ts";
import { fileSelector } from "../core/resource/index.ts";
import { declaredRules, rulesToShowWith } from "../core/resource/secret-keys.ts";
import type { CompareOptions, Comparison } from "./comparison.ts";
import { compare } from "./comparison.ts";
import { desiredBytes } from "./ownership.ts";
import type { ConsequenceOptions, Consequences } from "./consequences.ts";
import { afterChanges, consequencesOf, viewChanges } from "./consequences.ts";
import type { PlanView } from "./pass.ts";

/** Differences of larger files are not shown line by line. Bytes. */
const largestDifference = 1024 * 1024;

/** A plan with all that is needed to carry it out. */
export interface PreparedPlan {
  readonly plan: Plan;
  readonly comparison: Comparison;
  /** The bytes of every path that differs, on the side that has it. */
  readonly contents: Contents;
  /** What it means on the side that is written; undefined where nothing is. */
  readonly consequences: Partial<Record<Side, Consequences>>;
}

export interface Contents {
  readonly source: ReadonlyMap<string, Buffer>;
  readonly server: ReadonlyMap<string, Buffer>;
  /** What is to be written to either side: the other's bytes, and where resources own keys, with or without these. */
  readonly toServer: ReadonlyMap<string, Buffer>;
  readonly toSource: ReadonlyMap<string, Buffer>;
}

/** What would change on one server, without changing anything. See `compare` for what it throws. */
export async function planServer(pass: PlanView, options: CompareOptions = {}): Promise<Plan> {
  return (await preparePlan(pass, options)).plan;
}

/** The same, with the bytes. */
export async function preparePlan(pass: PlanView, options: CompareOptions = {}): Promise<PreparedPlan> {
  const { declaration } = pass;
  const comparison = await compare(pass, options);
  const { triples, observed, record, owned, secrets } = comparison;
  const facts = (path: string, includedBy?: string): PathFacts => ({
    observed: observed.get(path),
    includedBy,
    wasThereBefore: path in record.files,
  });
  const isFree = (change: Change): boolean => leftAlone(change, facts(change.path)) === undefined;
  const seeBoth = async () => {
    const contents = await readDiffering(pass, comparison);
    const see = (changes: readonly Change[]): Promise<PreparedPlan["consequences"]> =>
      consequencesOfAll(pass, comparison, contents, changes.filter(isFree));
    const changes = removeEmptied(comparison, contents);
    const consequences = await see(changes);
    const isNeeded = ({ kind, path }: Change): boolean =>
      kind === "Remove" && owned.has(path) && consequences.server?.includerOf(path) !== undefined;
    if (!changes.some(isNeeded)) return { contents, changes, consequences };
    // What others include stays, without what was ours in it.
    const kept = changes.map((change) => (isNeeded(change) ? emptied(change.path) : change));
    return { contents, changes: kept, consequences: await see(kept) };
  };
  const [{ contents, changes, consequences }, live] = await Promise.all([
    seeBoth(),
    writes(comparison.changes.filter(isFree), "server") ? pass.modules() : undefined,
  ]);
  const rules = rulesToShowWith(declaration.spec.source?.git?.secretKeys);
  const planned = changes.map((change): PlannedChange => {
    const { path } = change;
    const triple = triples.get(path);
    const onServer = consequences.server;
    const error = change.kind === "Write" && change.to === "server" ? onServer?.errors.get(path) : undefined;
    const blocked = leftAlone(change, facts(path, onServer?.includerOf(path)));
    const difference = differenceOf(change, contents, rules);
    const owners = owned.get(path)?.owned ?? [];
    const content = owned.get(path)?.file.desired?.content;
    return {
      change,
      sourceHash: known(triple?.source),
      serverHash: known(triple?.server),
      ...(owners.length === 0 ? {} : { owners: ownersOf(owners, pass, contents.toServer.get(path)) }),
      ...(content === undefined || !comparison.source.has(path) ? {} : { hides: content.owner }),
      ...(blocked === undefined ? {} : { blocked }),
      ...(error === undefined ? {} : { error }),
      ...(difference === undefined ? {} : { difference }),
    };
  });
  const plan = makePlan({
    server: declaration.name,
    updateDirection: declaration.spec.updateDirection,
    changes: planned,
    effects: hideDeclaredSecrets(
      [...(consequences.server?.differences ?? []), ...(consequences.source?.differences ?? [])],
      rules,
    ),
    reloads: live === undefined ? undefined : reloadsOf(planned, live, consequences.server),
  });
  return { plan: redact(plan, secrets), comparison, contents, consequences };
}

/** A file of ours in which nothing is left goes away. */
function removeEmptied({ changes, owned }: Comparison, { toServer }: Contents): readonly Change[] {
  return changes.map((change) => {
    const file = owned.get(change.path)?.file;
    const isLast =
      file?.original === null && file.base === undefined && toServer.get(change.path)?.length === 0;
    return change.kind === "Write" && change.to === "server" && isLast
      ? { kind: "Remove", path: change.path, to: "server" }
      : change;
  });
}

function emptied(path: string): Change {
  return { kind: "Write", path, to: "server", cause: "owned", creates: false };
}

function ownersOf(
  owned: readonly OwnedChange[],
  { key }: PlanView,
  toServer: Buffer | undefined,
): NonNullable<PlannedChange["owners"]> {
  const result = toServer === undefined ? null : key.recorded(contentHash(toServer));
  return owned.map(({ owner, kind, cause }) => ({
    owner,
    kind,
    ...(cause === undefined ? {} : { cause }),
    result,
  }));
}

function writes(changes: readonly Change[], side: Side): boolean {
  return changes.some(
    (change) => (change.kind === "Write" || change.kind === "Remove") && change.to === side,
  );
}

function reloadsOf(
  planned: readonly PlannedChange[],
  live: LiveModules,
  consequences: Consequences | undefined,
): ReloadPlan {
  const changed = planned
    .filter(({ change, blocked }) => blocked === undefined && writes([change], "server"))
    .map(({ change }) => change.path);
  return planReloads({
    changed,
    roots: (path) => consequences?.rootsOf(path) ?? [],
    live,
    views: viewChanges(consequences),
  });
}

/** How the server's Asterisk reads its files, and what the declaration allows. */
export function consequenceOptions({
  declaration: { spec },
  asteriskVersion,
  configDirectory,
}: PlanView): ConsequenceOptions {
  const { allowExec, maxChange } = spec;
  const declaredSecrets = declaredRules(spec.source?.git?.secretKeys);
  return { asteriskVersion, configDirectory, allowExec, maxChange, declaredSecrets };
}

async function consequencesOfAll(
  pass: PlanView,
  comparison: Comparison,
  contents: Contents,
  changes: readonly Change[],
): Promise<Partial<Record<Side, Consequences>>> {
  const options = consequenceOptions(pass);
  const found: Partial<Record<Side, Consequences>> = {};
  if (writes(changes, "server")) {
    const before = await allOnServer(pass, comparison, contents.server);
    found.server = consequencesOf(afterChanges("server", before, contents.toServer, changes), options);
  }
  if (writes(changes, "source")) {
    const before = await allInSource(pass, comparison, contents);
    found.source = consequencesOf(afterChanges("source", before, contents.toSource, changes), options);
  }
  return found;
}

/**
 * Every file of the server that belongs to the declaration, and where the source does not hold them, those that may include
 * one. What the source has with the same bytes is read there.
 */
export async function allOnServer(
  pass: PlanView,
  comparison: Comparison,
  known: ReadonlyMap<string, Buffer>,
): Promise<ReadonlyMap<string, Buffer>> {
  const { triples, observed, source } = comparison;
  const { spec, source: target } = pass.declaration;
  const matches = fileSelector(spec.files);
  const beside = [...observed.keys()].filter((path) => !target.holds(path) && matches(path));
  const all = new Map(known);
  const elsewhere: string[] = [];
  await Promise.all(
    [...new Set([...triples.keys(), ...comparison.owned.keys(), ...beside])].map(async (path) => {
      const file = observed.get(path);
      if (file?.hash === undefined || all.has(path)) return;
      if (sourceHash(source, path) === file.hash) all.set(path, await pass.declaration.source.read(path));
      else elsewhere.push(path);
    }),
  );
  for (const [path, bytes] of await pass.read(elsewhere)) all.set(path, bytes);
  return all;
}

async function allInSource(
  pass: PlanView,
  { triples, source }: Comparison,
  contents: Contents,
): Promise<ReadonlyMap<string, Buffer>> {
  const paths = [...triples.keys()].filter((path) => sourceHash(source, path) !== undefined);
  const files = paths.map(
    async (path) => [path, contents.source.get(path) ?? (await pass.declaration.source.read(path))] as const,
  );
  return new Map(await Promise.all(files));
}

function sourceHash(source: ReadonlyMap<string, SourceFile>, path: string): string | undefined {
  const file = source.get(path);
  return file?.problem === undefined ? file?.hash : undefined;
}

function known(hash: string | null | undefined): string | null {
  return hash === undefined || hash === "unknown" ? null : hash;
}

const differingKinds = new Set<Change["kind"]>(["Write", "Drift", "Conflict", "DirectionNotSet", "Remove"]);

async function readDiffering(
  pass: PlanView,
  { changes, source, observed, owned }: Comparison,
): Promise<Contents> {
  const paths = changes.filter(({ kind }) => differingKinds.has(kind)).map(({ path }) => path);
  const onServer = paths.filter((path) => observed.get(path)?.hash !== undefined);
  const inSource = paths.filter((path) => source.has(path) && source.get(path)?.problem === undefined);
  const [server, own] = await Promise.all([
    pass.read(onServer),
    Promise.all(inSource.map(async (path) => [path, await pass.declaration.source.read(path)] as const)),
  ]);
  const toServer = new Map(own);
  const toSource = new Map(server);
  for (const change of changes) {
    const compared = owned.get(change.path);
    if (compared === undefined) continue;
    const { observed: present, projected } = compared.file;
    if (present !== undefined) toSource.set(change.path, projected ?? Buffer.alloc(0));
    if (differingKinds.has(change.kind) && !("to" in change && change.to === "source"))
      toServer.set(change.path, desiredBytes(compared));
  }
  return { server, source: new Map(own), toServer, toSource };
}

/** From what the written side has to what it would get; for a conflict, from the server's to the source's. */
function differenceOf(
  change: Change,
  contents: Contents,
  rules: readonly SecretRule[],
): DifferenceHunk[] | undefined {
  if (!differingKinds.has(change.kind)) return undefined;
  const toSource = "to" in change && change.to === "source";
  const [before, after] = toSource
    ? [contents.source, contents.toSource]
    : [contents.server, change.kind === "Remove" ? new Map<string, Buffer>() : contents.toServer];
  const [old, now] = [before.get(change.path) ?? Buffer.alloc(0), after.get(change.path) ?? Buffer.alloc(0)];
  if ([old, now].some((bytes) => bytes.length > largestDifference || isBinary(bytes))) return undefined;
  const patch = structuredPatch("", "", decode(old), decode(now), "", "", { context: 2, timeout: 2000 });
  return patch?.hunks.map((hunk) => ({
    oldStart: hunk.oldStart,
    newStart: hunk.newStart,
    lines: hunk.lines.map((line) => differenceLine(change.path, line, rules)),
  }));
}

const kinds = { "+": "added", "-": "removed" } as const;

function differenceLine(path: string, line: string, rules: readonly SecretRule[]): DifferenceLine {
  return { kind: kinds[line[0] as "+" | "-"] ?? "same", text: hideSecrets(path, line.slice(1), rules) };
}
