import type { Duplex } from "node:stream";
import type { ClientChannel } from "ssh2";
import { AsteriskIacError, asAsteriskIacError } from "../../core/errors.ts";
import type { Host, ScriptOptions, ScriptResult } from "../host.ts";
import { KILL_SCRIPT, late, runIn, shellCommandLine, sudoersLine, timeoutOf } from "../shell.ts";
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

const KILL_TIMEOUT_MS = 2_000;

/** SSH's reasons for not opening a channel (RFC 4254, 5.1). */
const PROHIBITED = 1;

/** Opens one SSH connection to a server; every call of the Host goes over it. See `connect` for the errors. */
export async function openSSH(options: SSHOptions): Promise<Host> {
  const commandLine = shellCommandLine(options.become);
  try {
    return new SSHHost(options, await connect(options), commandLine);
  } catch (error) {
    throw asAsteriskIacError(error).on(options.label);
  }
}

class SSHHost implements Host {
  readonly #options: SSHOptions;
  readonly #connection: Connection;
  readonly #shells: ReadyShells;
  #lost: AsteriskIacError | undefined;
  #roundTrips = 0;

  constructor(options: SSHOptions, connection: Connection, commandLine: string) {
    this.#options = options;
    this.#connection = connection;
    this.#shells = new ReadyShells(connection.client, commandLine);
    void connection.lost.then((error) => (this.#lost ??= error));
  }

  get roundTrips(): number {
    return this.#roundTrips;
  }

  async run(script: string, options: ScriptOptions = {}): Promise<ScriptResult> {
    this.#roundTrips += 1;
    return this.#explained(async () => {
      const since = performance.now();
      const channel = await this.#takeShell(timeoutOf(options));
      const timeoutMs = Math.max(1, timeoutOf(options) - (performance.now() - since));
      return await runIn(this.#asShell(channel), script, { ...options, timeoutMs });
    });
  }

  async connectTCP(host: string, port: number): Promise<Duplex> {
    this.#roundTrips += 1;
    return this.#explained(
      () =>
        new Promise((resolve, reject) => {
          this.#connection.client.forwardOut("127.0.0.1", 0, host, port, (error, channel) =>
            error ? reject(forwardRefused(error, host, port)) : resolve(channel),
          );
        }),
    );
  }

  async close(): Promise<void> {
    this.#lost ??= new AsteriskIacError("ConnectionLost", "The SSH connection was closed.");
    await this.#connection.close();
  }

  async #takeShell(timeoutMs: number): Promise<ClientChannel> {
    const taken = this.#shells.take().catch((error: unknown) => {
      throw noSession(error);
    });
    const timedOut = Promise.withResolvers<never>();
    const timer = setTimeout(() => timedOut.reject(late(timeoutMs)), timeoutMs);
    try {
      return await Promise.race([taken, timedOut.promise]);
    } catch (error) {
      taken.then((channel) => channel.resume().end()).catch(() => undefined);
      throw error;
    } finally {
      clearTimeout(timer);
    }
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
    const channel = await this.#takeShell(KILL_TIMEOUT_MS);
    const shell = { ...this.#asShell(channel), kill: () => Promise.resolve(channel.close()) };
    await runIn(shell, KILL_SCRIPT, { args: [String(pid)], timeoutMs: KILL_TIMEOUT_MS });
  }

  async #explained<T>(action: () => Promise<T>): Promise<T> {
    try {
      if (this.#lost !== undefined) throw this.#lost;
      return await action();
    } catch (error) {
      throw (this.#lost ?? asAsteriskIacError(error)).on(this.#options.label);
    }
  }
}

function noSession(error: unknown): AsteriskIacError {
  if (error instanceof AsteriskIacError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new AsteriskIacError("UnexpectedAnswer", `The SSH server opened no session: ${message}.`, {
    hint: "Check MaxSessions and ForceCommand in its sshd_config.",
    cause: error,
  });
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
