import { AsteriskIacError } from "../../core/errors.ts";
import type { Headers } from "./codec.ts";
import { Connection, defaultLimits, type Answer, type Limits } from "./connection.ts";
import { EventHub, type EventQueue } from "./events.ts";
import { logIn } from "./login.ts";
import type { Message } from "./message.ts";
import type { Transport } from "./transport.ts";

/** Deadlines in milliseconds. */
export interface Deadlines {
  /** From the first packet to the banner; default 10,000. */
  readonly connectMs: number;
  /** For each action that gives none; default 10,000. */
  readonly actionMs: number;
  /** For FullyBooted, where it can be seen; default 60,000. */
  readonly fullyBootedMs: number;
  /** Silence after which an idle connection is asked for a sign of life; default 5,000; 0 asks never. */
  readonly idlePingMs: number;
  /** After so long without any answer the connection is taken for half open and given up; default 10,000. */
  readonly silenceMs: number;
}

const defaultDeadlines: Deadlines = {
  connectMs: 10_000,
  actionMs: 10_000,
  fullyBootedMs: 60_000,
  idlePingMs: 5_000,
  silenceMs: 10_000,
};

export interface AMIOptions {
  readonly transport: Transport;
  readonly username: string;
  readonly password: string;
  /** The server's name, for messages. */
  readonly label: string;
  /** Which events to ask for, as manager.conf writes event classes; default `system`. `off` for none. */
  readonly eventMask?: string;
  /**
   * Whether the account has read=system, without which Asterisk tells no one that it is fully booted. Unknown by
   * default: then FullyBooted is waited for only shortly.
   */
  readonly readsSystem?: boolean;
  readonly deadlines?: Partial<Deadlines>;
  readonly limits?: Partial<Limits>;
}

/** What can be asked of AMI, over one connection (AMIClient) or over one that is opened again (AMISession). */
export interface AMI {
  readonly label: string;
  /** True once FullyBooted was seen; false where the account can't see it (no read=system). */
  readonly fullyBooted: boolean;
  /** Requests that waited for an answer; those sent together count once. Logins and idle pings are not counted. */
  readonly roundTrips: number;
  /** Any answer, a refusal included. Rejects with `InvalidArgument`, `TimedOut`, `ConnectionLost`. */
  send(name: string, headers?: Headers, deadlineMs?: number): Promise<Message>;
  /** The answer of an action that succeeded; a refusal rejects with `PermissionDenied` or `ActionRefused`. */
  action(name: string, headers?: Headers, deadlineMs?: number): Promise<Message>;
  /** The answer and all events of an action that lists; complete or rejected, never a part. */
  list(name: string, headers?: Headers, deadlineMs?: number): Promise<Answer>;
  /** Calls `handler` for each event of that name (`*`: all). Gives the function that stops it. */
  on(eventName: string, handler: (event: Message) => void): () => void;
  /** Events of that name (`*`: all) to iterate over, at most `capacity` waiting: the oldest give way, counted. */
  events(eventName: string, capacity?: number): EventQueue;
  /** The next event of that name that the predicate accepts; rejects with `TimedOut` or `ConnectionLost`. */
  waitForEvent(
    eventName: string,
    predicate: (event: Message) => boolean,
    deadlineMs: number,
  ): Promise<Message>;
}

/** One logged-in AMI connection. Once lost it stays lost: AMISession opens a new one. */
export class AMIClient implements AMI {
  readonly label: string;
  readonly fullyBooted: boolean;
  readonly #connection: Connection;
  readonly #hub: EventHub;
  readonly #deadlines: Deadlines;
  readonly #roundTripsAtLogin: number;
  #idleTimer: NodeJS.Timeout | undefined;

  /**
   * Connects and logs in by MD5 challenge (the password never leaves this machine), once, and waits for FullyBooted
   * where the account can see it. Rejects with `Unreachable`, `CertificateRefused`, `AuthenticationFailed`, `TimedOut`.
   */
  static async connect(options: AMIOptions): Promise<AMIClient> {
    const deadlines = { ...defaultDeadlines, ...options.deadlines };
    const hub = new EventHub(options.label);
    const connection = await Connection.open({
      transport: options.transport,
      label: options.label,
      connectMs: deadlines.connectMs,
      silenceMs: deadlines.silenceMs,
      limits: { ...defaultLimits, ...options.limits },
      onEvent: (event) => hub.emit(event),
    });
    void connection.lost.then((reason) => hub.close(reason));
    try {
      const fullyBooted = await logIn(connection, hub, options, deadlines);
      return new AMIClient(connection, hub, deadlines, fullyBooted);
    } catch (error) {
      connection.end(
        new AsteriskIacError("ConnectionLost", "The AMI login was given up.", { next: "Retry" }),
      );
      throw error;
    }
  }

  private constructor(connection: Connection, hub: EventHub, deadlines: Deadlines, fullyBooted: boolean) {
    this.label = connection.label;
    this.fullyBooted = fullyBooted;
    this.#connection = connection;
    this.#hub = hub;
    this.#deadlines = deadlines;
    this.#roundTripsAtLogin = connection.roundTrips;
    if (deadlines.idlePingMs > 0) {
      this.#idleTimer = setInterval(() => this.#pingIfIdle(), deadlines.idlePingMs / 2).unref();
    }
    void connection.lost.then(() => clearInterval(this.#idleTimer));
  }

  get isOpen(): boolean {
    return this.#connection.isOpen;
  }

  /** Resolves once, with the reason, when the connection is gone; `close` included. */
  get lost(): Promise<AsteriskIacError> {
    return this.#connection.lost;
  }

  get roundTrips(): number {
    return this.#connection.roundTrips - this.#roundTripsAtLogin;
  }

  async send(name: string, headers: Headers = {}, deadlineMs = this.#deadlines.actionMs): Promise<Message> {
    const { response } = await this.#connection.send(name, headers, deadlineMs);
    return response;
  }

  async action(name: string, headers: Headers = {}, deadlineMs?: number): Promise<Message> {
    const response = await this.send(name, headers, deadlineMs);
    this.#demandSuccess(name, response);
    return response;
  }

  async list(name: string, headers: Headers = {}, deadlineMs = this.#deadlines.actionMs): Promise<Answer> {
    const answer = await this.#connection.send(name, headers, deadlineMs, true);
    this.#demandSuccess(name, answer.response);
    return answer;
  }

  on(eventName: string, handler: (event: Message) => void): () => void {
    return this.#hub.on(eventName, handler);
  }

  events(eventName: string, capacity?: number): EventQueue {
    return this.#hub.queue(eventName, capacity);
  }

  waitForEvent(
    eventName: string,
    predicate: (event: Message) => boolean,
    deadlineMs: number,
  ): Promise<Message> {
    return this.#hub.waitFor(eventName, predicate, deadlineMs);
  }

  /** Logs off and closes. Idempotent; never rejects. */
  async close(): Promise<void> {
    if (this.isOpen) await this.#connection.send("Logoff", {}, 1_000).catch(() => undefined);
    this.#connection.end(
      new AsteriskIacError("ConnectionLost", "The AMI connection was closed.", { next: "Retry" }),
    );
  }

  #pingIfIdle(): void {
    const { idlePingMs } = this.#deadlines;
    if (this.#connection.isWaiting || this.#connection.silenceMs < idlePingMs / 2) return;
    this.#connection.ping().catch(() => undefined);
  }

  #demandSuccess(name: string, response: Message): void {
    const verdict = response.get("Response");
    if (verdict === "Success" || verdict === "Goodbye") return;
    const why = response.get("Message") ?? "without a reason";
    const where = { server: this.label };
    if (why === "Permission denied") {
      throw new AsteriskIacError("PermissionDenied", `Asterisk denied this AMI account the action ${name}.`, {
        hint: "Add the class that the action needs to the account's write= (`manager show command` names it).",
        where,
      });
    }
    throw new AsteriskIacError("ActionRefused", `Asterisk refused the AMI action ${name}: ${why}.`, {
      where,
    });
  }
}
