import { setTimeout as delay } from "node:timers/promises";
import { askActiveCalls } from "../asterisk/active-calls.ts";
import { AsteriskIacError } from "../core/errors.ts";
import type { Refusal } from "../core/guard.ts";
import type { Plan } from "../core/plan.ts";
import { milliseconds } from "../core/resource/duration.ts";
import type { Pass } from "./pass.ts";

/** How often Asterisk is asked while calls are waited for. Milliseconds. */
const askAgainMs = 1_000;
/** When a front that does not wait itself comes back. Milliseconds. */
const comeBackMs = 30_000;

export interface WaitOptions {
  /**
   * What a write does that has to wait for calls (`onActiveCalls: Wait`). `Here`, the default: it waits, at most for
   * `activeCallsTimeout`. `Later`: it is given up with an error that says when to come back.
   */
  readonly waitForCalls?: "Here" | "Later";
  /** Told when the wait begins, and whenever another number of calls is up. */
  readonly onWaiting?: (message: string) => void;
}

/** Whether a plan disturbs calls: Asterisk has to reload something. */
export function disturbsCalls(plan: Plan): boolean {
  return (plan.reloads?.reloads.length ?? 0) > 0;
}

/**
 * Waits, where it is declared, until no call is up. Gives why nothing may be written now; undefined: go ahead. Throws
 * `CallsActive`, which is `Waiting`, where the wait is somebody else's.
 */
export async function waitForCalls(
  { session, declaration: { spec } }: Pass,
  { waitForCalls = "Here", onWaiting }: WaitOptions,
): Promise<Refusal | undefined> {
  if (spec.onActiveCalls === "Proceed") return undefined;
  const deadline = performance.now() + milliseconds(spec.activeCallsTimeout);
  let last = 0;
  for (;;) {
    const calls = await askActiveCalls(session.ami);
    if (calls === 0) return undefined;
    const up = calls === 1 ? "1 call is up" : `${calls} calls are up`;
    if (waitForCalls === "Later") {
      throw new AsteriskIacError("CallsActive", `${up}, and onActiveCalls is Wait`, {
        next: "Waiting",
        retryAfterMs: comeBackMs,
        hint: "Nothing was written: it is when no call is up. `onActiveCalls: Proceed` does not wait.",
      });
    }
    if (performance.now() >= deadline) {
      return {
        code: "CallsActive",
        message: `${up} still after ${spec.activeCallsTimeout}, and onActiveCalls is Wait`,
        hint: "Nothing was written. Run it again when fewer calls are made, or set `onActiveCalls: Proceed`.",
      };
    }
    if (calls !== last) onWaiting?.(`${up}: waiting for their end, at most ${spec.activeCallsTimeout}`);
    last = calls;
    await delay(askAgainMs);
  }
}
