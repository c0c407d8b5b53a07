import { structuredPatch } from "diff";
import { decode, isBinary } from "../core/conf/index.ts";
import { maskLine } from "../core/conf/secrets.ts";
import type { Change, Triple } from "../core/diff.ts";
import { diff } from "../core/diff.ts";
import { AsteriskIacError } from "../core/errors.ts";
import { blockedBy } from "../core/guard.ts";
import { recordedAfterImport } from "../core/import.ts";
import type { DifferenceHunk, DifferenceLine, Plan, PlannedChange } from "../core/plan.ts";
import { makePlan } from "../core/plan.ts";
import { pathPolicy } from "../core/resource/index.ts";
import type { SourceFile } from "../core/source.ts";
import { lintErrors } from "./lint.ts";
import type { Pass } from "./pass.ts";
import { assertIdentity } from "./pass.ts";
import { selectForPlan } from "./select.ts";

/** Differences of larger files are not shown line by line. Bytes. */
const largestDifference = 1024 * 1024;

/**
 * What would change on one server, without changing anything. Throws `ImportNotDone` before the initial import and
 * `IdentityChanged` on another machine than it was made on.
 */
export async function planServer(pass: Pass): Promise<Plan> {
  const { declaration, record, key } = pass;
  if (record?.state !== "Done") {
    throw new AsteriskIacError(
      "ImportNotDone",
      record === undefined ? "the initial import was not made yet" : "the initial import was interrupted",
      {
        hint: `Run: asteriskctl import ${declaration.name}`,
      },
    );
  }
  assertIdentity(pass, record);
  const source = await declaration.source.list();
  const selected = await selectForPlan(pass, source, record);
  const observed = new Map(pass.files.map((file) => [file.path, file]));
  const unlisted = pass.files
    .filter(({ kind, problem }) => kind === "directory" && problem !== undefined)
    .map(({ path }) => `${path}/`);
  // What the import could not take and the source does not have either is in the record, with the reason.
  const passedOver = (path: string): boolean =>
    record.files[path]?.outcome === "Skipped" &&
    observed.get(path)?.problem !== undefined &&
    !source.has(path);
  const triples = [...selected]
    .filter((path) => !passedOver(path))
    .map((path): Triple => {
      const file = observed.get(path);
      return {
        path,
        source: hashOf(source.get(path), key.recorded.bind(key)),
        server: unlisted.some((directory) => path.startsWith(directory))
          ? "unknown"
          : hashOf(file, key.recorded.bind(key)),
        recorded: recordedAfterImport(record.files[path]),
      };
    });
  const changes = diff(triples, {
    pathPolicy: pathPolicy(declaration.spec),
    prune: declaration.spec.prune,
    drift: declaration.spec.drift,
  });
  const differing = changes.filter(showsDifference).map((change) => change.path);
  const contents = await readBoth(
    pass,
    source,
    differing.filter((path) => observed.get(path)?.hash !== undefined),
    differing,
  );
  const errors = changes.some((change) => change.kind === "Write" && change.to === "server")
    ? await lintErrors(pass, source)
    : new Map<string, string>();
  const byPath = new Map(triples.map((triple) => [triple.path, triple]));
  const planned = changes.map((change): PlannedChange => {
    const triple = byPath.get(change.path);
    const blocked = blockedBy(change, observed.get(change.path), errors.get(change.path));
    const difference = differenceOf(change, contents);
    return {
      change,
      sourceHash: known(triple?.source),
      serverHash: known(triple?.server),
      ...(blocked === undefined ? {} : { blocked }),
      ...(difference === undefined ? {} : { difference }),
    };
  });
  return makePlan(declaration.name, declaration.spec.updateDirection, planned);
}

function hashOf(
  file: { hash?: string; problem?: string } | SourceFile | undefined,
  recorded: (hash: string) => string,
): string | null | "unknown" {
  if (file === undefined) return null;
  return file.problem !== undefined || file.hash === undefined ? "unknown" : recorded(file.hash);
}

function known(hash: string | null | undefined): string | null {
  return hash === undefined || hash === "unknown" ? null : hash;
}

function showsDifference(change: Change): boolean {
  return (
    change.kind === "Write" ||
    change.kind === "Drift" ||
    change.kind === "Conflict" ||
    change.kind === "DirectionNotSet" ||
    change.kind === "Remove"
  );
}

interface Contents {
  readonly source: ReadonlyMap<string, Buffer>;
  readonly server: ReadonlyMap<string, Buffer>;
}

async function readBoth(
  pass: Pass,
  source: ReadonlyMap<string, SourceFile>,
  onServer: readonly string[],
  all: readonly string[],
): Promise<Contents> {
  const inSource = all.filter((path) => source.get(path)?.problem === undefined && source.has(path));
  const [server, own] = await Promise.all([
    pass.read(onServer),
    Promise.all(inSource.map(async (path) => [path, await pass.declaration.source.read(path)] as const)),
  ]);
  return { server, source: new Map(own) };
}

/** From what the written side has to what it would get; for a conflict, from the server's to the source's. */
function differenceOf(change: Change, contents: Contents): DifferenceHunk[] | undefined {
  if (!showsDifference(change)) return undefined;
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
  const text = maskLine(path, line.slice(1)).replace(/\*+/g, (stars) =>
    stars.length > 2 ? "********" : stars,
  );
  return { kind: kinds[line[0] as "+" | "-"] ?? "same", text };
}
