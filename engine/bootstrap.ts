import { runCommands } from "../asterisk/asterisk-command.ts";
import { markVerified } from "../asterisk/host-record.ts";
import type { HostRecord } from "../asterisk/host-record.ts";
import { listKept } from "../asterisk/kept.ts";
import { askInstallation } from "../asterisk/live.ts";
import type { Installation } from "../asterisk/live.ts";
import { markLogs, readGrowth } from "../asterisk/log-growth.ts";
import { showManagerUsers } from "../asterisk/manager-users.ts";
import { rollback } from "../asterisk/rollback.ts";
import { applyTransaction } from "../asterisk/transaction.ts";
import type { OwnedFileRecord } from "../asterisk/transaction.ts";
import type { AttributeCheck } from "../core/accounts/verification.ts";
import { verifyAccount } from "../core/accounts/verification.ts";
import type { Next } from "../core/errors.ts";
import { AsteriskIacError, asAsteriskIacError, messageOf } from "../core/errors.ts";
import type { Allowance } from "../core/guard.ts";
import { contentHash } from "../core/record.ts";
import { redactText } from "../core/redact.ts";
import { accountSecret, generateSecret, hasSecret } from "./account-secret.ts";
import { engineAccount } from "./bootstrap-account.ts";
import type { AccountPurpose, EngineAccount } from "./bootstrap-account.ts";
import { bootstrapFiles, channelVariables, readManagerFiles } from "./bootstrap-files.ts";
import type { BootstrapFiles } from "./bootstrap-files.ts";
import { recordedSections } from "./ownership-record.ts";
import type { HostPass } from "./pass.ts";
import { SeenServers, assertIdentity, withHostPass } from "./pass.ts";
import type { SecretStore } from "./secrets.ts";
import type { ServerDeclaration } from "./session.ts";
import { proveLoginOver } from "./session.ts";

const managerConf = "manager.conf";

/** What a bootstrap found, and what it did on the server. */
export interface BootstrapResult extends EngineAccount {
  readonly asteriskVersion: string;
  readonly configDirectory: string;
  readonly distribution: string | undefined;
  /** The file of the account; `isElsewhere`: not the one that a new account would go to. */
  readonly file: string;
  readonly isElsewhere: boolean;
  /** AMI was off and is on now. */
  readonly isSwitchedOn: boolean;
  /** Where AMI listens, as Asterisk prints it. */
  readonly listener: string | undefined;
  /** The files that were written; empty: all was there. */
  readonly written: readonly string[];
  /** The id of the old bytes, for `backups restore`. */
  readonly kept?: string;
  readonly isReloaded: boolean;
  /** Each attribute of the account, declared beside live. */
  readonly checks: readonly AttributeCheck[];
  readonly warnings: readonly string[];
  /** `channelvars` of manager.conf as it is. */
  readonly channelVariables: readonly string[];
  /** The initial import was made already. */
  readonly isImported: boolean;
}

export interface BootstrapOptions {
  /** Which account is made; default: the engine's own. */
  readonly purpose?: AccountPurpose;
  readonly allow: ReadonlySet<Allowance>;
}

/**
 * Brings a server from SSH alone to a working AMI account of our own: switches AMI on where it is off, writes the account,
 * reloads, and looks that live Asterisk has it and lets us in; else the old bytes come back. What is there already stays.
 * Throws `PolicyRefused`, `ConfInvalid` and what `applyTransaction` rejects with before anything is written, and
 * `NotVerified` after it was undone.
 */
export async function bootstrapServer(
  declaration: ServerDeclaration,
  secrets: SecretStore,
  options: BootstrapOptions,
): Promise<BootstrapResult> {
  // The record key says who we are to the server's record: it is made here, as the import would make it.
  const attempt = (): Promise<BootstrapResult> =>
    withHostPass(
      declaration,
      secrets,
      { seen: new SeenServers(), importing: true, writing: true },
      async (pass) => bootstrap(pass, options),
    );
  try {
    return await attempt();
  } catch (error) {
    if (!isRetry(error)) throw error;
  }
  // Where AMI was switched off since Asterisk 16 started, it does not listen when it is switched on; the second time it does.
  return attempt().catch((error: unknown) => {
    if (!isRetry(error)) throw error;
    const { code, message, where, hint = "", cause } = error;
    throw new AsteriskIacError(code, message, { where, hint, cause });
  });
}

function isRetry(error: unknown): error is AsteriskIacError {
  return error instanceof AsteriskIacError && error.code === "NotVerified" && error.next === "Retry";
}

async function bootstrap(pass: HostPass, { allow, purpose }: BootstrapOptions): Promise<BootstrapResult> {
  const { declaration, secrets, record, hostRecord } = pass;
  if (record !== undefined) assertIdentity(pass, record);
  if (hostRecord !== undefined && hostRecord.manager !== pass.manager && !allow.has("take-over")) {
    throw new AsteriskIacError(
      "PolicyRefused",
      `this server was last applied by ${hostRecord.manager}, and this is ${pass.manager}`,
      {
        hint: "Use that one's manifests and secrets; if it is out of use, pass `--allow take-over`. Nothing was written.",
      },
    );
  }
  const manager = await readManagerFiles(pass);
  const engine = await engineAccount(declaration, secrets, purpose);
  // What is refused leaves no secret behind, with which the next command would try to log in.
  if (!(await hasSecret(engine.account, secrets)))
    bootstrapFiles(pass, manager, { account: engine.account, secret: generateSecret() });
  const secret = await accountSecret(engine.account, secrets);
  const files = bootstrapFiles(pass, manager, { account: engine.account, secret });
  const written = await writeFiles(pass, engine, files);
  const proof = await prove(pass, { engine, files, secret, written, isOff: manager.isOff });
  return {
    ...engine,
    asteriskVersion: pass.asteriskVersion,
    configDirectory: pass.configDirectory,
    distribution: pass.distribution,
    file: files.file,
    isElsewhere: files.isElsewhere,
    isSwitchedOn: manager.isOff,
    listener: proof.installation.ami.address,
    written: [...files.writes.keys()].sort(),
    ...(written?.isNew === true ? { kept: written.kept } : {}),
    isReloaded: proof.isReloaded,
    checks: proof.checks,
    warnings: files.warnings,
    channelVariables: channelVariables(manager.view),
    isImported: record?.state === "Done",
  };
}

/** A write of the manager's files that has to be proved: this run's, or that of a run that was ended before. */
interface Written {
  readonly isNew: boolean;
  readonly kept: string;
  readonly record: HostRecord;
}

async function writeFiles(
  pass: HostPass,
  { account }: EngineAccount,
  files: BootstrapFiles,
): Promise<Written | undefined> {
  const { writes, file, owner, section } = files;
  const { host, hostRecord, generation, realPath: configDirectory, spoolDirectory } = pass;
  const unproved = await unprovedWrite(pass, file);
  const { deletionPolicy } = account.spec;
  const ours = recordedSections({ owner, sections: [section], deletionPolicy });
  const recorded = hostRecord?.files[file];
  const isRecorded = recorded?.ownership?.sections[owner]?.hash === ours.hash;
  if (writes.size === 0 && isRecorded) return unproved === "others" ? undefined : unproved;
  if (unproved === "others") {
    throw new AsteriskIacError("NotVerified", "the last apply of this server was not proved yet", {
      hint: "Run `asteriskctl apply` first: it proves or undoes it. Nothing was written.",
    });
  }
  const hashes = new Map(pass.files.map((each) => [each.path, each.hash ?? null]));
  const base =
    recorded?.ownership === undefined
      ? recorded && { hash: recorded.hash, generation: recorded.generation }
      : recorded.ownership.base;
  const owned: OwnedFileRecord = {
    isOurs: true,
    hash: hashes.get(file) ?? null,
    ownership: {
      ...recorded?.ownership,
      ...(base === undefined ? {} : { base }),
      sections: { ...recorded?.ownership?.sections, [owner]: ours },
    },
  };
  const applied = await applyTransaction(host, {
    configDirectory,
    spoolDirectory,
    generation,
    writes: [...writes].map(([path, bytes]) => ({ path, bytes, expected: hashes.get(path) ?? null })),
    removals: [],
    owned: new Map([[file, owned]]),
    // What is switched on in [general] came from no source: the record does not say that it did.
    ...(file === managerConf
      ? {}
      : { recordedFiles: new Map([[managerConf, hostRecord?.files[managerConf] ?? null]]) }),
    record: {
      version: 1,
      manager: pass.manager,
      planHash: contentHash(
        Buffer.from(JSON.stringify(["bootstrap", file, section.name, [...writes.keys()]])),
      ),
      appliedAt: new Date().toISOString(),
      verified: false,
      files: hostRecord?.files ?? {},
    },
  });
  return { isNew: true, kept: applied.kept, record: applied.record };
}

/** The last write, where its run ended before it was proved: ours, if it is of the manager's files alone. */
async function unprovedWrite(
  { host, hostRecord: record, spoolDirectory }: HostPass,
  file: string,
): Promise<Written | "others" | undefined> {
  if (record === undefined || record.verified) return undefined;
  const last = (await listKept(host, spoolDirectory)).find(
    ({ generation }) => generation === record.generation,
  );
  const isOurs = last?.files.every(({ path }) => path === managerConf || path === file) === true;
  return isOurs ? { isNew: false, kept: last.id, record } : "others";
}

interface Look {
  readonly installation: Installation;
  readonly checks: readonly AttributeCheck[];
  /** Why it does not work; undefined: it does. */
  readonly problem?: string;
  /** The login did not even reach AMI. */
  readonly isUnreachable?: boolean;
}

interface Proving {
  readonly engine: EngineAccount;
  readonly files: BootstrapFiles;
  readonly secret: string;
  readonly written: Written | undefined;
  /** AMI was off in the files before. */
  readonly isOff: boolean;
}

async function prove(pass: HostPass, proving: Proving): Promise<Look & { isReloaded: boolean }> {
  const { host, spoolDirectory } = pass;
  const { written } = proving;
  const isChanged = written?.isNew === true;
  const before = isChanged ? undefined : await look(pass, proving);
  if (before !== undefined && before.problem === undefined) {
    if (written !== undefined) await markVerified(host, { spoolDirectory, record: written.record });
    return { ...before, isReloaded: false };
  }
  const logs = await markLogs(host).catch(() => ({ marks: [] }));
  const after = await reload(host)
    .then(() => look(pass, proving))
    .catch((thrown: unknown) => asAsteriskIacError(thrown));
  if (!(after instanceof AsteriskIacError) && after.problem === undefined) {
    if (written !== undefined) await markVerified(host, { spoolDirectory, record: written.record });
    return { ...after, isReloaded: true };
  }
  const why = after instanceof AsteriskIacError ? after.message : (after.problem ?? "");
  const logged = await readGrowth(host, logs.marks)
    .then(({ lines }) => lines.slice(0, 3).map(({ text }) => `\nAsterisk's log: ${text}`))
    .catch(() => []);
  const message = redactText(`${why}${logged.join("")}`, [proving.secret]);
  const next =
    proving.isOff && !(after instanceof AsteriskIacError) && after.isUnreachable === true
      ? "Retry"
      : "Stalled";
  throw await undone(pass, { why: message, next }, written);
}

async function reload(host: HostPass["host"]): Promise<void> {
  await runCommands(host, ["manager reload"]);
}

/** Looks at live Asterisk: AMI is on, has the account with every attribute, and lets us in. */
async function look({ host, declaration, secrets }: HostPass, { engine, secret }: Proving): Promise<Look> {
  const { spec } = engine.account;
  const installation = await askInstallation(host);
  if (!installation.ami.enabled) return { installation, checks: [], problem: "AMI is still off" };
  const live = await showManagerUsers(host, [spec.username]);
  const checks = verifyAccount(spec, live.get(spec.username));
  const wrong = checks.filter(({ ok }) => !ok);
  if (wrong.length > 0) {
    const list = wrong.map(
      ({ attribute, declared, live: saw }) => `${attribute}: ${declared} is ${saw} there`,
    );
    return { installation, checks, problem: `live Asterisk does not have the account: ${list.join("; ")}` };
  }
  const login = await proveLoginOver(host, declaration, secrets, {
    username: spec.username,
    password: secret,
  });
  if (login.result === "Proved") return { installation, checks };
  const { message, hint } = login.error;
  return {
    installation,
    checks,
    problem: `the login did not work: ${message}${hint === undefined ? "" : ` ${hint}`}`,
    isUnreachable: login.error.code === "Unreachable",
  };
}

/** Puts the old bytes back, where there are any, and has Asterisk read them; says what came of it. */
async function undone(
  pass: HostPass,
  { why, next }: { why: string; next: Next },
  written: Written | undefined,
): Promise<AsteriskIacError> {
  const { host, realPath: configDirectory, spoolDirectory, installation, declaration } = pass;
  if (written === undefined) {
    return new AsteriskIacError("NotVerified", why, {
      hint: "The files are as they should be, and Asterisk was reloaded: look at its log. Nothing was written.",
    });
  }
  try {
    const back = await rollback(host, {
      configDirectory,
      spoolDirectory,
      id: written.kept,
      appliedAt: new Date().toISOString(),
    });
    await reload(host);
    const { ami } = await askInstallation(host);
    if (!written.isNew || ami.enabled === installation.ami.enabled)
      await markVerified(host, { spoolDirectory, record: back.record });
    return new AsteriskIacError("NotVerified", why, {
      next,
      hint: "The old files are back, and Asterisk was reloaded with them. Mend the cause, then run this again.",
    });
  } catch (cause) {
    return new AsteriskIacError(
      "NotVerified",
      `${why}\nPutting the old files back failed: ${messageOf(cause)}`,
      {
        cause,
        hint: `They are kept on the server, as ${written.kept}: asteriskctl backups restore ${declaration.name} ${written.kept}`,
      },
    );
  }
}
