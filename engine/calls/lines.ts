import type { CallRecord } from "../../calls/call-record.ts";
import type { ServerTime } from "../../calls/times.ts";

/** A time in which nobody watched a server's calls. Those that were up in it say `Part` or `CDR`. */
export interface GapLine {
  readonly kind: "Gap";
  readonly server: string;
  readonly from: ServerTime;
  readonly to: ServerTime;
  readonly reason: string;
  /** Asterisk started anew in it; null where nobody knows. */
  readonly restarted: boolean | null;
  /**
   * `Read`: calls that ended in it were looked for in Asterisk's CDR file. `None`: Asterisk writes no such file, or
   * without ids, so that a call that began and ended in the gap is not known. `NotRead`: an earlier watch may have told
   * calls that ended in it, nobody knows which, so none is looked for.
   */
  readonly evidence: "Read" | "None" | "NotRead";
}

/** Differences of clocks that are worth a word: calls of less are told apart by their order. */
export const noticeableMs = 2_000;

/** The server's clock beside ours and beside the declared zone, when the watch begins and when it changes. */
export interface ClockLine {
  readonly kind: "Clock";
  readonly server: string;
  readonly time: ServerTime;
  /** By how much the server's clock is ahead of ours, either way by as much as is uncertain. */
  readonly aheadMs: number;
  readonly uncertainMs: number;
  /** The declared zone; null: none is declared, and local times are UTC. */
  readonly timeZone: string | null;
  /** The server's own offset from UTC now, as `+0100`; null where it does not say. */
  readonly offset: string | null;
  /** Where the declared zone and the server's clock differ, in sentences. */
  readonly differences: readonly string[];
  /** `timestampevents` of manager.conf: times are Asterisk's own; else they are when the events came in. */
  readonly hasTimestamps: boolean;
  /** `channelvars` of manager.conf names CALLERID(pres): else the callers of very short calls are not known to be shown. */
  readonly hasPresentations: boolean;
}

/** What is told of a server's calls; `kind` tells which. */
export type CallsLine = CallRecord | GapLine | ClockLine;

/** A line with the moment at which it was told, by the server's clock: from there a later watch goes on. */
export type ToldLine = CallsLine & { readonly recordedAt: string };
