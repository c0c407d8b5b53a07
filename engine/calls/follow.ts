import type { AMIClient } from "../../asterisk/ami/client.ts";
import type { Message } from "../../asterisk/ami/message.ts";
import type { Host } from "../../asterisk/host.ts";
import type { CallRecord, RecordContext } from "../../calls/call-record.ts";
import { callRecord } from "../../calls/call-record.ts";
import type { CDR } from "../../calls/cdr-csv.ts";
import { groupCDRs } from "../../calls/cdr-csv.ts";
import type { ObservedCall } from "../../calls/observed-call.ts";
import { recordContext } from "../../calls/record-context.ts";
import { recoveredCall, withEndFrom } from "../../calls/recovered.ts";
import type { Microseconds } from "../../calls/times.ts";
import { parseTimestamp, serverTime } from "../../calls/times.ts";
import { CallTracker } from "../../calls/tracker.ts";
import { AsteriskIacError, asAsteriskIacError } from "../../core/errors.ts";
import type { SecretStore } from "../secrets.ts";
import type { ServerDeclaration } from "../session.ts";
import { connectAs, openHost } from "../session.ts";
import { readCDRs } from "./cdr-evidence.ts";
import { callsCredentials } from "./credentials.ts";
import type { EventSettings } from "./clock.ts";
import { askClock, askEventSettings, askSkew } from "./clock.ts";
import type { CallsLine, ToldLine } from "./lines.ts";
import { noticeableMs } from "./lines.ts";
import { LineQueue } from "./line-queue.ts";
import { Told } from "./told.ts";

/** Where an earlier watch ended: from there on calls are looked for that nobody watched. */
export interface Position {
  /** By the server's clock. */
  readonly since: Microseconds;
  /** What ended before this is nobody's: the first line that is known. */
  readonly watchedFrom: Microseconds;
  /** The channels of calls that were told already. */
  readonly uniqueIDs: Iterable<string>;
}

export interface FollowOptions {
  /** Ends the watch; what is told already is told to its end. */
  readonly signal: AbortSignal;
  /** Takes one line; the next waits for it. A slow one costs no memory: the watch pauses, and its gap is looked up. */
  readonly tell: (line: ToldLine) => void | Promise<void>;
  /** A connection was lost, or can't be made: it is tried again. */
  readonly onError?: (error: AsteriskIacError) => void;
  readonly position?: Position | undefined;
}

/** Which events: CEL belongs to class `call` as well, and the account's filter leaves it out. */
const eventMask = "call,cdr,agent";
const liveVariables = "CDR(start,u),CDR(answer,u),CALLERID(pres)";
const tickMs = 200;
/** How often the server's clock is asked: what else is lost at most unnoticed when a connection breaks. */
const pingMs = 5_000;
/** When CDRs are looked for after a gap: Asterisk may write them late (`batch` of cdr.conf: five minutes by default). */
const lookupsMs = [5_000, 30_000, 330_000];
/** Calls are told up to so long after their end: those of an earlier watch are looked for from before its last line. */
const overlap: Microseconds = 60_000_000;
const backoffMs = { first: 500, most: 30_000 };

/**
 * Watches a server's calls until it is told to stop, and tells each when it is over. A lost connection is opened again; what
 * was missed is looked up and marked. Rejects with what a first connection rejects with, and later only where a person must
 * act.
 */
export async function followCalls(
  declaration: ServerDeclaration,
  secrets: SecretStore,
  options: FollowOptions,
): Promise<void> {
  const follower = new Follower(declaration, secrets, options);
  let failures = 0;
  try {
    while (!options.signal.aborted) {
      // A reader that was too slow is waited for; one that failed ends the watch.
      await follower.drained();
      try {
        await follower.watch(() => (failures = 0));
      } catch (thrown) {
        const error = asAsteriskIacError(thrown).on(declaration.name);
        if (error.next === "Stalled" || !follower.hasWatched) throw error;
        options.onError?.(error);
      }
      const mostMs = Math.min(backoffMs.most, backoffMs.first * 2 ** failures++);
      await pause(options.signal, Math.random() * mostMs);
    }
  } finally {
    await follower.end();
  }
}

class Follower {
  readonly #declaration: ServerDeclaration;
  readonly #secrets: SecretStore;
  readonly #signal: AbortSignal;
  readonly #context: RecordContext;
  readonly #lines: LineQueue;
  readonly #tracker = new CallTracker();
  readonly #told: Told;
  /** The last sign of the server, by its clock: from here on a gap begins. */
  #seenUntil: Microseconds | undefined;
  /** Where a gap began that is not looked up yet: events come meanwhile, and its connection may break. */
  #gapFrom: Microseconds | undefined;
  /** What ended before this was never watched. */
  #began: Microseconds | undefined;
  #aheadMs = 0;
  #reason = "the watch was not running";
  #startupTime: string | undefined;
  #settings: EventSettings = { hasTimestamps: false, hasPresentations: false };
  #clockTold = "";
  /** Rows of calls that ended while nobody watched. */
  #rows: readonly CDR[] = [];
  #lookups: { readonly dueAt: number; readonly from: Microseconds; readonly to: Microseconds }[] = [];
  hasWatched = false;

  constructor(declaration: ServerDeclaration, secrets: SecretStore, options: FollowOptions) {
    this.#declaration = declaration;
    this.#secrets = secrets;
    this.#signal = options.signal;
    this.#context = recordContext(declaration.name, declaration.spec);
    this.#lines = new LineQueue(options.tell);
    this.#told = new Told(options.position?.uniqueIDs ?? []);
    this.#seenUntil = options.position?.since;
    // The first line is told a moment after the watch began.
    if (options.position !== undefined) this.#began = options.position.watchedFrom - 1_000_000;
  }

  /** One connection, from the first event to its loss. */
  async watch(onConnected: () => void): Promise<void> {
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

  drained(): Promise<void> {
    return this.#lines.drained();
  }

  /** Tells the calls that are over; those that are up are the next watch's. */
  async end(): Promise<void> {
    for (const call of this.#tracker.advance(Infinity)) this.#finish(call);
    await this.#lines.drained();
  }

  async #watchConnection(host: Host, client: AMIClient, onConnected: () => void): Promise<void> {
    const before = { legs: this.#tracker.legsUp(), seenUntil: this.#seenUntil };
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
    this.#tracker.resume(live.events, { from: before.seenUntil, to }, before.legs, monotonic());
    this.#began ??= to;
    this.hasWatched = true;
    onConnected();
    const startupTime = `${status.get("CoreStartupDate")} ${status.get("CoreStartupTime")}`;
    this.#gapFrom ??= before.seenUntil;
    if (this.#gapFrom !== undefined) await this.#lookUpGap(host, { from: this.#gapFrom, to, startupTime });
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
      const lost = await Promise.race([client.lost, pause(this.#signal, tickMs)]);
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
      await this.#lookUpAgain(host);
    }
    this.#reason = "the watch was not running";
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
    this.#tell(record.end === null ? withEndFrom(this.#rows, record, this.#context.timeZone) : record);
  }

  #tell(record: CallRecord): void {
    this.#told.add(record.uniqueIDs);
    this.#push(record);
  }

  #push(line: CallsLine): void {
    this.#lines.push({ ...line, recordedAt: serverTime(this.#serverNow(), "UTC").utc });
  }

  async #lookUpGap(
    host: Host,
    { from, to, startupTime }: { from: Microseconds; to: Microseconds; startupTime: string },
  ): Promise<void> {
    const evidence = await this.#lookUp(host, from, to);
    const { timeZone, server } = this.#context;
    const restarted = this.#startupTime === undefined ? null : this.#startupTime !== startupTime;
    this.#push({
      kind: "Gap",
      server,
      from: serverTime(from, timeZone),
      to: serverTime(to, timeZone),
      reason: this.#reason,
      restarted,
      evidence: evidence ? "Read" : "None",
    });
    const now = performance.now();
    if (evidence) this.#lookups.push(...lookupsMs.map((delay) => ({ dueAt: now + delay, from, to })));
  }

  async #lookUpAgain(host: Host): Promise<void> {
    const due = this.#lookups.filter(({ dueAt }) => dueAt <= performance.now());
    for (const each of due) {
      await this.#lookUp(host, each.from, each.to);
      // Only now: what broke off with its connection is looked up over the next.
      this.#lookups = this.#lookups.filter((other) => other !== each);
    }
  }

  /** Tells the calls that began before `to`, ended after `from`, and were not seen. False: there is no CDR file. */
  async #lookUp(host: Host, from: Microseconds, to: Microseconds): Promise<boolean> {
    const since = Math.max(from - overlap, this.#began ?? 0);
    const rows = await readCDRs(host, this.#context.timeZone, since);
    if (rows === undefined) return false;
    this.#rows = rows;
    for (const group of groupCDRs(rows)) {
      const isSeen = group.some(({ uniqueID }) => this.#told.has(uniqueID) || this.#tracker.has(uniqueID));
      if (isSeen || group.every((row) => row.start > to)) continue;
      this.#tell(recoveredCall(group, this.#context));
    }
    return true;
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

  #serverNow(): Microseconds {
    return (Date.now() + this.#aheadMs) * 1000;
  }
}

/** Microseconds of a clock that never jumps. */
function monotonic(): Microseconds {
  return performance.now() * 1000;
}

async function pause(signal: AbortSignal, milliseconds: number): Promise<undefined> {
  if (signal.aborted) return;
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const done = (): void => resolve(undefined);
  const timer = setTimeout(done, milliseconds);
  signal.addEventListener("abort", done, { once: true });
  await promise;
  clearTimeout(timer);
  signal.removeEventListener("abort", done);
}
