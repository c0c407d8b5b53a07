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

/** What one git needs to reach its remote. What it is run with holds no secret: they are in files that are ours alone. */
export interface Access {
  readonly env: Readonly<Record<string, string>>;
  readonly config: readonly string[];
  /** What must not be told, should the remote say it. */
  readonly secrets: readonly string[];
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

/** A name as long as this may well be a token: some forges take it in the name's place. Characters. */
const tokenLength = 20;

/** The secrets of HTTP as they are, and as requests carry them. Longest first: one may be part of another. */
function secretsOfHTTP(username: string, password: string): string[] {
  const values = username.length < tokenLength ? [password] : [username, password];
  const basic = Buffer.from(`${username}:${password}`).toString("base64");
  return [...values, ...values.map(encodeURIComponent), basic]
    .filter((value) => value !== "")
    .sort((a, b) => b.length - a.length);
}

/** The lines of a private key that hold it. */
function secretsOfKey(privateKey: string): string[] {
  return privateKey.split(/\s+/).filter((line) => line.length >= tokenLength);
}

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
  if (password === undefined) return { env, config: common, secrets: [] };
  // What git asks a helper for is answered from a file: neither its environment nor its arguments hold a secret.
  const [name, word] = [oneLine(username), oneLine(password)];
  const answer = await write("answer", `username=${name}\npassword=${word}\n`);
  const helper = `!f() { test "$1" != get || cat ${shellWord(answer)}; }; f`;
  const config = [...common, `credential.${origin}.helper=${helper}`];
  return { env, config, secrets: secretsOfHTTP(name, word) };
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
    const secrets = secretsOfKey(privateKey);
    return { env: { ...env, GIT_SSH_COMMAND: command(only) }, config: [], secrets };
  }
  const withAgent = agent === undefined ? env : { ...env, SSH_AUTH_SOCK: agent };
  return { env: { ...withAgent, GIT_SSH_COMMAND: command([]) }, config: [], secrets: [] };
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
