import { mkdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { AsteriskIacError, hasErrorCode, messageOf } from "../core/errors.ts";
import { resourceName } from "../core/resource/index.ts";
import type { Machine, Survey, SurveyOptions } from "../engine/bootstrap-host.ts";
import { pinnedFingerprints, presentedHostKey, surveyMachine } from "../engine/bootstrap-host.ts";
import { confirmed } from "./confirm.ts";
import type { GlobalOptions } from "./context.ts";
import { formatResource, writeAtomically } from "./manifest-writer.ts";
import { loadManifests } from "./manifests.ts";
import type { Shell } from "./program.ts";
import { SecretDirectory } from "./secrets.ts";
import { printable } from "./terminal.ts";

export interface MachineFlags {
  readonly name?: string;
  readonly dir: string;
  readonly hostKey?: string;
  readonly identity?: string;
  readonly storeKey?: boolean;
}

/** A machine that is declared now. */
export interface DeclaredMachine {
  readonly name: string;
  readonly filename: string;
  /** The secrets' folder. */
  readonly secrets: string;
  /** A private key to log in with that is not stored. */
  readonly privateKey?: Buffer;
}

/**
 * Makes a manifest for a machine of which only the address is known: pins its host key once somebody has said that it is
 * right, logs in, looks, and writes `<name>.yaml`. A manifest that declares the machine already is left as it is.
 */
export async function declareMachine(
  shell: Shell,
  target: string,
  options: GlobalOptions,
  flags: MachineFlags,
): Promise<DeclaredMachine> {
  if (options.filename !== undefined) {
    throw new AsteriskIacError("InvalidArgument", "-f names manifests, and USER@HOST writes a new one", {
      hint: "Say with --dir where it is to be written.",
    });
  }
  const machine = parseTarget(target);
  const name = nameOf(machine, flags.name);
  const filename = join(flags.dir, `${name}.yaml`);
  const secrets = options.secrets ?? join(flags.dir, "secrets");
  const privateKey = await readIdentity(flags);
  const isDeclared = await declaredAlready(machine, { name, filename, directory: flags.dir });
  const store = new SecretDirectory(secrets);
  const stored = await store.read(sshSecret(name)).then(
    (secret) => secret.get("ssh-privatekey"),
    () => undefined,
  );
  const credentials = credentialsOf(privateKey ?? stored);
  const knownHosts = await pinnedKeys(shell, machine, { name, secrets, expected: flags.hostKey });
  if (privateKey !== undefined && flags.storeKey === true)
    await store.readOrCreate(sshSecret(name), "ssh-privatekey", () => privateKey);
  if (!isDeclared) {
    const survey = await surveyMachine({ machine, label: name, credentials, knownHosts });
    await mkdir(flags.dir, { recursive: true });
    await writeAtomically(filename, formatResource(serverResource(machine, name, survey)), 0o644);
    shell.terminal.stderr.write(`wrote ${filename}: ${said(survey)}\n`);
  }
  return { name, filename, secrets, ...(privateKey === undefined ? {} : { privateKey }) };
}

function credentialsOf(privateKey: Buffer | undefined): SurveyOptions["credentials"] {
  const agent = process.env["SSH_AUTH_SOCK"];
  if (privateKey !== undefined) return { privateKey };
  if (agent !== undefined) return { agent };
  throw new AsteriskIacError("SecretMissing", "there is nothing to log in over SSH with", {
    hint: "Run an SSH agent (ssh-add), or name a private key with --identity FILE.",
  });
}

function sshSecret(name: string): string {
  return `${name}-ssh`;
}

/** Reads USER@HOST[:PORT]; an IPv6 address with a port stands in brackets. */
export function parseTarget(target: string): Machine {
  const [, user, bracketed, plain, port] =
    /^([^@]+)@(?:\[([0-9A-Fa-f:.]+)\]|([^\s[\]:]+|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*))(?::(\d{1,5}))?$/.exec(
      target,
    ) ?? [];
  const host = bracketed ?? plain;
  const isUser = user !== undefined && /^[A-Za-z_][A-Za-z0-9_.-]*\$?$/.test(user);
  const isHost = host !== undefined && /^[A-Za-z0-9_:][A-Za-z0-9_.:%-]*$/.test(host);
  const number = Number(port ?? 22);
  if (isUser && isHost && number >= 1 && number <= 65535) return { user, host, port: number };
  throw new AsteriskIacError("InvalidArgument", `${target} is not USER@HOST[:PORT]`, {
    hint: "For example admin@pbx.example.com, or admin@[2001:db8::1]:2222.",
  });
}

/** A name for the resource: as given, else the first label of the host's name, or its address with dashes. */
function nameOf({ host }: Machine, given: string | undefined): string {
  const isAddress = host.includes(":") || /^[\d.]+$/.test(host);
  const made = isAddress ? `pbx-${host.replaceAll(/[^0-9A-Za-z]+/g, "-")}` : (host.split(".")[0] ?? "");
  const parsed = resourceName.safeParse(given ?? made.toLowerCase());
  if (parsed.success) return parsed.data;
  throw new AsteriskIacError(
    "InvalidArgument",
    `${given ?? made} ${parsed.error.issues[0]?.message ?? "is not a name"}`,
    { hint: "Name the AsteriskServer with --name." },
  );
}

async function readIdentity({ identity, storeKey }: MachineFlags): Promise<Buffer | undefined> {
  if (identity === undefined) {
    if (storeKey !== true) return undefined;
    throw new AsteriskIacError("InvalidArgument", "--store-key needs the key: --identity FILE");
  }
  return readFile(identity).catch((cause: unknown) => {
    throw new AsteriskIacError("InvalidArgument", `${identity} can't be read: ${messageOf(cause)}`, {
      cause,
    });
  });
}

/** Whether the manifest is there and declares this machine. Throws `InvalidArgument` for any other that is in the way. */
async function declaredAlready(
  { host, port, user }: Machine,
  { name, filename, directory }: { name: string; filename: string; directory: string },
): Promise<boolean> {
  if (!(await exists(directory))) return false;
  const { servers } = await loadManifests([directory]);
  const same = servers.find(
    ({ resource: { spec } }) => spec.ssh?.host.toLowerCase() === host.toLowerCase() && spec.ssh.port === port,
  );
  if (same?.name === name && same.file === filename && same.resource.spec.ssh?.user === user) return true;
  if (same !== undefined) {
    throw new AsteriskIacError("InvalidArgument", `AsteriskServer ${same.name} is this machine already`, {
      where: { file: same.file, line: same.line },
      hint: `asteriskctl -f ${same.file} bootstrap ${same.name}`,
    });
  }
  if (!(await exists(filename)) && !servers.some((server) => server.name === name)) return false;
  throw new AsteriskIacError("InvalidArgument", `${name} is declared already, as another machine`, {
    where: { file: filename },
    hint: "Choose another name with --name, or another directory with --dir. Nothing was overwritten.",
  });
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    (error: unknown) => !hasErrorCode(error, "ENOENT"),
  );
}

/** The known_hosts of the machine; a key that is not in it is shown and has to be called right first. */
async function pinnedKeys(
  { terminal }: Shell,
  machine: Machine,
  { name, secrets, expected }: { name: string; secrets: string; expected: string | undefined },
): Promise<string> {
  const file = join(secrets, sshSecret(name), "known_hosts");
  const readPinned = (): Promise<string> => readFile(file, "utf8").catch(() => "");
  const pinned = pinnedFingerprints(await readPinned(), machine);
  if (pinned.length > 0) {
    if (expected !== undefined && !pinned.includes(expected))
      throw notExpected(`${file} has`, pinned.join(", "), expected);
    return readPinned();
  }
  const key = await presentedHostKey(machine);
  const shown = `${key.type} ${key.fingerprint}`;
  terminal.stderr.write(`${machine.host} port ${machine.port} shows the host key ${shown}\n`);
  if (expected !== undefined && expected !== key.fingerprint)
    throw notExpected("the host key is", shown, expected);
  if (expected === undefined && !(await isRight(terminal))) {
    throw new AsteriskIacError("HostKeyUnknown", "the host key was not called right", {
      hint: "Nothing was sent to log in, and nothing was written.",
    });
  }
  await new SecretDirectory(secrets).appendLine(sshSecret(name), "known_hosts", key.line);
  return readPinned();
}

function notExpected(what: string, shown: string, expected: string): AsteriskIacError {
  return new AsteriskIacError("HostKeyMismatch", `${what} ${shown}, not ${expected}`, {
    hint: "Somebody may be in between, or --host-key is of another key of the machine. Nothing was sent to log in.",
  });
}

async function isRight(terminal: Shell["terminal"]): Promise<boolean> {
  try {
    return await confirmed(
      terminal,
      "Is that its key (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub on its console)?",
    );
  } catch (cause) {
    throw new AsteriskIacError(
      "HostKeyUnknown",
      "the host key is not known, and there is no terminal to ask on",
      {
        cause,
        hint: "Compare the fingerprint with the machine's own (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub there), and pass it with --host-key. Nothing was sent to log in.",
      },
    );
  }
}

function serverResource(machine: Machine, name: string, survey: Survey): object {
  const { become, amiPort, updateDirection, rules } = survey;
  return {
    apiVersion: "asterisk-iac.dev/v1alpha1",
    kind: "AsteriskServer",
    metadata: { name },
    spec: {
      ssh: {
        host: machine.host,
        ...(machine.port === 22 ? {} : { port: machine.port }),
        user: machine.user,
        ...(become === undefined ? {} : { become }),
        credentialsSecretRef: { name: sshSecret(name) },
      },
      ami: {
        ...(amiPort === 5038 ? {} : { port: amiPort }),
        credentialsSecretRef: { name: `${name}-ami` },
      },
      updateDirection,
      ...(rules.length === 0 ? {} : { rules }),
    },
  };
}

function said({ asteriskVersion, configDirectory, distribution, become, updateDirection }: Survey): string {
  const owner = become === undefined ? "" : `, files of ${become}`;
  const writer = distribution === undefined ? "no distribution found" : `written by ${distribution}`;
  return printable(
    `Asterisk ${asteriskVersion}, ${configDirectory}${owner}, ${writer}: updateDirection ${updateDirection}`,
  );
}
