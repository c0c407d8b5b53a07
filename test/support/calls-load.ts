/** Many calls, one after the other at a rate, and what a watch told of them. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { CallRecord } from "../../calls/call-record.ts";
import type { ToldLine } from "../../engine/calls/lines.ts";
import type { Telephony } from "./telephony.ts";
import { loadNumber } from "./telephony.ts";

const program = join(import.meta.dirname, "..", "..", "cli", "main.ts");

/** A watch in a process of its own. */
export interface CallsProcess {
  /** Resolves when events come. */
  readonly ready: Promise<unknown>;
  readonly lines: () => ToldLine[];
  readonly stderr: () => string;
  /** Resolves with the exit code, null after a signal. */
  stop(signal: "SIGINT" | "SIGKILL"): Promise<number | null>;
}

/** Runs `asteriskctl calls --follow` with JSON on stdout. It is ready when it told the server's clock. */
export function followCalls(manifests: string, args: readonly string[]): CallsProcess {
  const child = spawn(
    process.execPath,
    [program, "-f", manifests, "--output", "json", "calls", "--follow", ...args],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  const output = { stdout: "", stderr: "" };
  const ready = Promise.withResolvers<undefined>();
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output.stdout += text;
    if (output.stdout.includes('"kind":"Clock"')) ready.resolve(undefined);
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => (output.stderr += text));
  const closed = once(child, "close") as Promise<[number | null]>;
  void closed.then(() => ready.reject(new Error(`the watch ended: ${output.stderr}`)));
  ready.promise.catch(() => undefined);
  return {
    ready: ready.promise,
    lines: () => parse(output.stdout),
    stderr: () => output.stderr,
    async stop(signal) {
      child.kill(signal);
      const [code] = await closed;
      return code;
    },
  };
}

/** Resolves when the condition holds: real calls take their time, and need the processor more than who asks. */
export async function eventually(
  condition: () => boolean | Promise<boolean>,
  deadlineMs = 30_000,
): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`it never came to be: ${condition.toString()}`);
    await delay(100);
  }
}

/** The lines of a watch's file. */
export async function readCallsFile(path: string): Promise<ToldLine[]> {
  return parse(await readFile(path, "utf8").catch(() => ""));
}

function parse(text: string): ToldLine[] {
  const whole = text.slice(0, text.lastIndexOf("\n") + 1);
  return whole
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as ToldLine);
}

export function callsOf(lines: readonly ToldLine[]): CallRecord[] {
  return lines.flatMap((line) => (line.kind === "Call" ? [line] : []));
}

/** What is left of calls whose watch was killed half way and started again. */
export interface KilledWatch {
  /** The numbers that were called. */
  readonly numbers: readonly string[];
  readonly lines: readonly ToldLine[];
}

/** Makes so many calls at 20 a second; kills the watch when a part of them is told, in the middle of a line. */
export async function killHalfWay(
  telephony: Telephony,
  {
    manifests,
    file,
    count,
    toldBefore,
  }: { manifests: string; file: string; count: number; toldBefore: number },
): Promise<KilledWatch> {
  const told = async (): Promise<number> => callsOf(await readCallsFile(file)).length;
  const args = ["--append", file, "pbx1"];
  const first = followCalls(manifests, args);
  await eventually(async () => (await readCallsFile(file)).length > 0);
  const starting = startCalls(telephony, count, { perSecond: 20, talk: 0.5 });
  await eventually(async () => (await told()) >= toldBefore);
  await first.stop("SIGKILL");
  const whole = await readFile(file);
  await writeFile(file, whole.subarray(0, whole.length - 40));

  const second = followCalls(manifests, args);
  const numbers = await starting;
  await eventually(async () => (await told()) >= count, 60_000);
  await second.stop("SIGINT");
  return { numbers, lines: await readCallsFile(file) };
}

/** Starts `count` calls to as many numbers, evenly, and gives the numbers. */
export async function startCalls(
  telephony: Telephony,
  count: number,
  { perSecond, talk }: { perSecond: number; talk: number },
): Promise<string[]> {
  const numbers = Array.from({ length: count }, (_, at) => `${loadNumber}${String(at).padStart(4, "0")}`);
  const begun = performance.now();
  for (const [at, to] of numbers.entries()) {
    await delay(Math.max(0, begun + (at * 1000) / perSecond - performance.now()));
    await telephony.call({ from: "carrier", to, callerID: "Bob <01701234567>", talk });
  }
  return numbers;
}
