import { connect as connectSocket } from "node:net";
import type { Socket } from "node:net";
import type { AuthHandlerMiddleware } from "ssh2";
import ssh2 from "ssh2";
import { AsteriskIacError, asAsteriskIacError } from "../../core/errors.ts";
import { HOST_KEY_TYPES, Negotiation, algorithmsFor } from "./algorithms.ts";
import { Login } from "./credentials.ts";
import type { Credentials } from "./credentials.ts";
import { HostKeyCheck } from "./host-key.ts";
import type { HostKeyPolicy } from "./host-key.ts";

/** Deadlines of a connection, in milliseconds. */
export interface Deadlines {
  /** From the first packet to the login, in total. Default 10,000. */
  readonly connectMs?: number;
  /** How long nothing at all may come from the server before the connection counts as dead. Default 8,000. */
  readonly silenceMs?: number;
}

export interface ConnectionOptions {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly credentials: Credentials;
  /** Text of a known_hosts file, in OpenSSH's form. */
  readonly knownHosts: string;
  readonly hostKeyPolicy: HostKeyPolicy;
  /** Stores the line of a host seen for the first time (TrustOnFirstUse). If it rejects, no login is tried. */
  readonly onNewHostKey?: (line: string) => Promise<void>;
  readonly deadlines?: Deadlines;
}

/** A connection that is logged in. */
export interface Connection {
  readonly client: ssh2.Client;
  /** Resolves when the connection is gone, with the reason. */
  readonly lost: Promise<AsteriskIacError>;
  close(): Promise<void>;
}

const CLOSE_MS = 2_000;

/**
 * Connects and logs in. The host key is checked before any credential is sent. Rejects with `Unreachable`,
 * `TimedOut`, `HostKeyUnknown`, `HostKeyMismatch`, `AlgorithmRefused`, `AuthenticationFailed` or `SecretMissing`.
 */
export async function connect(options: ConnectionOptions): Promise<Connection> {
  const { host, port, user } = options;
  const login = new Login(user, options.credentials);
  const check = new HostKeyCheck(host, port, options.knownHosts, options.hostKeyPolicy, options.onNewHostKey);
  const negotiation = new Negotiation();
  const silenceMs = options.deadlines?.silenceMs ?? 8_000;
  const connectMs = options.deadlines?.connectMs ?? 10_000;
  const client = new ssh2.Client();
  const ready = Promise.withResolvers<undefined>();
  const lost = Promise.withResolvers<AsteriskIacError>();
  let stage = "connecting to its port";
  let silence: NodeJS.Timeout | undefined;

  const fail = (error: AsteriskIacError): void => {
    ready.reject(error);
    lost.resolve(error);
    socket.destroy();
  };
  const verifyHost = (key: Buffer, answer: (accepted: boolean) => void): void => {
    check.verify(key).then(
      () => answer(true),
      (error: unknown) => fail(asAsteriskIacError(error)),
    );
  };

  // ssh2 leaves Nagle's algorithm on: 40 ms for every small packet.
  const socket = connectSocket({ host, port }).setNoDelay(true);
  const tooLate = setTimeout(() => fail(connectTimedOut(options, connectMs, stage)), connectMs);
  socket.once("connect", () => (stage = "waiting for its greeting and its host key"));
  client.once("handshake", () => (stage = "logging in"));
  client.once("ready", () => {
    clearTimeout(tooLate);
    silence = watchSilence(socket, silenceMs, () =>
      fail(connectionLost(`Nothing was heard over SSH for ${silenceMs / 1000} s.`)),
    );
    ready.resolve(undefined);
  });
  client.on("error", (error: Error & { level?: string; code?: string }) => {
    if (error.level === "agent") login.agentFailed(error.message);
    else if (silence !== undefined) fail(connectionLost(`The SSH connection broke: ${error.message}.`));
    else fail(explain(error, { options, negotiation, check, login, stage }));
  });
  client.once("close", () => {
    clearTimeout(tooLate);
    clearInterval(silence);
    fail(connectionLost("The SSH connection was closed by the server."));
  });

  client.connect({
    sock: socket,
    username: user,
    algorithms: algorithmsFor(check.types()),
    hostVerifier: verifyHost,
    authHandler: ((left, _partial, next) => next(login.next(left) as never)) satisfies AuthHandlerMiddleware,
    debug: (line) => negotiation.hear(line),
    readyTimeout: 0,
    // Pings keep traffic coming; whether the connection is alive is judged by that traffic (watchSilence), since an
    // answer to a ping waits behind the data of a slow transfer.
    keepaliveInterval: Math.ceil(silenceMs / 4),
    keepaliveCountMax: Number.MAX_SAFE_INTEGER,
  });
  await ready.promise;
  return { client, lost: lost.promise, close: () => close(client, socket) };
}

/**
 * Calls `onSilence` when the server has sent nothing for that long. Counts looks and not time: a process that was
 * stopped or busy for a while has not yet read what was sent to it.
 */
function watchSilence(socket: Socket, silenceMs: number, onSilence: () => void): NodeJS.Timeout {
  const looks = 12;
  let heard = 0;
  let silent = 0;
  return setInterval(() => {
    silent = socket.bytesRead === heard ? silent + 1 : 0;
    heard = socket.bytesRead;
    if (silent >= looks) onSilence();
  }, silenceMs / looks);
}

async function close(client: ssh2.Client, socket: Socket): Promise<void> {
  if (socket.closed) return;
  const closed = new Promise<void>((resolve) => void client.once("close", () => resolve()));
  client.end();
  const timer = setTimeout(() => socket.destroy(), CLOSE_MS);
  await closed;
  clearTimeout(timer);
}

interface Circumstances {
  readonly options: ConnectionOptions;
  readonly negotiation: Negotiation;
  readonly check: HostKeyCheck;
  readonly login: Login;
  readonly stage: string;
}

/** What an error of ssh2 or of the socket means to the user. */
function explain(
  error: Error & { level?: string; code?: string },
  { options, negotiation, check, login, stage }: Circumstances,
): AsteriskIacError {
  const at = `${options.host} port ${options.port}`;
  const disagreement = negotiation.disagreement(error.message);
  if (disagreement !== undefined) {
    const { what, offered, accepted } = disagreement;
    const modern = algorithmsFor(HOST_KEY_TYPES).serverHostKey as string[];
    if (what === "host key" && offered.some((name) => modern.includes(name))) return check.typeGone(offered);
    return new AsteriskIacError(
      "AlgorithmRefused",
      `The SSH server at ${at} has no safe ${what} algorithm: it offers ${offered.join(", ")}; accepted are ` +
        `${accepted.join(", ")}.`,
      { hint: "Update the server's OpenSSH or its sshd_config. Weaker algorithms are never used." },
    );
  }
  if (error.level === "client-authentication" || /too many authentication failures/i.test(error.message))
    return login.failure(options.user);
  return new AsteriskIacError("Unreachable", `No SSH connection to ${at}, ${stage}: ${error.message}.`, {
    next: "Retry",
    hint: "Check ssh.host and ssh.port, and that sshd runs there and a firewall lets this machine in.",
    cause: error,
  });
}

function connectTimedOut(options: ConnectionOptions, ms: number, stage: string): AsteriskIacError {
  return new AsteriskIacError(
    "TimedOut",
    `No SSH connection to ${options.host} port ${options.port} within ${ms / 1000} s, ${stage}.`,
    { next: "Retry", hint: "Check ssh.host and ssh.port, and that a firewall lets this machine in." },
  );
}

function connectionLost(message: string): AsteriskIacError {
  return new AsteriskIacError("ConnectionLost", message, { next: "Retry" });
}
