import { AsteriskIacError } from "../core/errors.ts";
import type { CollectedRecord } from "../core/recorded.ts";
import { formatCollectedRecord } from "../core/recorded.ts";
import type { Comparison } from "./comparison.ts";
import type { Pass } from "./pass.ts";
import type { PreparedPlan } from "./plan.ts";

/** What was written to a source. */
export interface Collected {
  readonly written: readonly string[];
  readonly removed: readonly string[];
  /** Paths of which only the record changed: both sides were equal. */
  readonly recorded: readonly string[];
  /** Under which name the old bytes lie beside the record. */
  readonly keptAs: string;
}

/**
 * Writes the server's bytes to the source, each file whole or not at all, the old bytes kept first. It needs no intent
 * for a kill in between: a file that was written but not recorded is equal on both sides, which the next run records.
 */
export async function collect(pass: Pass, { plan, comparison, contents }: PreparedPlan): Promise<Collected> {
  const { source } = pass.declaration;
  const keptAs = `${new Date().toISOString().replaceAll(":", "")}-${plan.hash.slice(0, 12)}`;
  const changes = plan.changes.filter(({ blocked }) => blocked === undefined).map(({ change }) => change);
  const writes = changes
    .filter((change) => change.kind === "Write" && change.to === "source")
    .map(({ path }) => path);
  const removals = changes
    .filter((change) => change.kind === "Remove" && change.to === "source")
    .map(({ path }) => path);
  const records = changes
    .filter(({ kind, path }) => kind === "Record" && isOfSource(comparison, path))
    .map(({ path }) => path);
  const done: Collected = { written: writes, removed: removals, recorded: records, keptAs };
  if (writes.length + removals.length + records.length === 0) return done;

  const hashInSource = (path: string): string | null => {
    const file = comparison.source.get(path);
    return file?.problem === undefined ? (file?.hash ?? null) : null;
  };
  return source.exclusively(async () => {
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
    const record: CollectedRecord = { version: 1, files };
    await source.writeRecord("collected", formatCollectedRecord(record));
    return done;
  });
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
