/**
 * `node bench/console.ts [viewers] [rounds]`: what viewers of a web console cost a reconcile of the same server while it
 * writes thousands of log lines a second. The web console, the viewers and the reconcile are a process each.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { importServer } from "../engine/import.ts";
import { SeenServers, withPass } from "../engine/pass.ts";
import { planServer } from "../engine/plan.ts";
import type { LabServer } from "../lab/lab.ts";
import { inTurn, median } from "./measure.ts";
import { progress, withLab } from "./servers.ts";

export interface ConsoleFigures {
  readonly viewers: number;
  /** Lines that the server wrote to its log in a second. */
  readonly linesPerSecond: number;
  /** Milliseconds of a look at the server with both logins, the median. */
  readonly reconcile: { readonly alone: number; readonly watched: number };
  /** How much longer it takes beside the viewers: the median of the rounds, each compared with its neighbour. */
  readonly slower: number;
  /** MiB of the web console's process, with viewers and after all rounds. */
  readonly memory: { readonly first: number; readonly last: number };
}

/** Reconciles in one round: a single one is too short to tell a tenth. */
const reconciles = 4;

/** Twenty-five lines of the log, and as many that the dialplan says of itself, a hundred times a second. */
const dialplan = `
[flood]
exten => s,1,Answer()
${" same => n,Log(NOTICE,a line of a busy server ${EPOCH})\n".repeat(25)} same => n,Wait(0.005)
 same => n,Goto(s,2)
`;

/** Compares reconciles with and without viewers, in turn. */
export function benchConsole(viewers = 50, rounds = 8): Promise<ConsoleFigures> {
  return withLab(1, async ({ servers: [server], manifests, secrets }) => {
    if (server === undefined) throw new Error("the lab has no server");
    const { lab, declaration } = server;
    const state = await mkdtemp(join(tmpdir(), "asterisk-iac-bench-state-"));
    await withPass(declaration, secrets, { seen: new SeenServers(), importing: true }, importServer);
    const env = { ...process.env, XDG_STATE_HOME: state };
    const cli = join(import.meta.dirname, "..", "cli", "main.ts");
    const token = await new Promise<string>((resolve) => {
      const made = spawn(process.execPath, [cli, "console", "token", "--role", "viewer"], { env });
      createInterface({ input: made.stdout }).once("line", resolve);
    });
    const options = ["--web", "--listen", "127.0.0.1:0", "--audit", "/dev/null"];
    const web = spawn(process.execPath, [cli, "-f", manifests, "console", ...options], { env });
    const url = await said(web, "stderr", /at (https:\S+) /);
    const crowd = spawn(process.execPath, [
      join(import.meta.dirname, "console-viewers.ts"),
      url,
      token,
      String(viewers),
    ]);
    crowd.stderr.pipe(process.stderr);
    try {
      await flood(lab);
      const rate = await linesPerSecond(lab);
      const memory: number[] = [];
      const run = async (): Promise<void> => {
        for (let count = 0; count < reconciles; count++)
          await withPass(declaration, secrets, { seen: new SeenServers() }, planServer);
      };
      const times = await inTurn(
        [
          { name: "alone", rounds, run, before: () => told(crowd, "close") },
          {
            ...{ name: "watched", rounds, run },
            before: () => told(crowd, "open"),
            after: () => Promise.resolve(void memory.push(residentMiB(web))),
          },
        ],
        progress,
      );
      const each = (name: string): number => median(times.get(name) ?? []) / reconciles;
      const [alone, watched] = ["alone", "watched"].map((name) => times.get(name) ?? []);
      return {
        slower: median((alone ?? []).map((time, round) => (watched?.[round] ?? NaN) / time)) - 1,
        viewers,
        linesPerSecond: rate,
        reconcile: { alone: each("alone"), watched: each("watched") },
        memory: { first: memory[0] ?? NaN, last: memory.at(-1) ?? NaN },
      };
    } finally {
      crowd.kill();
      web.kill();
      await rm(state, { recursive: true, force: true });
    }
  });
}

/** Lets one channel write to the log without end. */
async function flood(server: LabServer): Promise<void> {
  const script = `
    cat >>/etc/asterisk/extensions.conf && asterisk -rx "dialplan reload" >/dev/null &&
    printf 'Channel: Local/s@flood/n\\nApplication: Wait\\nData: 36000\\n' >/tmp/flood.call &&
    chown asterisk /tmp/flood.call && mv /tmp/flood.call /var/spool/asterisk/outgoing/`;
  const { code, stderr } = await server.run(["sh", "-c", script], { input: dialplan });
  if (code !== 0) throw new Error(`the server can't be made busy: ${stderr}`);
}

/** Of its log file, which has half of what a console is sent. */
async function linesPerSecond(server: LabServer): Promise<number> {
  const file = join(server.logDirectory, "messages.log");
  const size = async (): Promise<number> => (await stat(file)).size;
  while ((await size()) < 1_000_000) await delay(100);
  const line = readFileSync(file, "utf8").split("\n").at(-2)?.length ?? 100;
  const [before, started] = [await size(), performance.now()];
  await delay(3000);
  return ((await size()) - before) / (line + 1) / ((performance.now() - started) / 1000);
}

function residentMiB({ pid }: ChildProcess): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
}

/** Gives an order and waits until it was carried out. */
async function told(child: ChildProcess, order: string): Promise<void> {
  const done = said(child, "stdout", new RegExp(`^(${order}) done`));
  child.stdin?.write(`${order}\n`);
  await done;
}

function said(child: ChildProcess, stream: "stdout" | "stderr", pattern: RegExp): Promise<string> {
  const lines = createInterface({ input: child[stream] as Readable });
  return new Promise((resolve, reject) => {
    lines.on("line", (line) => {
      const found = pattern.exec(line)?.[1];
      if (found === undefined) return;
      lines.close();
      child[stream]?.resume();
      resolve(found);
    });
    const gone = (): void => reject(new Error(`a process of the bench exited with ${child.exitCode}`));
    if (child.exitCode === null) child.once("exit", gone);
    else gone();
  });
}

if (import.meta.main) {
  const [viewers, rounds] = process.argv.slice(2).map(Number);
  const figures = await benchConsole(viewers, rounds);
  console.log(JSON.stringify(figures, undefined, 2));
}
