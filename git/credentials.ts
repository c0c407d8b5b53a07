import { mkdir, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { randomBytes } from "node:crypto";
import { AsteriskIacError } from "../core/errors.ts";
import { shellWord } from "../core/shell-word.ts";

/** What a repository is asked with. For SSH the key and the known hosts, for HTTP the name and the password. */
export interface GitCredentials {
  /** A private key as OpenSSH has it, without a passphrase. Without one the agent is asked. */
  readonly privateKey?: string;
  /** Lines of known_hosts; without them the user's own file counts. */
  readonly knownHosts?: string;
  /** With a token alone any name will do. */
  readonly username?: string;
  readonly password?: string;
}

/** What one git needs to reach its remote. No secret is in it: they are in files that are ours alone. */
export interface Access {
  readonly env: Readonly<Record<string, string>>;
  readonly config: readonly string[];
}

const machinesMatter = [
  ...["https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"],
  ...["GIT_SSL_CAINFO", "SSL_CERT_FILE", "SSL_CERT_DIR"],
];

/** After so long without an answer a connection is given up. Seconds. */
const silenceS = 15;

/** Runs `work` with what git needs to reach a URL; what had to be written for it lies in `directory` so long, 0700. */
export async function withAccess<T>(
  url: string,
  credentials: GitCredentials,
  directory: string,
  work: (access: Access) => Promise<T>,
): Promise<T> {
  const room = join(directory, `access-${randomBytes(8).toString("hex")}`);
  const write = async (name: string, text: string): Promise<string> => {
    await writeFile(join(room, name), text, { mode: 0o600 });
    return join(room, name);
  };
  await mkdir(room, { mode: 0o700 });
  try {
    return await work(
      /^https?:/.test(url) ? await httpAccess(url, credentials, write) : await sshAccess(credentials, write),
    );
  } finally {
    await rm(room, { recursive: true, force: true });
  }
}

type Write = (name: string, text: string) => Promise<string>;

async function httpAccess(
  url: string,
  { username = "token", password }: GitCredentials,
  write: Write,
): Promise<Access> {
  const { protocol, origin } = new URL(url);
  const common = ["http.followRedirects=false", "http.lowSpeedLimit=1", `http.lowSpeedTime=${silenceS}`];
  // Proxies and authorities are the machine's matter; everything else of its environment stays out.
  const inherited = machinesMatter.flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  const env = { GIT_ALLOW_PROTOCOL: protocol.slice(0, -1), ...Object.fromEntries(inherited) };
  if (password === undefined) return { env, config: common };
  // What git asks a helper for is answered from a file: neither its environment nor its arguments hold a secret.
  const answer = await write("answer", `username=${oneLine(username)}\npassword=${oneLine(password)}\n`);
  const helper = `!f() { test "$1" != get || cat ${shellWord(answer)}; }; f`;
  return { env, config: [...common, `credential.${origin}.helper=${helper}`] };
}

async function sshAccess({ privateKey, knownHosts }: GitCredentials, write: Write): Promise<Access> {
  const hosts =
    knownHosts === undefined
      ? join(homedir(), ".ssh", "known_hosts")
      : await write("known_hosts", withNewline(knownHosts));
  const options = [
    // The user's own settings could name other keys, other hosts and programs to run.
    "-F /dev/null",
    ...[
      `UserKnownHostsFile="${hosts}"`,
      "GlobalKnownHostsFile=/dev/null",
      "StrictHostKeyChecking=yes",
      "BatchMode=yes",
      "ForwardAgent=no",
      "ClearAllForwardings=yes",
      `ConnectTimeout=${silenceS}`,
      "ServerAliveInterval=5",
      `ServerAliveCountMax=${silenceS / 5}`,
    ].map((option) => `-o ${shellWord(option)}`),
  ];
  const agent = process.env["SSH_AUTH_SOCK"];
  const env = { GIT_ALLOW_PROTOCOL: "ssh", GIT_SSH_VARIANT: "ssh" };
  const command = (more: readonly string[]): string => ["ssh", ...options, ...more].join(" ");
  if (privateKey !== undefined) {
    const key = shellWord(await write("key", withNewline(privateKey)));
    const only = ["-o IdentitiesOnly=yes", "-o IdentityAgent=none", `-i ${key}`];
    return { env: { ...env, GIT_SSH_COMMAND: command(only) }, config: [] };
  }
  const withAgent = agent === undefined ? env : { ...env, SSH_AUTH_SOCK: agent };
  return { env: { ...withAgent, GIT_SSH_COMMAND: command([]) }, config: [] };
}

/** A value as a line of git's credential protocol. */
function oneLine(value: string): string {
  const line = value.replace(/\r?\n$/, "");
  if (!/[\0\r\n]/.test(line)) return line;
  throw new AsteriskIacError("SecretMissing", "the repository's credentials hold a line break or a NUL", {
    hint: "`username`, `password` and `token` are one line each.",
  });
}

function withNewline(text: string): string {
  return text.endsWith("\n") ? text : `${text}\n`;
}
