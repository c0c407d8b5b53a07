import { importedMessage } from "../core/commit-message.ts";
import { encodingOf } from "../core/conf/index.ts";
import { restoreOwned } from "../core/conf/owned.ts";
import { AsteriskIacError } from "../core/errors.ts";
import type { ImportStep } from "../core/import.ts";
import { planImport } from "../core/import.ts";
import type { ImportRecord, RecordedFile } from "../core/record.ts";
import { contentHash, formatImportRecord } from "../core/record.ts";
import { formatCollectedRecord } from "../core/recorded.ts";
import { pathPolicy } from "../core/resource/index.ts";
import type { Revision, Source, SourceFile } from "../core/source.ts";
import { keysOfResources } from "./desired.ts";
import { editing } from "./ownership.ts";
import type { Pass } from "./pass.ts";
import { assertIdentity } from "./pass.ts";
import { selectPaths } from "./select.ts";
import { recordServer } from "./server-record.ts";

export { countOutcomes } from "../core/import.ts";

/** Where the server's bytes lie that the source already had in another form. */
const keptByImport = "import";

/** Called as the import goes on; `done` of `total` paths have their outcome on disk. */
export type ImportProgress = (done: number, total: number) => void;

/** What an import did. `alreadyDone`: an earlier one had finished, and nothing was read or written. */
export interface ImportResult {
  readonly alreadyDone: boolean;
  readonly resumed: boolean;
  readonly record: ImportRecord;
  /** Where the files are. */
  readonly source: string;
  /** The commit that has them, of a source with a history. */
  readonly revision?: Revision;
}

/**
 * The initial import: every file of the server goes into the source, and what the source has already is kept.
 * An entry of the record is on disk before its file is, so an import that was killed goes on where it was.
 */
export async function importServer(
  pass: Pass,
  options: { again?: boolean; onProgress?: ImportProgress } = {},
): Promise<ImportResult> {
  const { source } = pass.declaration;
  const before = pass.record;
  if (before !== undefined && options.again !== true) assertIdentity(pass, before);
  if (before?.state === "Done" && options.again !== true) {
    return { alreadyDone: true, resumed: false, record: before, source: source.name };
  }
  if (options.again !== true) refuseLostHistory(pass);
  const done = await source.exclusively(
    () => importInto(pass, options),
    (result) => ({ message: importedMessage(result.record) }),
  );
  return { ...done, ...(source.revision === undefined ? {} : { revision: source.revision }) };
}

/**
 * Throws `ImportNotDone` where what was imported waits in a pull request: until somebody merges it the source has none of
 * it, and all of the server would look as if it were gone from there.
 */
export function assertMerged({ record: { server }, revision }: ImportResult): void {
  const review = revision?.pullRequest;
  if (review === undefined) return;
  const { outcome, number, url } = review;
  const [what, hint] =
    outcome === "Rejected"
      ? ["was closed unmerged", "Open it again and merge it"]
      : ["waits to be merged", "Merge it"];
  throw new AsteriskIacError(
    "ImportNotDone",
    `the initial import of ${server} is in pull request ${number}, which ${what}`,
    { hint: `${hint}: ${url}. Nothing is compared or written before.` },
  );
}

/**
 * What was applied came from a commit, and now the branch is not there: it was deleted or renamed. Importing would begin it
 * anew, without its history.
 */
function refuseLostHistory({ declaration: { source, name }, hostRecord }: Pass): void {
  const applied = hostRecord?.revision;
  if (applied === undefined || source.descendsFrom === undefined || source.revision !== undefined) return;
  throw new AsteriskIacError(
    "SourceUnavailable",
    `${source.name} has no commit, and commit ${applied.slice(0, 12)} of it was applied to the server`,
    {
      hint: `Push the branch again, or mend source.git. To begin anew with what the server has: asteriskctl import --again ${name}`,
    },
  );
}

async function importInto(
  pass: Pass,
  options: { readonly again?: boolean; readonly onProgress?: ImportProgress },
): Promise<ImportResult> {
  const { source } = pass.declaration;
  const before = pass.record;
  const resumed = before?.state === "Importing" && options.again !== true;
  const inSource = await source.list();
  const projected = await withoutOwnedKeys(pass, inSource);
  const observed = pass.files.flatMap((file) => {
    const bytes = projected.get(file.path);
    if (bytes === undefined) return [file];
    return bytes === null ? [] : [{ ...file, hash: contentHash(bytes), size: bytes.length }];
  });
  const paths = new Map(pass.files.map((file) => [file.path, file.hash ?? null]));
  const { selected, contents } = await selectPaths(
    { paths, read: pass.read },
    pass.declaration.spec.files,
    pass.configDirectory,
  );
  const steps = planImport({
    observed,
    selected: (path) => selected.has(path),
    pathPolicy: pathPolicy(pass.declaration.spec),
    source: inSource,
    promised: resumed ? before.files : {},
    recorded: (hash) => pass.key.recorded(hash),
  });
  if (!steps.some((step) => selected.has(step.path))) {
    throw new AsteriskIacError("ListingEmpty", `no file in ${pass.realPath} matches \`files\``, {
      hint: "Check configDirectory and files. Nothing was written.",
    });
  }
  const missing = steps
    .filter((step) => needsContent(step) && !contents.has(step.path))
    .map((step) => step.path);
  for (const [path, bytes] of await pass.read(missing)) contents.set(path, bytes);
  for (const [path, bytes] of projected) if (bytes !== null) contents.set(path, bytes);

  const files = Object.fromEntries(
    steps.map((step) => [step.path, describe(step, contents.get(step.path), pass)]),
  );
  const promise: ImportRecord = {
    version: 1,
    server: pass.declaration.name,
    state: "Importing",
    startedAt: resumed ? before.startedAt : new Date().toISOString(),
    asteriskVersion: pass.asteriskVersion,
    generation: pass.generation,
    identity: pass.identity,
    keyCheck: pass.key.check,
    files,
  };
  if (options.again === true)
    await source.writeRecord("collected", formatCollectedRecord({ version: 1, files: {} }));
  await source.writeRecord("import", formatImportRecord(promise));
  await storeAll(source, steps, contents, options.onProgress);
  await recordServer(pass);
  const record: ImportRecord = { ...promise, state: "Done", doneAt: new Date().toISOString() };
  await source.writeRecord("import", formatImportRecord(record));
  return { alreadyDone: false, resumed, record, source: source.name };
}

/**
 * The files in which resources own keys, without these: no account's secret goes into a source. Null where nothing else is
 * in a file that we made.
 */
async function withoutOwnedKeys(
  pass: Pass,
  inSource: ReadonlyMap<string, SourceFile>,
): Promise<ReadonlyMap<string, Buffer | null>> {
  const there = new Set(pass.files.filter(({ hash }) => hash !== undefined).map(({ path }) => path));
  const owned = [...(await keysOfResources(pass))].filter(
    ([path, keys]) => keys.length > 0 && there.has(path),
  );
  const observed = await pass.read(owned.map(([path]) => path));
  const projected = owned.map(async ([path, keys]): Promise<[string, Buffer | null]> => {
    const copy = inSource.get(path);
    const base =
      copy?.problem === undefined && copy !== undefined
        ? await pass.declaration.source.read(path)
        : undefined;
    const bytes = editing(path, () => restoreOwned(observed.get(path) ?? Buffer.alloc(0), keys, base));
    const isOurs = pass.hostRecord?.files[path]?.ownership?.original === null && base === undefined;
    return [path, bytes.length === 0 && isOurs ? null : bytes];
  });
  return new Map(await Promise.all(projected));
}

function needsContent(step: ImportStep): boolean {
  return step.outcome === "Stored" || step.outcome === "Equal" || step.outcome === "Kept";
}

async function storeAll(
  source: Source,
  steps: readonly ImportStep[],
  contents: ReadonlyMap<string, Buffer>,
  onProgress: ImportProgress | undefined,
): Promise<void> {
  let done = 0;
  for (const step of steps) {
    const bytes = contents.get(step.path);
    if (bytes !== undefined) await store(source, step, bytes);
    onProgress?.(++done, steps.length);
  }
}

async function store(source: Source, step: ImportStep, bytes: Buffer): Promise<void> {
  if (step.outcome === "Kept") await source.keep(step.path, bytes, keptByImport);
  if (step.outcome !== "Stored") return;
  if (await source.write(step.path, bytes, step.replaces ?? null, keptByImport)) return;
  if (contentHash(await source.read(step.path)) === contentHash(bytes)) return;
  throw new AsteriskIacError(
    "SourceUnavailable",
    `${step.path} appeared in ${source.name} while the import ran`,
    {
      next: "Retry",
      hint: "It was left as it is. Run the import again: it goes on where it stopped.",
    },
  );
}

function describe(step: ImportStep, bytes: Buffer | undefined, pass: Pass): RecordedFile {
  const { file } = step;
  return {
    outcome: step.outcome,
    ...(file.hash === undefined ? {} : { hash: pass.key.recorded(file.hash) }),
    size: file.size,
    mode: file.mode,
    owner: file.owner,
    ...(bytes === undefined ? {} : { encoding: encodingOf(bytes) }),
    ...(file.linkTarget === undefined ? {} : { linkTarget: file.linkTarget }),
    ...(file.generatedBy === undefined ? {} : { generatedBy: file.generatedBy }),
    ...(step.reason === undefined ? {} : { reason: step.reason }),
  };
}
