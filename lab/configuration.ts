import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { AsteriskIacError } from "../core/errors.ts";
import type { KeyPair } from "./keys.ts";
import type { LayerEntry } from "./layer.ts";
import { labModules, loadLines } from "./modules.ts";
import type { AsteriskVersion } from "./root-tree.ts";

/** The engine's AMI account in a lab. */
export interface AMICredentials {
  readonly username: string;
  readonly password: string;
}

/** What sets one server of a lab apart from the next. */
export interface ServerSettings {
  readonly name: string;
  readonly asterisk: AsteriskVersion;
  readonly sshPort: number;
  readonly amiPort: number;
  readonly ami: AMICredentials;
  readonly hostKey: KeyPair;
  /** One line, in OpenSSH's form: the key that opens both accounts. */
  readonly clientPublicKey: string;
}

/** The engine's AMI account with a new secret of 32 hex digits. */
export function newAMICredentials(): AMICredentials {
  return { username: "asterisk-iac", password: randomBytes(16).toString("hex") };
}

/** The machine's own files: name, id, and an sshd that lets both users in by key only. */
export function machineEntries(settings: ServerSettings): LayerEntry[] {
  const { name, hostKey } = settings;
  return [
    { path: "/etc/hostname", content: `${name}\n` },
    { path: "/etc/hosts", content: `127.0.0.1 localhost ${name}\n::1 localhost\n` },
    { path: "/etc/machine-id", content: `${randomBytes(16).toString("hex")}\n` },
    { path: "/etc/ssh/sshd_config", content: sshdConfiguration(settings) },
    { path: "/etc/ssh/authorized_keys", content: `${settings.clientPublicKey}\n` },
    { path: "/etc/ssh/ssh_host_ed25519_key", content: hostKey.privateKey, mode: 0o600 },
    { path: "/etc/ssh/ssh_host_ed25519_key.pub", content: `${hostKey.publicKey}\n` },
    // The music package is not installed; without its folder every reload of music on hold logs an error.
    { path: "/usr/share/asterisk/moh", directory: true },
  ];
}

function sshdConfiguration({ asterisk, sshPort }: ServerSettings): string {
  return [
    `Port ${sshPort}`,
    "ListenAddress 127.0.0.1",
    "HostKey /etc/ssh/ssh_host_ed25519_key",
    "AuthorizedKeysFile /etc/ssh/authorized_keys",
    "AllowUsers asterisk admin",
    "AuthenticationMethods publickey",
    "UsePAM no",
    "UseDNS no",
    "PrintMotd no",
    "PidFile none",
    "Subsystem sftp internal-sftp",
    // Since OpenSSH 9.8 an address that gives up or fails a few times is refused for a while: here, every client.
    ...(asterisk === 22 ? ["PerSourcePenaltyExemptList 127.0.0.0/8"] : []),
    "",
  ].join("\n");
}

/** Debian's shipped files that a lab changes, as little as it can: the AMI port and account, and fewer modules. */
export async function shippedEntries(tree: string, settings: ServerSettings): Promise<LayerEntry[]> {
  const edited = async (file: string, edit: (text: string) => string): Promise<LayerEntry> => ({
    path: `/etc/asterisk/${file}`,
    content: edit(await readFile(join(tree, "etc/asterisk", file), "utf8")),
    owner: "asterisk",
    mode: 0o640,
  });
  const modules = await labModules(tree);
  return Promise.all([
    edited("manager.conf", (text) => {
      const onOwnPort = replaceLine(text, /^port *=.*$/m, `port = ${settings.amiPort}`, "manager.conf");
      return `${onOwnPort.trimEnd()}\n\n${amiAccount(settings.ami)}`;
    }),
    edited("modules.conf", (text) => {
      return replaceLine(text, /^autoload *=.*$/m, `autoload=no\n${loadLines(modules)}`, "modules.conf");
    }),
  ]);
}

function replaceLine(text: string, line: RegExp, replacement: string, file: string): string {
  if (!line.test(text)) {
    throw new AsteriskIacError("LabFailed", `the package's ${file} has no line like ${line.source}`, {
      hint: "The package has changed; the lab must follow it.",
    });
  }
  return text.replace(line, replacement);
}

/** The section of an AMI account for the engine, every key written: a reload keeps what is omitted. */
export function amiAccount({ username, password }: AMICredentials): string {
  return [
    `[${username}]`,
    `secret = ${password}`,
    "deny = 0.0.0.0/0.0.0.0",
    "deny = ::/0",
    "permit = 127.0.0.1/255.255.255.255",
    "permit = ::1/128",
    "read = system",
    "write = system",
    "displayconnects = yes",
    "allowmultiplelogin = yes",
    "writetimeout = 100",
    "",
  ].join("\n");
}
