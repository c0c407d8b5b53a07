import type { HostFile, HostRecord } from "../asterisk/host-record.ts";
import { AsteriskIacError } from "../core/errors.ts";
import type { ObservedFile } from "../core/observed.ts";
import { contentHash, RecordKey } from "../core/record.ts";
import type { ContentHash, ImportRecord, RecordedFile, RecordedHash } from "../core/record.ts";
import type { CollectedRecord } from "../core/recorded.ts";
import { parseCollectedRecord } from "../core/recorded.ts";
import { pathPolicy } from "../core/resource/index.ts";
import type { PathPolicy } from "../core/resource/index.ts";
import type { ServerRecord } from "../core/server-record.ts";
import { liveModules } from "../core/server-record.ts";
import type { SourceFile } from "../core/source.ts";
import { ownershipAfter } from "./ownership-record.ts";
import type { PlanView } from "./pass.ts";
import { appliedFiles } from "./pass.ts";
import { preparePlan } from "./plan.ts";
import type { PreparedPlan } from "./plan.ts";
import type { SecretStore } from "./secrets.ts";
import { selectPaths } from "./select.ts";
import type { ServerDeclaration } from "./session.ts";

/** What a repository tells of a server: its declaration and records, at one revision. */
export interface RecordedServer {
  readonly declaration: ServerDeclaration;
  readonly imported: ImportRecord;
  readonly server: ServerRecord | undefined;
  readonly secrets: SecretStore;
  readonly key: RecordKey;
  /** What a file held before the source let go of it, where that is known. */
  readonly removed: (path: string) => Promise<Buffer | undefined>;
}

/** Later than everything that a record may say: what a revision declares counts as applied. */
const appliedGeneration = Number.MAX_SAFE_INTEGER;
/** Under which the bytes from before the first owner are kept; one name does, since nothing else is kept. */
const keptAs = "offline";

/** Hashes contents as a record has them. Of what is known by its recorded hash alone, that stands for the content's. */
export class OfflineRecordKey extends RecordKey {
  override recorded(hash: ContentHash | RecordedHash): RecordedHash {
    return isRecorded(hash) ? hash : super.recorded(hash);
  }
}

function isRecorded(hash: string): boolean {
  return hash.startsWith("hmac-sha256:");
}

/** A server as a revision of its repository says that it is. */
export interface OfflineView {
  readonly view: PlanView;
  /** Paths on the server whose content was asked for and is not in the repository. */
  readonly unknown: Set<string>;
}

/**
 * The server as it is once all that a revision declares was applied to it: its files are the source's, with what resources
 * own in them; the record says so. Throws as `preparePlan` for resources that can't be applied.
 */
export async function appliedView(recorded: RecordedServer): Promise<OfflineView> {
  const { source, spec, accounts, files: confFiles } = recorded.declaration;
  const collected = parseCollectedRecord(
    await source.readRecord("collected"),
    source.recordFile("collected"),
  );
  const inSource = await source.list();
  const configDirectory =
    spec.configDirectory ?? recorded.server?.configDirectory ?? recorded.imported.identity.configDirectory;
  const selected = await selectedOf(recorded.declaration, inSource, configDirectory);
  const policyOf = pathPolicy(spec);
  const files = new Map<string, ObservedFile>();
  const contents = new Map<string, Buffer>();
  for (const [path, file] of Object.entries(recorded.imported.files)) {
    const there = observedFile(path, file, { inSource, collected, policy: policyOf(path) });
    if (there === undefined) continue;
    // The source let go of it, and the server did not.
    const bytes = isLeft(path, file, inSource) ? await recorded.removed(path) : undefined;
    if (bytes !== undefined) contents.set(path, bytes);
    files.set(path, bytes === undefined ? there : { ...there, hash: contentHash(bytes), size: bytes.length });
  }
  for (const path of selected) {
    const file = inSource.get(path);
    if (files.has(path) || file?.problem !== undefined || file === undefined) continue;
    if (policyOf(path).kind !== "Unmanaged")
      files.set(path, { ...newFile(path), hash: file.hash, size: file.size });
  }
  for (const { path, hash } of files.values())
    if (hash !== undefined && !isRecorded(hash) && !contents.has(path))
      contents.set(path, await source.read(path));
  const bare = viewOf(recorded, {
    files,
    contents,
    configDirectory,
    record: recordOf(files),
    kept: new Map(),
  });
  if (accounts.length + confFiles.length === 0) return bare;
  const all = { side: "source", scope: "conflicts", matches: () => true } as const;
  const prepared = await preparePlan(bare.view, { take: all });
  return withResources(recorded, { files, contents, configDirectory }, prepared);
}

/** The paths of the source that belong to the declaration: it may hold others, a README for one. */
async function selectedOf(
  { source, spec }: ServerDeclaration,
  inSource: ReadonlyMap<string, SourceFile>,
  configDirectory: string,
): Promise<ReadonlySet<string>> {
  const paths = new Map(
    [...inSource].map(([path, file]) => [path, file.problem === undefined ? file.hash : null]),
  );
  const read = async (wanted: readonly string[]): Promise<ReadonlyMap<string, Buffer>> =>
    new Map(await Promise.all(wanted.map(async (path) => [path, await source.read(path)] as const)));
  return (await selectPaths({ paths, read }, spec.files, configDirectory)).selected;
}

/** What the server has of a path that the import found; undefined: it is gone from there. */
function observedFile(
  path: string,
  imported: RecordedFile,
  sides: {
    readonly inSource: ReadonlyMap<string, SourceFile>;
    readonly collected: CollectedRecord;
    readonly policy: PathPolicy;
  },
): ObservedFile | undefined {
  const { outcome, hash, reason, mode = "", owner = "", size = 0, linkTarget, generatedBy } = imported;
  const seen: ObservedFile = {
    path,
    kind: linkTarget === undefined ? "file" : "link",
    size,
    mode,
    owner,
    ...(hash === undefined ? {} : { hash }),
    ...(linkTarget === undefined ? {} : { linkTarget }),
    ...(generatedBy === undefined ? {} : { generatedBy }),
  };
  if (outcome === "Skipped") return { ...seen, problem: reason ?? "it could not be read" };
  if (outcome === "Outside" || sides.policy.kind === "Unmanaged") return seen;
  const file = sides.inSource.get(path);
  if (file !== undefined && file.problem === undefined) return { ...seen, hash: file.hash, size: file.size };
  const isCollected = sides.policy.kind === "Managed" && sides.policy.direction === "FromAsterisk";
  // What was there before us stays there, whatever the source says.
  return isCollected || sides.collected.files[path]?.hash === null ? undefined : seen;
}

/** Whether a file that was taken from the server is in the source no more. */
function isLeft(path: string, { outcome }: RecordedFile, inSource: ReadonlyMap<string, SourceFile>): boolean {
  return (outcome === "Stored" || outcome === "Equal" || outcome === "Kept") && !inSource.has(path);
}

/** A file that came after the import. Nothing depends on its mode. */
function newFile(path: string): Omit<ObservedFile, "hash" | "size"> {
  return { path, kind: "file", mode: "", owner: "" };
}

interface State {
  readonly files: ReadonlyMap<string, ObservedFile>;
  readonly contents: ReadonlyMap<string, Buffer>;
  readonly configDirectory: string;
}

/** All that is known by its content was written last. */
function recordOf(files: ReadonlyMap<string, ObservedFile>): Record<string, HostFile> {
  return Object.fromEntries(
    [...files.values()].flatMap(({ path, hash }) =>
      hash === undefined || isRecorded(hash) ? [] : [[path, { hash, generation: appliedGeneration }]],
    ),
  );
}

/** The state after what resources own is written, too. */
function withResources(
  recorded: RecordedServer,
  { files: before, contents: contentsBefore, configDirectory }: State,
  { plan, comparison: { owned }, contents: prepared }: PreparedPlan,
): OfflineView {
  const files = new Map(before);
  const contents = new Map(contentsBefore);
  const kept = new Map<string, Buffer>();
  const ownership = new Map<string, NonNullable<HostFile["ownership"]>>();
  for (const { change, blocked } of plan.changes) {
    const { path } = change;
    const compared = owned.get(path);
    if (compared === undefined || blocked !== undefined) continue;
    const isWritten = change.kind === "Write" && change.to === "server";
    if (!isWritten && change.kind !== "Record") continue;
    const bytes = isWritten ? prepared.toServer.get(path) : undefined;
    const original = contentsBefore.get(path);
    if (bytes !== undefined) {
      if (original !== undefined) kept.set(path, original);
      contents.set(path, bytes);
      const there = files.get(path) ?? newFile(path);
      files.set(path, { ...there, hash: contentHash(bytes), size: bytes.length });
    }
    const after = ownershipAfter(compared, appliedGeneration, undefined).ownership;
    if (after === undefined) continue;
    const first = bytes === undefined ? {} : { original: original === undefined ? null : keptAs };
    ownership.set(path, { ...after, ...first });
  }
  const record = Object.fromEntries(
    Object.entries(recordOf(files)).map(([path, file]) => {
      const owners = ownership.get(path);
      return [path, owners === undefined ? file : { ...file, ownership: owners }];
    }),
  );
  return viewOf(recorded, { files, contents, configDirectory, record, kept });
}

function viewOf(
  { declaration, imported, server, secrets, key }: RecordedServer,
  state: State & {
    readonly record: HostRecord["files"];
    readonly kept: ReadonlyMap<string, Buffer>;
  },
): OfflineView {
  const { contents, configDirectory, record: files } = state;
  const unknown = new Set<string>();
  const directories = Object.entries(server?.directories ?? {});
  const view: PlanView = {
    declaration,
    secrets,
    asteriskVersion: server?.asteriskVersion ?? imported.asteriskVersion,
    configDirectory,
    files: [
      ...directories.flatMap(([path]) =>
        path === "" ? [] : [{ ...newFile(path), kind: "directory", size: 0 } as const],
      ),
      ...state.files.values(),
    ],
    identity: imported.identity,
    hostRecord: { files },
    applied: appliedFiles({ files }),
    key,
    record: imported,
    read: (paths) => {
      const known = paths.flatMap((path) => {
        const bytes = contents.get(path);
        if (bytes === undefined) unknown.add(path);
        return bytes === undefined ? [] : [[path, bytes] as const];
      });
      return Promise.resolve(new Map(known));
    },
    readKept: () => Promise.resolve(state.kept),
    writableDirectories: (wanted) => {
      const isWritable = new Map(directories);
      // Without a record all of them count: a directory that can't be written is the exception.
      return Promise.resolve(new Set(["", ...wanted].filter((path) => isWritable.get(path) !== false)));
    },
    modules: () => Promise.resolve(server === undefined ? undefined : liveModules(server)),
  };
  return { view, unknown };
}

/** Throws `ImportNotDone` for a server of which a revision knows nothing. */
export function notImported(server: string, where: string): AsteriskIacError {
  return new AsteriskIacError(
    "ImportNotDone",
    `${where} has no import of ${server}: nothing is known of it`,
    {
      hint: `Import it first, and commit what that writes: asteriskctl import ${server}`,
    },
  );
}
