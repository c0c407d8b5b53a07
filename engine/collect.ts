import { collectedMessage } from "../core/commit-message.ts";
import type { Change } from "../core/diff.ts";
import { AsteriskIacError } from "../core/errors.ts";
import type { PlannedChange } from "../core/plan.ts";
import { collectedReview } from "../core/markdown/collected.ts";
import type { CollectedRecord } from "../core/recorded.ts";
import { formatCollectedRecord } from "../core/recorded.ts";
import type { Revision } from "../core/source.ts";
import { keptAs as keptInHistory } from "../git/history.ts";
import type { Comparison } from "./comparison.ts";
import type { Pass } from "./pass.ts";
import type { PreparedPlan } from "./plan.ts";
import { recordServer } from "./server-record.ts";

/** What was written to a source. */
export interface Collected {
  readonly written: readonly string[];
  readonly removed: readonly string[];
  /** Paths of which only the record changed: both sides were equal. */
  readonly recorded: readonly string[];
  /** Under which name the old bytes are kept, for `backups restore`. */
  readonly keptAs: string;
  /** The commit, of a source with a history. */
  readonly revision?: Revision;
}

/**
 * Writes the server's bytes to the source, each file whole or not at all, the old bytes kept first. It needs no intent
 * for a kill in between: a file that was written but not recorded is equal on both sides, which the next run records.
 */
export async function collect(pass: Pass, { plan, comparison, contents }: PreparedPlan): Promise<Collected> {
  const { source } = pass.declaration;
  const keptAs = `${new Date().toISOString().replaceAll(":", "")}-${plan.hash.slice(0, 12)}`;
  const { writes, removals, records } = forSource({ plan, comparison });
  const done: Collected = { written: writes, removed: removals, recorded: records, keptAs };
  if (writes.length + removals.length + records.length === 0) {
    const revision = plan.changes.some(isUndecided) ? undefined : await source.withdraw?.();
    return revision === undefined ? done : { ...done, revision };
  }

  const hashInSource = (path: string): string | null => {
    const file = comparison.source.get(path);
    return file?.problem === undefined ? (file?.hash ?? null) : null;
  };
  const write = async (): Promise<Collected> => {
    for (const path of writes) {
      const bytes = contents.toSource.get(path);
      if (bytes === undefined || !(await source.write(path, bytes, hashInSource(path), keptAs)))
        throw changedMeanwhile(path, source.name);
    }
    for (const path of removals) {
      if (!(await source.remove(path, hashInSource(path) ?? "", keptAs)))
        throw changedMeanwhile(path, source.name);
    }
    const files = { ...comparison.collected.files };
    for (const path of [...writes, ...removals, ...records]) {
      const hash = comparison.triples.get(path)?.server ?? null;
      files[path] = { hash: hash === "unknown" ? null : hash, generation: pass.generation };
    }
    await recordServer(pass);
    const record: CollectedRecord = { version: 1, files };
    await source.writeRecord("collected", formatCollectedRecord(record));
    return done;
  };
  await source.exclusively(write, () => ({
    message: collectedMessage(plan, done),
    review: collectedReview(plan, done),
  }));
  const { revision } = source;
  return revision === undefined ? done : { ...done, keptAs: keptInHistory(revision.commit), revision };
}

/** Whether the plan has something to write to the source, were it only to its record. */
export function hasToCollect(prepared: Pick<PreparedPlan, "plan" | "comparison">): boolean {
  return Object.values(forSource(prepared)).some((paths) => paths.length > 0);
}

/** The paths that are to be written to the source, removed from it, or only recorded beside it. */
function forSource({ plan, comparison }: Pick<PreparedPlan, "plan" | "comparison">): {
  readonly writes: readonly string[];
  readonly removals: readonly string[];
  readonly records: readonly string[];
} {
  const changes = plan.changes.filter(({ blocked }) => blocked === undefined).map(({ change }) => change);
  const of = (isMeant: (change: Change) => boolean): string[] =>
    changes.filter(isMeant).map(({ path }) => path);
  return {
    writes: of((change) => change.kind === "Write" && change.to === "source"),
    removals: of((change) => change.kind === "Remove" && change.to === "source"),
    records: of(({ kind, path }) => kind === "Record" && isOfSource(comparison, path)),
  };
}

/** Whether the two sides will differ as before: nobody chose one, or the one that was chosen can't be written. */
function isUndecided({ change, blocked }: PlannedChange): boolean {
  if (change.kind === "Conflict") return true;
  return blocked !== undefined && change.kind === "Write" && change.cause === "taken";
}

/** Whether what is equal on both sides is the source's own copy, not what a resource declares. */
function isOfSource({ owned }: Comparison, path: string): boolean {
  const compared = owned.get(path);
  if (compared === undefined) return true;
  return compared.base?.kind === "Record" && compared.file.desired?.content === undefined;
}

function changedMeanwhile(path: string, source: string): AsteriskIacError {
  return new AsteriskIacError(
    "ChangedMeanwhile",
    `${path} was changed in ${source} while the plan was carried out`,
    {
      next: "Retry",
      hint: "That file was left as it is. Run the command again: it makes a new plan.",
    },
  );
}
