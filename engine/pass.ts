import type { Listing } from "../asterisk/files.ts";
import type { Host } from "../asterisk/host.ts";
import type { HostRecord, HostState } from "../asterisk/host-record.ts";
import { readHostState } from "../asterisk/host-record.ts";
import { readKept } from "../asterisk/kept.ts";
import { recover } from "../asterisk/transaction.ts";
import { writableDirectories } from "../asterisk/writable.ts";
import { observeFiles, readFiles } from "../asterisk/files.ts";
import type { DistributionName } from "../asterisk/distribution.ts";
import { askActiveCalls } from "../asterisk/active-calls.ts";
import { askInstallation, askStatus } from "../asterisk/live.ts";
import type { Installation } from "../asterisk/live.ts";
import { askModules } from "../asterisk/modules.ts";
import { AsteriskIacError } from "../core/errors.ts";
import type { ObservedFile } from "../core/observed.ts";
import type { Identity, ImportRecord } from "../core/record.ts";
import { RecordKey, parseImportRecord } from "../core/record.ts";
import type { LiveModules } from "../core/reloads.ts";
import type { AppliedFile } from "../core/recorded.ts";
import type { SecretStore } from "./secrets.ts";
import type { ServerDeclaration, ServerSession } from "./session.ts";
import { openHost, withSession } from "./session.ts";
import { randomBytes } from "node:crypto";

/** What a comparison is made from: one look at a server, live or as a repository has it (see offline.ts). */
export interface ServerView {
  readonly declaration: ServerDeclaration;
  readonly secrets: SecretStore;
  readonly asteriskVersion: string;
  /** The configuration directory as declared or as Asterisk says. */
  readonly configDirectory: string;
  readonly files: readonly ObservedFile[];
  readonly identity: Identity;
  /** Of the server's own record, kept on the server: what was written last. */
  readonly applied: Readonly<Record<string, AppliedFile>>;
  readonly hostRecord: Pick<HostRecord, "files"> | undefined;
  readonly key: RecordKey;
  /** The import record, if there is one; checked against the key, not against the identity. */
  readonly record: ImportRecord | undefined;
  /** Contents as they were when the pass looked; a file that changed since is an error. */
  readonly read: (paths: readonly string[]) => Promise<ReadonlyMap<string, Buffer>>;
  /** What the apply of this id overwrote, by path. */
  readonly readKept: (id: string) => Promise<ReadonlyMap<string, Buffer>>;
  /** Of some directories those in which files can be made; the empty path is the configuration directory itself. */
  readonly writableDirectories: (directories: readonly string[]) => Promise<ReadonlySet<string>>;
}

/** What a plan is made from: a comparison, and what Asterisk has loaded and read; undefined: nobody knows. */
export interface PlanView extends ServerView {
  readonly modules: () => Promise<LiveModules | undefined>;
}

/** One look at the machine of a server, over SSH alone: what is there now, what is recorded, and a way to read more. */
export interface HostPass extends ServerView {
  readonly host: Host;
  readonly installation: Installation;
  /** The configuration directory with every link resolved. */
  readonly realPath: string;
  /** Which distribution writes there too; undefined for a plain Asterisk. */
  readonly distribution: DistributionName | undefined;
  /** How often the server's own record was written. */
  readonly generation: number;
  readonly hostRecord: HostRecord | undefined;
  /** Who we are to that record: every command line that has this record key. */
  readonly manager: string;
  /** Asterisk's `astspooldir`, where the server's own record is kept. */
  readonly spoolDirectory: string;
}

/** One look at a server, over SSH and AMI. */
export interface Pass extends HostPass {
  readonly session: ServerSession;
  readonly activeChannels: number;
  /** Calls that are up, however many channels each has. */
  readonly activeCalls: number;
  /** What live Asterisk has loaded and read; asked when it is needed. */
  readonly modules: () => Promise<LiveModules>;
  /** Round trips so far, logins not counted; requests that were sent together count once. */
  readonly roundTrips: () => number;
}

/** The secret that holds the record key, and its key there. */
export const recordKeySecret = { name: "asterisk-iac", key: "record-key" };

/** The machines that a run has seen, by the server that was declared for them. */
export class SeenServers {
  readonly #names = new Map<string, string>();

  /** Throws `DuplicateServer` when another server of this run is the same machine and configuration directory. */
  claim(name: string, machineId: string, realPath: string): void {
    const identity = `${machineId} ${realPath}`;
    const other = this.#names.get(identity) ?? name;
    if (other !== name) {
      throw new AsteriskIacError(
        "DuplicateServer",
        `${name} and ${other} are one machine with one configuration directory`,
        {
          hint: "Declare it once: two sources for one server would overwrite each other.",
        },
      );
    }
    this.#names.set(identity, name);
  }

  /** A server that is no longer declared, or is so under another name. */
  release(name: string): void {
    for (const [identity, other] of this.#names) if (other === name) this.#names.delete(identity);
  }
}

export interface PassOptions {
  /** What the servers of one run share, so that no machine is worked on under two names. */
  readonly seen: SeenServers;
  /** A record key is made where there is none: only an import may, since records made before would be lost. */
  readonly importing?: boolean;
  /** The pass may write: an apply that was interrupted is finished or undone first. */
  readonly writing?: boolean;
  /** Who applies, as the server's record names it; default `asteriskctl`. */
  readonly front?: string;
  /** A new record takes the place of the old one, so the old one's key does not matter. */
  readonly again?: boolean;
}

/** Connects, looks once, runs `work` with what was seen, and closes the connections. */
export async function withPass<T>(
  declaration: ServerDeclaration,
  secrets: SecretStore,
  options: PassOptions,
  work: (pass: Pass) => Promise<T>,
): Promise<T> {
  // A record that can't be used is told before anything is sent anywhere.
  const records = await readRecords(declaration, secrets, options);
  return withSession(declaration, secrets, async (session) =>
    work(await look(session, secrets, records, options)),
  );
}

/** Looks once over a session that is open. */
export async function passOver(
  session: ServerSession,
  secrets: SecretStore,
  options: PassOptions,
): Promise<Pass> {
  return look(session, secrets, await readRecords(session.declaration, secrets, options), options);
}

interface ImportRecords {
  readonly key: RecordKey;
  readonly record: ImportRecord | undefined;
}

async function readRecords(
  declaration: ServerDeclaration,
  secrets: SecretStore,
  options: PassOptions,
): Promise<ImportRecords> {
  const { source } = declaration;
  await source.refresh?.();
  const text = await source.readRecord("import");
  const record = text === undefined ? undefined : parseImportRecord(text, source.recordFile("import"));
  return { record, key: await recordKey(declaration, secrets, record, options) };
}

async function look(
  session: ServerSession,
  secrets: SecretStore,
  records: ImportRecords,
  options: PassOptions,
): Promise<Pass> {
  const { declaration, host, ami } = session;
  const status = Promise.all([askStatus(ami), askActiveCalls(ami)]);
  // Awaited below; a failure of the listing must not leave it unhandled.
  status.catch(() => undefined);
  const seen = await lookOverHost({ declaration, host, secrets }, records, options);
  const [{ asteriskVersion, activeChannels }, activeCalls] = await status;
  return {
    ...seen,
    session,
    asteriskVersion,
    activeChannels,
    activeCalls,
    modules: () => askModules(host, seen.configDirectory),
    roundTrips: () => host.roundTrips + ami.roundTrips,
  };
}

/** Opens the way to the machine alone, looks once, runs `work` with what was seen, and closes it. */
export async function withHostPass<T>(
  declaration: ServerDeclaration,
  secrets: SecretStore,
  options: PassOptions,
  work: (pass: HostPass) => Promise<T>,
): Promise<T> {
  const records = await readRecords(declaration, secrets, options);
  const host = await openHost(declaration, secrets);
  try {
    return await work(await lookOverHost({ declaration, host, secrets }, records, options));
  } finally {
    await host.close();
  }
}

async function lookOverHost(
  { declaration, host, secrets }: Pick<HostPass, "declaration" | "host" | "secrets">,
  { key, record }: ImportRecords,
  options: PassOptions,
): Promise<HostPass> {
  const installation = await askInstallation(host);
  const { spoolDirectory, asteriskVersion } = installation;
  const configDirectory = declaration.spec.configDirectory ?? installation.configDirectory;
  const { listing, state } = await lookAtHost(host, { configDirectory, spoolDirectory }, options);
  const machine = machineIdOf(listing.machineId);
  options.seen.claim(declaration.name, machine, listing.realPath);
  const files = listing.files.map((file) => {
    const generator = listing.distribution.generatedBy(file.path);
    return generator === undefined ? file : { ...file, generatedBy: `${generator.by}: ${generator.why}` };
  });
  return {
    declaration,
    secrets,
    host,
    installation,
    asteriskVersion,
    configDirectory,
    realPath: listing.realPath,
    files,
    distribution: listing.distribution.name,
    identity: key.identity(machine, listing.realPath),
    generation: state.record?.generation ?? 0,
    applied: appliedFiles(state.record),
    hostRecord: state.record,
    manager: `${options.front ?? "asteriskctl"} ${key.check.slice(-12)}`,
    spoolDirectory,
    key,
    record,
    read: async (paths) => (paths.length === 0 ? new Map<string, Buffer>() : readFiles(host, listing, paths)),
    readKept: async (id) => (await readKept(host, { spoolDirectory, id })).contents,
    writableDirectories: (directories) => writableDirectories(host, listing.realPath, directories),
  };
}

/** What was last in step, by path: of a file in which resources own keys, what it is without these. */
export function appliedFiles(record: Pick<HostRecord, "files"> | undefined): Record<string, AppliedFile> {
  const files = Object.entries(record?.files ?? {}).map(
    ([path, file]) => [path, file.ownership === undefined ? file : file.ownership.base] as const,
  );
  return Object.fromEntries(files.flatMap(([path, file]) => (file === undefined ? [] : [[path, file]])));
}

/** The listing and the server's own record. A writing pass first ends what was interrupted. */
async function lookAtHost(
  host: Host,
  where: { configDirectory: string; spoolDirectory: string },
  { writing }: PassOptions,
): Promise<{ listing: Listing; state: HostState }> {
  const [listing, state] = await Promise.all([
    observeFiles(host, where),
    readHostState(host, where.spoolDirectory),
  ]);
  if (state.intent === undefined || writing !== true) return { listing, state };
  await recover(host, { configDirectory: listing.realPath, spoolDirectory: where.spoolDirectory });
  return lookAtHost(host, where, { seen: new SeenServers() });
}

function machineIdOf(id: string | undefined): string {
  if (id !== undefined && id !== "") return id;
  throw new AsteriskIacError(
    "IdentityUnknown",
    "the machine has no machine-id, so nothing tells it from another",
    {
      hint: "Make one with `systemd-machine-id-setup` or `dbus-uuidgen --ensure=/etc/machine-id` on the server.",
    },
  );
}

async function recordKey(
  declaration: ServerDeclaration,
  secrets: SecretStore,
  record: ImportRecord | undefined,
  options: PassOptions,
): Promise<RecordKey> {
  const { name, key } = recordKeySecret;
  if (options.importing === true && (record === undefined || options.again === true)) {
    return new RecordKey(await secrets.readOrCreate(name, key, () => randomBytes(32)));
  }
  // Without a record nothing is compared, so a key that is thrown away does.
  if (record === undefined) return new RecordKey(randomBytes(32));
  const bytes = await secrets.read(name).then(
    (secret) => secret.get(key),
    () => undefined,
  );
  if (bytes === undefined) {
    throw new AsteriskIacError("RecordKeyMissing", `the secret ${name} with the record key is not there`, {
      where: { file: declaration.source.recordFile("import") },
      hint: `Put ${name}/${key} back from your backup, or make a new record with \`import --again\`.`,
    });
  }
  const recordKey = new RecordKey(bytes);
  recordKey.verify(record, declaration.source.recordFile("import"));
  return recordKey;
}

/** Throws `IdentityChanged` when the record was made on another machine, or of another directory. */
export function assertIdentity(
  pass: Pick<ServerView, "declaration" | "identity">,
  record: ImportRecord,
): void {
  const { machine, configDirectory } = record.identity;
  if (machine === pass.identity.machine && configDirectory === pass.identity.configDirectory) return;
  const what =
    machine === pass.identity.machine
      ? `its configuration directory was ${configDirectory} and is ${pass.identity.configDirectory} now`
      : "the machine-id is another one: this is a reinstalled or a different machine";
  throw new AsteriskIacError("IdentityChanged", `this is not the server that was imported: ${what}`, {
    hint: `If that is right, make a new record: asteriskctl import --again ${pass.declaration.name}`,
  });
}
