import { answerOf, callerLeg, decidingAttempt, dispositionOf, inOrder, realAttempts } from "./disposition.ts";
import type { Disposition } from "./disposition.ts";
import type { NumberReader, ReadNumber } from "./numbers.ts";
import { noNumber, withheldNumber } from "./numbers.ts";
import type { Agent, Attempt, Leg, ObservedCall, Transfer } from "./observed-call.ts";
import { endpointOf, isLocal } from "./observed-call.ts";
import type { Microseconds, ServerTime } from "./times.ts";
import { serverTime } from "./times.ts";
import { presentationOf } from "./withheld.ts";

/** From outside in, from inside out, between extensions, or from one trunk to another. */
export type Direction = "Inbound" | "Outbound" | "Internal" | "Transit";

/** Somebody on one end. */
export interface Party extends ReadNumber {
  /** The channel without what changes from call to call, `PJSIP/101`; null where there is none, or it is withheld. */
  readonly endpoint: string | null;
}

export interface Caller extends Party {
  readonly name: string | null;
  /** `Unknown`: nobody said, so that an outside number is not shown either. */
  readonly presentation: "Shown" | "Withheld" | "Unknown";
}

/** One phone or trunk that was called on the way. */
export interface CallAttempt extends Party {
  readonly start: ServerTime;
  readonly end: ServerTime | null;
  /** Asterisk's DIALSTATUS; null where it was not seen. */
  readonly result: string | null;
  readonly cause: Cause | null;
}

export interface Cause {
  /** Q.850. */
  readonly code: number;
  readonly text: string | null;
  /** The protocol's own code: for SIP 486, 603, …; null before Asterisk 20.17 and 22.7, and where there is none. */
  readonly protocol: number | null;
}

export interface CallTransfer {
  readonly kind: Transfer["kind"];
  readonly time: ServerTime;
  /** Whose party did it. */
  readonly by: Party | null;
  readonly to: Party | null;
}

/**
 * One call, all its legs, forks and transfers joined. A stable contract: fields are added, never changed. What is not known
 * is null, and named in `unknown`; nothing is guessed.
 */
export interface CallRecord {
  readonly kind: "Call";
  readonly server: string;
  /** The oldest Linkedid: the same whenever this call is told again. */
  readonly id: string;
  readonly linkedIDs: readonly string[];
  readonly uniqueIDs: readonly string[];
  /** null where no extensions and no trunks are declared. */
  readonly direction: Direction | null;
  readonly caller: Caller;
  readonly called: ReadNumber;
  readonly answeredBy: Party | null;
  /** The last queue that it was in. */
  readonly queue: string | null;
  readonly agent: Agent | null;
  readonly start: ServerTime;
  readonly answer: ServerTime | null;
  readonly end: ServerTime | null;
  readonly timeZone: string;
  /** From start to end, and from answer to end. */
  readonly durationSeconds: number | null;
  readonly talkSeconds: number | null;
  readonly disposition: Disposition;
  readonly cause: Cause | null;
  readonly attempts: readonly CallAttempt[];
  readonly transfers: readonly CallTransfer[];
  /** `Events`: seen from start to end. `Part`: events were missed while it was up. `CDR`: known from Asterisk's CDR file alone. */
  readonly source: "Events" | "Part" | "CDR";
  /** The fields that nobody could know. */
  readonly unknown: readonly string[];
}

/** What turns an observed call into a record. */
export interface RecordContext {
  readonly server: string;
  /** IANA. */
  readonly timeZone: string;
  readonly numbers: NumberReader;
  /** Whether an endpoint (`PJSIP/trunk`) is a trunk; undefined where nothing is declared by which to tell. */
  readonly isTrunk: (endpoint: string) => boolean | undefined;
}

/** The record of one call. Pure. */
export function callRecord(call: ObservedCall, context: RecordContext): CallRecord {
  const { server, timeZone } = context;
  const time = (at: Microseconds): ServerTime => serverTime(at, timeZone);
  const legs = inOrder(call.legs);
  const legOf = new Map(legs.map((leg) => [leg.id, leg]));
  const first = callerLeg(call);
  const attempts = realAttempts(call);
  const caller = callerOf(first, context);
  const party = (leg: Leg | undefined): Party | null =>
    leg === undefined ? null : leg === first ? asParty(caller) : calledParty(leg, attempts, context);

  const answer = answerOf(call);
  const visit = call.visits.reduce<ObservedCall["visits"][number] | undefined>(
    (last, each) => (last === undefined || each.joinedAt >= last.joinedAt ? each : last),
    undefined,
  );
  const answeredLeg =
    legOf.get(answer?.legID ?? "") ??
    legs.find((leg) => endpointOf(leg.channel) === visit?.agent?.interface && leg.isUp);
  const start = legs.reduce((earliest, leg) => Math.min(earliest, leg.startedAt), Infinity);
  const ends = legs.map((leg) => leg.hangup?.at);
  const end = ends.includes(undefined) ? undefined : Math.max(...ends.map((at) => at ?? 0));
  const isInside = first === undefined ? undefined : isInternal(first, context);
  const called = calledNumber(first, attempts, isInside, context);
  const linkedIDs = [...call.linkedIDs].sort(byAge);
  return {
    kind: "Call",
    server,
    id: linkedIDs[0] ?? "",
    linkedIDs,
    uniqueIDs: legs.map((leg) => leg.id),
    direction: directionOf(isInside, called, attempts, legOf, context),
    caller,
    called,
    answeredBy: answer === undefined ? null : party(answeredLeg),
    queue: visit?.queue ?? null,
    agent: call.visits.findLast((each) => each.agent !== undefined)?.agent ?? null,
    start: time(start),
    answer: answer === undefined ? null : time(answer.at),
    end: end === undefined ? null : time(end),
    timeZone,
    durationSeconds: end === undefined ? null : seconds(end - start),
    talkSeconds: end === undefined ? null : answer === undefined ? 0 : seconds(end - answer.at),
    disposition: dispositionOf(call),
    cause: causeOf(decidingLeg(call, legOf) ?? first),
    attempts: attempts.map((attempt) => ({
      ...(party(legOf.get(attempt.legID)) ?? { ...noNumber, endpoint: null }),
      start: time(attempt.startedAt),
      end: attempt.endedAt === undefined ? null : time(attempt.endedAt),
      result: attempt.status ?? null,
      cause: causeOf(legOf.get(attempt.legID)),
    })),
    transfers: call.transfers
      .toSorted((a, b) => a.at - b.at)
      .map((transfer) => ({
        kind: transfer.kind,
        time: time(transfer.at),
        by: party(legOf.get(transfer.byLegID ?? "")),
        to: targetOf(transfer, legOf, party, context),
      })),
    source: call.gaps.length > 0 || call.isGivenUp ? "Part" : "Events",
    unknown: unknownFields(call, { end, caller, answered: answer !== undefined }),
  };
}

/** Ids by the epoch in them; those given by hand come last. */
function byAge(a: string, b: string): number {
  const parts = (id: string): [number, number] => {
    const [, epoch, sequence] = /(?:^|-)(\d+)\.(\d+)$/.exec(id) ?? [];
    return [Number(epoch ?? Infinity), Number(sequence ?? 0)];
  };
  const [[epochA, sequenceA], [epochB, sequenceB]] = [parts(a), parts(b)];
  if (epochA !== epochB) return epochA < epochB ? -1 : 1;
  return sequenceA - sequenceB || (a < b ? -1 : 1);
}

function seconds(microseconds: number): number {
  return Math.round(microseconds / 1000) / 1000;
}

function isInternal(leg: Leg, { isTrunk }: RecordContext): boolean | undefined {
  const trunk = isTrunk(endpointOf(leg.channel));
  return trunk === undefined ? undefined : !trunk;
}

/** The caller as it may be shown: of one who is withheld nothing is left, of one that nobody knows about only an extension. */
function callerOf(leg: Leg | undefined, context: RecordContext): Caller {
  if (leg === undefined) return { ...noNumber, endpoint: null, name: null, presentation: "Unknown" };
  const presentation = presentationOf(leg.presentations, leg.callerNumber, leg.callerName);
  if (presentation === "Withheld") return { ...withheldNumber, endpoint: null, name: null, presentation };
  const isInside = isInternal(leg, context);
  const { numbers } = context;
  const read = isInside === true ? inside(leg, numbers) : numbers.onTrunk(leg.callerNumber);
  const endpoint = endpointOf(leg.channel);
  // Even from an endpoint that is no trunk: one may be missing in the declaration.
  if (presentation === "Unknown" && (isInside !== true || read.kind !== "Extension"))
    return { ...noNumber, endpoint, name: null, presentation };
  const name = leg.callerName ?? "";
  return { ...read, endpoint, name: /^(|<unknown>)$/.test(name) ? null : name, presentation };
}

function inside(leg: Leg, numbers: NumberReader): ReadNumber {
  return numbers.isExtension(leg.callerNumber ?? "")
    ? numbers.asked(leg.callerNumber)
    : numbers.onTrunk(leg.callerNumber);
}

function asParty({ number, e164, kind, country, endpoint }: Caller): Party {
  return { number, e164, kind, country, endpoint };
}

/** Somebody who was called: by the number that was sent to a trunk, or the extension that the endpoint is named after. */
function calledParty(leg: Leg, attempts: readonly Attempt[], context: RecordContext): Party {
  const endpoint = endpointOf(leg.channel);
  const attempt = attempts.find(({ legID }) => legID === leg.id);
  // Who called somebody else in the course of the call (to transfer it), may have withheld the number as well.
  if (attempt === undefined) return asParty(callerOf(leg, context));
  return { ...sentNumber(attempt.dialString, context), endpoint };
}

/**
 * The number in a dial string: `NUMBER@trunk`, `trunk/sip:NUMBER@host`, `trunk/NUMBER`, or an endpoint of that name, which
 * queues write with its technology in front.
 */
function sentNumber(written: string, { numbers }: RecordContext): ReadNumber {
  const dialString = written.replace(/^[A-Z]+[A-Z0-9]*\//, "");
  const [, uri] = /sips?:([^@;]+)@/i.exec(dialString) ?? [];
  const [name = "", host] = dialString.split("@", 2);
  const own = name.split("/")[0] ?? "";
  if (numbers.isExtension(own)) return numbers.asked(own);
  if (uri !== undefined) return numbers.onTrunk(uri);
  if (host !== undefined) return numbers.onTrunk(name.split("/").at(-1));
  return name.includes("/") ? numbers.onTrunk(name.split("/").slice(1).join("/")) : noNumber;
}

/**
 * Who was called: as dialled, and in E.164 what really went out to a trunk, where the dialplan made that of it. A DID stays
 * the DID, wherever it was forwarded to.
 */
function calledNumber(
  first: Leg | undefined,
  attempts: readonly Attempt[],
  isInside: boolean | undefined,
  context: RecordContext,
): ReadNumber {
  const { numbers } = context;
  const dialled = isInside === false ? numbers.asked(first?.exten) : numbers.dialled(first?.exten);
  if (isInside !== true || (dialled.kind !== "E164" && dialled.kind !== "Other")) return dialled;
  const sent = attempts.map(({ dialString }) => sentNumber(dialString, context));
  const real = sent.findLast(({ kind }) => kind === "E164");
  return real === undefined ? dialled : { ...real, number: dialled.number };
}

function directionOf(
  isInside: boolean | undefined,
  called: ReadNumber,
  attempts: readonly Attempt[],
  legOf: ReadonlyMap<string, Leg>,
  context: RecordContext,
): Direction | null {
  if (isInside === undefined) return null;
  const sides = attempts.map(({ legID }) => {
    const leg = legOf.get(legID);
    return leg === undefined ? undefined : isInternal(leg, context);
  });
  const isPublic = ["E164", "National", "Emergency", "ShortCode"].includes(called.kind);
  const goesOut = sides.includes(false) || (sides.length === 0 && isPublic && isInside);
  if (isInside) return goesOut ? "Outbound" : "Internal";
  return goesOut && !sides.includes(true) ? "Transit" : "Inbound";
}

function targetOf(
  { to, toLegID }: Transfer,
  legOf: ReadonlyMap<string, Leg>,
  party: (leg: Leg | undefined) => Party | null,
  { numbers }: RecordContext,
): Party | null {
  const leg = legOf.get(toLegID ?? "");
  if (to === undefined) return party(leg);
  const endpoint = leg === undefined || isLocal(leg.channel) ? null : endpointOf(leg.channel);
  return { ...numbers.dialled(to), endpoint };
}

/** Of a call that nobody took, the leg that says why; else none. */
function decidingLeg(call: ObservedCall, legOf: ReadonlyMap<string, Leg>): Leg | undefined {
  const attempt = answerOf(call) === undefined ? decidingAttempt(call) : undefined;
  return attempt === undefined || attempt.status === "CANCEL" ? undefined : legOf.get(attempt.legID);
}

function causeOf(leg: Leg | undefined): Cause | null {
  const { cause, causeText, techCause } = leg?.hangup ?? {};
  if (cause === undefined) return null;
  return { code: cause, text: causeText ?? null, protocol: techCause ?? null };
}

function unknownFields(
  call: ObservedCall,
  { end, caller, answered }: { end: Microseconds | undefined; caller: Caller; answered: boolean },
): string[] {
  const isCut = call.gaps.length > 0 || call.isGivenUp;
  const hidden = caller.presentation === "Unknown" ? ["caller"] : [];
  if (!isCut) return call.omitted > 0 ? [...hidden, "attempts"] : hidden;
  const wasAdopted = call.legs.some((leg) => leg.isAdopted);
  return [
    ...hidden,
    ...(wasAdopted && callerLeg(call)?.exten === undefined ? ["called"] : []),
    ...(answered ? [] : ["answer"]),
    ...(end === undefined ? ["end", "cause"] : []),
    "attempts",
    "transfers",
  ];
}
