import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import type { AMIOptions } from "../asterisk/ami/client.ts";
import { AMIClient } from "../asterisk/ami/client.ts";
import { AMISession } from "../asterisk/ami/session.ts";
import type { Transport } from "../asterisk/ami/transport.ts";
import type { Host, SocketHost } from "../asterisk/host.ts";
import { proveLogin } from "../asterisk/manager-users.ts";
import type { LoginProof } from "../asterisk/manager-users.ts";
import { openLocal } from "../asterisk/local.ts";
import { openSSH } from "../asterisk/ssh/ssh-host.ts";
import type { ErrorCode } from "../core/errors.ts";
import { AsteriskIacError } from "../core/errors.ts";
import type { AsteriskServerSpec } from "../core/resource/index.ts";
import type { Source } from "../core/source.ts";
import { livePassword, passwordKey, pendingOf } from "./account-secret.ts";
import type { DeclaredAccount, DeclaredConfFile } from "./desired.ts";
import type { Secret, SecretStore } from "./secrets.ts";

/** The resources that refer to one server. */
export interface ServerResources {
  readonly accounts: readonly DeclaredAccount[];
  readonly files: readonly DeclaredConfFile[];
}

/** A server as a front declares it, with its source opened, and the resources that refer to it. */
export interface ServerDeclaration extends ServerResources {
  readonly name: string;
  readonly spec: AsteriskServerSpec;
  readonly source: Source;
}

/** Both connections to one server. At most one of each is open in a run. */
export interface ServerSession {
  readonly declaration: ServerDeclaration;
  readonly host: Host;
  readonly ami: AMISession;
  /** Logs in to AMI anew, over the same way: proof that it still lets us in. */
  readonly openAMI: () => Promise<AMIClient>;
  /** Logs in once as somebody else, over the same way. */
  readonly proveLogin: (username: string, password: string) => Promise<LoginProof>;
  /** Who we are to AMI. */
  readonly username: string;
  /** Our own password was changed: from the next login on. */
  readonly usePassword: (password: string) => void;
  /** Milliseconds from nothing to logged in. */
  readonly connectMs: { readonly host: number; readonly ami: number };
  close(): Promise<void>;
}

/** Opens a session, runs `work` with it, and closes it whatever happens. */
export async function withSession<T>(
  declaration: ServerDeclaration,
  secrets: SecretStore,
  work: (session: ServerSession) => Promise<T>,
): Promise<T> {
  const session = await openSession(declaration, secrets);
  try {
    return await work(session);
  } finally {
    await session.close();
  }
}

/** Opens both connections; whoever calls closes them. */
export async function openSession(
  declaration: ServerDeclaration,
  secrets: SecretStore,
): Promise<ServerSession> {
  const { spec } = declaration;
  // A missing secret is told before anything is sent anywhere.
  const [sshSecret, amiSecret, caSecret] = await Promise.all([
    spec.ssh?.credentialsSecretRef === undefined
      ? undefined
      : secrets.read(spec.ssh.credentialsSecretRef.name),
    secrets.read(spec.ami.credentialsSecretRef.name),
    spec.ami.tls?.caSecretRef === undefined ? undefined : secrets.read(spec.ami.tls.caSecretRef.name),
  ]);
  const host = timed(
    spec.local === undefined ? openSSHHost(declaration, secrets, sshSecret) : openLocalHost(declaration),
  );
  const credentials = { name: spec.ami.credentialsSecretRef.name, secret: amiSecret };
  const options = amiOptions(declaration, host, credentials, caSecret);
  let changed: { password?: string } = {};
  const ami = timed(options.then((known) => AMISession.open(known)));
  const [hostResult, amiResult] = await Promise.allSettled([host, ami]);
  if (hostResult.status === "fulfilled" && amiResult.status === "fulfilled") {
    return {
      declaration,
      host: hostResult.value.value,
      ami: amiResult.value.value,
      username: (await options).username,
      openAMI: async () => AMIClient.connect({ ...(await options), ...changed }),
      proveLogin: async (username, password) => proveLogin({ ...(await options), username, password }),
      usePassword: (password) => {
        changed = { password };
        amiResult.value.value.usePassword(password);
      },
      connectMs: { host: hostResult.value.milliseconds, ami: amiResult.value.milliseconds },
      close: async () => {
        await amiResult.value.value.close();
        await hostResult.value.value.close();
      },
    };
  }
  if (amiResult.status === "fulfilled") await amiResult.value.value.close();
  if (hostResult.status === "fulfilled") await hostResult.value.value.close();
  throw hostResult.status === "rejected" ? hostResult.reason : (amiResult as PromiseRejectedResult).reason;
}

const faultsElsewhere: ReadonlySet<ErrorCode> = new Set([
  "ChangedMeanwhile",
  "SourceUnavailable",
  "CallsActive",
]);

/** Whether a session is as good as before an error: a person must act, or it is not the server that failed. */
export function leavesConnections({ next, code }: AsteriskIacError): boolean {
  return next === "Stalled" || faultsElsewhere.has(code);
}

/** Opens the way to the machine alone, where AMI is not to be asked, or can't be yet; whoever calls closes it. */
export async function openHost(
  declaration: Pick<ServerDeclaration, "name" | "spec">,
  secrets: SecretStore,
): Promise<SocketHost> {
  const { ssh, local } = declaration.spec;
  if (local !== undefined) return openLocalHost(declaration);
  const reference = ssh?.credentialsSecretRef?.name;
  return openSSHHost(
    declaration,
    secrets,
    reference === undefined ? undefined : await secrets.read(reference),
  );
}

/** Logs in to AMI once, over the way that is declared and a host that is open. */
export async function proveLoginOver(
  host: Host,
  declaration: ServerDeclaration,
  secrets: SecretStore,
  account: { readonly username: string; readonly password: string },
): Promise<LoginProof> {
  const reference = declaration.spec.ami.tls?.caSecretRef?.name;
  const ca = reference === undefined ? undefined : await secrets.read(reference);
  const transport = await transportOf(declaration, Promise.resolve({ value: host }), ca);
  return proveLogin({ ...account, transport, label: declaration.name });
}

/**
 * One AMI connection for an account other than the engine's, over the way that is declared and a host that is open. Its
 * credentials are the keys `username` and `password` of that secret. No events come until they are asked for.
 */
export async function connectAs(
  host: Host,
  declaration: ServerDeclaration,
  secrets: SecretStore,
  credentials: string,
): Promise<AMIClient> {
  const secret = await secrets.read(credentials);
  const reference = declaration.spec.ami.tls?.caSecretRef?.name;
  const ca = reference === undefined ? undefined : await secrets.read(reference);
  const open = Promise.resolve({ value: host });
  const options = await amiOptions(declaration, open, { name: credentials, secret }, ca);
  return AMIClient.connect({ ...options, eventMask: "off", readsSystem: false });
}

async function openLocalHost({ name, spec }: Pick<ServerDeclaration, "name" | "spec">): Promise<SocketHost> {
  const become = spec.local?.become;
  return openLocal({ label: name, ...(become === undefined ? {} : { become }) });
}

async function timed<T>(opening: Promise<T>): Promise<{ value: T; milliseconds: number }> {
  const started = performance.now();
  const value = await opening;
  return { value, milliseconds: performance.now() - started };
}

async function openSSHHost(
  declaration: Pick<ServerDeclaration, "name" | "spec">,
  secrets: SecretStore,
  secret: Secret | undefined,
): Promise<SocketHost> {
  const { ssh } = declaration.spec;
  if (ssh === undefined)
    throw new AsteriskIacError("InvalidManifest", "the server has neither ssh nor local");
  const reference = ssh.credentialsSecretRef?.name;
  const text = (key: string): string | undefined => secret?.get(key)?.toString("utf8");
  const user = ssh.user ?? text("username")?.trim();
  if (user === undefined || user === "") {
    throw new AsteriskIacError("SecretMissing", "nothing says which user to log in as over SSH", {
      hint: "Set ssh.user, or the key `username` of the credentials.",
    });
  }
  const privateKey = text("ssh-privatekey");
  const password = text("password")?.replace(/\r?\n$/, "");
  const agent = process.env["SSH_AUTH_SOCK"];
  const knownHosts = text("known_hosts");
  return openSSH({
    host: ssh.host,
    port: ssh.port,
    user,
    label: declaration.name,
    credentials: {
      ...(privateKey === undefined ? {} : { privateKey }),
      ...(password === undefined ? {} : { password }),
      // An agent is asked only where no credential was declared: it would offer keys of other places.
      ...(privateKey === undefined && password === undefined && agent !== undefined ? { agent } : {}),
    },
    knownHosts: knownHosts ?? (await userKnownHosts()),
    hostKeyPolicy: ssh.hostKeyPolicy,
    ...(reference === undefined
      ? {}
      : { onNewHostKey: (line: string) => secrets.appendLine(reference, "known_hosts", line) }),
    ...(ssh.become === undefined ? {} : { become: ssh.become }),
  });
}

/** What the user's own ssh trusts; counts where the credentials bring no `known_hosts`. */
async function userKnownHosts(): Promise<string> {
  return readFile(join(homedir(), ".ssh", "known_hosts"), "utf8").catch(() => "");
}

async function amiOptions(
  declaration: ServerDeclaration,
  host: Promise<{ value: Host }>,
  { name, secret }: { readonly name: string; readonly secret: Secret },
  ca: Secret | undefined,
): Promise<AMIOptions> {
  const username = required(secret, name, "username");
  const password = required(secret, name, passwordKey);
  const isRotating = secret.has(pendingOf(passwordKey));
  return {
    transport: await transportOf(declaration, host, ca),
    username,
    password: isRotating
      ? await livePassword((await host).value, declaration.spec.configDirectory, username, {
          password,
          pending: required(secret, name, pendingOf(passwordKey)),
        })
      : password,
    label: declaration.name,
  };
}

async function transportOf(
  { spec }: ServerDeclaration,
  host: Promise<{ value: Host }>,
  ca: Secret | undefined,
): Promise<Transport> {
  const { ami } = spec;
  if (ami.via === "SSHTunnel") {
    const { value } = await host;
    return { kind: "stream", open: () => value.connectTCP(ami.host, ami.port) };
  }
  if (ami.tls === undefined) return { kind: "tcp", host: ami.host, port: ami.port };
  const reference = ami.tls.caSecretRef?.name;
  return {
    kind: "tls",
    host: ami.host,
    port: ami.port,
    ...(ca === undefined || reference === undefined ? {} : { ca: required(ca, reference, "ca.crt") }),
    ...(ami.tls.serverName === undefined ? {} : { serverName: ami.tls.serverName }),
  };
}

function required(secret: Secret, name: string, key: string): string {
  const value = secret
    .get(key)
    ?.toString("utf8")
    .replace(/\r?\n$/, "");
  if (value !== undefined && value !== "") return value;
  throw new AsteriskIacError("SecretMissing", `the secret ${name} has no key ${key}`, {
    hint: `In the secrets' folder that is the file ${name}/${key}.`,
  });
}
