import { spawn } from "node:child_process";
import { join } from "node:path";

const repository = join(import.meta.dirname, "..", "..");

/** What a run of the command line left behind. `code` is null when a signal ended it. */
export interface Run {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** Environment variables beside the inherited ones. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Called with the running process, for example to kill it. */
  readonly onStart?: (process: ReturnType<typeof spawn>) => void;
}

/** Runs the command line from its TypeScript source, in a process of its own. */
export async function asteriskctl(args: readonly string[], options: RunOptions = {}): Promise<Run> {
  const child = spawn(process.execPath, [join(repository, "cli", "main.ts"), ...args], {
    cwd: options.cwd ?? repository,
    env: { ...process.env, NO_COLOR: "1", ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  options.onStart?.(child);
  const output = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output.stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (output.stderr += text));
  const { promise, resolve, reject } = Promise.withResolvers<number | null>();
  child.on("close", resolve).on("error", reject);
  return { code: await promise, ...output };
}

/** Runs it while `work` goes on with what it has printed so far, then ends it as a service manager would. */
export async function whileRunning(
  args: readonly string[],
  options: Omit<RunOptions, "onStart">,
  work: (output: () => string) => Promise<void>,
): Promise<Run> {
  let child: ReturnType<typeof spawn> | undefined;
  let printed = "";
  const done = asteriskctl(args, {
    ...options,
    onStart: (started) => {
      child = started;
      for (const stream of [started.stdout, started.stderr])
        stream?.on("data", (text: Buffer | string) => (printed += text.toString()));
    },
  });
  try {
    await work(() => printed);
  } finally {
    child?.kill("SIGTERM");
  }
  return done;
}

/** Runs it with `--output json` and gives the document. */
export async function asteriskctlJSON<T>(args: readonly string[], options: RunOptions = {}): Promise<T> {
  const run = await asteriskctl(["--output", "json", ...args], options);
  try {
    return JSON.parse(run.stdout) as T;
  } catch {
    throw new Error(
      `asteriskctl ${args.join(" ")} exited ${run.code} without JSON: ${run.stdout}${run.stderr}`,
    );
  }
}
