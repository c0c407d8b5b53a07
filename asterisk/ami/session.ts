import { setTimeout as delay } from "node:timers/promises";
import { asAsteriskIacError, AsteriskIacError } from "../../core/errors.ts";
import { AMIClient, type AMI, type AMIOptions } from "./client.ts";
import type { Headers } from "./codec.ts";
import type { Answer } from "./connection.ts";
import { EventHub, type EventQueue } from "./events.ts";
import type { Message } from "./message.ts";

export interface SessionOptions extends AMIOptions {
  /** Waits between tries are random, from 0 up to `firstMs`, doubled with every try up to `mostMs`. */
  readonly backoff?: { readonly firstMs: number; readonly mostMs: number };
}

const defaultBackoff = { firstMs: 500, mostMs: 30_000 };

/**
 * AMI over one connection at a time, opened again when it is lost: new connection, login, FullyBooted. Actions in
 * flight at a loss are rejected with `ConnectionLost` and never sent again: only the caller knows whether twice is
 * safe. `on` and `events` outlive a loss; what happens meanwhile they miss, which `onLost` tells.
 */
export class AMISession implements AMI {
  readonly label: string;
  #options: SessionOptions;
  readonly #hub: EventHub;
  readonly #closing = new AbortController();
  readonly #lostHandlers = new Set<(reason: AsteriskIacError) => void>();
  readonly #restoredHandlers = new Set<() => void>();
  #client: AMIClient;
  #roundTripsBefore = 0;
  /** Pending while the connection is lost; rejected when it will not come back. */
  #back: { readonly promise: Promise<undefined>; readonly reject: (reason: Error) => void } | undefined;
  #over: AsteriskIacError | undefined;

  /** Connects once, without another try: a first contact that fails is for the caller to judge. */
  static async open(options: SessionOptions): Promise<AMISession> {
    return new AMISession(options, await AMIClient.connect(options));
  }

  private constructor(options: SessionOptions, client: AMIClient) {
    this.label = options.label;
    this.#options = options;
    this.#hub = new EventHub(options.label);
    this.#client = client;
    this.#adopt(client);
  }

  get isConnected(): boolean {
    return this.#back === undefined && this.#over === undefined;
  }

  get fullyBooted(): boolean {
    return this.#client.fullyBooted;
  }

  get roundTrips(): number {
    return this.#roundTripsBefore + this.#client.roundTrips;
  }

  send(name: string, headers?: Headers, deadlineMs?: number): Promise<Message> {
    return this.#client.send(name, headers, deadlineMs);
  }

  action(name: string, headers?: Headers, deadlineMs?: number): Promise<Message> {
    return this.#client.action(name, headers, deadlineMs);
  }

  list(name: string, headers?: Headers, deadlineMs?: number): Promise<Answer> {
    return this.#client.list(name, headers, deadlineMs);
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
    return this.#client.waitForEvent(eventName, predicate, deadlineMs);
  }

  /** Called with the reason whenever the connection is lost (not at `close`). Gives the function that stops it. */
  onLost(handler: (reason: AsteriskIacError) => void): () => void {
    this.#lostHandlers.add(handler);
    return () => this.#lostHandlers.delete(handler);
  }

  /** Called whenever a new connection is logged in and, where it can be seen, FullyBooted. */
  onRestored(handler: () => void): () => void {
    this.#restoredHandlers.add(handler);
    return () => this.#restoredHandlers.delete(handler);
  }

  /** Resolves when the session is connected, at once if it is. Rejects with `TimedOut`, or why it never will be. */
  async restored(deadlineMs: number): Promise<void> {
    if (this.#over !== undefined) throw this.#over;
    if (this.#back === undefined) return;
    const timer = new AbortController();
    const late = delay(deadlineMs, undefined, { signal: timer.signal }).then(() => {
      throw new AsteriskIacError("TimedOut", `AMI did not come back within ${deadlineMs} ms.`, {
        next: "Retry",
        where: { server: this.label },
      });
    });
    try {
      await Promise.race([this.#back.promise, late]);
    } finally {
      timer.abort();
    }
  }

  /** From the next login on. The session that is open keeps what it was let in with. */
  usePassword(password: string): void {
    this.#options = { ...this.#options, password };
  }

  /** Logs off and stops reconnecting. Idempotent; never rejects. */
  async close(): Promise<void> {
    const closed = new AsteriskIacError("ConnectionLost", "The AMI session was closed.", {
      where: { server: this.label },
    });
    this.#end(closed);
    await this.#client.close();
  }

  #adopt(client: AMIClient): void {
    this.#client = client;
    client.on("*", (event) => this.#hub.emit(event));
    void client.lost.then((reason) => this.#reconnect(reason));
  }

  async #reconnect(reason: AsteriskIacError): Promise<void> {
    if (this.#over !== undefined) return;
    const back = Promise.withResolvers<undefined>();
    // Nobody may be waiting when it is rejected.
    back.promise.catch(() => undefined);
    this.#back = back;
    for (const tell of [...this.#lostHandlers]) tell(reason);
    const client = await this.#connectAgain();
    if (client === undefined) return;
    this.#roundTripsBefore += this.#client.roundTrips;
    this.#back = undefined;
    this.#adopt(client);
    back.resolve(undefined);
    for (const tell of [...this.#restoredHandlers]) tell();
  }

  /** Tries until it is connected; `undefined` when the session is over, by `close` or an error that needs a person. */
  async #connectAgain(): Promise<AMIClient | undefined> {
    const { firstMs, mostMs } = this.#options.backoff ?? defaultBackoff;
    // An account that saw FullyBooted once will see it again, however long the boot takes.
    const options = this.#client.fullyBooted ? { ...this.#options, readsSystem: true } : this.#options;
    for (let attempt = 0; ; attempt += 1) {
      const waitMs = Math.random() * Math.min(mostMs, firstMs * 2 ** attempt);
      await delay(waitMs, undefined, { signal: this.#closing.signal }).catch(() => undefined);
      if (this.#over !== undefined) return undefined;
      try {
        const client = await AMIClient.connect(options);
        if (this.#over === undefined) return client;
        await client.close();
        return undefined;
      } catch (thrown) {
        const error = asAsteriskIacError(thrown);
        if (error.next === "Stalled") this.#end(error);
      }
    }
  }

  #end(reason: AsteriskIacError): void {
    if (this.#over !== undefined) return;
    this.#over = reason;
    this.#back?.reject(reason);
    this.#hub.close(reason);
    this.#closing.abort();
  }
}
