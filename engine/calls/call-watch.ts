import { setTimeout as delay } from "node:timers/promises";
import type { AMIClient } from "../../asterisk/ami/client.ts";
import type { Message } from "../../asterisk/ami/message.ts";
import type { Host } from "../../asterisk/host.ts";
import type { CallRecord, RecordContext } from "../../calls/call-record.ts";
import { callRecord } from "../../calls/call-record.ts";
import type { ObservedCall } from "../../calls/observed-call.ts";
import { recordContext } from "../../calls/record-context.ts";
import type { Microseconds } from "../../calls/times.ts";
import { parseTimestamp, serverTime } from "../../calls/times.ts";
import { CallTracker } from "../../calls/tracker.ts";
import { AsteriskIacError } from "../../core/errors.ts";
import type { SecretStore } from "../secrets.ts";
import type { ServerDeclaration } from "../session.ts";
import { connectAs, openHost } from "../session.ts";
import { callsCredentials } from "./credentials.ts";
import type { EventSettings } from "./clock.ts";
import { askClock, askEventSettings, askSkew } from "./clock.ts";
import type { CallsLine, GapLine, ToldLine } from "./lines.ts";
import { noticeableMs } from "./lines.ts";
import { LineQueue } from "./line-queue.ts";
import type { Span } from "./missed-calls.ts";
import { MissedCalls } from "./missed-calls.ts";
import type { LastSign, Position } from "./position.ts";
import { Told } from "./told.ts";

/** Which events: CEL belongs to class `call` as well, and the account's filter leaves it out. */
const eventMask = "call,cdr,agent";
const liveVariables = "CDR(start,u),CDR(answer,u),CALLERID(pres)";
const tickMs = 200;
/** How often the server's clock is asked: what else is lost at most unnoticed when a connection breaks. */
const pingMs = 5_000;

export interface CallWatchOptions {
  /** Ends the watch; what is told already is told to its end. */
  readonly signal: AbortSignal;
  /** Takes one line; the next waits for it. A slow one costs no memory: the watch pauses, and its gap is looked up. */
  readonly tell: (line: ToldLine) => void | Promise<void>;
  readonly position?: Position | LastSign | undefined;
}

/** The calls of one server, over one connection after the other: what is up outlives them. */
export class CallWatch {
  readonly #declaration: ServerDeclaration;
  readonly #secrets: SecretStore;
  readonly #signal: AbortSignal;
  readonly #context: RecordContext;
  readonly #lines: LineQueue;
  readonly #tracker = new CallTracker();
  readonly #told = new Told();
  readonly #missed: MissedCalls;
  /** The watch before this one, where it is not known what it told. */
  readonly #lastSign: LastSign | undefined;
  /** The last sign of the server, by its clock: from here on a gap begins. */
  #seenUntil: Microseconds | undefined;
  /** Where a gap began that is not told yet: events come meanwhile, and its connection may break. */
  #gapFrom: Microseconds | undefined;
  /** What ended before this was never watched. */
  #began: Microseconds | undefined;
  #aheadMs = 0;
  #reason = "the watch was not running";
  #startupTime: string | undefined;
  #settings: EventSettings = { hasTimestamps: false, hasPresentations: false };
  #clockTold = "";
  /** Whether any connection was made. */
  hasWatched = false;

  constructor(declaration: ServerDeclaration, secrets: SecretStore, options: CallWatchOptions) {
    this.#declaration = declaration;
    this.#secrets = secrets;
    this.#signal = options.signal;
    this.#context = recordContext(declaration.name, declaration.spec);
    this.#lines = new LineQueue(options.tell);
    this.#missed = new MissedCalls({
      context: this.#context,
      isKnown: (uniqueID) => this.#told.has(uniqueID) || this.#tracker.has(uniqueID),
      tell: (record) => this.#tell(record),
    });
    const { position } = options;
    if (position === undefined) return;
    if ("lastSeenMs" in position) {
      this.#lastSign = position;
      this.#reason = "an earlier watch ended, and how far it told calls is not known";
    } else {
      this.#told.add(position.uniqueIDs);
      this.#seenUntil = position.since;
      this.#began = position.watchedFrom;
    }
  }

  /** Where this watch is, after `end`. */
  get position(): Position | LastSign | undefined {
    const since = this.#gapFrom ?? this.#seenUntil;
    if (since === undefined || this.#began === undefined) return this.#lastSign;
    return { since, watchedFrom: this.#began, uniqueIDs: this.#told.uniqueIDs };
  }

  /** One connection, from the first event to its loss. */
  async connect(onConnected: () => void): Promise<void> {
    const host = await openHost(this.#declaration, this.#secrets);
    try {
      const credentials = callsCredentials(this.#declaration);
      const client = await connectAs(host, this.#declaration, this.#secrets, credentials);
      try {
        await this.#watchConnection(host, client, onConnected);
      } finally {
        await client.close();
      }
    } finally {
      await host.close();
    }
  }

  /** When every line was taken. Rejects with what the reader rejected with. */
  drained(): Promise<void> {
    return this.#lines.drained();
  }

  /** Tells the calls that are over; those that are up are the next watch's. */
  async end(): Promise<void> {
    for (const call of this.#tracker.advance(Infinity)) this.#finish(call);
    await this.#lines.drained();
  }

  async #watchConnection(host: Host, client: AMIClient, onConnected: () => void): Promise<void> {
    const legs = this.#tracker.legsUp();
    // Before events come: this connection may break as well.
    const isFirst = this.#began === undefined;
    if (!isFirst) this.#gapFrom ??= this.#seenUntil;
    client.on("*", (event) => this.#observe(client, event));
    // The answers come in this order, and events from the first on: none is missed between them.
    const [, skew, status, live] = await Promise.all([
      client.action("Events", { EventMask: eventMask }),
      askSkew(client),
      client.action("CoreStatus"),
      client.list("Status", { Variables: liveVariables }),
    ]);
    this.#aheadMs = skew?.aheadMs ?? 0;
    const to = this.#serverNow();
    if (isFirst) this.#gapFrom = this.#lastSignBefore(to);
    this.#tracker.resume(live.events, { from: this.#gapFrom, to }, legs, monotonic());
    this.#began ??= to;
    this.hasWatched = true;
    onConnected();
    const startupTime = `${status.get("CoreStartupDate")} ${status.get("CoreStartupTime")}`;
    if (this.#gapFrom !== undefined) {
      const gap = { from: this.#gapFrom, to };
      const isRead = !isFirst && (await this.#missed.lookUp(host, gap, this.#began));
      this.#tellGap(gap, startupTime, isFirst ? "NotRead" : isRead ? "Read" : "None");
    }
    this.#gapFrom = undefined;
    this.#startupTime = startupTime;
    this.#seenUntil = to;
    this.#settings = await askEventSettings(host);
    await this.#tellClock(client);
    await this.#tick(host, client);
  }

  /** Until the connection is lost, the watch is stopped, or the lines' reader is too slow or failed. */
  async #tick(host: Host, client: AMIClient): Promise<void> {
    let pingedAt = performance.now();
    let pinging: Promise<void> | undefined;
    while (!this.#signal.aborted) {
      const lost = await Promise.race([client.lost, this.#pause()]);
      for (const call of this.#tracker.advance(monotonic())) this.#finish(call);
      if (lost !== undefined) {
        this.#reason = lost.message;
        throw lost;
      }
      // `drained` tells why, before another connection is made.
      if (this.#lines.hasFailed) return;
      if (this.#lines.isFull) {
        this.#reason = "what was told was not taken in time";
        throw new AsteriskIacError("ConnectionLost", `Calls are not watched for a while: ${this.#reason}.`, {
          next: "Retry",
          hint: "Whatever reads the lines has to keep up; calls of the pause are looked for in Asterisk's CDRs.",
        });
      }
      if (pinging === undefined && performance.now() - pingedAt >= pingMs) {
        pingedAt = performance.now();
        pinging = this.#ping(client)
          .catch(() => undefined)
          .finally(() => (pinging = undefined));
      }
      await this.#missed.lookUpDue(host, this.#began ?? 0);
    }
    this.#seenUntil = this.#serverNow();
    this.#reason = "the watch was not running";
  }

  async #pause(): Promise<undefined> {
    await delay(tickMs, undefined, { signal: this.#signal }).catch(() => undefined);
  }

  async #ping(client: AMIClient): Promise<void> {
    const skew = await askSkew(client);
    if (skew === undefined) return;
    const jumped = Math.abs(skew.aheadMs - this.#aheadMs) > noticeableMs + skew.uncertainMs;
    this.#aheadMs = skew.aheadMs;
    this.#seenUntil = this.#serverNow();
    if (jumped) await this.#tellClock(client);
  }

  #observe(client: AMIClient, event: Message): void {
    const timestamp = parseTimestamp(event.get("Timestamp"));
    const at = timestamp ?? this.#serverNow();
    this.#tracker.observe(event, at, monotonic());
    this.#seenUntil = at;
    const isCaller = event.get("Event") === "Newchannel" && event.get("Uniqueid") === event.get("Linkedid");
    if (isCaller && event.all("ChanVariable").length === 0)
      void this.#askPresentation(client, event).catch(() => undefined);
  }

  /** Whether the caller may be shown, where Asterisk does not say so with every event (`channelvars` of manager.conf). */
  async #askPresentation(client: AMIClient, newChannel: Message): Promise<void> {
    const channel = newChannel.get("Channel") ?? "";
    const uniqueID = newChannel.get("Uniqueid");
    const answer = await client.send("Getvar", { Channel: channel, Variable: "CALLERID(pres)" });
    const value = answer.get("Value") ?? "";
    if (value === "" || uniqueID === undefined) return;
    const said = new Map([["Uniqueid", uniqueID]]);
    this.#tracker.observe(
      {
        get: (name) => said.get(name),
        all: (name) => (name === "ChanVariable" ? [`CALLERID(pres)=${value}`] : []),
      },
      this.#serverNow(),
      monotonic(),
    );
  }

  #finish(call: ObservedCall): void {
    const record = callRecord(call, this.#context);
    this.#tell(this.#missed.withEnd(record));
  }

  #tell(record: CallRecord): void {
    this.#told.add(record.uniqueIDs);
    this.#push(record);
  }

  #push(line: CallsLine): void {
    this.#lines.push({ ...line, recordedAt: serverTime(this.#serverNow(), "UTC").utc });
  }

  #tellGap({ from, to }: Span, startupTime: string, evidence: GapLine["evidence"]): void {
    const { timeZone, server } = this.#context;
    this.#push({
      kind: "Gap",
      server,
      from: serverTime(from, timeZone),
      to: serverTime(to, timeZone),
      reason: this.#reason,
      restarted: this.#startupTime === undefined ? null : this.#startupTime !== startupTime,
      evidence,
    });
  }

  async #tellClock(client: AMIClient): Promise<void> {
    const { timeZone } = this.#declaration.spec;
    const clock = await askClock(client, timeZone);
    const isAhead = Math.abs(clock.aheadMs) > noticeableMs + clock.uncertainMs;
    const news = JSON.stringify([isAhead && clock.aheadMs, clock.offset, clock.differences, this.#settings]);
    if (news === this.#clockTold) return;
    this.#clockTold = news;
    this.#push({
      kind: "Clock",
      server: this.#context.server,
      time: serverTime(this.#serverNow(), this.#context.timeZone),
      timeZone: timeZone ?? null,
      ...this.#settings,
      ...clock,
    });
  }

  /** By the server's clock, and not after the new watch began, whatever the clocks of replicas say. */
  #lastSignBefore(now: Microseconds): Microseconds | undefined {
    if (this.#lastSign === undefined) return undefined;
    return Math.min(now, (this.#lastSign.lastSeenMs + this.#aheadMs) * 1000);
  }

  #serverNow(): Microseconds {
    return (Date.now() + this.#aheadMs) * 1000;
  }
}

/** Microseconds of a clock that never jumps. */
function monotonic(): Microseconds {
  return performance.now() * 1000;
}
