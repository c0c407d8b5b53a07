import type { Change, Take, Triple } from "../core/diff.ts";
import { diff } from "../core/diff.ts";
import { AsteriskIacError } from "../core/errors.ts";
import type { ObservedFile } from "../core/observed.ts";
import type { ImportRecord } from "../core/record.ts";
import type { CollectedRecord, Records } from "../core/recorded.ts";
import { parseCollectedRecord, recordedOf } from "../core/recorded.ts";
import { pathPolicy } from "../core/resource/index.ts";
import type { SourceFile } from "../core/source.ts";
import type { Pass } from "./pass.ts";
import { assertIdentity } from "./pass.ts";
import { selectForPlan } from "./select.ts";

/** Source, server and record side by side, and what the table makes of it. */
export interface Comparison {
  readonly record: ImportRecord;
  readonly collected: CollectedRecord;
  readonly source: ReadonlyMap<string, SourceFile>;
  readonly observed: ReadonlyMap<string, ObservedFile>;
  readonly triples: ReadonlyMap<string, Triple>;
  readonly changes: readonly Change[];
}

/**
 * Compares one server three ways. Throws `ImportNotDone` before the initial import and `IdentityChanged` on another
 * machine than it was made on.
 */
export async function compare(pass: Pass, take?: Take): Promise<Comparison> {
  const { declaration, record, key } = pass;
  const { spec, source: target } = declaration;
  if (record?.state !== "Done") {
    throw new AsteriskIacError(
      "ImportNotDone",
      record === undefined ? "the initial import was not made yet" : "the initial import was interrupted",
      { hint: `Run: asteriskctl import ${declaration.name}` },
    );
  }
  assertIdentity(pass, record);
  const [source, collectedText] = await Promise.all([target.list(), target.readRecord("collected")]);
  const collected = parseCollectedRecord(collectedText, target.recordFile("collected"));
  const records: Records = {
    imported: record,
    collected,
    applied: pass.applied,
    recorded: (hash) => key.recorded(hash),
  };
  const selected = await selectForPlan(pass, source, records);
  const observed = new Map(pass.files.map((file) => [file.path, file]));
  const triples = new Map(
    [...selected]
      .filter((path) => !wasPassedOver(path, record, observed, source))
      .map((path) => [path, tripleOf(path, { pass, records, source, observed })]),
  );
  const changes = diff([...triples.values()], {
    pathPolicy: pathPolicy(spec),
    prune: spec.prune,
    drift: spec.drift,
    ...(take === undefined ? {} : { take }),
  });
  return { record, collected, source, observed, triples, changes };
}

interface TripleParts {
  readonly pass: Pass;
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
