import { randomBytes } from "node:crypto";
import { AsteriskIacError } from "../core/errors.ts";
import type { Allowance, Refusal } from "../core/guard.ts";
import type { Plan } from "../core/plan.ts";
import { parseImportRecord } from "../core/record.ts";
import type { ImportRecord } from "../core/record.ts";
import { redact } from "../core/redact.ts";
import type { RecordName, Source } from "../core/source.ts";
import { pathPolicy } from "../core/resource/index.ts";
import { parseServerRecord } from "../core/server-record.ts";
import type { DeclaredConfFile } from "./desired.ts";
import { OfflineRecordKey, appliedView, notImported } from "./offline-view.ts";
import type { OfflineView, RecordedServer } from "./offline-view.ts";
import { recordKeySecret } from "./pass.ts";
import type { PlaceholderSecrets } from "./placeholder-secrets.ts";
import { refusalsOf } from "./apply.ts";
import { preparePlan } from "./plan.ts";
import type { ServerDeclaration } from "./session.ts";
import type { TreeSource } from "./tree-source.ts";

/** A server as one state of its repository declares it. */
export interface DeclaredState {
  readonly declaration: ServerDeclaration & { readonly source: TreeSource };
  /** Where values of secrets may be, and what stands for the others; of this server and state alone. */
  readonly secrets: PlaceholderSecrets;
  /** The values of secrets as the repository has them, where the key to them is not there. */
  readonly sealed: Buffer | undefined;
  /** Files with secrets in the clear that should not be: known once the source was read. */
  readonly inTheClear: ReadonlySet<string>;
}

/** One server as it counts as live, and as it is to be. */
export interface OfflineInput {
  readonly head: DeclaredState;
  /** Undefined where the base does not declare it. */
  readonly base: DeclaredState | undefined;
}

/** What a plan can't know, as a sentence of ours, and of what: paths, secrets or messages, which may hold anything. */
export interface Limit {
  readonly what: string;
  readonly of: readonly string[];
}

/** A plan that was made without the server, and what is not known for that reason. */
export interface OfflinePlan {
  /** Its own hash and the contents' are empty and null where `isComparable` is false: they would say nothing. */
  readonly plan: Plan;
  /** Why `apply` would not carry it out, as far as that can be known. */
  readonly refusals: readonly Refusal[];
  /** Whether the hash is the one that a plan with the server has, if nothing was changed there. */
  readonly isComparable: boolean;
  /** Since when Asterisk's modules are known to be so; undefined: they are not known, and no reloads either. */
  readonly modulesSeenAt: string | undefined;
  /** What can't be known beside what no such plan knows. */
  readonly limits: readonly Limit[];
}

/**
 * Plans a server that can't be reached: what the base declares is taken to be live, and the same plan is made of what the head
 * declares. Throws `ImportNotDone` where the base knows nothing of the server, and what `preparePlan` throws.
 */
export async function planOffline({ head, base }: OfflineInput): Promise<OfflinePlan> {
  const { name, source } = head.declaration;
  const imported = base === undefined ? undefined : await importRecord(base.declaration);
  if (base === undefined || imported === undefined) throw notImported(name, "the base");
  const record = await importRecord(head.declaration);
  if (record === undefined) throw notImported(name, source.name);
  const before = base.declaration.source;
  const server = parseServerRecord(await before.readRecord("server"), before.recordFile("server"));
  const key = await recordKey(base.secrets, imported);
  const isManagerKnown = await hasManager(base.declaration);
  const { view, unknown, failure } = await liveView({
    ...{ imported, server, secrets: base.secrets, key: key ?? new OfflineRecordKey(randomBytes(32)) },
    declaration: await plannable(base, isManagerKnown),
    removed: (path) => before.removed(path),
  });
  const declaration = await plannable(head, isManagerKnown);
  const planned = await preparePlan({ ...view, secrets: head.secrets, declaration, record });
  const nobody = {
    lastManager: undefined,
    manager: "",
    allow: new Set<Allowance>(),
    expectedHash: undefined,
  };
  const { plan, refusals } = redact({ plan: planned.plan, refusals: refusalsOf(planned, nobody) }, [
    ...planned.comparison.secrets,
    ...base.secrets.given,
    ...head.secrets.given,
  ]);
  const missing = new Set([...base.secrets.missing, ...head.secrets.missing]);
  const isWithout = declaration.accounts.length < head.declaration.accounts.length;
  const isResealed = head.sealed !== undefined && base.sealed?.equals(head.sealed) !== true;
  const isComparable = key !== undefined && missing.size === 0 && failure === undefined && !isWithout;
  return {
    plan: isComparable ? plan : withoutHashes(plan),
    refusals,
    isComparable,
    modulesSeenAt: server?.seenAt,
    limits: [
      ...(isWithout ? [{ what: accountsOmitted, of: [] }] : []),
      ...concerning(
        "What resources own on the server can't be worked out",
        failure === undefined ? [] : [failure],
      ),
      ...concerning(recordsChanged, await changedRecords(before, source)),
      ...(server === undefined ? [{ what: noModules, of: [] }] : []),
      ...concerning("Not in the repository, so that what they say does not count here", unknown),
      ...concerning(
        clearSecrets,
        [...head.inTheClear].filter((path) => !base.inTheClear.has(path)),
      ),
      ...(isResealed ? [{ what: valuesChanged, of: [] }] : []),
      ...concerning("Secrets whose values are not known here, nor whether they change", bySecret(missing)),
      ...(isComparable ? [] : [{ what: noHash, of: [] }]),
    ],
  };
}

const noModules =
  "Which modules Asterisk has loaded is not recorded, so neither are the reloads known: `import --again`, or the next change that is collected, records it";
const noHash =
  "Without the record key and every secret (--secrets) this plan has no hash to apply by: `apply` shows the one that counts";
const accountsOmitted =
  "AMIAccounts are left out: manager.conf is not in the repository, and it says in which file they go";
const clearSecrets =
  "This change brings secrets in the clear, which stay in the history of the repository: change them, and refer to the new ones";
const valuesChanged = "This change brings other values of secrets; which ones is not known here";
const recordsChanged =
  "This change touches records that asterisk-iac itself writes, and that decide what it may remove";

/** Undefined where there is none that is done. */
async function importRecord({ source }: ServerDeclaration): Promise<ImportRecord | undefined> {
  const text = await source.readRecord("import");
  const record = text === undefined ? undefined : parseImportRecord(text, source.recordFile("import"));
  return record?.state === "Done" ? record : undefined;
}

/** The key that the records were made with, where it is there. */
async function recordKey(
  secrets: PlaceholderSecrets,
  { keyCheck }: ImportRecord,
): Promise<OfflineRecordKey | undefined> {
  const bytes = await secrets.readReal(recordKeySecret.name, recordKeySecret.key);
  const found = bytes?.length === 32 ? new OfflineRecordKey(bytes) : undefined;
  return found?.check === keyCheck ? found : undefined;
}

/** Whether the repository tells where accounts go. */
async function hasManager({ source, spec }: ServerDeclaration): Promise<boolean> {
  const manager = (await source.list()).get("manager.conf");
  const isUnmanaged = pathPolicy(spec)("manager.conf").kind === "Unmanaged";
  return manager !== undefined && manager.problem === undefined && !isUnmanaged;
}

/** A declaration without what can't be planned here: a content that is a secret, and accounts that go nobody knows where. */
async function plannable(
  { declaration, secrets }: DeclaredState,
  isManagerKnown: boolean,
): Promise<ServerDeclaration> {
  return {
    ...declaration,
    accounts: isManagerKnown ? declaration.accounts : [],
    files: await Promise.all(declaration.files.map((file) => withContent(file, secrets))),
  };
}

/** A content that is a secret, and not there, is a comment that says so. */
async function withContent(file: DeclaredConfFile, secrets: PlaceholderSecrets): Promise<DeclaredConfFile> {
  const reference = file.spec.contentFrom?.secretKeyRef;
  if (reference === undefined) return file;
  const { name, key } = reference;
  const bytes = (await secrets.read(name)).get(key);
  if (bytes !== undefined && !secrets.missing.has(`${name}/${key}`)) return { ...file, content: bytes };
  return { ...file, content: Buffer.from(`; the secret ${name}, key ${key}, which is not known here\n`) };
}

/** What the base declares, as if it was applied; without its resources where they can't be. */
async function liveView(recorded: RecordedServer): Promise<OfflineView & { readonly failure?: string }> {
  try {
    return await appliedView(recorded);
  } catch (cause) {
    const { accounts, files } = recorded.declaration;
    if (!(cause instanceof AsteriskIacError) || accounts.length + files.length === 0) throw cause;
    const bare = { ...recorded.declaration, accounts: [], files: [] };
    return { ...(await appliedView({ ...recorded, declaration: bare })), failure: cause.message };
  }
}

async function changedRecords(base: Source, head: Source): Promise<string[]> {
  const names: readonly RecordName[] = ["import", "collected", "server"];
  const texts = names.map(
    async (name) => [name, await base.readRecord(name), await head.readRecord(name)] as const,
  );
  return (await Promise.all(texts)).flatMap(([name, before, after]) =>
    before === after ? [] : [`.asterisk-iac/${name}.json`],
  );
}

/** `name/key`, and of a secret with several keys how many. */
function bySecret(keys: Iterable<string>): string[] {
  const groups = Map.groupBy(keys, (key) => key.slice(0, key.indexOf("/")));
  return [...groups].map(([name, of]) => (of.length === 1 ? (of[0] ?? name) : `${of.length} of ${name}`));
}

/** What is to be said of some things, if there are any. */
function concerning(what: string, of: Iterable<string>): Limit[] {
  const all = [...of].sort();
  return all.length === 0 ? [] : [{ what, of: all }];
}

/** Hashes under a key that nobody has say nothing. */
function withoutHashes(plan: Plan): Plan {
  const changes = plan.changes.map((planned) => ({
    ...planned,
    sourceHash: null,
    serverHash: null,
    ...(planned.owners === undefined
      ? {}
      : { owners: planned.owners.map((owner) => ({ ...owner, result: null })) }),
  }));
  return { ...plan, changes, hash: "" };
}
