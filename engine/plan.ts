import { structuredPatch } from "diff";
import { decode, isBinary } from "../core/conf/index.ts";
import { maskLine } from "../core/conf/secrets.ts";
import type { Change, Take } from "../core/diff.ts";
import { leftAlone } from "../core/guard.ts";
import type { DifferenceHunk, DifferenceLine, Plan, PlannedChange } from "../core/plan.ts";
import { makePlan } from "../core/plan.ts";
import type { Comparison } from "./comparison.ts";
import { compare } from "./comparison.ts";
import { lintErrors } from "./lint.ts";
import type { Pass } from "./pass.ts";

/** Differences of larger files are not shown line by line. Bytes. */
const largestDifference = 1024 * 1024;

/** A plan with all that is needed to carry it out. */
export interface PreparedPlan {
  readonly plan: Plan;
  readonly comparison: Comparison;
  /** The bytes of every path that differs, on the side that has it. */
  readonly contents: Contents;
  /** What Asterisk would refuse, by path. */
  readonly errors: ReadonlyMap<string, string>;
}

export interface Contents {
  readonly source: ReadonlyMap<string, Buffer>;
  readonly server: ReadonlyMap<string, Buffer>;
}

/** What would change on one server, without changing anything. See `compare` for what it throws. */
export async function planServer(pass: Pass, options: { take?: Take } = {}): Promise<Plan> {
  return (await preparePlan(pass, options)).plan;
}

/** The same, with the bytes. */
export async function preparePlan(pass: Pass, { take }: { take?: Take } = {}): Promise<PreparedPlan> {
  const { declaration } = pass;
  const comparison = await compare(pass, take);
  const { changes, triples, observed, record, source } = comparison;
  const contents = await readDiffering(pass, comparison);
  const errors = changes.some((change) => change.kind === "Write" && change.to === "server")
    ? await lintErrors(pass, source)
    : new Map<string, string>();
  const planned = changes.map((change): PlannedChange => {
    const { path } = change;
    const triple = triples.get(path);
    const error = change.kind === "Write" && change.to === "server" ? errors.get(path) : undefined;
    const blocked = leftAlone(change, {
      observed: observed.get(path),
      includedBy: undefined,
      wasThereBefore: path in record.files,
    });
    const difference = differenceOf(change, contents);
    return {
      change,
      sourceHash: known(triple?.source),
      serverHash: known(triple?.server),
      ...(blocked === undefined ? {} : { blocked }),
      ...(error === undefined ? {} : { error }),
      ...(difference === undefined ? {} : { difference }),
    };
  });
  return {
    plan: makePlan(declaration.name, declaration.spec.updateDirection, planned),
    comparison,
    contents,
    errors,
  };
}

function known(hash: string | null | undefined): string | null {
  return hash === undefined || hash === "unknown" ? null : hash;
}

const differingKinds = new Set<Change["kind"]>(["Write", "Drift", "Conflict", "DirectionNotSet", "Remove"]);

async function readDiffering(pass: Pass, { changes, source, observed }: Comparison): Promise<Contents> {
  const paths = changes.filter(({ kind }) => differingKinds.has(kind)).map(({ path }) => path);
  const onServer = paths.filter((path) => observed.get(path)?.hash !== undefined);
  const inSource = paths.filter((path) => source.has(path) && source.get(path)?.problem === undefined);
  const [server, own] = await Promise.all([
    pass.read(onServer),
    Promise.all(inSource.map(async (path) => [path, await pass.declaration.source.read(path)] as const)),
  ]);
  return { server, source: new Map(own) };
}

/** From what the written side has to what it would get; for a conflict, from the server's to the source's. */
function differenceOf(change: Change, contents: Contents): DifferenceHunk[] | undefined {
  if (!differingKinds.has(change.kind)) return undefined;
  const toSource = "to" in change && change.to === "source";
  const [before, after] = toSource ? [contents.source, contents.server] : [contents.server, contents.source];
  const [old, now] = [before.get(change.path) ?? Buffer.alloc(0), after.get(change.path) ?? Buffer.alloc(0)];
  if ([old, now].some((bytes) => bytes.length > largestDifference || isBinary(bytes))) return undefined;
  const patch = structuredPatch("", "", decode(old), decode(now), "", "", { context: 2, timeout: 2000 });
  return patch?.hunks.map((hunk) => ({
    oldStart: hunk.oldStart,
    newStart: hunk.newStart,
    lines: hunk.lines.map((line) => differenceLine(change.path, line)),
  }));
}

const kinds = { "+": "added", "-": "removed" } as const;

function differenceLine(path: string, line: string): DifferenceLine {
  const text = maskLine(path, line.slice(1)).replace(/\*{3,}/g, "********");
  return { kind: kinds[line[0] as "+" | "-"] ?? "same", text };
}
