import { performance } from "node:perf_hooks";
import type { AsteriskIacError } from "../../core/errors.ts";
import { asAsteriskIacError } from "../../core/errors.ts";
import type { Clock } from "./clock.ts";
import { systemClock } from "./clock.ts";
import type { ObjectKey } from "./objects.ts";
import { parseKey } from "./objects.ts";
import type { WorkQueue } from "./queue.ts";

/** How a reconcile ended. */
export type ReconcileResult = "success" | "requeue" | "stalled" | "waiting" | "retry";

/** When to come back without a change; undefined: only for a change. */
export type Outcome = { readonly requeueAfterMs?: number } | undefined;

export interface ControllerOptions {
  readonly name: string;
  readonly queue: WorkQueue;
  /**
   * Brings one object in step; it looks up by itself what is there, for the key is all that it is told. The signal
   * is aborted when the controller stops and the time for a graceful end is over.
   */
  readonly reconcile: (key: ObjectKey, signal: AbortSignal) => Promise<Outcome>;
  /**
   * How many keys at a time; default 8. One that takes longer than `patienceMs` no longer counts, unless it is our own
   * processor that it waits for.
   */
  readonly concurrency?: number;
  /** Default 1,000: whoever is dead waits for its deadline, and nobody waits for it. */
  readonly patienceMs?: number;
  /** When to come back to an object that waits for a person, if nothing changes; default 10 minutes. */
  readonly stalledAfterMs?: number | ((key: ObjectKey) => number);
  /** The share of the time since it was last asked in which our thread had something to do; default: of this thread. */
  readonly utilization?: () => number;
  /** Told of every error of a reconcile. */
  readonly onError?: (key: ObjectKey, error: AsteriskIacError) => void;
  /** Told of every reconcile, with its duration. */
  readonly onReconciled?: (controller: string, result: ReconcileResult, seconds: number) => void;
  readonly clock?: Clock;
}

const defaultConcurrency = 8;

/** However many are slow: this many times the concurrency are under way at most, beside those that are not. */
const mostSlow = 8;

/** With less time to spare than this, more at a time would only make each of them slower. */
const busy = 0.8;

/** Takes keys from a queue and reconciles them, some side by side, never one key twice at a time. */
export class Controller {
  readonly #options: ControllerOptions;
  readonly #clock: Clock;
  readonly #giveUp = new AbortController();
  /** Reconciles that nobody waits for. */
  readonly #slow = new Set<Promise<void>>();
  /** Keys that were so the last time: nobody waits for them at all. */
  readonly #wereSlow = new Set<string>();
  #workers: Promise<void>[] = [];

  constructor(options: ControllerOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  get name(): string {
    return this.#options.name;
  }

  start(): void {
    if (this.#workers.length > 0) return;
    this.#workers = Array.from({ length: this.#options.concurrency ?? defaultConcurrency }, () =>
      this.#work(),
    );
  }

  /**
   * Begins nothing more, and lets what is under way end by itself for so long; then its signal is aborted. Resolves
   * when all has ended or at the bound: true if all ended by itself.
   */
  async stop(boundMs = 25_000): Promise<boolean> {
    this.#options.queue.close();
    const bound = Promise.withResolvers<boolean>();
    const cancel = this.#clock.timer(boundMs, () => bound.resolve(false));
    const ended = Promise.all(this.#workers).then(() => Promise.all(this.#slow));
    const drained = await Promise.race([ended.then(() => true), bound.promise]);
    cancel();
    if (!drained) this.#giveUp.abort();
    return drained;
  }

  async #work(): Promise<void> {
    const { queue } = this.#options;
    for (let key = await queue.next(); key !== undefined; key = await queue.next()) {
      const work = this.#reconcile(key).then(() => queue.done(key));
      await this.#patience(key, work);
    }
  }

  /** Waits for a reconcile, unless it is slow and there is room for one more of those. */
  async #patience(key: string, work: Promise<void>): Promise<void> {
    const { patienceMs = 1_000, concurrency = defaultConcurrency } = this.#options;
    const { utilization = utilizationOfThread() } = this.#options;
    const isOver = Promise.withResolvers<undefined>();
    let cancel: () => void;
    const wait = (milliseconds: number): void => {
      cancel = this.#clock.timer(milliseconds, () => {
        if (milliseconds > 0 && utilization() > busy) return wait(patienceMs);
        this.#wereSlow.add(key);
        if (this.#slow.size >= concurrency * mostSlow) return;
        this.#slow.add(work);
        void work.finally(() => this.#slow.delete(work));
        isOver.resolve(undefined);
      });
    };
    wait(this.#wereSlow.has(key) ? 0 : patienceMs);
    const startedAt = this.#clock.now();
    void work.then(() => {
      cancel();
      if (this.#clock.now() - startedAt < patienceMs) this.#wereSlow.delete(key);
    });
    await Promise.race([work, isOver.promise]);
  }

  async #reconcile(key: string): Promise<void> {
    const { name, reconcile, onError, onReconciled } = this.#options;
    const startedAt = this.#clock.now();
    let result: ReconcileResult;
    try {
      result = this.#succeeded(key, await reconcile(parseKey(key), this.#giveUp.signal));
    } catch (thrown) {
      const error = asAsteriskIacError(thrown);
      result = this.#failed(key, error);
      onError?.(parseKey(key), error);
    }
    onReconciled?.(name, result, (this.#clock.now() - startedAt) / 1_000);
  }

  #succeeded(key: string, outcome: Outcome): ReconcileResult {
    const { queue } = this.#options;
    queue.forget(key);
    if (outcome?.requeueAfterMs === undefined) return "success";
    queue.addAfter(key, outcome.requeueAfterMs);
    return "requeue";
  }

  #failed(key: string, error: AsteriskIacError): ReconcileResult {
    const { queue, stalledAfterMs = 600_000 } = this.#options;
    if (error.next === "Stalled") {
      queue.forget(key);
      queue.addAfter(
        key,
        typeof stalledAfterMs === "number" ? stalledAfterMs : stalledAfterMs(parseKey(key)),
      );
      return "stalled";
    }
    if (error.next === "Waiting" && error.retryAfterMs !== undefined) {
      queue.forget(key);
      queue.addAfter(key, error.retryAfterMs);
      return "waiting";
    }
    queue.retry(key);
    return "retry";
  }
}

function utilizationOfThread(): () => number {
  let before = performance.eventLoopUtilization();
  return () => {
    const { utilization } = performance.eventLoopUtilization(before);
    before = performance.eventLoopUtilization();
    return utilization;
  };
}
