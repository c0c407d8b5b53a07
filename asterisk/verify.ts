import { setTimeout as delay } from "node:timers/promises";
import { maskLine } from "../core/conf/secrets.ts";
import { AsteriskIacError, asAsteriskIacError, messageOf } from "../core/errors.ts";
import type { ContentHash } from "../core/record.ts";
import type { ViewChange } from "../core/reloads.ts";
import type { AMI } from "./ami/client.ts";
import { runCommands } from "./asterisk-command.ts";
import { hashFiles } from "./hashes.ts";
import type { Host } from "./host.ts";
import { readGrowth, type LogLine } from "./log-growth.ts";
import { probesFor, type Failure, type Probe } from "./probes.ts";
import type { Evidence } from "./reload.ts";
import type { ReloadRun } from "./reload-run.ts";

/** What should be true after an apply. */
export interface Expectation {
  readonly configDirectory: string;
  /** Every path written or removed, below that directory; `null`: it is not there. */
  readonly files: readonly { readonly path: string; readonly hash: ContentHash | null }[];
  /** By root file: what it amounts to, before and after. Also of roots whose fragments changed. */
  readonly views: ReadonlyMap<string, ViewChange>;
  readonly run: ReloadRun;
}

export interface VerifyResult {
  readonly ok: boolean;
  readonly evidence: readonly Evidence[];
  /** Why not, one for each thing that is not as it should be. */
  readonly failures: readonly Failure[];
  /** What nobody looked at or could see, in words. */
  readonly unobserved: readonly string[];
}

export interface VerifyServer {
  readonly host: Host;
  /** Logs in anew, with the engine's account. */
  openAMI(): Promise<AMI & { close(): Promise<void> }>;
}

/** What one part of the verification found. */
interface Found {
  readonly evidence: readonly Evidence[];
  readonly failures?: readonly Failure[];
  readonly unobserved?: readonly string[];
}

/**
 * Looks on the live server whether an apply is true: the files' hashes, each reload's outcome, Asterisk's log since the
 * reloads, a new AMI login, and for each kind of file its probe. Never throws for what it finds: a server that does not
 * answer is a failure too. Over within `deadlineMs` (default 15,000) and what the host's own deadlines add.
 */
export async function verify(
  server: VerifyServer,
  expectation: Expectation,
  options: { readonly deadlineMs?: number } = {},
): Promise<VerifyResult> {
  const deadlineMs = options.deadlineMs ?? 15_000;
  const probes = [...expectation.views].map(([root, change]) => ({ root, probes: probesFor(root, change) }));
  const all = probes.flatMap((each) => each.probes);
  const parts = await Promise.all([
    guarded("files", checkFiles(server.host, expectation, deadlineMs)),
    judgeReloads(expectation.run),
    guarded("Asterisk's log", checkLog(server.host, expectation)),
    guarded("a new AMI login", checkLogin(server, all, deadlineMs)),
    guarded("asterisk -rx", checkCommands(server.host, all, deadlineMs)),
  ]);
  const silent = probes
    .filter((each) => each.probes.length === 0)
    .map(({ root }) => `${root}: parsed, not observed`);
  const failures = parts.flatMap((part) => part.failures ?? []);
  return {
    ok: failures.length === 0,
    evidence: parts.flatMap(({ evidence }) => evidence),
    failures,
    unobserved: [...silent, ...parts.flatMap((part) => part.unobserved ?? [])],
  };
}

/** A question that the server did not answer is a failure, with its reason. */
async function guarded(probe: string, part: Promise<Found>): Promise<Found> {
  return part.catch((thrown: unknown) => {
    const error = asAsteriskIacError(thrown);
    const saw = error.message;
    // Not being allowed to look is no sign that anything is wrong.
    if (error.code === "PermissionDenied" && probe === "asterisk -rx")
      return { evidence: [{ source: probe, observed: false, saw }], unobserved: [`${probe}: ${saw}`] };
    return {
      evidence: [{ source: probe, observed: false, saw }],
      failures: [{ probe, expected: "an answer", saw }],
    };
  });
}

async function checkFiles(
  host: Host,
  { configDirectory, files }: Expectation,
  timeoutMs: number,
): Promise<Found> {
  if (files.length === 0) return { evidence: [] };
  const hashes = await hashFiles(
    host,
    configDirectory,
    files.map(({ path }) => path),
    { timeoutMs },
  );
  const failures = files.flatMap(({ path, hash }): Failure[] => {
    const live = hashes.get(path) ?? null;
    if (live === hash) return [];
    const expected = hash === null ? `no file ${path}` : `the bytes of ${path} that were written`;
    return [{ probe: "files", expected, saw: live === null ? "it is not there" : "other bytes" }];
  });
  const right = files.length - failures.length;
  const saw = `${right} of ${files.length} have the expected hash, read again`;
  return { evidence: [{ source: "files", observed: true, saw }], failures };
}

function judgeReloads({ modules, stopped }: ReloadRun): Found {
  const evidence: Evidence[] = [];
  const failures: Failure[] = [];
  const unobserved: string[] = [];
  for (const { module, outcome, evidence: seen } of modules) {
    const probe = `reload of ${module}`;
    evidence.push({ source: probe, observed: outcome === "Reloaded", saw: outcome });
    switch (outcome) {
      case "Reloaded":
        break;
      case "Asked":
        unobserved.push(`${probe}: Asterisk took the request; nothing showed that it was done`);
        break;
      case "Queued":
        unobserved.push(`${probe}: Asterisk is still starting and reloads it afterwards`);
        break;
      case "Unsupported":
        unobserved.push(`${probe}: it can't be reloaded; it takes unloading and loading it, or a restart`);
        break;
      case "Unanswered":
      case "NotAsked":
        failures.push({ probe, expected: "Reloaded", saw: stopped?.message ?? outcome });
        break;
      case "NotFound":
      case "Failed":
      case "InProgress":
      case "Uninitialized":
        failures.push({
          probe,
          expected: "Reloaded",
          saw: [outcome, ...seen.map(({ saw }) => saw)].join(", "),
        });
    }
  }
  return { evidence, failures, unobserved };
}

/** An error is ours if its text names a changed file or its root, or the source of a reloaded module. */
async function checkLog(host: Host, { files, views, run }: Expectation): Promise<Found> {
  const growth = await readGrowth(host, run.logs.marks);
  const names = new Set([...files.map(({ path }) => path), ...views.keys()].map(baseName));
  const modules = run.modules.map(({ module }) => module.replace(/\.so$/, ""));
  const isOurs = ({ text }: LogLine): boolean =>
    [...names].some((name) => hasWord(text, name)) ||
    modules.some((module) => hasWord(text, `${module}.c`) || hasWord(text, `${module}/`));
  const errors = growth.lines.filter(({ level }) => level === "ERROR");
  const shown = (line: LogLine): string => maskLine("", line.text);
  const failures = errors
    .filter(isOurs)
    .map((line): Failure => ({ probe: "Asterisk's log", expected: "no new error", saw: shown(line) }));
  const others = growth.lines.filter((line) => line.level === "WARNING" || !isOurs(line));
  const unseen = [...run.logs.unseen, ...growth.unseen];
  return {
    evidence: [
      ...run.logs.marks.map(({ file }) => {
        return { source: file, observed: true, saw: `${errors.length} new errors` };
      }),
      ...others.map((line) => ({ source: "Asterisk's log", observed: true, saw: shown(line) })),
    ],
    failures,
    unobserved: unseen.map((why) => `Asterisk's log: ${why}`),
  };
}

/** Whether a text names this, and not something that ends or goes on otherwise: `manager.c`, not `cdr_manager.c`. */
function hasWord(text: string, word: string): boolean {
  for (let at = text.indexOf(word); at !== -1; at = text.indexOf(word, at + 1)) {
    const startsWord = !/[\w-]/.test(text.charAt(at - 1));
    const endsWord = word.endsWith("/") || !/\w/.test(text.charAt(at + word.length));
    if (startsWord && endsWord) return true;
  }
  return false;
}

async function checkLogin(
  server: VerifyServer,
  probes: readonly Probe[],
  deadlineMs: number,
): Promise<Found> {
  const ami = await withinDeadline(server.openAMI(), deadlineMs);
  try {
    const source = "a new AMI login";
    const lists = [...new Set(probes.flatMap(({ ask }) => ("list" in ask ? [ask.list] : [])))];
    const answers = new Map(
      await Promise.all(lists.map(async (list) => [list, await listNames(ami, list, deadlineMs)] as const)),
    );
    const judged = probes.flatMap((probe) => {
      const answer = "list" in probe.ask ? answers.get(probe.ask.list) : undefined;
      return answer === undefined ? [] : [judge(probe, answer)];
    });
    return join({ evidence: [{ source, observed: true, saw: "it works" }] }, ...judged);
  } finally {
    await ami.close();
  }
}

/** The names of the objects that an action lists; where the account may not, why. */
async function listNames(ami: AMI, list: string, deadlineMs: number): Promise<string[] | AsteriskIacError> {
  try {
    const { events } = await ami.list(list, {}, deadlineMs);
    return events.flatMap((event) => event.get("ObjectName") ?? []);
  } catch (thrown) {
    const error = asAsteriskIacError(thrown);
    // This is how Asterisk says that a list is empty.
    if (error.code === "ActionRefused" && /No \w+ found/i.test(error.message)) return [];
    if (error.code === "PermissionDenied" || error.code === "ActionRefused") return error;
    throw error;
  }
}

/** A login that comes too late is closed, and is a failure all the same. */
async function withinDeadline<T extends { close(): Promise<void> }>(
  opening: Promise<T>,
  deadlineMs: number,
): Promise<T> {
  const timer = new AbortController();
  const late = delay(deadlineMs, undefined, { signal: timer.signal }).then((): never => {
    void opening.then((opened) => opened.close()).catch(() => undefined);
    throw new AsteriskIacError("TimedOut", `AMI did not let us in within ${deadlineMs} ms.`);
  });
  try {
    return await Promise.race([opening, late]);
  } finally {
    timer.abort();
  }
}

async function checkCommands(host: Host, probes: readonly Probe[], timeoutMs: number): Promise<Found> {
  const asking = probes.flatMap((probe) =>
    "command" in probe.ask ? [{ probe, command: probe.ask.command }] : [],
  );
  const commands = [...new Set(asking.map(({ command }) => command))];
  const outputs = commands.length === 0 ? [] : await runCommands(host, commands, { timeoutMs });
  const answers = new Map(commands.map((command, index) => [command, outputs[index] ?? ""]));
  return join(...asking.map(({ probe, command }) => judge(probe, (answers.get(command) ?? "").split("\n"))));
}

function judge(probe: Probe, answer: readonly string[] | AsteriskIacError): Found {
  const source = probe.title;
  if (answer instanceof AsteriskIacError) {
    const why = messageOf(answer);
    return { evidence: [{ source, observed: false, saw: why }], unobserved: [`${source}: ${why}`] };
  }
  const { saw, failures, unobserved } = probe.judge(answer);
  return {
    evidence: [{ source, observed: true, saw }],
    failures: failures.map((failure) => ({ probe: source, ...failure })),
    unobserved,
  };
}

function join(...parts: readonly Found[]): Found {
  return {
    evidence: parts.flatMap(({ evidence }) => evidence),
    failures: parts.flatMap((part) => part.failures ?? []),
    unobserved: parts.flatMap((part) => part.unobserved ?? []),
  };
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
