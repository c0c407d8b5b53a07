import { setTimeout as delay } from "node:timers/promises";
import { AsteriskIacError, asAsteriskIacError } from "../core/errors.ts";
import { askActiveCalls } from "./active-calls.ts";
import type { AMISession } from "./ami/session.ts";
import { runCommands } from "./asterisk-command.ts";
import type { Host } from "./host.ts";
import { askStatus, type LiveStatus } from "./live.ts";
import type { Evidence } from "./reload.ts";

/**
 * `now` hangs up every call; `gracefully` takes no new calls and waits for the last one to end; `convenient` goes on
 * taking calls and waits for a moment without any.
 */
export type RestartWhen = "now" | "gracefully" | "convenient";

export interface RestartResult {
  readonly when: RestartWhen;
  /** Start-up times in the server's local time: they differ, else there was no restart and no result. */
  readonly startedBefore: string;
  readonly startedAfter: string;
  /** From the command to FullyBooted (or to the login, where the account can't see that). */
  readonly tookMs: number;
  readonly evidence: readonly Evidence[];
}

export interface RestartOptions {
  /** Default 60,000. */
  readonly deadlineMs?: number;
  /** Told what the restart waits for: when it begins to, and whenever another number of calls is up. */
  readonly onWaiting?: (message: string) => void;
}

const commands: Readonly<Record<RestartWhen, string>> = {
  now: "core restart now",
  gracefully: "core restart gracefully",
  convenient: "core restart when convenient",
};

/**
 * Restarts Asterisk by its CLI over the host, once, and waits until a new one is up: AMI lost, logged in again,
 * FullyBooted, and a start-up time that changed. Rejects with `PermissionDenied` where cli_permissions.conf denies the
 * command, and `TimedOut` after `deadlineMs` (default 60,000), saying in what state it is and how to call it off.
 */
export async function restart(
  server: { readonly session: AMISession; readonly host: Host },
  when: RestartWhen,
  options: RestartOptions = {},
): Promise<RestartResult> {
  const { session, host } = server;
  const deadlineMs = options.deadlineMs ?? 60_000;
  const [before, callsBefore] = await Promise.all([askStatus(session), askActiveCalls(session)]);
  await outliveFirstSecond(host);
  const startedAt = performance.now();
  const remainingMs = () => Math.max(0, deadlineMs - (performance.now() - startedAt));

  const losses = watchLosses(session);
  const stopReporting = reportWaiting(session, when, callsBefore, options.onWaiting);
  try {
    const refused = command(host, session.label, when, deadlineMs);
    let after: LiveStatus | undefined;
    while (after === undefined || after.startupTime === before.startupTime) {
      const lost = await Promise.race([losses.next(remainingMs()), refused]);
      if (!lost) throw await stillWaiting(session, when, callsBefore, deadlineMs);
      after = await comeBack(session, remainingMs(), deadlineMs);
    }
    const tookMs = Math.round(performance.now() - startedAt);
    const evidence = [
      { source: "AMI connection", observed: true, saw: `lost: ${losses.reason()}, then logged in again` },
      session.fullyBooted
        ? { source: "FullyBooted", observed: true, saw: "seen after the login" }
        : { source: "FullyBooted", observed: false, saw: "this AMI account has no read=system" },
      { source: "CoreStartupTime", observed: true, saw: `${before.startupTime} → ${after.startupTime}` },
    ];
    return { when, startedBefore: before.startupTime, startedAfter: after.startupTime, tookMs, evidence };
  } finally {
    stopReporting();
    losses.stop();
  }
}

/** Start-up times count seconds: of an Asterisk that is younger than one, the next could not be told. */
async function outliveFirstSecond(host: Host): Promise<void> {
  for (let tries = 0; tries < 10; tries += 1) {
    const [uptime = ""] = await runCommands(host, ["core show uptime seconds"]);
    if (!/^System uptime: 0$/m.test(uptime)) return;
    await delay(200);
  }
}

/** How often calls are counted while a restart waits for them. Milliseconds. */
const countMs = 2_000;

/** Tells how many calls it waits for, as long as Asterisk answers; gives the function that stops it. */
function reportWaiting(
  session: AMISession,
  when: RestartWhen,
  callsBefore: number,
  tell: ((message: string) => void) | undefined,
): () => void {
  if (when === "now" || tell === undefined || callsBefore === 0) return () => undefined;
  const newCalls = when === "gracefully" ? "no new ones are taken" : "new ones are taken";
  let last = -1;
  const report = (calls: number): void => {
    if (calls !== last && calls > 0)
      tell(`${calls === 1 ? "1 call is" : `${calls} calls are`} up: waiting for their end, ${newCalls}`);
    last = calls;
  };
  report(callsBefore);
  const timer = setInterval(() => {
    // Gracefully, Asterisk answers nothing over AMI until it has restarted.
    askActiveCalls(session).then(report, () => undefined);
  }, countMs);
  return () => clearInterval(timer);
}

/** Counts losses from before the command on, so that none falls between two waits. */
function watchLosses(session: AMISession) {
  let losses = 0;
  let reason = "";
  let endWait: () => void = () => undefined;
  const off = session.onLost((why) => {
    losses += 1;
    reason = why.message;
    endWait();
  });
  return {
    reason: () => reason,
    /** Whether a loss that was not taken yet comes before the deadline. */
    async next(deadlineMs: number): Promise<boolean> {
      if (losses === 0) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, deadlineMs);
          endWait = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
      if (losses === 0) return false;
      losses = 0;
      return true;
    },
    stop() {
      off();
      endWait();
    },
  };
}

/**
 * Gives the command. Rejects when Asterisk refuses it; else never settles: `asterisk -rx` ends when it will (Asterisk
 * answers only once it restarts, by closing the socket), and only AMI's loss says that it does.
 */
function command(host: Host, label: string, when: RestartWhen, deadlineMs: number): Promise<never> {
  return new Promise((_, reject) => {
    runCommands(host, [commands[when]], { timeoutMs: deadlineMs }).then(
      ([output = ""]) => {
        if (!output.startsWith("No such command")) return;
        reject(
          new AsteriskIacError("RestartFailed", `Asterisk does not know \`${commands[when]}\`.`, {
            where: { server: label },
            hint: "See what its CLI offers: `core show help core restart`.",
          }),
        );
      },
      (thrown: unknown) => {
        const error = asAsteriskIacError(thrown);
        // The restart itself can cut the command short, and a graceful one outlives its deadline.
        if (error.code === "TimedOut" || error.code === "UnexpectedAnswer") return;
        reject(error.on(label));
      },
    );
  });
}

/** The status of whatever came back; `undefined` where it is lost once more. */
async function comeBack(
  session: AMISession,
  remainingMs: number,
  deadlineMs: number,
): Promise<LiveStatus | undefined> {
  try {
    await session.restored(remainingMs);
    return await askStatus(session);
  } catch (thrown) {
    const error = asAsteriskIacError(thrown);
    if (error.code === "ConnectionLost" && !session.isConnected) return undefined;
    if (error.next === "Stalled") throw error;
    throw new AsteriskIacError(
      "TimedOut",
      `Asterisk stopped and was not back after ${seconds(deadlineMs)}.`,
      {
        where: { server: session.label },
        hint: "Look at the service on the server (`systemctl status asterisk`) and at the end of Asterisk's log.",
        cause: error,
      },
    );
  }
}

async function stillWaiting(
  session: AMISession,
  when: RestartWhen,
  callsBefore: number,
  deadlineMs: number,
): Promise<AsteriskIacError> {
  // While it shuts down gracefully Asterisk answers nothing over AMI; the count from before is then the last one known.
  const now = await askActiveCalls(session).catch(() => undefined);
  const count = now === undefined ? `${callsBefore} were up when it was asked for` : `${now} are up`;
  const state: Readonly<Record<RestartWhen, string>> = {
    now: "it was told to hang up every call and has not ended",
    gracefully: `it takes no new calls and waits for the last one to end (${count})`,
    convenient: `it waits for a moment without calls (${count})`,
  };
  return new AsteriskIacError(
    "TimedOut",
    `Asterisk did not restart within ${seconds(deadlineMs)}: ${state[when]}.`,
    {
      next: when === "now" ? "Stalled" : "Waiting",
      where: { server: session.label },
      hint:
        'The restart stays asked for and still comes. On the server, `asterisk -rx "core abort shutdown"` calls it ' +
        'off and `asterisk -rx "core restart now"` overrides it and hangs up.',
    },
  );
}

function seconds(milliseconds: number): string {
  return `${milliseconds / 1000} s`;
}
