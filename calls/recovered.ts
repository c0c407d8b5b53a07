import type { CallRecord, RecordContext } from "./call-record.ts";
import { callRecord } from "./call-record.ts";
import type { CDR } from "./cdr-csv.ts";
import type { Disposition } from "./disposition.ts";
import type { Leg, ObservedCall } from "./observed-call.ts";
import { isLocal } from "./observed-call.ts";
import { serverTime } from "./times.ts";

/**
 * The record of a call that nobody watched, from its CDR rows (at least one, by start). Times are whole seconds; the dialplan
 * may have rewritten the destination; attempts, transfers and causes are not known, nor whether the caller may be shown: so
 * nobody is but an extension.
 */
export function recoveredCall(rows: readonly CDR[], context: RecordContext): CallRecord {
  const [first] = rows;
  const legs = rows.flatMap((row) => legsOf(row));
  const call: ObservedCall = {
    linkedIDs: new Set(rows.map(({ linkedID, uniqueID }) => linkedID ?? uniqueID)),
    legs: [...new Map(legs.map((leg) => [leg.id, leg])).values()],
    attempts: [],
    visits: [],
    transfers: [],
    gaps: [],
    omitted: 0,
    isGivenUp: false,
  };
  const record = callRecord(call, context);
  const end = Math.max(...rows.map((row) => row.end));
  const answers = rows.flatMap(({ answer }) => (answer === undefined ? [] : [answer]));
  const disposition = dispositionOf(rows);
  const answer = disposition === "Answered" && answers.length > 0 ? Math.min(...answers) : undefined;
  const time = (at: number) => serverTime(at, context.timeZone);
  const isAmbiguous = rows.some((row) => row.isAmbiguous);
  return {
    ...record,
    uniqueIDs: record.uniqueIDs.filter((id) => rows.some(({ uniqueID }) => uniqueID === id)),
    start: time(first?.start ?? end),
    answer: answer === undefined ? null : time(answer),
    end: time(end),
    durationSeconds: seconds(end - (first?.start ?? end)),
    talkSeconds: answer === undefined ? 0 : seconds(end - answer),
    disposition,
    cause: null,
    source: "CDR",
    unknown: [
      ...record.unknown,
      ...(rows.some(({ linkedID }) => linkedID !== undefined) ? [] : ["linkedIDs"]),
      ...(isAmbiguous ? ["start", "answer", "end"] : []),
      "answeredBy",
      "queue",
      "agent",
      "attempts",
      "transfers",
      "cause",
    ],
  };
}

function seconds(microseconds: number): number {
  return Math.round(microseconds / 1_000_000);
}

/** The caller's leg as the row has it; a Local half is a leg too, but nobody's. */
function legsOf(row: CDR): Leg[] {
  return [
    {
      id: row.uniqueID,
      linkedID: row.linkedID ?? row.uniqueID,
      channel: row.channel,
      startedAt: row.start,
      exten: row.destination === "" ? undefined : row.destination,
      callerNumber: row.source,
      callerName: undefined,
      presentations: new Set(),
      isUp: row.answer !== undefined,
      bridges: new Set(),
      hangupRequestedAt: undefined,
      hangup: { at: row.end, cause: undefined, causeText: undefined, techCause: undefined },
      isAdopted: false,
      adoptedAnswerAt: undefined,
    },
  ];
}

/** As far as CDRs tell: one without an answer has the same word for a caller who hung up and a telephone that rang out. */
function dispositionOf(rows: readonly CDR[]): Disposition {
  const is = (name: string): boolean => rows.some(({ disposition }) => disposition === name);
  const isTaken = ({ disposition, destinationChannel }: CDR): boolean =>
    disposition === "ANSWERED" && destinationChannel !== "" && !isLocal(destinationChannel);
  if (rows.some(isTaken)) return "Answered";
  if (is("ANSWERED")) return "AnsweredBySystem";
  if (is("BUSY")) return "Busy";
  if (is("CONGESTION")) return "Congestion";
  return is("NO ANSWER") ? "NotAnswered" : "Failed";
}

/** What CDR rows add to the record of a call whose end nobody saw. */
export function withEndFrom(rows: readonly CDR[], record: CallRecord, timeZone: string): CallRecord {
  const own = rows.filter(({ uniqueID }) => record.uniqueIDs.includes(uniqueID));
  if (own.length === 0) return record;
  const end = Math.max(...own.map((row) => row.end));
  const since = (time: string): number => seconds(end - Date.parse(time) * 1000);
  const disposition = record.disposition === "Unknown" ? dispositionOf(own) : record.disposition;
  return {
    ...record,
    disposition,
    end: serverTime(end, timeZone),
    durationSeconds: since(record.start.utc),
    talkSeconds: record.answer === null ? record.talkSeconds : since(record.answer.utc),
    unknown: record.unknown.filter((field) => field !== "end"),
  };
}
