import type { Duplex } from "node:stream";
import type { ClientChannel } from "ssh2";
import { AsteriskIacError, asAsteriskIacError, messageOf } from "../../core/errors.ts";
import type { ScriptOptions, ScriptResult, SocketHost } from "../host.ts";
import { relay } from "../relay.ts";
import { RoundTrips } from "../round-trips.ts";
import { KILL_SCRIPT, compile, late, runIn, shellCommandLine, sudoersLine, timeoutOf } from "../shell.ts";
import type { Shell } from "../shell.ts";
import { connect } from "./connection.ts";
import type { Connection, ConnectionOptions } from "./connection.ts";
import { ReadyShells } from "./ready-shells.ts";

export interface SSHOptions extends ConnectionOptions {
  /** The server's name in error messages. */
  readonly label: string;
  /** The user that owns the files, where the login user does not: scripts run as that user, through `sudo -n`. */
  readonly become?: string;
}

const CONNECT_TIMEOUT_MS = 10_000;
const KILL_TIMEOUT_MS = 2_000;

/** SSH's reasons for not opening a channel (RFC 4254, 5.1). */
const PROHIBITED = 1;

/** Opens one SSH connection to a server; every call of the Host goes over it. See `connect` for the errors. */
export async function openSSH(options: SSHOptions): Promise<SocketHost> {
  const commandLine = shellCommandLine(options.become);
  try {
    return new SSHHost(options, await connect(options), commandLine);
  } catch (error) {
    throw asAsteriskIacError(error).on(options.label);
  }
}

class SSHHost implements SocketHost {
  readonly #options: SSHOptions;
  readonly #connection: Connection;
  readonly #shells: ReadyShells;
  #lost: AsteriskIacError | undefined;
  readonly #roundTrips = new RoundTrips();

  constructor(options: SSHOptions, connection: Connection, commandLine: string) {
    this.#options = options;
    this.#connection = connection;
    this.#shells = new ReadyShells(connection.client, commandLine);
    void connection.lost.then((error) => (this.#lost ??= error));
  }

  get roundTrips(): number {
    return this.#roundTrips.count;
  }

  async run(script: string, options: ScriptOptions = {}): Promise<ScriptResult> {
    return this.#explained(async () => {
      const program = compile(script, options.args);
      const allMs = timeoutOf(options);
      const since = performance.now();
      const channel = await inTime(this.#takeShell(), allMs, late(allMs));
      const timeoutMs = Math.max(1, allMs - (performance.now() - since));
      return await runIn(this.#asShell(channel), program, { ...options, timeoutMs });
    });
  }

  async connectTCP(host: string, port: number): Promise<Duplex> {
    return this.#explained(async () => {
      const opening = new Promise<ClientChannel>((resolve, reject) => {
        this.#connection.client.forwardOut("127.0.0.1", 0, host, port, (error, channel) =>
          error ? reject(forwardRefused(error, host, port)) : resolve(channel),
        );
      });
      return await inTime(opening, CONNECT_TIMEOUT_MS, forwardTimedOut(host, port));
    });
  }

  async connectUnix(path: string): Promise<Duplex> {
    return this.#explained(async () => {
      const opening = new Promise<ClientChannel>((resolve, reject) => {
        // ssh2 throws where the server is no OpenSSH.
        this.#connection.client.openssh_forwardOutStreamLocal(path, (error, channel) =>
          error ? reject(socketRefused(error, path)) : resolve(channel),
        );
      });
      try {
        return await inTime(opening, CONNECT_TIMEOUT_MS, socketTimedOut(path));
      } catch (error) {
        if (this.#options.become === undefined) throw error;
        const channel = await inTime(this.#takeShell(), CONNECT_TIMEOUT_MS, socketTimedOut(path));
        return await relay(this.#asShell(channel), path, CONNECT_TIMEOUT_MS);
      }
    });
  }

  async close(): Promise<void> {
    this.#lost ??= new AsteriskIacError("ConnectionLost", "The SSH connection was closed.");
    await this.#connection.close();
  }

  #takeShell(): Promise<ClientChannel> {
    return this.#shells.take().catch((error: unknown) => {
      throw noSession(error);
    });
  }

  #asShell(channel: ClientChannel): Shell {
    const { user, become } = this.#options;
    return {
      stdin: channel,
      stdout: channel,
      stderr: channel.stderr,
      closed: new Promise((resolve) => channel.once("close", () => resolve(this.#lost))),
      kill: async (pid) => {
        channel.signal("KILL");
        if (pid !== undefined) await this.#killGroup(pid).catch(() => undefined);
        channel.close();
      },
      ...(become === undefined ? {} : { sudoersLine: sudoersLine(user, become) }),
    };
  }

  /** Through another shell, as the user that owns the process: sshd may not signal what sudo started. */
  async #killGroup(pid: number): Promise<void> {
    const channel = await inTime(this.#shells.takeNow(), KILL_TIMEOUT_MS, late(KILL_TIMEOUT_MS));
    const shell = { ...this.#asShell(channel), kill: () => Promise.resolve(channel.close()) };
    await runIn(shell, compile(KILL_SCRIPT, [String(pid)]), { timeoutMs: KILL_TIMEOUT_MS });
  }

  async #explained<T>(action: () => Promise<T>): Promise<T> {
    try {
      if (this.#lost !== undefined) throw this.#lost;
      return await this.#roundTrips.counted(action);
    } catch (error) {
      throw (this.#lost ?? asAsteriskIacError(error)).on(this.#options.label);
    }
  }
}

/** A channel, if it opens in time; one that comes too late is closed. */
async function inTime(
  opening: Promise<ClientChannel>,
  timeoutMs: number,
  tooLate: AsteriskIacError,
): Promise<ClientChannel> {
  const deadline = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    deadline.reject(tooLate);
    opening.then((channel) => channel.resume().end()).catch(() => undefined);
  }, timeoutMs);
  try {
    return await Promise.race([opening, deadline.promise]);
  } finally {
    clearTimeout(timer);
  }
}

function noSession(error: unknown): AsteriskIacError {
  return new AsteriskIacError("UnexpectedAnswer", `The SSH server opened no session: ${messageOf(error)}.`, {
    hint: "Check MaxSessions and ForceCommand in its sshd_config.",
    cause: error,
  });
}

function forwardTimedOut(host: string, port: number): AsteriskIacError {
  return new AsteriskIacError(
    "TimedOut",
    `The server did not connect to ${host} port ${port} on its side within ${CONNECT_TIMEOUT_MS / 1000} s.`,
    { next: "Retry", hint: "Check the address, and the firewall on the server's side." },
  );
}

function forwardRefused(error: Error & { reason?: unknown }, host: string, port: number): AsteriskIacError {
  if (error.reason === PROHIBITED)
    return new AsteriskIacError("PermissionDenied", `sshd forbids the tunnel to ${host} port ${port}.`, {
      hint:
        `Set AllowTcpForwarding to yes or local in its sshd_config (and PermitOpen ${host}:${port} where it is ` +
        "restricted), or reach AMI with via: Direct.",
    });
  return new AsteriskIacError(
    "Unreachable",
    `The server could not connect to ${host} port ${port} on its side: ${error.message}.`,
    { next: "Retry", hint: `Check that a program listens on ${host} port ${port} there.` },
  );
}

function socketTimedOut(path: string): AsteriskIacError {
  return new AsteriskIacError(
    "TimedOut",
    `The server did not connect to ${path} on its side within ${CONNECT_TIMEOUT_MS / 1000} s.`,
    { next: "Retry" },
  );
}

/** sshd says the same whether it forbids the way, the socket is not there, or the user may not use it. */
function socketRefused(error: Error, path: string): AsteriskIacError {
  return new AsteriskIacError("Unreachable", `The socket ${path} can't be reached: ${error.message}.`, {
    next: "Retry",
    hint:
      "Check that the program runs; that the login user may use its socket (for Asterisk: astctlgroup and " +
      "astctlpermissions in asterisk.conf), or set `become`; and that sshd allows it (AllowStreamLocalForwarding and " +
      "AllowTcpForwarding yes or local, and no PermitOpen).",
  });
}
