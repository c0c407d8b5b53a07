import type { Microseconds } from "../../calls/times.ts";

/** Where an earlier watch ended: from there on calls are looked for that nobody watched. */
export interface Position {
  /** By the server's clock. */
  readonly since: Microseconds;
  /** What ended before this was never watched. */
  readonly watchedFrom: Microseconds;
  /** The channels of calls that were told already. */
  readonly uniqueIDs: Iterable<string>;
}

/**
 * An earlier watch of which nobody knows which calls it told: what it left out is not looked for, since it could be told
 * twice.
 */
export interface LastSign {
  /** When it was there for certain, by our clock. Milliseconds since 1970. */
  readonly lastSeenMs: number;
}
