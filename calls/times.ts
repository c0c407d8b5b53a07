import { Temporal } from "temporal-polyfill";

/** Microseconds since 1970 in UTC, by the server's clock. A plain number holds them exactly until the year 2255. */
export type Microseconds = number;

/** One moment, for everyone and for the place where the server is. */
export interface ServerTime {
  /** ISO 8601 with milliseconds and `Z`. */
  readonly utc: string;
  /** The same in the server's zone, with its offset then. */
  readonly local: string;
}

/** Reads AMI's `Timestamp`, `EPOCH.MICROSECONDS`; `undefined` for anything else. */
export function parseTimestamp(text: string | undefined): Microseconds | undefined {
  const [, seconds, fraction = ""] = /^(\d{9,10})(?:\.(\d{1,6}))?\d*$/.exec(text ?? "") ?? [];
  return seconds === undefined ? undefined : Number(seconds) * 1_000_000 + Number(fraction.padEnd(6, "0"));
}

/** A moment as records have it. `zone` is an IANA name. */
export function serverTime(at: Microseconds, zone: string): ServerTime {
  const instant = Temporal.Instant.fromEpochMilliseconds(Math.floor(at / 1000));
  const options = { fractionalSecondDigits: 3 } as const;
  return {
    utc: instant.toString(options),
    local: instant.toZonedDateTimeISO(zone).toString({ ...options, timeZoneName: "never" }),
  };
}

/**
 * What a local time without an offset can mean. `Ambiguous`: it came twice, when the clocks went back; `at` is the first
 * time. `Skipped`: it never came, when they went forward; `at` is as if they had not.
 */
export interface NaiveTime {
  readonly at: Microseconds;
  readonly certainty: "Exact" | "Ambiguous" | "Skipped";
}

/**
 * Reads `YYYY-MM-DD HH:MM:SS`, as Asterisk writes CDRs, in the server's zone. `notBefore`, a moment that is known to be
 * earlier (Asterisk's ids begin with one), can tell the two of an ambiguous time apart. `undefined` for anything else.
 */
export function readNaive(text: string, zone: string, notBefore?: Microseconds): NaiveTime | undefined {
  const naive = parseNaive(text);
  if (naive === undefined) return undefined;
  const meaning = (disambiguation: "earlier" | "later"): Microseconds =>
    naive.toZonedDateTime(zone, { disambiguation }).epochMilliseconds * 1000;
  const [earlier, later] = [meaning("earlier"), meaning("later")];
  if (earlier === later) return { at: earlier, certainty: "Exact" };
  // In the hour that is skipped, `later` reads it by the offset from before.
  if (!naive.toZonedDateTime(zone).toPlainDateTime().equals(naive))
    return { at: later, certainty: "Skipped" };
  if (notBefore !== undefined && earlier < notBefore - 1_000_000) return { at: later, certainty: "Exact" };
  return { at: earlier, certainty: "Ambiguous" };
}

function parseNaive(text: string): Temporal.PlainDateTime | undefined {
  if (!/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/.test(text)) return undefined;
  try {
    return Temporal.PlainDateTime.from(text.replace(" ", "T"), { overflow: "reject" });
  } catch {
    return undefined;
  }
}

/** By how much the server's clock is ahead of ours; what the way there and back leaves open goes either way. */
export interface ClockSkew {
  readonly aheadMs: number;
  readonly uncertainMs: number;
}

/** The skew by a clock reading that was asked for and answered at these times of ours (milliseconds). */
export function clockSkew(server: Microseconds, askedMs: number, answeredMs: number): ClockSkew {
  const middle = (askedMs + answeredMs) / 2;
  return {
    aheadMs: Math.round(server / 1000 - middle),
    uncertainMs: Math.ceil((answeredMs - askedMs) / 2),
  };
}

/** A server's own offset from UTC at a moment, as `%z` has it: `+0200`. */
export interface ObservedOffset {
  readonly at: Microseconds;
  readonly offset: string;
}

/** Where a server's clock goes by another offset than the declared zone has; empty: the zone is right, as far as seen. */
export function zoneDifferences(zone: string, observed: readonly ObservedOffset[]): string[] {
  return observed.flatMap(({ at, offset }) => {
    const expected = Temporal.Instant.fromEpochMilliseconds(Math.floor(at / 1000)).toZonedDateTimeISO(zone);
    if (offset === expected.offset.replace(":", "")) return [];
    const day = expected.toPlainDate().toString();
    return [`on ${day} the server's clock is at ${offset}, and ${zone} is at ${expected.offset}`];
  });
}

/** The moments at which a zone is looked at: now, and both ends of a year, between which the clocks change. */
export function momentsOfYear(now: Microseconds): Microseconds[] {
  const { year } = Temporal.Instant.fromEpochMilliseconds(Math.floor(now / 1000)).toZonedDateTimeISO("UTC");
  const first = (month: number): Microseconds => Date.UTC(year, month - 1, 1, 12) * 1000;
  return [now, first(1), first(7)];
}

/** When an id of Asterisk's was made, `[NAME-]EPOCH.NUMBER`; `undefined` where it says nothing (ids given by hand). */
export function timeOfID(id: string): Microseconds | undefined {
  const seconds = /(?:^|-)(\d{9,10})\.\d+$/.exec(id)?.[1];
  return seconds === undefined ? undefined : Number(seconds) * 1_000_000;
}
