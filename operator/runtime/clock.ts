import { performance } from "node:perf_hooks";

/** Time as the runtime sees it: settable by tests, and never moved by a change of the wall clock. */
export interface Clock {
  /** Milliseconds that only ever grow, from an arbitrary start. */
  now(): number;
  /** Calls `fire` once after `milliseconds`; the answer cancels it. */
  timer(milliseconds: number, fire: () => void): () => void;
}

/** The longest that Node's timers take; more fires at once. Waking too early is harmless to all who wait here. */
const longestTimerMs = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => performance.now(),
  timer: (milliseconds, fire) => {
    const timer = setTimeout(fire, Math.min(Math.max(milliseconds, 0), longestTimerMs));
    return () => clearTimeout(timer);
  },
};

/** Resolves after `milliseconds`, or as soon as the signal is aborted. */
export function sleep(clock: Clock, milliseconds: number, signal?: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  if (signal?.aborted === true) return Promise.resolve();
  const wake = (): void => resolve(undefined);
  const cancel = clock.timer(milliseconds, wake);
  signal?.addEventListener("abort", wake, { once: true });
  return promise.then(() => {
    cancel();
    signal?.removeEventListener("abort", wake);
  });
}
