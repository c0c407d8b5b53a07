import type { AccountProblem } from "../core/accounts/policy.ts";
import { accountProblems } from "../core/accounts/policy.ts";
import { chooseAccountFile } from "../core/accounts/file.ts";
import { accountSection } from "../core/accounts/section.ts";
import type { ConfFiles, EffectiveView, OwnedSection, Section } from "../core/conf/index.ts";
import { ConfError, effectiveView, filesOf, writeOwned } from "../core/conf/index.ts";
import { isTrue } from "../core/conf/lint/manager-listener.ts";
import { AsteriskIacError } from "../core/errors.ts";
import type { Owner } from "../core/ownership.ts";
import { readManager, recordedPlaces } from "./account-files.ts";
import type { DeclaredAccount } from "./desired.ts";
import { accountOwner } from "./desired.ts";
import type { HostPass } from "./pass.ts";

const managerConf = "manager.conf";

/** manager.conf as the server has it, with all that it includes, and what may be done to it. */
export interface ManagerFiles {
  readonly manager: Awaited<ReturnType<typeof readManager>>;
  readonly view: EffectiveView;
  /** AMI is off in the file, and is to be switched on. */
  readonly isOff: boolean;
}

/** Reads manager.conf and what it includes. Throws `PolicyRefused` where AMI is off and not ours to switch on. */
export async function readManagerFiles(pass: HostPass): Promise<ManagerFiles> {
  const manager = await readManager(pass);
  const { files, options } = manager.facts;
  const view = effectiveView(managerConf, files, options);
  const { listener, distributionOwnsManager } = manager.policy;
  const isOff = listener.reach === "off";
  if (isOff && distributionOwnsManager) {
    const custom = view.included.find((path) => /_custom/.test(path));
    throw new AsteriskIacError(
      "PolicyRefused",
      `AMI is off, and manager.conf belongs to ${manager.facts.generatedBy(managerConf) ?? "a distribution"}`,
      {
        hint:
          custom === undefined
            ? "Switch AMI on there (`enabled = yes`, `bindaddr = 127.0.0.1`), then run this again. Nothing was written."
            : `Write \`[general](+)\` with \`enabled = yes\` and \`bindaddr = 127.0.0.1\` into ${custom}, run \`asterisk -rx 'manager reload'\` there, then run this again. Nothing was written.`,
      },
    );
  }
  const { ami } = pass.declaration.spec;
  if (isOff && ami.via === "Direct" && !/^(127\.|::1$|localhost$)/.test(ami.host)) {
    throw new AsteriskIacError(
      "PolicyRefused",
      `AMI is off, and is switched on for the server itself only, which via: Direct to ${ami.host} does not reach`,
      { hint: "Use via: SSHTunnel with host 127.0.0.1. Nothing was written." },
    );
  }
  const port = portOf(view);
  if (ami.via === "SSHTunnel" && port !== undefined && port !== ami.port) {
    throw new AsteriskIacError(
      "InvalidManifest",
      `ami.port is ${ami.port}, and manager.conf has AMI listen on port ${port}`,
      { hint: `Set ami.port to ${port}. Nothing was written.` },
    );
  }
  return { manager, view, isOff };
}

/** The port that manager.conf has AMI listen on; undefined where it is no plain number. */
export function portOf(view: EffectiveView): number | undefined {
  const written = general(view)
    ?.variables.filter(({ name }) => name.toLowerCase() === "port")
    .at(-1)?.value;
  if (written === undefined) return 5038;
  return /^[1-9]\d{0,4}$/.test(written) ? Number(written) : undefined;
}

/** What `channelvars` of manager.conf names already; empty where it names nothing. */
export function channelVariables(view: EffectiveView): string[] {
  const written = general(view)?.variables.filter(({ name }) => name.toLowerCase() === "channelvars");
  const names = written?.at(-1)?.value.split(",") ?? [];
  return names.map((name) => name.trim()).filter((name) => name !== "");
}

function general(view: EffectiveView): Section | undefined {
  return view.sections.find(({ name }) => name.toLowerCase() === "general");
}

/** What is to be in which file, and what of it is not there yet. */
export interface BootstrapFiles {
  readonly owner: Owner;
  readonly section: OwnedSection;
  /** The file of the account. */
  readonly file: string;
  /** It is not where a new account would go: the declaration has to say so. */
  readonly isElsewhere: boolean;
  /** New bytes by path. */
  readonly writes: ReadonlyMap<string, Buffer>;
  /** What is not as it should be, and stays as it is. */
  readonly warnings: readonly string[];
}

/**
 * Lays the account and, where AMI is off, `enabled` and `bindaddr` over the server's files, and looks that Asterisk would
 * see just that. Throws `PolicyRefused` for an account that is not safe, not ours or has no place, and `ConfInvalid`.
 */
export function bootstrapFiles(
  pass: HostPass,
  { manager, view, isOff }: ManagerFiles,
  { account, secret }: { account: DeclaredAccount; secret: string },
): BootstrapFiles {
  const { facts, policy } = manager;
  const { username } = account.spec;
  const owner = accountOwner(account.name);
  const section = accountSection(account.spec, secret);
  const problems = accountProblems(account, { ...policy, secret });
  // How AMI listens is the server's own matter: it is said, and stays as it is.
  const refusals = problems.filter(({ severity, field }) => severity === "error" && field !== "serverRef");
  if (refusals.length > 0) throw refused(refusals.map((problem) => `${owner}: ${sentence(problem)}`));

  const recorded = recordedPlaces(pass).get(owner)?.path;
  const present = view.sections.filter(({ name }) => name.toLowerCase() === username.toLowerCase());
  refuseForeign(present, { username, secret, isOurs: recorded !== undefined });
  const where = new Set(present.map(({ file }) => file));
  const declared = account.spec.file;
  const choose = (known: string | undefined): ReturnType<typeof chooseAccountFile> =>
    chooseAccountFile({ username, declared, recorded: known, ...facts });
  const choice = choose(recorded ?? (where.size === 1 && declared === undefined ? [...where][0] : undefined));
  if (!("file" in choice)) throw refused([`${owner}: ${choice.problem}. ${choice.hint}`]);
  const { file } = choice;
  const byDefault = choose(undefined);

  const writes = new Map<string, Buffer>();
  const write = (path: string, sections: readonly OwnedSection[]): void => {
    const before = writes.get(path) ?? bytesOf(facts.files, path);
    const after = written(path, before ?? Buffer.alloc(0), sections);
    if (before === undefined || !after.equals(before)) writes.set(path, after);
  };
  if (isOff) write(managerConf, [listening(pass.declaration.spec.ami.host)]);
  write(file, [section]);
  refuseUnlike({ files: over(facts.files, writes), options: facts.options }, section, isOff);
  return {
    owner,
    section,
    file,
    isElsewhere: declared === undefined && (!("file" in byDefault) || byDefault.file !== file),
    writes,
    warnings: problems.filter((problem) => !refusals.includes(problem)).map(sentence),
  };
}

/** Switches AMI on for the server itself, whatever [general] said of it. */
function listening(host: string): OwnedSection {
  const variables = [
    { name: "enabled", value: "yes" },
    { name: "bindaddr", value: host === "::1" ? host : "127.0.0.1" },
  ];
  return { name: "general", whole: false, variables };
}

/** An account that somebody else made is not taken over; with the same secret it is ours all the same. */
function refuseForeign(
  present: readonly Section[],
  { username, secret, isOurs }: { username: string; secret: string; isOurs: boolean },
): void {
  const valuesOf = (key: string): string[] =>
    present.flatMap(({ variables }) =>
      variables.filter(({ name }) => name.toLowerCase() === key).map(({ value }) => value),
    );
  const [place] = present;
  const where = place === undefined ? {} : { where: { file: place.file, line: place.line } };
  if (valuesOf("setvar").length > 0) {
    throw new AsteriskIacError(
      "PolicyRefused",
      `the account [${username}] is there with \`setvar\`, which a reload makes Asterisk read freed memory with`,
      { ...where, hint: "Take its setvar lines out and restart Asterisk first. Nothing was written." },
    );
  }
  if (present.length === 0 || isOurs || valuesOf("secret").at(-1) === secret) return;
  throw new AsteriskIacError(
    "PolicyRefused",
    `an account [${username}] is there already, with another secret than ours`,
    {
      ...where,
      hint: "If it is asterisk-iac's, store its secret under the key `password` of the Secret that ami.credentialsSecretRef names; else store another name there, under `username`. Nothing was written.",
    },
  );
}

/** What Asterisk would see, looked at before it is written. */
function refuseUnlike(
  { files, options }: { files: ConfFiles; options: Parameters<typeof effectiveView>[2] },
  wanted: OwnedSection,
  isSwitchedOn: boolean,
): void {
  const view = effectiveView(managerConf, files, options);
  if (view.invalid !== undefined) {
    const { kind, subject, file, line } = view.invalid;
    throw new AsteriskIacError(
      "ConfInvalid",
      `Asterisk refuses manager.conf: ${`${kind} ${subject}`.trim()}`,
      {
        where: { file, line },
        hint: "Mend it on the server first. Nothing was written.",
      },
    );
  }
  const same = view.sections.filter(({ name }) => name.toLowerCase() === wanted.name.toLowerCase());
  const [seen] = same;
  const isSeen =
    same.length === 1 &&
    seen?.variables.length === wanted.variables.length &&
    seen.variables.every(
      ({ name, value }, at) =>
        name.toLowerCase() === wanted.variables[at]?.name && value === wanted.variables[at].value,
    );
  if (!isSeen) {
    throw new AsteriskIacError(
      "ConfInvalid",
      `Asterisk would not see the account [${wanted.name}] as it is to be: other lines of manager.conf, or of what it includes, change it`,
      {
        where: { file: managerConf },
        hint: "`asteriskctl conf show manager.conf` shows what Asterisk sees. Nothing was written.",
      },
    );
  }
  const enabled = general(view)?.variables.filter(({ name }) => name.toLowerCase() === "enabled");
  if (!isSwitchedOn || isTrue(enabled?.at(-1)?.value ?? "")) return;
  throw new AsteriskIacError(
    "ConfInvalid",
    "AMI would still be off: another line of manager.conf, or of what it includes, switches it off",
    { where: { file: managerConf }, hint: "Mend [general] on the server first. Nothing was written." },
  );
}

function written(path: string, bytes: Buffer, sections: readonly OwnedSection[]): Buffer {
  try {
    return writeOwned(bytes, sections);
  } catch (error) {
    if (!(error instanceof ConfError)) throw error;
    throw new AsteriskIacError("ConfInvalid", `${path} can't be written: ${error.message}`, {
      where: { file: path, ...(error.line === undefined ? {} : { line: error.line }) },
      hint: error.hint,
    });
  }
}

function bytesOf(files: ConfFiles, path: string): Buffer | undefined {
  const bytes = files.read(path);
  return bytes === undefined ? undefined : Buffer.from(bytes);
}

function over(files: ConfFiles, writes: ReadonlyMap<string, Buffer>): ConfFiles {
  const created: ConfFiles = filesOf(writes);
  return {
    read: (path) => writes.get(path) ?? files.read(path),
    glob: (pattern) => [...new Set([...files.glob(pattern), ...created.glob(pattern)])].sort(),
  };
}

function sentence({ field, message, hint }: AccountProblem): string {
  return field === "serverRef" ? `${message}. ${hint}` : `${field}: ${message}. ${hint}`;
}

function refused(reasons: readonly string[]): AsteriskIacError {
  return new AsteriskIacError("PolicyRefused", reasons.join("\n"), { hint: "Nothing was written." });
}
