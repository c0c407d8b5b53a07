import { AsteriskIacError, messageOf } from "../core/errors.ts";

/** One run of git. */
export interface GitCommand {
  /** The git directory: a bare repository, or a checkout's `.git`. */
  readonly directory: string;
  /** The command and its arguments: ours, or checked by us. */
  readonly args: readonly string[];
  readonly input?: Buffer | string;
  /** Configuration for this run alone, `key=value`; never a secret, since the list of processes shows it. */
  readonly config?: readonly string[];
  /** Beside the minimal environment; never a secret, since a debug log shows it. */
  readonly env?: Readonly<Record<string, string>>;
  /** Milliseconds; default a minute, for what needs no network. */
  readonly deadlineMs?: number;
}

/** How git ended. */
export interface GitRun {
  readonly exitCode: number;
  readonly stdout: Buffer;
  /** Git's words, in English. */
  readonly stderr: string;
}

const defaultDeadlineMs = 60_000;

/** Nothing that the owner of a machine or of a repository configured is run by our git. */
const safeConfig = [
  "core.hooksPath=/dev/null",
  "core.fsmonitor=false",
  "core.attributesFile=/dev/null",
  "submodule.recurse=false",
  "fetch.recurseSubmodules=false",
  "gc.auto=0",
  "maintenance.auto=false",
];

/** No configuration of the system or of a user, no prompt, no replaced objects, no transport that `more` does not name. */
function environment(directory: string, more: Readonly<Record<string, string>>): Record<string, string> {
  return {
    PATH: process.env["PATH"] ?? "/usr/bin:/bin",
    LC_ALL: "C",
    GIT_DIR: directory,
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_ATTR_NOSYSTEM: "1",
    GIT_TERMINAL_PROMPT: "0",
    GIT_NO_REPLACE_OBJECTS: "1",
    GIT_NO_LAZY_FETCH: "1",
    GIT_OPTIONAL_LOCKS: "0",
    GIT_LITERAL_PATHSPECS: "1",
    GIT_ALLOW_PROTOCOL: "none",
    ...more,
  };
}

/**
 * Runs git, through simple-git, in this one place. A command that ends with an error is no rejection: `exitCode` says so.
 * Rejects with `SourceUnavailable` where git does not end in time, and where it can't be run.
 */
export async function runGit({
  directory,
  args,
  input,
  config = [],
  env: more = {},
  deadlineMs = defaultDeadlineMs,
}: GitCommand): Promise<GitRun> {
  const env = environment(directory, more);
  const stop = new AbortController();
  const stdout: Buffer[] = [];
  let ended = { exitCode: -1, stderr: "" };
  // Loaded when it is wanted: most runs need no git.
  const { simpleGit } = await import("simple-git");
  const git = simpleGit({
    baseDir: directory,
    config: [...safeConfig, ...config],
    abort: stop.signal,
    // `close` alone: after `exit` there may be output still to come.
    completion: { onClose: true, onExit: false },
    allowEnvironment: Object.keys(env),
    // simple-git's guards against what a user could hand through; these are given here and nowhere else.
    unsafe: {
      allowUnsafeConfigPaths: true,
      allowUnsafeCredentialHelper: true,
      allowUnsafeFsMonitor: true,
      allowUnsafeHooksPath: true,
      allowUnsafeSshCommand: true,
      allowUnsafeTemplateDir: true,
    },
    ...(input === undefined ? {} : { input: () => input }),
    errors: (error, { exitCode, stdErr }) => {
      ended = { exitCode, stderr: Buffer.concat(stdErr).toString("utf8") };
      return exitCode >= 0 ? undefined : error;
    },
  })
    .env(env)
    .outputHandler((_command, out) => out.on("data", (chunk: Buffer) => stdout.push(chunk)));
  const { promise: late, reject } = Promise.withResolvers<never>();
  const what = `git ${args[0] ?? ""}`;
  const timer = setTimeout(() => {
    const seconds = Math.round(deadlineMs / 1000);
    const message = `${what} did not end within ${seconds} s`;
    reject(new AsteriskIacError("SourceUnavailable", message, { next: "Retry" }));
    stop.abort();
  }, deadlineMs);
  try {
    // Not waited for beyond the deadline: a transport of it may outlive a git that was stopped.
    await Promise.race([git.raw([...args]), late]);
  } catch (cause) {
    if (cause instanceof AsteriskIacError) throw cause;
    throw new AsteriskIacError("SourceUnavailable", `${what} can't be run: ${messageOf(cause)}`, {
      cause,
      hint: "git 2.34 or newer must be on the PATH.",
    });
  } finally {
    clearTimeout(timer);
  }
  return { ...ended, stdout: Buffer.concat(stdout) };
}

/** The same, where any end but a good one is an error of ours: `SourceUnavailable` with git's own words. */
export async function runGitOrThrow(command: GitCommand): Promise<Buffer> {
  const { exitCode, stdout, stderr } = await runGit(command);
  if (exitCode === 0) return stdout;
  throw new AsteriskIacError(
    "SourceUnavailable",
    `git ${command.args[0] ?? ""} in ${command.directory} failed: ${briefly(stderr)}`,
  );
}

/** What git said, on one line, without what only decorates it. Bounded. */
export function briefly(stderr: string): string {
  const lines = stderr
    .split(/[\r\n]+/)
    .map((line) => line.replace(/^(?:remote|fatal|error|warning|hint): ?/, "").trim())
    .filter((line) => line !== "" && !/^[=*-]+$/.test(line));
  return (lines.slice(0, 6).join("; ") || "it gave no reason").replace(/[\x00-\x1f\x7f]/g, "?").slice(0, 600);
}
