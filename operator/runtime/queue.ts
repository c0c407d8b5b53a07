import type { BackoffOptions } from "./backoff.ts";
import { backoffMs } from "./backoff.ts";
import type { Clock } from "./clock.ts";
import { systemClock } from "./clock.ts";
import type { RateLimit } from "./token-bucket.ts";
import { TokenBucket } from "./token-bucket.ts";

export interface WorkQueueOptions {
  /** The waits of `retry`; default 200 ms to 5 minutes. */
  readonly backoff?: BackoffOptions;
  /** How often `next` hands out a key, all keys together; default 100 a second after 1,000 at once. */
  readonly rateLimit?: RateLimit;
  readonly clock?: Clock;
}

/**
 * A queue of keys in which each key stands at most once, and which hands no key out twice at a time: a key that is
 * added while it is worked on is handed out again after `done`. Whoever takes a key by `next` calls `done`.
 */
export class WorkQueue {
  readonly #clock: Clock;
  readonly #backoff: BackoffOptions;
  readonly #bucket: TokenBucket;
  /** In order of arrival. */
  readonly #ready = new Set<string>();
  readonly #underWay = new Set<string>();
  /** Added while under way. */
  readonly #again = new Set<string>();
  readonly #timers = new Map<string, { readonly dueAt: number; readonly cancel: () => void }>();
  readonly #failures = new Map<string, number>();
  readonly #takers: ((key: string | undefined) => void)[] = [];
  #cancelRefill: (() => void) | undefined;
  #closed = false;

  constructor(options: WorkQueueOptions = {}) {
    this.#clock = options.clock ?? systemClock;
    this.#backoff = options.backoff ?? { firstMs: 200, mostMs: 300_000 };
    this.#bucket = new TokenBucket(options.rateLimit ?? { perSecond: 100, burst: 1_000 }, this.#clock);
  }

  /** How many keys could be handed out now. */
  get depth(): number {
    return this.#ready.size;
  }

  /** Hands the key out as soon as it can be. */
  add(key: string): void {
    if (this.#closed) return;
    if (this.#underWay.has(key)) this.#again.add(key);
    else this.#ready.add(key);
    this.#handOut();
  }

  /**
   * Adds the key after a while. Of several such waits the shortest counts; when the key is handed out for whatever
   * reason, the wait is over, for whoever works on it says anew when to come back.
   */
  addAfter(key: string, milliseconds: number): void {
    if (this.#closed) return;
    if (milliseconds <= 0) return this.add(key);
    const dueAt = this.#clock.now() + milliseconds;
    const earlier = this.#timers.get(key);
    if (earlier !== undefined && earlier.dueAt <= dueAt) return;
    earlier?.cancel();
    const cancel = this.#clock.timer(milliseconds, () => {
      this.#timers.delete(key);
      this.add(key);
    });
    this.#timers.set(key, { dueAt, cancel });
  }

  /** Adds the key after a wait that grows with each retry since the last `forget`. */
  retry(key: string): void {
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    this.addAfter(key, backoffMs(this.#backoff, failures));
  }

  /** The key did well: its next `retry` starts from the first wait. */
  forget(key: string): void {
    this.#failures.delete(key);
  }

  /** How often the key was retried since the last `forget`. */
  retries(key: string): number {
    return this.#failures.get(key) ?? 0;
  }

  /** The next key, as soon as there is one and the rate allows it; undefined once the queue is closed. */
  next(): Promise<string | undefined> {
    if (this.#closed) return Promise.resolve(undefined);
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    this.#takers.push(resolve);
    this.#handOut();
    return promise;
  }

  /** The work on a key that `next` handed out is over. */
  done(key: string): void {
    this.#underWay.delete(key);
    if (this.#again.delete(key)) this.add(key);
  }

  /** Hands out nothing more and forgets what waits; work under way goes on. */
  close(): void {
    this.#closed = true;
    this.#cancelRefill?.();
    for (const { cancel } of this.#timers.values()) cancel();
    this.#timers.clear();
    this.#ready.clear();
    this.#again.clear();
    for (const take of this.#takers.splice(0)) take(undefined);
  }

  #handOut(): void {
    while (this.#takers.length > 0 && this.#cancelRefill === undefined) {
      const [key] = this.#ready;
      if (key === undefined) return;
      const waitMs = this.#bucket.take();
      if (waitMs > 0) {
        this.#cancelRefill = this.#clock.timer(waitMs, () => {
          this.#cancelRefill = undefined;
          this.#handOut();
        });
        return;
      }
      this.#ready.delete(key);
      this.#underWay.add(key);
      this.#timers.get(key)?.cancel();
      this.#timers.delete(key);
      this.#takers.shift()?.(key);
    }
  }
}
