import { markVerified } from "../asterisk/host-record.ts";
import type { HostRecord } from "../asterisk/host-record.ts";
import { listKept, readKept } from "../asterisk/kept.ts";
import { markLogs } from "../asterisk/log-growth.ts";
import type { LogMarks, ReloadRun } from "../asterisk/reload-run.ts";
import { runReloads } from "../asterisk/reload-run.ts";
import { rollback } from "../asterisk/rollback.ts";
import { applyTransaction } from "../asterisk/transaction.ts";
import type { VerifyResult } from "../asterisk/verify.ts";
import { verify } from "../asterisk/verify.ts";
import type { OwnedFileRecord } from "../asterisk/transaction.ts";
import type { Change } from "../core/diff.ts";
import { contentHash } from "../core/record.ts";
import type { AccountWrite } from "./account-proof.ts";
import { accountsIn, endOldSessions, proveAccounts } from "./account-proof.ts";
import { ownershipAfter } from "./ownership-record.ts";
import { AsteriskIacError, asAsteriskIacError, messageOf } from "../core/errors.ts";
import type { Reload, ViewChange } from "../core/reloads.ts";
import { planReloads } from "../core/reloads.ts";
import { consequencesOf, viewChanges } from "./consequences.ts";
import type { Comparison } from "./comparison.ts";
import type { Pass } from "./pass.ts";
import type { PreparedPlan } from "./plan.ts";
import { allOnServer, consequenceOptions } from "./plan.ts";

/** What Asterisk made of a write. */
export interface Proof {
  readonly reloads: ReloadRun;
  readonly verification: VerifyResult;
}

/** What became of a write to the server. */
export interface ServerWrite extends Proof {
  readonly generation: number;
  /** The id of the old bytes, for `backups restore`. */
  readonly kept: string;
  /** The verification failed: the old bytes are back, and this is what Asterisk made of them. */
  readonly restored?: Proof;
}

/** A write that is on the server's disk and has to be proved. */
interface Written {
  readonly kept: string;
  readonly record: HostRecord;
  readonly files: readonly { readonly path: string; readonly hash: string | null }[];
  /** What was there before. */
  readonly filesBefore: readonly { readonly path: string; readonly hash: string | null }[];
  readonly reloads: readonly Reload[];
  readonly views: ReadonlyMap<string, ViewChange>;
  /** Where Asterisk's logs ended before it, if they were looked at already. */
  readonly logs?: LogMarks;
  readonly accounts: AccountWrite;
}

/** Writes the plan's files to the server, reloads what has to be, and looks whether it worked; else the old bytes come back. */
export async function writeServer(
  pass: Pass,
  { plan, comparison, contents, consequences }: PreparedPlan,
): Promise<ServerWrite> {
  const { revision } = pass.declaration.source;
  const changes = plan.changes.filter(({ blocked }) => blocked === undefined).map(({ change }) => change);
  const hashOnServer = (path: string): string | null => {
    const file = comparison.observed.get(path);
    return file?.problem === undefined ? (file?.hash ?? null) : null;
  };
  const observedThere = (path: string): boolean => comparison.observed.has(path);
  // A file that went away comes back as it was; a new one is like its directory.
  const modeBefore = (path: string): { mode?: string; owner?: string } => {
    const { mode, owner } = pass.hostRecord?.files[path] ?? comparison.record.files[path] ?? {};
    return { ...(mode === undefined ? {} : { mode }), ...(owner === undefined ? {} : { owner }) };
  };
  const writes = changes
    .filter((change) => change.kind === "Write" && change.to === "server")
    .map(({ path }) => ({
      path,
      bytes: contents.toServer.get(path) ?? missing(path),
      expected: hashOnServer(path),
      ...(observedThere(path) ? {} : modeBefore(path)),
    }));
  const removals = changes
    .filter((change) => change.kind === "Remove" && change.to === "server")
    .map(({ path }) => ({ path, expected: hashOnServer(path) ?? missing(path) }));
  const accounts = await accountsIn(
    pass,
    comparison,
    changes.filter(isRecordedOnServer).map(({ path }) => path),
  );
  // Asterisk logs nothing of these files before they are reloaded, so the marks may be set while they are written.
  const logs = marksOf(pass);
  const applied = await applyTransaction(pass.session.host, {
    configDirectory: pass.realPath,
    spoolDirectory: pass.spoolDirectory,
    generation: pass.generation,
    writes,
    removals,
    owned: ownershipRecords(pass, comparison, changes),
    record: {
      version: 1,
      manager: pass.manager,
      planHash: plan.hash,
      ...(revision === undefined ? {} : { revision: revision.commit }),
      appliedAt: new Date().toISOString(),
      verified: false,
      files: pass.hostRecord?.files ?? {},
    },
  });
  return prove(pass, {
    kept: applied.kept,
    record: applied.record,
    files: [
      ...writes.map(({ path, bytes }) => ({ path, hash: contentHash(bytes) })),
      ...removals.map(({ path }) => ({ path, hash: null })),
    ],
    filesBefore: [...writes, ...removals].map(({ path, expected }) => ({ path, hash: expected })),
    reloads: plan.reloads?.reloads ?? [],
    views: viewChanges(consequences.server),
    logs: await logs,
    accounts,
  });
}

const noAccounts: AccountWrite = { written: [], gone: [], oldSessions: [] };

/** Who owns what once these changes are made. */
function ownershipRecords(
  { hostRecord, generation }: Pass,
  { owned }: Comparison,
  changes: readonly Change[],
): ReadonlyMap<string, OwnedFileRecord> {
  return new Map(
    changes.filter(isRecordedOnServer).flatMap(({ path }) => {
      const compared = owned.get(path);
      const { hash, generation: since } = hostRecord?.files[path] ?? {};
      const previous = hash === undefined || since === undefined ? undefined : { hash, generation: since };
      return compared === undefined ? [] : [[path, ownershipAfter(compared, generation + 1, previous)]];
    }),
  );
}

function isRecordedOnServer(change: Change): boolean {
  if (change.kind === "Record") return true;
  return (change.kind === "Write" || change.kind === "Remove") && change.to === "server";
}

/** Whether the server's own record has something to say that it does not say yet, of files that need no write. */
export function hasOwnershipToRecord({ plan, comparison: { owned } }: PreparedPlan): boolean {
  return plan.changes.some(({ change }) => change.kind === "Record" && owned.has(change.path));
}

/** What became of a write that had not been proved when its run ended. */
export interface LateProof {
  readonly write: ServerWrite;
  /** Its record is verified now. Not so where somebody changed a file since and Asterisk did not take it. */
  readonly verified: boolean;
}

/**
 * A write whose run ended before it was proved, killed or cut off, is reloaded and looked at now, before anything else is
 * written: else its files would lie there, recorded and never read by Asterisk. If Asterisk does not work with it the old
 * bytes come back, unless somebody changed one of its files since; then the plan decides. Undefined where the last write
 * was proved.
 */
export async function proveLastWrite(pass: Pass, comparison: Comparison): Promise<LateProof | undefined> {
  const { hostRecord: record, spoolDirectory, session } = pass;
  if (record === undefined || record.verified) return undefined;
  const last = (await listKept(session.host, spoolDirectory)).find(
    ({ generation }) => generation === record.generation,
  );
  if (last === undefined) return undefined;
  const { contents } = await readKept(session.host, { spoolDirectory, id: last.id });
  const now = await allOnServer(pass, comparison, new Map());
  const before = new Map<string, Uint8Array>(now);
  for (const { path, before: old } of last.files)
    replace(before, path, old === null ? undefined : contents.get(path));
  const live = (path: string): string | null => comparison.observed.get(path)?.hash ?? null;
  const files = last.files.map(({ path }) => ({ path, hash: live(path) }));
  const filesBefore = last.files.map(({ path, before: old }) => ({ path, hash: old?.hash ?? null }));
  const written: Written = {
    kept: last.id,
    record,
    files,
    filesBefore,
    accounts: await accountsIn(
      pass,
      comparison,
      files.map(({ path }) => path),
    ),
    ...(await reloadsFor(pass, before, now, files)),
  };
  if (last.files.every(({ path, after }) => live(path) === (after?.hash ?? null))) {
    const write = await prove(pass, written);
    return { write, verified: write.restored === undefined };
  }
  const write = await look(pass, written);
  if (write.verification.ok) await markVerified(session.host, { spoolDirectory, record });
  return { write, verified: write.verification.ok };
}

/**
 * Puts the bytes of one apply back, all of them or some files', as an apply of its own: reloaded, looked at, and undone
 * if Asterisk does not work with it. Rejects as `rollback` does.
 */
export async function restoreOnServer(
  pass: Pass,
  comparison: Comparison,
  id: string,
  paths?: readonly string[],
): Promise<ServerWrite> {
  const { spoolDirectory, realPath: configDirectory, session } = pass;
  const { kept, contents } = await readKept(session.host, { spoolDirectory, id });
  const chosen = kept.files.filter(({ path }) => paths === undefined || paths.includes(path));
  const present = new Map(chosen.map(({ path }) => [path, comparison.observed.get(path)?.hash ?? null]));
  const now = await allOnServer(pass, comparison, new Map());
  const after = new Map<string, Uint8Array>(now);
  for (const { path, before } of chosen)
    replace(after, path, before === null ? undefined : contents.get(path));
  const files = chosen.map(({ path, before }) => ({ path, hash: before?.hash ?? null }));
  const consequences = await reloadsFor(pass, now, after, files);
  const appliedAt = new Date().toISOString();
  const applied = await rollback(session.host, {
    configDirectory,
    spoolDirectory,
    id,
    appliedAt,
    present,
    ...(paths === undefined ? {} : { paths }),
  });
  const filesBefore = chosen.map(({ path }) => ({ path, hash: present.get(path) ?? null }));
  return prove(pass, {
    kept: applied.kept,
    record: applied.record,
    files,
    filesBefore,
    accounts: noAccounts,
    ...consequences,
  });
}

function replace(files: Map<string, Uint8Array>, path: string, bytes: Uint8Array | undefined): void {
  if (bytes === undefined) files.delete(path);
  else files.set(path, bytes);
}

async function reloadsFor(
  pass: Pass,
  before: ReadonlyMap<string, Uint8Array>,
  after: ReadonlyMap<string, Uint8Array>,
  files: readonly { readonly path: string }[],
): Promise<Pick<Written, "reloads" | "views">> {
  const changed = files.map(({ path }) => path);
  const consequences = consequencesOf({ side: "server", before, after, changed }, consequenceOptions(pass));
  const views = viewChanges(consequences);
  const live = await pass.modules();
  return { reloads: planReloads({ changed, roots: consequences.rootsOf, live, views }).reloads, views };
}

async function prove(pass: Pass, write: Written): Promise<ServerWrite> {
  const done = await look(pass, write);
  if (!done.verification.ok) return { ...done, restored: await restore(pass, write, done.reloads) };
  await markVerified(pass.session.host, { spoolDirectory: pass.spoolDirectory, record: write.record });
  return done;
}

/** Has Asterisk read what was written, and looks what it made of it. */
async function look(
  pass: Pass,
  { kept, record, reloads, files, views, logs, accounts }: Written,
): Promise<ServerWrite> {
  const { session } = pass;
  const run = await runReloads(session, reloads, { logs: logs ?? (await marksOf(pass)) });
  const own = accounts.written.find(({ account }) => account.spec.username === session.username);
  if (own?.isNewSecret === true) session.usePassword(own.secret);
  const found = await verify(session, { configDirectory: pass.realPath, files, views, run });
  const verification = withAccounts(found, await proveAccounts(pass, accounts));
  const left = verification.ok ? await endOldSessions(pass, accounts) : [];
  return {
    generation: record.generation,
    kept,
    reloads: run,
    verification: { ...verification, unobserved: [...verification.unobserved, ...left] },
  };
}

/** An account was looked at attribute by attribute: what the general probe could not see of it is said better. */
function withAccounts(
  found: VerifyResult,
  accounts: Pick<VerifyResult, "evidence" | "failures" | "unobserved">,
): VerifyResult {
  const failures = [...found.failures, ...accounts.failures];
  const seen = new Set(accounts.evidence.map(({ source }) => source));
  const proved = (line: string): boolean =>
    [...seen].some(
      (source) =>
        source.startsWith("a login as ") && line.startsWith(`the secret of AMI account ${source.slice(11)}:`),
    );
  return {
    ok: failures.length === 0,
    evidence: [...found.evidence.filter(({ source }) => !seen.has(source)), ...accounts.evidence],
    failures,
    unobserved: [...found.unobserved.filter((line) => !proved(line)), ...accounts.unobserved],
  };
}

/** Logs that can't be marked are not seen; that is no reason to leave a write unproved. */
async function marksOf({ session }: Pass): Promise<LogMarks> {
  return markLogs(session.host).catch(unseenLogs);
}

function unseenLogs(why: unknown): LogMarks {
  return { marks: [], unseen: [messageOf(why)] };
}

/** Puts the old bytes back and has them read again, over SSH alone: what was written may have shut AMI. */
async function restore(
  pass: Pass,
  { kept, filesBefore, reloads, views }: Written,
  { stopped }: ReloadRun,
): Promise<Proof> {
  const { session, spoolDirectory, realPath } = pass;
  try {
    const back = await rollback(session.host, {
      configDirectory: realPath,
      spoolDirectory,
      id: kept,
      appliedAt: new Date().toISOString(),
    });
    // Asterisk 22 deadlocks where AMI is enabled again while a session is open.
    if (reloads.some(({ module }) => module === "manager")) await session.ami.close();
    const byCommand = reloads.map((reload) => ({
      ...reload,
      command: reload.command ?? `module reload ${reload.module}`,
    }));
    // What did not answer then is not waited for once more.
    const logs = stopped === undefined ? await marksOf(pass) : unseenLogs(stopped);
    const run = await runReloads(session, byCommand, { logs });
    const swapped = new Map(
      [...views].map(([root, { before, after }]) => [root, { before: after, after: before }]),
    );
    const verification = await verify(session, {
      configDirectory: realPath,
      files: filesBefore,
      views: swapped,
      run,
    });
    if (verification.ok) await markVerified(session.host, { spoolDirectory, record: back.record });
    return { reloads: run, verification };
  } catch (thrown) {
    const cause = asAsteriskIacError(thrown);
    throw new AsteriskIacError(
      "NotVerified",
      `the write was not as it should be, and putting the old bytes back failed: ${cause.message}`,
      {
        cause,
        hint: `They are kept on the server: asteriskctl backups restore ${pass.declaration.name} ${kept}`,
      },
    );
  }
}

/** The plan was made from these very bytes. */
function missing(path: string): never {
  throw new AsteriskIacError("UnexpectedAnswer", `the bytes of ${path} were not read`);
}
