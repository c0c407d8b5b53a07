import { AsteriskIacError, asAsteriskIacError } from "../core/errors.ts";
import type { AMI } from "./ami/client.ts";
import type { Message } from "./ami/message.ts";
import type { Host } from "./host.ts";
import { askStatus, type LiveStatus } from "./live.ts";
import { markLogs, readGrowth, type LogGrowth, type LogLine, type LogMark } from "./log-growth.ts";

/**
 * What became of a reload, as Asterisk tells it. `Asked`: Asterisk answered Success and nothing showed that it reloaded.
 * `Queued`: Asterisk is still starting and reloads afterwards. `InProgress`: another reload runs; this one was not done.
 */
export type ReloadOutcome =
  "Reloaded" | "Asked" | "Queued" | "NotFound" | "Failed" | "InProgress" | "Uninitialized" | "Unsupported";

/** One thing that was looked at. `observed` is false where it could not be seen, and `saw` then says why. */
export interface Evidence {
  readonly source: string;
  readonly observed: boolean;
  readonly saw: string;
}

export interface ReloadResult {
  /** The module as asked for; `undefined` for all of them. */
  readonly module: string | undefined;
  readonly outcome: ReloadOutcome;
  readonly evidence: readonly Evidence[];
  /** What Asterisk logged meanwhile. `Reloaded` with an ERROR here means that something was not applied. */
  readonly logErrors: readonly LogLine[];
  readonly tookMs: number;
}

/** Status of the Reload event: enum ast_module_reload_result of include/asterisk/module.h. */
const eventOutcomes: readonly ReloadOutcome[] = [
  "Reloaded",
  "Queued",
  "NotFound",
  "Failed",
  "InProgress",
  "Uninitialized",
  "Unsupported",
];

/** Messages of a refused Reload (main/manager.c, action_reload). */
const refusals: Readonly<Record<string, ReloadOutcome>> = {
  "No such module": "NotFound",
  "Module does not support reload": "Unsupported",
  "An unknown error occurred": "Failed",
  "A reload is in progress": "InProgress",
  "Module not initialized": "Uninitialized",
};

const eventDeadlineMs = 2_000;

/**
 * Reloads one module or all, once, and looks whether it happened: the answer, the Reload event, CoreReloadTime and new
 * errors in Asterisk's log. A reload that Asterisk calls a success may still have applied nothing (it reads an invalid
 * manager.conf and answers Success), so what was not seen is said. Rejects with `TimedOut` after `deadlineMs` (default
 * 30,000): a reload can deadlock in Asterisk, and is never asked for twice.
 */
export async function reload(
  server: { readonly ami: AMI; readonly host: Host },
  module?: string,
  options: { readonly deadlineMs?: number } = {},
): Promise<ReloadResult> {
  checkModule(module);
  const { ami, host } = server;
  const [before, logs] = await Promise.all([statusIfAllowed(ami), markLogs(host)]);
  const asked = await askReload(ami, module, options.deadlineMs ?? 30_000);
  const [after, growth] = await Promise.all([statusIfAllowed(ami), readGrowth(host, logs.marks)]);

  const evidence = [
    ...asked.evidence,
    timeEvidence(before, after),
    ...logEvidence(logs.marks, growth),
    ...[...logs.unseen, ...growth.unseen].map((why): Evidence => {
      return { source: "Asterisk's log", observed: false, saw: why };
    }),
  ];
  const reloadedSince = before !== undefined && after !== undefined && before.reloadTime !== after.reloadTime;
  const outcome = asked.outcome === "Asked" && reloadedSince ? "Reloaded" : asked.outcome;
  return { module, outcome, evidence, logErrors: growth.lines, tookMs: asked.tookMs };
}

/** What Asterisk's answer and event tell of one reload. */
export interface AskedReload {
  readonly outcome: ReloadOutcome;
  readonly evidence: readonly Evidence[];
  readonly tookMs: number;
}

/** The bare reload behind `reload`: no log, no CoreReloadTime. One round trip. Rejects as `reload` does. */
export async function askReload(
  ami: AMI,
  module: string | undefined,
  deadlineMs: number,
): Promise<AskedReload> {
  checkModule(module);
  const startedAt = performance.now();
  const { answer, event } = await ask(ami, module, deadlineMs);
  const tookMs = Math.round(performance.now() - startedAt);
  return {
    outcome: judge(answer, event),
    evidence: [answerEvidence(answer), eventEvidence(ami, event)],
    tookMs,
  };
}

function checkModule(module: string | undefined): void {
  if (module === undefined || /^[A-Za-z0-9_.-]+$/.test(module)) return;
  throw new AsteriskIacError(
    "InvalidArgument",
    "A module's name has only letters, digits, `_`, `.` and `-`.",
  );
}

/** Sends Reload and waits for its answer and, where the account can see it, for its event. */
async function ask(
  ami: AMI,
  module: string | undefined,
  deadlineMs: number,
): Promise<{ answer: Message; event: Message | undefined }> {
  const name = module ?? "All";
  // Heard from before the action is sent: the event may come before the answer.
  const heard: Message[] = [];
  const off = ami.on("Reload", (event) => {
    if (event.get("Module") === name) heard.push(event);
  });
  try {
    const answer = await ami.send("Reload", module === undefined ? {} : { Module: module }, deadlineMs);
    if (answer.get("Message") === "Permission denied") {
      throw new AsteriskIacError("PermissionDenied", "Asterisk denied this AMI account the action Reload.", {
        hint: "The account needs write=system (or config) in manager.conf.",
      });
    }
    if (heard.length === 0 && ami.fullyBooted) {
      await ami
        .waitForEvent("Reload", (event) => event.get("Module") === name, eventDeadlineMs)
        .catch(() => undefined);
    }
    return { answer, event: heard[0] };
  } catch (thrown) {
    throw explain(asAsteriskIacError(thrown), name).on(ami.label);
  } finally {
    off();
  }
}

function explain(error: AsteriskIacError, name: string): AsteriskIacError {
  const what = name === "All" ? "all modules" : name;
  if (error.code === "TimedOut") {
    return new AsteriskIacError(
      "TimedOut",
      `Reloading ${what} did not end in time; whether it will is not known.`,
      {
        hint:
          "It was asked for once and is not repeated: a reload can deadlock in Asterisk, which only a restart ends. Look " +
          "at Asterisk's log and `core show locks` first.",
        cause: error,
      },
    );
  }
  if (error.code !== "ConnectionLost") return error;
  return new AsteriskIacError("ConnectionLost", `The AMI connection was lost while ${what} reloaded.`, {
    next: "Retry",
    hint: "Whether it reloaded is not known. It was not asked for again.",
    cause: error,
  });
}

function judge(answer: Message, event: Message | undefined): ReloadOutcome {
  const status = event?.get("Status");
  const told = status === undefined ? undefined : eventOutcomes[Number(status)];
  if (told !== undefined) return told;
  if (answer.get("Response") !== "Success") return refusals[answer.get("Message") ?? ""] ?? "Failed";
  return "Asked";
}

function answerEvidence(answer: Message): Evidence {
  const saw = `${answer.get("Response") ?? "nothing"}: ${answer.get("Message") ?? ""}`;
  return { source: "AMI Reload", observed: true, saw };
}

function eventEvidence(ami: AMI, event: Message | undefined): Evidence {
  const source = "Reload event";
  if (event !== undefined) {
    const status = event.get("Status") ?? "?";
    return {
      source,
      observed: true,
      saw: `status ${status} (${eventOutcomes[Number(status)] ?? "unknown"})`,
    };
  }
  const why = ami.fullyBooted
    ? `none came within ${eventDeadlineMs} ms`
    : "this AMI account has no read=system";
  return { source, observed: false, saw: why };
}

function timeEvidence(before: LiveStatus | undefined, after: LiveStatus | undefined): Evidence {
  const source = "CoreReloadTime";
  if (before === undefined || after === undefined) {
    return { source, observed: false, saw: "this AMI account has neither write=system nor write=reporting" };
  }
  const moved = before.reloadTime !== after.reloadTime;
  const saw = moved
    ? `${before.reloadTime} → ${after.reloadTime}`
    : `still ${after.reloadTime} (it counts seconds)`;
  return { source, observed: moved, saw };
}

function logEvidence(marks: readonly LogMark[], { lines, bytes }: LogGrowth): Evidence[] {
  if (marks.length === 0) return [];
  const saw = `${lines.length === 0 ? "no" : lines.length} errors and warnings in ${bytes} new bytes`;
  return [{ source: marks.map(({ file }) => file).join(", "), observed: true, saw }];
}

async function statusIfAllowed(ami: AMI): Promise<LiveStatus | undefined> {
  try {
    return await askStatus(ami);
  } catch (error) {
    if (error instanceof AsteriskIacError && error.code === "PermissionDenied") return undefined;
    throw error;
  }
}
