import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import type { Writable } from "node:stream";

/** A server that tests have started. */
export interface TiedProcess {
  readonly child: ChildProcess;
  /** What it has said so far, on standard output and standard error. */
  said(): string;
  /** Ends it and everything it started. */
  stop(): Promise<void>;
}

/** A command in a process group of its own, which is killed when standard input ends: with the caller, however that ends. */
const tiedToCaller = `exec 3<&0; (cat <&3; kill -KILL 0) >/dev/null 2>&1 & "$@" </dev/null 3<&-`;

export interface TiedProcessOptions {
  /** The whole environment. */
  readonly environment: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** The user and group to become; default: this process's own. */
  readonly user?: { readonly uid: number; readonly gid: number };
}

/** Starts a server that lives no longer than this process. */
export function spawnTied(command: readonly string[], options: TiedProcessOptions): TiedProcess {
  const child = spawn("sh", ["-c", tiedToCaller, "sh", ...command], {
    env: options.environment,
    stdio: ["pipe", "pipe", "pipe"],
    detached: true,
    ...options.user,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  const heard: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => heard.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => heard.push(chunk));
  // One that ends early closes it.
  child.stdin.on("error", () => undefined);
  return {
    child,
    said: () => Buffer.concat(heard).toString(),
    stop: async () => {
      (child.stdin as Writable).destroy();
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    },
  };
}
