import type { Clock } from "./clock.ts";

/** How often something may happen: `burst` at once, then `perSecond`. */
export interface RateLimit {
  readonly perSecond: number;
  readonly burst: number;
}

/** A token bucket: starts full, fills with time. */
export class TokenBucket {
  readonly #limit: RateLimit;
  readonly #clock: Clock;
  #tokens: number;
  #filledAt: number;

  constructor(limit: RateLimit, clock: Clock) {
    this.#limit = limit;
    this.#clock = clock;
    this.#tokens = limit.burst;
    this.#filledAt = clock.now();
  }

  /** Takes a token and answers 0, or takes none and answers the milliseconds until there is one. */
  take(): number {
    const now = this.#clock.now();
    const { perSecond, burst } = this.#limit;
    this.#tokens = Math.min(burst, this.#tokens + ((now - this.#filledAt) / 1_000) * perSecond);
    this.#filledAt = now;
    // Sums of fractions may end a hair below the whole token that they make.
    if (this.#tokens < 1 - 1e-6) return Math.max(1, ((1 - this.#tokens) / perSecond) * 1_000);
    this.#tokens = Math.max(0, this.#tokens - 1);
    return 0;
  }
}
