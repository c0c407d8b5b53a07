import { inert } from "../core/conf/lint/inert.ts";
import { AsteriskIacError, messageOf } from "../core/errors.ts";

/** One run of git. */
export interface GitCommand {
  /**
   * The git directory: a bare repository, or a checkout's `.git`. A run that began there ends there, also where another
   * directory gets that name meanwhile.
   */
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
function environment(more: Readonly<Record<string, string>>): Record<string, string> {
  return {
    PATH: process.env["PATH"] ?? "/usr/bin:/bin",
    LC_ALL: "C",
    // Where git is started, whatever its name is by then.
    GIT_DIR: ".",
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
  const env = environment(more);
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

/** So much of what git said is told. Characters. */
const longestSaying = 600;
/** A name and a password, or a token alone, in a URL. The name that SSH logs in with is nobody's secret. */
const credentialsInURL = /(\bhttps?:\/\/)[^\s/@]+@|(\b[a-z][a-z0-9+.-]{0,19}:\/\/)[^\s/@:]*:[^\s/@]*@/gi;

/**
 * What git said, and through it whoever it asked, on one line: without what only decorates it, bounded, nothing in it that
 * a terminal would act upon, and no credentials.
 * @param secrets what must not be told wherever it stands
 */
export function briefly(stderr: string, secrets: readonly string[] = []): string {
  const hidden = secrets.reduce((text, secret) => text.replaceAll(secret, "********"), stderr);
  const lines = hidden
    .replace(credentialsInURL, "$1$2********@")
    .split(/[\r\n]+/)
    .map((line) =>
      line
        .replace(/^(?:remote|fatal|error|warning|hint): ?/, "")
        .replaceAll("\t", " ")
        .trim(),
    )
    .filter((line) => !/^([=*-]*|Done|To \S+)$/.test(line));
  const said = inert(lines.slice(0, 6).join("; ") || "it gave no reason");
  return said.length > longestSaying ? `${said.slice(0, longestSaying - 1).toWellFormed()}…` : said;
}
