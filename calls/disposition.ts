import type { Attempt, Leg, ObservedCall } from "./observed-call.ts";
import { isLocal } from "./observed-call.ts";
import type { Microseconds } from "./times.ts";

/**
 * How a call ended. `Answered`: a person or device that was called took it. `AnsweredBySystem`: only Asterisk itself did
 * (voicemail, announcements). `NotAnswered`: nobody did, why only a CDR tells, and it does not. `Cancelled`: the caller hung up first. `Abandoned`, `QueueTimeout`: the caller left the queue,
 * or had waited as long as it allows. `Unavailable`: what was called could not be reached. `Up`: it has not ended. `Unknown`:
 * nobody watched.
 */
export type Disposition =
  | "Answered"
  | "AnsweredBySystem"
  | "Busy"
  | "NoAnswer"
  | "NotAnswered"
  | "Cancelled"
  | "Abandoned"
  | "QueueTimeout"
  | "Declined"
  | "UnknownNumber"
  | "Unavailable"
  | "Congestion"
  | "Failed"
  | "Up"
  | "Unknown";

/** The leg that the call began with: the first of the oldest Linkedid; of a made-up half, the phone that it dialled. */
export function callerLeg(call: ObservedCall): Leg | undefined {
  const legs = inOrder(call.legs);
  const first = legs.find((leg) => leg.id === leg.linkedID) ?? legs[0];
  if (first === undefined || !isLocal(first.channel)) return first;
  return legs.find((leg) => !isLocal(leg.channel)) ?? first;
}

/** By start, and where that is the same by id: the order of events that came at once does not count. */
export function inOrder<Thing extends Leg>(legs: readonly Thing[]): Thing[] {
  return [...legs].sort((a, b) => a.startedAt - b.startedAt || sequenceOf(a.id) - sequenceOf(b.id));
}

function sequenceOf(id: string): number {
  return Number(/\.(\d+)$/.exec(id)?.[1] ?? 0);
}

/** Attempts at real legs other than the caller's own (which an Originate calls, too), by start. */
export function realAttempts(call: ObservedCall): Attempt[] {
  const legs = new Map(call.legs.map((leg) => [leg.id, leg]));
  const caller = callerLeg(call)?.id;
  return call.attempts
    .filter(({ legID }) => legID !== caller && !isLocal(legs.get(legID)?.channel ?? ""))
    .sort((a, b) => a.startedAt - b.startedAt || sequenceOf(a.legID) - sequenceOf(b.legID));
}

/** What was answered, by whom, and when. */
export interface Answer {
  readonly at: Microseconds;
  readonly legID: string | undefined;
}

/** The first answer by whom was called; undefined where nobody did. */
export function answerOf(call: ObservedCall): Answer | undefined {
  const answers: Answer[] = [
    ...realAttempts(call).flatMap(({ status, endedAt, legID }) =>
      status === "ANSWER" && endedAt !== undefined ? [{ at: endedAt, legID }] : [],
    ),
    ...call.visits.flatMap(({ answeredAt }) =>
      answeredAt === undefined ? [] : [{ at: answeredAt, legID: undefined }],
    ),
    ...adoptedAnswers(call),
  ];
  return answers.reduce<Answer | undefined>(
    (first, each) => (first === undefined || each.at < first.at ? each : first),
    undefined,
  );
}

/** Two real legs that were up together when the watch began: somebody had answered, the CDR says when. */
function adoptedAnswers(call: ObservedCall): Answer[] {
  const up = call.legs.filter(
    (leg) => leg.isAdopted && !isLocal(leg.channel) && leg.adoptedAnswerAt !== undefined,
  );
  if (up.length < 2) return [];
  const caller = callerLeg(call);
  const called = inOrder(up).find((leg) => leg !== caller);
  const at = caller?.adoptedAnswerAt ?? called?.adoptedAnswerAt;
  return at === undefined ? [] : [{ at: Math.max(at, called?.adoptedAnswerAt ?? 0), legID: called?.id }];
}

/** How the call ended, from what was seen of it. */
export function dispositionOf(call: ObservedCall): Disposition {
  if (call.legs.some(({ hangup }) => hangup === undefined) && !call.isGivenUp) return "Up";
  if (answerOf(call) !== undefined) return "Answered";
  const caller = callerLeg(call);
  const isCut = call.gaps.length > 0;
  const lastVisit = latest(call.visits, ({ leftAt, joinedAt }) => leftAt ?? joinedAt);
  const lastAttempt = decidingAttempt(call);
  if (lastVisit?.gaveUp !== undefined && (lastAttempt?.startedAt ?? 0) <= (lastVisit.leftAt ?? Infinity))
    return lastVisit.gaveUp === "Abandoned" ? "Abandoned" : "QueueTimeout";
  if (lastAttempt !== undefined) {
    const said = ofAttempt(call, lastAttempt, caller);
    if (said !== undefined) return said;
  }
  if (isCut || call.isGivenUp) return "Unknown";
  if (caller?.isUp === true) return "AnsweredBySystem";
  return caller === undefined ? "Unknown" : ofCause(caller);
}

/** The attempt that ended last: of telephones that ring together, the one that kept the caller waiting longest. */
export function decidingAttempt(call: ObservedCall): Attempt | undefined {
  return latest(realAttempts(call), ({ endedAt, startedAt }) => endedAt ?? startedAt);
}

function latest<Thing>(things: readonly Thing[], time: (thing: Thing) => number): Thing | undefined {
  return things.reduce<Thing | undefined>(
    (last, each) => (last === undefined || time(each) >= time(last) ? each : last),
    undefined,
  );
}

/** What the last attempt came to; undefined where no event said. */
function ofAttempt(call: ObservedCall, attempt: Attempt, caller: Leg | undefined): Disposition | undefined {
  const cause = call.legs.find(({ id }) => id === attempt.legID)?.hangup?.cause;
  switch (attempt.status) {
    case undefined:
      return undefined;
    case "BUSY":
      return "Busy";
    case "NOANSWER":
      // Asterisk has one word for these three; the cause tells.
      if (cause === 21) return "Declined";
      return cause === 1 || cause === 28 ? "UnknownNumber" : "NoAnswer";
    case "CANCEL": {
      const requestedAt = caller?.hangupRequestedAt;
      const isCallers = requestedAt !== undefined && requestedAt <= (attempt.endedAt ?? Infinity);
      return isCallers ? "Cancelled" : "NoAnswer";
    }
    case "CONGESTION":
      return "Congestion";
    case "CHANUNAVAIL":
      return "Unavailable";
    default:
      return "Failed";
  }
}

/** Where nothing was called: Q.850's cause of the caller's own leg. */
function ofCause({ hangup, hangupRequestedAt }: Leg): Disposition {
  switch (hangup?.cause) {
    // The dialplan ended without having called anything; a caller who hangs up is 16 or more.
    case 0:
      return "Failed";
    case 1:
    case 3:
    case 28:
      return "UnknownNumber";
    case 17:
      return "Busy";
    case 18:
    case 19:
      return "NoAnswer";
    case 20:
    case 27:
    case 34:
      return "Unavailable";
    case 21:
      return "Declined";
    case 38:
    case 41:
    case 42:
    case 44:
      return "Congestion";
    case undefined:
      return "Unknown";
    default:
      return hangupRequestedAt !== undefined ? "Cancelled" : "Failed";
  }
}
