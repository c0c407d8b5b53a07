import type { Host } from "../../asterisk/host.ts";
import type { CallRecord, RecordContext } from "../../calls/call-record.ts";
import type { CDR } from "../../calls/cdr-csv.ts";
import { groupCDRs } from "../../calls/cdr-csv.ts";
import { recoveredCall, withEndFrom } from "../../calls/recovered.ts";
import type { Microseconds } from "../../calls/times.ts";
import { readCDRs } from "./cdr-evidence.ts";

/** A time in which nobody watched, by the server's clock. */
export interface Span {
  readonly from: Microseconds;
  readonly to: Microseconds;
}

/** A span to be looked up again, once `performance.now()` is so late. */
interface LookUp extends Span {
  readonly dueAt: number;
}

export interface MissedCallsOptions {
  readonly context: RecordContext;
  /** Whether a call with this channel was told, or will be. */
  readonly isKnown: (uniqueID: string) => boolean;
  /** Takes each call that was found, once. */
  readonly tell: (record: CallRecord) => void;
  /** Asterisk's CDRs of the calls that ended since; `undefined` where there are none. A test may stand in between. */
  readonly read?: typeof readCDRs;
}

/** When CDRs are looked for after a gap: Asterisk may write them late (`batch` of cdr.conf: five minutes by default). */
const lookUpsMs = [5_000, 30_000, 330_000];
/** Gaps that are to be looked up within so long of each other are looked up together: each time reads the whole file. */
const togetherMs = 5_000;
/** Calls are told up to so long after their end: those of an earlier watch are looked for from before its last line. */
const overlap: Microseconds = 60_000_000;

/** Finds the calls that ended while nobody watched in Asterisk's CDRs: at once, and again for those that are written late. */
export class MissedCalls {
  readonly #options: MissedCallsOptions;
  /** Rows of calls that ended while nobody watched. */
  #rows: readonly CDR[] = [];
  #lookUps: LookUp[] = [];

  constructor(options: MissedCallsOptions) {
    this.#options = options;
  }

  /** What of a call that ended in a gap its CDR says of its end. */
  withEnd(record: CallRecord): CallRecord {
    return record.end === null ? withEndFrom(this.#rows, record, this.#options.context.timeZone) : record;
  }

  /**
   * Tells the calls of a gap now and queues it to be looked up again. False: Asterisk writes no CDRs that can be read.
   * @param began what ended before this was never watched
   */
  async lookUp(host: Host, span: Span, began: Microseconds): Promise<boolean> {
    const isRead = await this.#read(host, { from: Math.max(span.from - overlap, began), to: span.to });
    const now = performance.now();
    if (isRead) for (const delay of lookUpsMs) this.#queue(now + delay, span);
    return isRead;
  }

  /** Looks up again what is due. What breaks off with its connection stays due. */
  async lookUpDue(host: Host, began: Microseconds): Promise<void> {
    const now = performance.now();
    const due = this.#lookUps.filter(({ dueAt }) => dueAt <= now);
    if (due.length === 0) return;
    const { from, to } = due.map(({ from, to }): Span => ({ from, to })).reduce(union);
    await this.#read(host, { from: Math.max(from - overlap, began), to });
    this.#lookUps = this.#lookUps.filter((lookUp) => !due.includes(lookUp));
  }

  /** One read for all that is due about then, however often a connection breaks. */
  #queue(at: number, span: Span): void {
    const dueAt = Math.ceil(at / togetherMs) * togetherMs;
    const other = this.#lookUps.find((lookUp) => lookUp.dueAt === dueAt);
    const lookUp = { dueAt, ...(other === undefined ? span : union(other, span)) };
    this.#lookUps = [...this.#lookUps.filter((each) => each !== other), lookUp];
  }

  /** Tells the calls that began before the end of a span, ended after its begin, and are not known. */
  async #read(host: Host, { from, to }: Span): Promise<boolean> {
    const { context, isKnown, tell, read = readCDRs } = this.#options;
    const rows = await read(host, context.timeZone, from);
    if (rows === undefined) return false;
    this.#rows = rows;
    for (const group of groupCDRs(rows)) {
      if (group.some(({ uniqueID }) => isKnown(uniqueID)) || group.every(({ start }) => start > to)) continue;
      tell(recoveredCall(group, context));
    }
    return true;
  }
}

/** What lies between two gaps was watched, and is known: it is not told again. */
function union(one: Span, other: Span): Span {
  return { from: Math.min(one.from, other.from), to: Math.max(one.to, other.to) };
}
