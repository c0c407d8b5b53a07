import { randomBytes } from "node:crypto";
import type { Readable, Writable } from "node:stream";
import { AsteriskIacError } from "../core/errors.ts";
import { shellWord } from "../core/shell-word.ts";
import type { ScriptOptions, ScriptResult } from "./host.ts";

/**
 * How a script reaches a shell on the host. Every shell is started with the same few characters, which mean the same
 * to every login shell and show nothing in the process list or in sudo's log. It waits for one line on its standard
 * input, the program; what follows that line is the program's own standard input.
 */
export const BOOTSTRAP = 'IFS= read -r program; eval "$(printf %b "$program")"';

const DEFAULT_TIMEOUT_MS = 30_000;
const DEFAULT_MAX_OUTPUT_BYTES = 512 * 1024 * 1024;
const MAX_STDERR_BYTES = 1024 * 1024;

/** A shell on the host that waits for its program. */
export interface Shell {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Resolves when the shell is gone and its output was read; with an error if that says why it went. */
  readonly closed: Promise<AsteriskIacError | undefined>;
  /** Ends what runs in it, as far as the host allows. `pid` is the shell's process id there, once it is known. */
  kill(pid: number | undefined): Promise<void>;
  /** Where it is started through sudo: the line that sudoers must have. */
  readonly sudoersLine?: string;
}

/** Milliseconds that a script may take. */
export function timeoutOf(options: ScriptOptions): number {
  return options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
}

/**
 * The words that start a shell: `sh` as the login user, or through sudo as the user `become`.
 * Rejects a user name that is not one (`InvalidArgument`).
 */
export function shellCommand(become?: string): [string, ...string[]] {
  if (become === undefined) return ["sh", "-c", BOOTSTRAP];
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]*\$?$/.test(become))
    throw new AsteriskIacError("InvalidArgument", `become: ${JSON.stringify(become)} is not a user name.`);
  return ["sudo", "-n", "-u", become, "--", "sh", "-c", BOOTSTRAP];
}

/** The line in sudoers that lets `user` run scripts as `become`. */
export function sudoersLine(user: string, become: string): string {
  return `${user} ALL=(${become}) NOPASSWD: /bin/sh`;
}

/** The same as one line for a login shell of any kind: only words and a text in single quotes. */
export function shellCommandLine(become?: string): string {
  return shellCommand(become)
    .map((word) => (word === BOOTSTRAP ? `'${word}'` : word))
    .join(" ");
}

/** A script on its way to a shell: the line that the shell waits for, and the marker that its answer stands between. */
export interface Program {
  readonly line: string;
  readonly marker: string;
}

/** Makes a script and its arguments a program. Rejects a NUL, which no shell can take (`InvalidArgument`). */
export function compile(script: string, args: readonly string[] = []): Program {
  const marker = randomBytes(16).toString("hex");
  const program = [
    `printf '%s %d.' ${marker} "$$"; printf %s ${marker} >&2`,
    "LC_ALL=C; PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; export LC_ALL PATH",
    "cd /",
    ["set --", ...args.map(shellWord)].join(" "),
    "(",
    script,
    ")",
    `printf '%s %d.' ${marker} "$?"`,
  ].join("\n");
  if (program.includes("\0"))
    throw new AsteriskIacError("InvalidArgument", "A script or one of its arguments holds a NUL byte.");
  let line = "";
  for (const byte of Buffer.from(program)) {
    const plain = byte >= 0x20 && byte < 0x7f && byte !== 0x5c;
    line += plain ? String.fromCharCode(byte) : `\\0${byte.toString(8).padStart(3, "0")}`;
  }
  return { line: `${line}\n`, marker };
}

/**
 * Runs one program in a waiting shell. Only what the script itself printed is answered: whatever start-up files print
 * comes before a marker, whatever an exit trap prints comes after one, and an answer without its end is an error.
 */
export async function runIn(
  shell: Shell,
  { line, marker }: Program,
  options: Omit<ScriptOptions, "args">,
): Promise<ScriptResult> {
  const limit = options.maxOutputBytes ?? DEFAULT_MAX_OUTPUT_BYTES;
  const stdout = collect(shell.stdout, limit + 64 * 1024, "refuse");
  const stderr = collect(shell.stderr, MAX_STDERR_BYTES, "cut");
  // A script need not read its input to the end.
  shell.stdin.on("error", () => undefined);
  shell.stdin.write(line);
  shell.stdin.end(options.stdin);

  const timeoutMs = timeoutOf(options);
  const deadline = Promise.withResolvers<"late">();
  const timer = setTimeout(() => deadline.resolve("late"), timeoutMs);
  const ended = await Promise.race([shell.closed, deadline.promise, stdout.overflow]);
  clearTimeout(timer);
  if (ended === "late" || ended === "overflow") {
    await shell.kill(shellPID(stdout.bytes(), marker));
    if (ended === "late") throw late(timeoutMs);
    throw tooMuch(limit);
  }

  const answer = cutOut(stdout.bytes(), marker);
  const errors = afterMarker(stderr.bytes(), marker);
  if (answer === undefined) throw ended ?? noAnswer(shell, stdout.bytes(), errors, marker);
  if (answer.output.length > limit) throw tooMuch(limit);
  return { code: answer.code, stdout: answer.output, stderr: errors };
}

/** The error of a script that took longer than its deadline. */
export function late(timeoutMs: number): AsteriskIacError {
  return new AsteriskIacError(
    "TimedOut",
    `A command on the host did not end within ${Math.round(timeoutMs) / 1000} s and was killed as far as the host allows.`,
    { next: "Retry" },
  );
}

/**
 * Ends the process group of the process `$1` (the fifth field of Linux's /proc/PID/stat). sudo's own process belongs
 * to root and can't be signalled by anybody else; it ends with its child.
 */
export const KILL_SCRIPT = `
IFS= read -r stat < "/proc/$1/stat" || exit 0
set -- \${stat##*) }
kill -9 "-$3"
`;

function collect(stream: Readable, limit: number, beyond: "refuse" | "cut") {
  const chunks: Buffer[] = [];
  let size = 0;
  const overflow = Promise.withResolvers<"overflow">();
  stream.on("error", () => undefined);
  stream.on("data", (chunk: Buffer) => {
    if (size + chunk.length <= limit) chunks.push(chunk);
    else if (beyond === "refuse") overflow.resolve("overflow");
    size += chunk.length;
  });
  return { bytes: () => Buffer.concat(chunks), overflow: overflow.promise };
}

function shellPID(stdout: Buffer, marker: string): number | undefined {
  const at = stdout.indexOf(marker);
  return at === -1 ? undefined : numberAfter(stdout, at + marker.length);
}

function cutOut(stdout: Buffer, marker: string): { code: number; output: Buffer } | undefined {
  const first = stdout.indexOf(marker);
  const last = stdout.lastIndexOf(marker);
  if (first === -1 || last === first) return undefined;
  const code = numberAfter(stdout, last + marker.length);
  if (code === undefined) return undefined;
  return { code, output: stdout.subarray(stdout.indexOf(".", first) + 1, last) };
}

/** The number of ` 123.` at an offset; undefined while it is not there in full. */
function numberAfter(bytes: Buffer, offset: number): number | undefined {
  const digits = /^ (\d+)\./.exec(bytes.toString("latin1", offset, offset + 16))?.[1];
  return digits === undefined ? undefined : Number(digits);
}

function afterMarker(stderr: Buffer, marker: string): string {
  const at = stderr.indexOf(marker);
  return stderr.toString("utf8", at === -1 ? 0 : at + marker.length);
}

function tooMuch(limit: number): AsteriskIacError {
  return new AsteriskIacError("UnexpectedAnswer", `A command on the host printed more than ${limit} bytes.`);
}

function noAnswer(shell: Shell, stdout: Buffer, stderr: string, marker: string): AsteriskIacError {
  const said = stderr.trim().split("\n").slice(-3).join("; ");
  if (stdout.includes(marker))
    return new AsteriskIacError(
      "CommandFailed",
      `A command on the host ended before it was done. ${said}`.trim(),
      {
        next: "Retry",
      },
    );
  if (shell.sudoersLine !== undefined)
    return new AsteriskIacError(
      "PermissionDenied",
      `sudo does not run sh as the owner of the files: ${said}`,
      {
        hint: `Install sudo there if it is missing, and add this line to sudoers (visudo): ${shell.sudoersLine}`,
      },
    );
  const shown = said || stdout.toString("utf8", 0, 200).trim() || "nothing was printed";
  return new AsteriskIacError("UnexpectedAnswer", `The login shell did not run sh: ${shown}`, {
    hint: "The user needs a login shell that runs commands (not nologin, a menu, or a forced command).",
  });
}
