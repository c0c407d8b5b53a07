import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { connect } from "node:net";
import { userInfo } from "node:os";
import type { Duplex } from "node:stream";
import { AsteriskIacError, asAsteriskIacError } from "../core/errors.ts";
import type { ScriptOptions, ScriptResult, SocketHost } from "./host.ts";
import { relay } from "./relay.ts";
import { RoundTrips } from "./round-trips.ts";
import { KILL_SCRIPT, compile, runIn, shellCommand, sudoersLine } from "./shell.ts";
import type { Shell } from "./shell.ts";

export interface LocalOptions {
  /** The server's name in error messages. */
  readonly label: string;
  /** The user that owns the files, where the running user does not: scripts run as that user, through `sudo -n`. */
  readonly become?: string;
}

const CONNECT_TIMEOUT_MS = 10_000;
const KILL_TIMEOUT_MS = 2_000;

/** This very machine as a Host. Nothing is started before the first script. */
export function openLocal(options: LocalOptions): SocketHost {
  return new LocalHost(options, shellCommand(options.become));
}

class LocalHost implements SocketHost {
  readonly #options: LocalOptions;
  readonly #command: readonly [string, ...string[]];
  readonly #children = new Set<ChildProcess>();
  readonly #roundTrips = new RoundTrips();
  #closed = false;

  constructor(options: LocalOptions, command: readonly [string, ...string[]]) {
    this.#options = options;
    this.#command = command;
  }

  get roundTrips(): number {
    return this.#roundTrips.count;
  }

  async run(script: string, options: ScriptOptions = {}): Promise<ScriptResult> {
    try {
      this.#refuseIfClosed();
      const program = compile(script, options.args);
      return await this.#roundTrips.counted(() => runIn(this.#start(), program, options));
    } catch (error) {
      throw asAsteriskIacError(error).on(this.#options.label);
    }
  }

  async connectTCP(host: string, port: number): Promise<Duplex> {
    try {
      this.#refuseIfClosed();
      return await this.#roundTrips.counted(() => connectWithin({ host, port }, CONNECT_TIMEOUT_MS));
    } catch (error) {
      throw asAsteriskIacError(error).on(this.#options.label);
    }
  }

  async connectUnix(path: string): Promise<Duplex> {
    try {
      this.#refuseIfClosed();
      return await this.#roundTrips.counted(async () => {
        try {
          return await connectWithin({ path }, CONNECT_TIMEOUT_MS);
        } catch (error) {
          if (this.#options.become === undefined) throw error;
          return await relay(this.#start(), path, CONNECT_TIMEOUT_MS);
        }
      });
    } catch (error) {
      throw asAsteriskIacError(error).on(this.#options.label);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    const ended = [...this.#children].map((child) => new Promise((resolve) => child.once("close", resolve)));
    this.#children.forEach(killGroup);
    // Children of sudo end when their input does; they are not waited for without end.
    const timer = Promise.withResolvers<undefined>();
    const timeout = setTimeout(() => timer.resolve(undefined), KILL_TIMEOUT_MS);
    await Promise.race([Promise.all(ended), timer.promise]);
    clearTimeout(timeout);
  }

  #refuseIfClosed(): void {
    if (this.#closed) throw new AsteriskIacError("ConnectionLost", "The local host was closed.");
  }

  #start(): Shell {
    const [program, ...args] = this.#command;
    // A process group of its own, so that all of a script can be killed and not only its shell.
    const child = spawn(program, args, { stdio: "pipe", detached: true });
    this.#children.add(child);
    const { become } = this.#options;
    return {
      stdin: child.stdin,
      stdout: child.stdout,
      stderr: child.stderr,
      closed: new Promise((resolve) => {
        child.once("error", (error) => {
          this.#children.delete(child);
          resolve(notStarted(program, error));
        });
        child.once("close", () => {
          this.#children.delete(child);
          resolve(
            this.#closed ? new AsteriskIacError("ConnectionLost", "The local host was closed.") : undefined,
          );
        });
      }),
      kill: async (pid) => {
        killGroup(child);
        if (pid !== undefined && become !== undefined) await this.#killAsOwner(pid).catch(() => undefined);
      },
      ...(become === undefined ? {} : { sudoersLine: sudoersLine(userInfo().username, become) }),
    };
  }

  /** What sudo started belongs to another user: only that one may signal it. */
  async #killAsOwner(pid: number): Promise<void> {
    const shell = { ...this.#start(), kill: () => Promise.resolve() };
    await runIn(shell, compile(KILL_SCRIPT, [String(pid)]), { timeoutMs: KILL_TIMEOUT_MS });
  }
}

function killGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  } catch {
    // It is gone, or belongs to another user.
  }
}

function notStarted(program: string, error: Error): AsteriskIacError {
  return new AsteriskIacError("PermissionDenied", `${program} could not be started: ${error.message}.`, {
    ...(program === "sudo" ? { hint: "Install sudo, or run as the files' owner without `become`." } : {}),
    cause: error,
  });
}

type Endpoint = { readonly host: string; readonly port: number } | { readonly path: string };

function connectWithin(to: Endpoint, timeoutMs: number): Promise<Duplex> {
  const [name, hint] =
    "path" in to
      ? [to.path, "Check that a program listens there, and that this user may use the socket."]
      : [`${to.host} port ${to.port}`, `Check that a program listens on port ${to.port}.`];
  return new Promise((resolve, reject) => {
    const socket = connect(to).setNoDelay(true);
    const give = (code: "TimedOut" | "Unreachable", why: string): void => {
      socket.destroy();
      reject(new AsteriskIacError(code, `No connection to ${name}: ${why}.`, { next: "Retry", hint }));
    };
    const timer = setTimeout(() => give("TimedOut", `no answer within ${timeoutMs / 1000} s`), timeoutMs);
    const failed = (error: Error): void => {
      clearTimeout(timer);
      give("Unreachable", error.message);
    };
    socket.once("error", failed);
    socket.once("connect", () => {
      clearTimeout(timer);
      socket.off("error", failed);
      resolve(socket);
    });
  });
}
