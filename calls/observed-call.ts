import type { Microseconds } from "./times.ts";

/** An event of AMI, as far as calls need it: names compare without case. asterisk/ami's Message is one. */
export interface CallEvent {
  get(name: string): string | undefined;
  all(name: string): string[];
}

/** One channel of a call. Its numbers stand as Asterisk has them: what is withheld is taken out in the record. */
export interface Leg {
  readonly id: string;
  readonly channel: string;
  readonly startedAt: Microseconds;
  /** The Linkedid that it began with. */
  readonly linkedID: string;
  /** What it dialled. */
  exten: string | undefined;
  callerNumber: string | undefined;
  callerName: string | undefined;
  /** `CALLERID(pres)` or NewCallerid's number and text, all that were seen; empty: not known. */
  readonly presentations: Set<string>;
  isUp: boolean;
  /** The bridges that it was in. */
  readonly bridges: Set<string>;
  hangupRequestedAt: Microseconds | undefined;
  hangup: Hangup | undefined;
  /** It was there already when the watch began, or began again. */
  readonly isAdopted: boolean;
  /** When it was answered, where that is known of an adopted one. */
  readonly adoptedAnswerAt: Microseconds | undefined;
}

export interface Hangup {
  /** Undefined where it ended while nobody watched. */
  readonly at: Microseconds | undefined;
  /** Q.850 cause code. */
  readonly cause: number | undefined;
  readonly causeText: string | undefined;
  /** The protocol's own, for SIP the status code. */
  readonly techCause: number | undefined;
}

/** One leg that was called, from DialBegin to its first DialEnd. */
export interface Attempt {
  readonly legID: string;
  /** Undefined for a leg that an Originate called. */
  readonly callerLegID: string | undefined;
  readonly dialString: string;
  readonly startedAt: Microseconds;
  /** DialStatus: ANSWER, BUSY, NOANSWER, CANCEL, CONGESTION, CHANUNAVAIL, … */
  status: string | undefined;
  endedAt: Microseconds | undefined;
}

export interface QueueVisit {
  readonly queue: string;
  readonly legID: string;
  readonly joinedAt: Microseconds;
  leftAt: Microseconds | undefined;
  answeredAt: Microseconds | undefined;
  agent: Agent | undefined;
  /** By QueueCallerAbandon, which Asterisk sends for a caller who ran out of time, too. */
  gaveUp: "Abandoned" | "TimedOut" | undefined;
}

export interface Agent {
  readonly name: string | null;
  readonly interface: string | null;
}

export interface Transfer {
  readonly kind: "Blind" | "Attended" | "Pickup" | "Forward";
  readonly at: Microseconds;
  /** The leg whose party did it. */
  readonly byLegID: string | undefined;
  /** The extension or dial string that it went to; undefined where the leg says it. */
  readonly to: string | undefined;
  readonly toLegID: string | undefined;
}

/** What the events said of one call, all its legs joined. */
export interface ObservedCall {
  readonly linkedIDs: ReadonlySet<string>;
  readonly legs: readonly Leg[];
  readonly attempts: readonly Attempt[];
  readonly visits: readonly QueueVisit[];
  readonly transfers: readonly Transfer[];
  /** Times during which nobody watched while it was up. */
  readonly gaps: readonly Gap[];
  /** What was left out, so that one call can't fill the memory. */
  readonly omitted: number;
  /** Its record was made before its end, for want of memory. */
  readonly isGivenUp: boolean;
}

/** A time without events, by the server's clock; `from` is undefined where the watch began with it. */
export interface Gap {
  readonly from: Microseconds | undefined;
  readonly to: Microseconds;
}

/** Whether a channel is one of the two halves that Asterisk makes up to dial into its own dialplan. */
export function isLocal(channel: string): boolean {
  return channel.startsWith("Local/");
}

/**
 * `PJSIP/trunk-0000001f` without what tells one channel from the next. Of ISDN, `DAHDI/i<span>/<number>-<count>`, the span
 * alone: the number is the caller's, withheld or not (chan_dahdi.c).
 */
export function endpointOf(channel: string): string {
  const [span] = /^DAHDI\/i\d+(?=\/)/.exec(channel) ?? [];
  if (span !== undefined) return span;
  const own = channel.replace(/;[12]$/, "");
  return own.startsWith("IAX2/") ? own.replace(/-\d+$/, "") : own.replace(/-[0-9a-f]{8,}$/, "");
}
