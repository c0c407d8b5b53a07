import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { AsteriskIacError } from "../core/errors.ts";

/** What a command answered. `code` is its exit status, or 128 + the signal that ended it, as a shell says it. */
export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  /** Text for standard input; none by default. */
  readonly input?: string;
  /** The whole environment of the command; default: this process's own. */
  readonly environment?: NodeJS.ProcessEnv;
}

const signalNumbers: Partial<Record<NodeJS.Signals, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGKILL: 9,
  SIGTERM: 15,
};

/** Runs a command to its end. Rejects only if it can't be started; an exit code other than 0 is an answer. */
export function runCommand(command: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const [file = "", ...args] = command;
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { env: options.environment ?? process.env });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
    child.on("error", reject);
    child.on("close", (code, signal) => {
      resolve({
        code: code ?? 128 + (signalNumbers[signal ?? "SIGKILL"] ?? 0),
        stdout: Buffer.concat(stdout).toString(),
        stderr: Buffer.concat(stderr).toString(),
      });
    });
    // A command may end without reading its input; its exit code then says all there is to say.
    child.stdin.on("error", () => undefined);
    child.stdin.end(options.input ?? "");
  });
}

/**
 * What tells a process from a later one with the same number: `<boot id>/<pid>/<start time>`, the start time in
 * clock ticks since boot (field 22 of proc(5)'s stat). Undefined if there is no such process or only its zombie.
 */
export async function processIdentity(pid: number): Promise<string | undefined> {
  try {
    const boot = (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
    const stat = await readFile(`/proc/${pid}/stat`, "utf8");
    // The second field is the command's name in parentheses and may hold blanks.
    const [state, ...fields] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return state === "Z" || state === "X" ? undefined : `${boot}/${pid}/${fields[18]}`;
  } catch {
    return undefined;
  }
}

/** The process that an identity names, if it still runs. */
export async function isRunning(identity: string): Promise<boolean> {
  return (await processIdentity(pidOf(identity))) === identity;
}

/** Kills the process that an identity names, and only that one, and waits until it is gone. Gone already is well. */
export async function killProcess(identity: string, deadlineMs = 10_000): Promise<void> {
  const pid = pidOf(identity);
  const signalled = (await isRunning(identity)) && sendKill(pid);
  if (!signalled) return;
  const gone = await until(async () => !(await isRunning(identity)), deadlineMs);
  if (!gone)
    throw new AsteriskIacError(
      "LabFailed",
      `process ${pid} was killed and still runs after ${deadlineMs} ms`,
    );
}

function pidOf(identity: string): number {
  return Number(identity.split("/")[1]);
}

function sendKill(pid: number): boolean {
  try {
    return process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
    throw new AsteriskIacError(
      "LabFailed",
      `process ${pid} of a lab can't be stopped: ${(error as Error).message}`,
      {
        hint: "Run this as the user who brought the lab up.",
        cause: error,
      },
    );
  }
}

/** Asks a question again and again, `everyMs` apart, until it answers true (true) or the deadline passes (false). */
export async function until(
  question: () => Promise<boolean>,
  deadlineMs: number,
  everyMs = 10,
): Promise<boolean> {
  const end = performance.now() + deadlineMs;
  while (!(await question())) {
    if (performance.now() > end) return false;
    await new Promise((resume) => setTimeout(resume, everyMs));
  }
  return true;
}
