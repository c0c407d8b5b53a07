export interface Rate {
  readonly perSecond: number;
  /** As many may come together after a pause. */
  readonly atOnce: number;
}

interface Bucket {
  tokens: number;
  /** `performance.now()` of its last use. */
  at: number;
}

/** So many are remembered; the one that was quiet for longest is forgotten first. */
const mostBuckets = 1_000;

/** How often each of many may ask, one bucket of tokens a name. */
export class RateLimit {
  readonly #rate: Rate;
  readonly #buckets = new Map<string, Bucket>();

  constructor(rate: Rate) {
    this.#rate = rate;
  }

  /** Whether `name` may ask now; it counts as asked then. */
  admits(name: string): boolean {
    const { perSecond, atOnce } = this.#rate;
    const at = performance.now();
    const last = this.#buckets.get(name) ?? { tokens: atOnce, at };
    const tokens = Math.min(atOnce, last.tokens + ((at - last.at) / 1000) * perSecond);
    // Put in anew, so that the first of the map is the one that was quiet for longest.
    this.#buckets.delete(name);
    this.#buckets.set(name, { tokens: tokens < 1 ? tokens : tokens - 1, at });
    const [oldest] = this.#buckets.keys();
    if (this.#buckets.size > mostBuckets && oldest !== undefined) this.#buckets.delete(oldest);
    return tokens >= 1;
  }
}
