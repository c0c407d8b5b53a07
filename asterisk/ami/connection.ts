import { randomBytes } from "node:crypto";
import { AsteriskIacError, asAsteriskIacError } from "../../core/errors.ts";
import { checkAction, MessageReader, type Headers } from "./codec.ts";
import type { Message } from "./message.ts";
import { describeTransport, reach, type Reached, type Transport } from "./transport.ts";
import { openWire, type Wire } from "./wire.ts";

/** An answer to an action, and the events that belong to it where it is a list. */
export interface Answer {
  readonly response: Message;
  readonly events: readonly Message[];
}

/** Bounds on what a hostile or broken peer can make us hold. */
export interface Limits {
  /** Bytes of one message; default 64 MiB (GetConfig answers a whole file in one). */
  readonly messageBytes: number;
  /** Bytes of all events of one list; default 64 MiB. */
  readonly listBytes: number;
}

export const defaultLimits: Limits = { messageBytes: 64 * 1024 * 1024, listBytes: 64 * 1024 * 1024 };

interface Pending {
  readonly name: string;
  readonly gatherList: boolean;
  readonly deadlineMs: number;
  readonly sentAt: number;
  readonly timer: NodeJS.Timeout;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: AsteriskIacError) => void;
  response?: Message;
  readonly events: Message[];
  listBytes: number;
}

export interface ConnectionOptions {
  readonly transport: Transport;
  /** The server's name, for messages. */
  readonly label: string;
  readonly connectMs: number;
  /** A peer that leaves even a ping unanswered for so long is dead: its connection is half open. */
  readonly silenceMs: number;
  readonly limits: Limits;
  /** Gets every event that belongs to no list. */
  readonly onEvent: (event: Message) => void;
}

/**
 * One connection to AMI, from the banner to the end: matches answers to actions, gathers lists, keeps deadlines. Knows
 * nothing of logins. Once lost it stays lost, and everything that waited is rejected with `ConnectionLost`.
 */
export class Connection {
  readonly label: string;
  /** Resolves once, with the reason, when the connection is gone; a close on our side included. */
  readonly lost: Promise<AsteriskIacError>;
  readonly #options: ConnectionOptions;
  readonly #where: string;
  readonly #reader: MessageReader;
  readonly #pending = new Map<string, Pending>();
  readonly #idPrefix = randomBytes(9).toString("base64url");
  readonly #reportLoss: (reason: AsteriskIacError) => void;
  #reached: Reached | undefined;
  #wire: Wire | undefined;
  #bannerCame: () => void = () => undefined;
  #lossReason: AsteriskIacError | undefined;
  #nextID = 0;
  #receivedAt = performance.now();
  #roundTrips = 0;
  #roundTripOpen = false;

  /** Connects and waits for Asterisk's banner. */
  static async open(options: ConnectionOptions): Promise<Connection> {
    const connection = new Connection(options);
    await connection.#open();
    return connection;
  }

  private constructor(options: ConnectionOptions) {
    this.#options = options;
    this.label = options.label;
    this.#where = describeTransport(options.transport);
    this.#reader = new MessageReader(options.limits.messageBytes);
    const { promise, resolve } = Promise.withResolvers<AsteriskIacError>();
    this.lost = promise;
    this.#reportLoss = resolve;
  }

  /** Requests that waited for an answer; those sent together, before any answer came, count once. */
  get roundTrips(): number {
    return this.#roundTrips;
  }

  get isOpen(): boolean {
    return this.#lossReason === undefined;
  }

  /** Milliseconds since the last byte came in. */
  get silenceMs(): number {
    return performance.now() - this.#receivedAt;
  }

  get isWaiting(): boolean {
    return this.#pending.size > 0;
  }

  /**
   * Sends one action and gives its answer whatever it says. Rejects with `InvalidArgument` (nothing was sent),
   * `TimedOut` (sent, no answer in time) or `ConnectionLost` (sent or not; it is never sent again).
   */
  send(name: string, headers: Headers, deadlineMs: number, gatherList = false): Promise<Answer> {
    // The session's thread in Asterisk works on one action at a time, so nothing tells a long action from a dead
    // peer, except that the peer was alive when it began.
    if (deadlineMs > this.#options.silenceMs) this.ping().catch(() => undefined);
    this.#countRoundTrip();
    return this.#send(name, headers, deadlineMs, gatherList);
  }

  /** Asks for a sign of life; counted as no round trip. A peer that gives none in time is dead. */
  async ping(): Promise<void> {
    await this.#send("Ping", {}, this.#options.silenceMs, false);
  }

  /** Ends the connection; everything that waits is rejected with `reason`. */
  end(reason: AsteriskIacError): void {
    this.#lose(reason);
  }

  async #open(): Promise<void> {
    const { connectMs, transport } = this.#options;
    const abort = new AbortController();
    const timer = setTimeout(() => {
      const late = this.#error("TimedOut", `AMI at ${this.#where} gave no banner within ${connectMs} ms.`, {
        hint: "Check ami.host and ami.port, and that no firewall drops the connection. A TLS port needs ami.tls.",
      });
      abort.abort(late);
      this.#lose(late);
    }, connectMs);
    try {
      this.#reached = await reach(transport, abort.signal);
      if (this.#lossReason !== undefined) throw this.#lossReason;
      const banner = new Promise<void>((resolve) => (this.#bannerCame = resolve));
      this.#wire = openWire(this.#reached.endpoint, {
        received: (bytes) => this.#receive(bytes),
        closed: (reason) => this.#closed(reason),
      });
      await Promise.race([banner, this.lost.then((reason) => Promise.reject(reason))]);
    } catch (error) {
      const reason = asAsteriskIacError(error, "Unreachable").on(this.label);
      this.#lose(reason);
      this.#reached?.close();
      throw reason;
    } finally {
      clearTimeout(timer);
    }
  }

  #send(name: string, headers: Headers, deadlineMs: number, gatherList: boolean): Promise<Answer> {
    return new Promise((resolve, reject) => {
      checkAction(name, headers);
      if (this.#lossReason !== undefined || this.#wire === undefined) {
        reject(this.#lossReason);
        return;
      }
      const id = `${this.#idPrefix}-${(this.#nextID += 1)}`;
      const timer = setTimeout(() => this.#timeOut(id), deadlineMs);
      const sentAt = performance.now();
      this.#pending.set(id, {
        name,
        gatherList,
        deadlineMs,
        sentAt,
        timer,
        resolve,
        reject,
        events: [],
        listBytes: 0,
      });
      this.#wire.send(id, name, headers);
    });
  }

  #countRoundTrip(): void {
    if (this.#roundTripOpen) return;
    this.#roundTrips += 1;
    this.#roundTripOpen = true;
    setImmediate(() => (this.#roundTripOpen = false));
  }

  #receive(bytes: Uint8Array): void {
    this.#receivedAt = performance.now();
    this.#roundTripOpen = false;
    try {
      const messages = this.#reader.push(bytes);
      if (this.#reader.version !== undefined) this.#bannerCame();
      for (const message of messages) this.#dispatch(message);
    } catch (error) {
      this.#lose(asAsteriskIacError(error));
    }
  }

  #dispatch(message: Message): void {
    const id = message.get("ActionID");
    const pending = id === undefined ? undefined : this.#pending.get(id);
    if (id === undefined || pending === undefined) {
      // An answer to nobody is one whose deadline is over.
      if (message.kind === "Event") this.#options.onEvent(message);
      return;
    }
    const listFlag = message.get("EventList")?.toLowerCase();
    if (message.kind === "Response") {
      pending.response = message;
      if (!pending.gatherList || listFlag !== "start") this.#settle(id, pending);
      return;
    }
    if (!pending.gatherList) {
      this.#options.onEvent(message);
      return;
    }
    pending.events.push(message);
    pending.listBytes += message.size;
    if (pending.listBytes > this.#options.limits.listBytes) {
      const limit = this.#options.limits.listBytes;
      this.#lose(
        this.#error("UnexpectedAnswer", `The list that ${pending.name} asked for is over ${limit} bytes.`),
      );
    } else if (listFlag === "complete") this.#settle(id, pending);
    else if (listFlag === "cancelled") {
      this.#drop(id, pending);
      pending.reject(
        this.#error("ListingIncomplete", `Asterisk cancelled the list that ${pending.name} asked for.`),
      );
    }
  }

  #settle(id: string, pending: Pending): void {
    this.#drop(id, pending);
    if (pending.response === undefined) {
      pending.reject(
        this.#error("UnexpectedAnswer", `The list that ${pending.name} asked for had no answer before it.`),
      );
    } else pending.resolve({ response: pending.response, events: pending.events });
  }

  #timeOut(id: string): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#drop(id, pending);
    const silent = this.#receivedAt <= pending.sentAt;
    const behindLong = [...this.#pending.values()].some(
      (other) => other.sentAt < pending.sentAt && other.deadlineMs > this.#options.silenceMs,
    );
    pending.reject(
      this.#error(
        "TimedOut",
        `AMI action ${pending.name} was sent and not answered in ${pending.deadlineMs} ms.`,
        {
          hint: "It may or may not have been done; it was not sent again.",
        },
      ),
    );
    if (!silent || behindLong) return;
    if (pending.deadlineMs < this.#options.silenceMs) this.ping().catch(() => undefined);
    else {
      this.#lose(
        this.#error("ConnectionLost", `AMI at ${this.#where} fell silent: the connection is taken for dead.`),
      );
    }
  }

  #drop(id: string, pending: Pending): void {
    clearTimeout(pending.timer);
    this.#pending.delete(id);
  }

  #closed(reason: Error | undefined): void {
    const cause = this.#reached?.failure() ?? reason;
    if (cause instanceof AsteriskIacError) return this.#lose(cause);
    const code = (cause as NodeJS.ErrnoException | undefined)?.code ?? cause?.message;
    if (this.#reader.version !== undefined) {
      const how = code === undefined ? "Asterisk closed it" : code;
      return this.#lose(
        this.#error("ConnectionLost", `The AMI connection to ${this.#where} was lost: ${how}.`, { cause }),
      );
    }
    const why = code ?? "the connection was closed without a banner";
    this.#lose(
      this.#error("Unreachable", `AMI at ${this.#where} can't be reached: ${why}.`, {
        hint:
          code === undefined
            ? "Asterisk does so past authlimit (50) connections that have not logged in; or the port is not AMI's."
            : "Check ami.host and ami.port, that Asterisk runs, and enabled, port and bindaddr in manager.conf.",
        cause,
      }),
    );
  }

  #lose(reason: AsteriskIacError): void {
    if (this.#lossReason !== undefined) return;
    this.#lossReason = reason.on(this.label);
    for (const [id, pending] of this.#pending) {
      this.#drop(id, pending);
      pending.reject(this.#lossReason);
    }
    this.#wire?.destroy();
    this.#reached?.close();
    this.#reportLoss(this.#lossReason);
  }

  #error(
    code: AsteriskIacError["code"],
    message: string,
    details: { hint?: string; cause?: unknown } = {},
  ): AsteriskIacError {
    return new AsteriskIacError(code, message, { ...details, next: "Retry", where: { server: this.label } });
  }
}
