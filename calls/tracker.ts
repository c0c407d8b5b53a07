import { handlers, realExten } from "./event-handlers.ts";
import type { CallEvent, Gap, Leg, ObservedCall } from "./observed-call.ts";
import type { OpenCall } from "./open-calls.ts";
import { OpenCalls } from "./open-calls.ts";
import type { Microseconds } from "./times.ts";
import { parseTimestamp, timeOfID } from "./times.ts";

export interface TrackerOptions {
  /** Channels of calls that are not over; past that the oldest call is given up. Default 20,000. */
  readonly mostLegs?: number;
  /** How long after its last leg ended a call is waited for, in case another leg joins it. Default two seconds. */
  readonly settle?: Microseconds;
}

/** The names under which events tell of a second channel, in front of `Uniqueid` and `Linkedid`. */
const prefixes = [
  "",
  "Dest",
  "LocalOne",
  "LocalTwo",
  "Transferer",
  "Transferee",
  "OrigTransferer",
  "SecondTransferer",
  "TransferTarget",
  "Target",
];

/**
 * Makes calls of AMI's events. No clock, no socket: the caller says when an event was, and hands on the time. The same
 * events give the same calls, however those of several calls are mixed, and in whatever order legs end.
 */
export class CallTracker {
  readonly #calls = new OpenCalls();
  readonly #mostLegs: number;
  readonly #settle: Microseconds;
  /** Legs that ended, in the order of the events: the last one of a call ends it. */
  readonly #ended: { readonly legID: string; readonly at: Microseconds }[] = [];
  /** Channels that ended lately and were not known: the rows of `resume` may still have them as up. */
  readonly #strangersEnded = new Set<string>();
  /** What gave its place to newer calls and was not handed out yet. */
  #givenUp: ObservedCall[] = [];

  constructor({ mostLegs = 20_000, settle = 2_000_000 }: TrackerOptions = {}) {
    this.#mostLegs = mostLegs;
    this.#settle = settle;
  }

  /** Calls that are up. */
  get openCount(): number {
    return this.up().length;
  }

  /** The legs that are up: what `resume` needs from before a gap. */
  legsUp(): Set<string> {
    const legs = this.#calls.all().flatMap((call) => call.legs);
    return new Set(legs.filter((leg) => leg.hangup === undefined).map((leg) => leg.id));
  }

  /** Whether a channel belongs to a call that was not handed out yet. */
  has(legID: string): boolean {
    return this.#calls.find(legID) !== undefined;
  }

  /** The calls that are up, as far as they were seen. */
  up(): ObservedCall[] {
    return this.#calls.all().filter((call) => !call.isOver);
  }

  /**
   * Takes one event in that happened `at` by the server's clock and came in `seenAt` by one that never jumps, the one of
   * `advance`. Which calls are over by it, `advance` tells.
   */
  observe(event: CallEvent, at: Microseconds, seenAt: Microseconds = at): void {
    const name = event.get("Event")?.toLowerCase() ?? "";
    if (name === "newchannel") this.#open(newLeg(event, at));
    for (const prefix of prefixes) this.#noteLeg(event, prefix, name);
    handlers[name]?.(this.#calls, event, at);
    const legID = event.get("Uniqueid");
    if (name !== "hangup" || legID === undefined) return;
    if (this.has(legID)) this.#ended.push({ legID, at: seenAt });
    else this.#strangersEnded.add(legID);
  }

  /** The calls that were over for a while by now, in the order of their ends. */
  advance(now: Microseconds): ObservedCall[] {
    const finished = this.#givenUp;
    this.#givenUp = [];
    this.#strangersEnded.clear();
    while (this.#ended[0] !== undefined && now - this.#ended[0].at >= this.#settle) {
      const { legID } = this.#ended.shift() ?? {};
      const call = this.#calls.find(legID)?.call;
      // Where another leg is still up, or ended later, that one ends the call.
      if (
        call === undefined ||
        !call.isOver ||
        this.#ended.some((later) => this.#calls.find(later.legID)?.call === call)
      )
        continue;
      this.#calls.close(call);
      finished.push(call);
    }
    return finished;
  }

  /**
   * After events were missed: the rows of `Status` say which channels are up. Those not known yet are adopted, with what
   * the rows tell; of `known`, the legs that were up before, those that are gone have ended: when and why is not known.
   * Every call that was up before or is adopted has the gap.
   */
  resume(
    rows: readonly CallEvent[],
    gap: Gap,
    known: ReadonlySet<string>,
    seenAt: Microseconds = gap.to,
  ): void {
    for (const id of known) {
      const call = this.#calls.find(id)?.call;
      if (call !== undefined && !call.isOver && !call.gaps.includes(gap)) call.gaps.push(gap);
    }
    const present = new Set<string>();
    for (const row of rows) {
      const id = row.get("Uniqueid") ?? "";
      present.add(id);
      if (this.#strangersEnded.has(id)) continue;
      if (this.#calls.find(id) === undefined) {
        const call = this.#open(newLeg(row, gap.to, true));
        if (call !== undefined && !call.gaps.includes(gap)) call.gaps.push(gap);
      }
      this.#noteLeg(row, "", "status");
    }
    for (const id of known) {
      const leg = this.#calls.find(id)?.leg;
      if (leg === undefined || leg.hangup !== undefined || present.has(id)) continue;
      leg.hangup = { at: undefined, cause: undefined, causeText: undefined, techCause: undefined };
      this.#ended.push({ legID: id, at: seenAt });
    }
  }

  #open(leg: Leg | undefined): OpenCall | undefined {
    if (leg === undefined || this.#calls.find(leg.id) !== undefined) return undefined;
    const call = this.#calls.open(leg);
    while (this.#calls.legCount > this.#mostLegs) {
      const [oldest] = this.#calls.all();
      if (oldest === undefined) break;
      oldest.isGivenUp = true;
      this.#calls.close(oldest);
      this.#givenUp.push(oldest);
    }
    return call;
  }

  /** What every event tells of a channel: its Linkedid, its presentation, its state. */
  #noteLeg(event: CallEvent, prefix: string, name: string): void {
    const id = event.get(`${prefix}Uniqueid`);
    const leg = this.#calls.find(id)?.leg;
    if (id === undefined || leg === undefined) return;
    const linkedID = event.get(`${prefix}Linkedid`);
    if (linkedID !== undefined && linkedID !== "") this.#calls.join(id, linkedID);
    if (event.get(`${prefix}ChannelState`) === "6") leg.isUp = true;
    if (name === "newchannel") return;
    leg.exten ??= realExten(event.get(`${prefix}Exten`));
    // Right in every event but the first.
    for (const variable of [...event.all(`${prefix}ChanVariable`), ...event.all("Variable")]) {
      const value = /^CALLERID\(pres\)=(.+)$/i.exec(variable)?.[1];
      if (value !== undefined) leg.presentations.add(value.toLowerCase());
    }
  }
}

function newLeg(event: CallEvent, at: Microseconds, isAdopted = false): Leg | undefined {
  const id = event.get("Uniqueid");
  const linkedID = event.get("Linkedid");
  const channel = event.get("Channel");
  if (id === undefined || channel === undefined || id === "") return undefined;
  return {
    id,
    linkedID: linkedID === undefined || linkedID === "" ? id : linkedID,
    channel,
    startedAt: isAdopted ? (variableTime(event, "CDR(start,u)") ?? timeOfID(id) ?? at) : at,
    exten: realExten(event.get(isAdopted ? "DNID" : "Exten")) ?? realExten(event.get("Exten")),
    callerNumber: event.get("CallerIDNum"),
    callerName: event.get("CallerIDName"),
    presentations: new Set(),
    bridges: new Set(),
    isUp: event.get("ChannelState") === "6",
    hangupRequestedAt: undefined,
    hangup: undefined,
    isAdopted,
    adoptedAnswerAt: isAdopted ? variableTime(event, "CDR(answer,u)") : undefined,
  };
}

function variableTime(row: CallEvent, name: string): Microseconds | undefined {
  const line = row.all("Variable").find((variable) => variable.startsWith(`${name}=`));
  const at = parseTimestamp(line?.slice(name.length + 1));
  return at === 0 ? undefined : at;
}
