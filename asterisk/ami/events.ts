import { AsteriskIacError } from "../../core/errors.ts";
import type { Message } from "./message.ts";

type Handler = (event: Message) => void;

/** Who listens to which events of one connection. */
export class EventHub {
  readonly #label: string;
  readonly #handlers = new Map<string, Set<Handler>>();
  readonly #closing = new Set<(reason: AsteriskIacError) => void>();
  #closed: AsteriskIacError | undefined;

  constructor(label: string) {
    this.#label = label;
  }

  /** Hands one event to those who listen for its name and to those who listen for `*`. */
  emit(event: Message): void {
    const name = event.get("Event")?.toLowerCase() ?? "";
    for (const key of [name, "*"]) for (const handler of [...(this.#handlers.get(key) ?? [])]) handler(event);
  }

  on(eventName: string, handler: Handler): () => void {
    const key = eventName.toLowerCase();
    const handlers = this.#handlers.get(key) ?? new Set();
    this.#handlers.set(key, handlers.add(handler));
    return () => {
      handlers.delete(handler);
      if (handlers.size === 0) this.#handlers.delete(key);
    };
  }

  queue(eventName: string, capacity = 1_000): EventQueue {
    const stop = () => {
      off();
      this.#closing.delete(end);
    };
    const queue = new EventQueue(capacity, stop);
    const off = this.on(eventName, (event) => queue.push(event));
    const end = () => queue.end();
    if (this.#closed === undefined) this.#closing.add(end);
    else queue.end();
    return queue;
  }

  waitFor(eventName: string, predicate: (event: Message) => boolean, deadlineMs: number): Promise<Message> {
    const { promise, resolve, reject } = Promise.withResolvers<Message>();
    if (this.#closed !== undefined) reject(this.#closed);
    const off = this.on(eventName, (event) => {
      if (predicate(event)) resolve(event);
    });
    const timer = setTimeout(() => {
      const message = `Asterisk sent no such ${eventName} event within ${deadlineMs} ms.`;
      reject(new AsteriskIacError("TimedOut", message, { next: "Retry", where: { server: this.#label } }));
    }, deadlineMs);
    this.#closing.add(reject);
    return promise.finally(() => {
      clearTimeout(timer);
      off();
      this.#closing.delete(reject);
    });
  }

  /** The connection is gone: whoever waits is told why, queues end after what they hold. */
  close(reason: AsteriskIacError): void {
    this.#closed ??= reason;
    for (const tell of [...this.#closing]) tell(reason);
  }
}

/**
 * Events in order for one reader that may be slow: holds at most `capacity`; past that the oldest is dropped and
 * counted, so a flood costs the reader events and nobody memory. Ends with the connection, or when iteration stops.
 */
export class EventQueue implements AsyncIterable<Message> {
  /** Events that were dropped because the reader was too slow. */
  dropped = 0;
  readonly #capacity: number;
  readonly #stop: () => void;
  readonly #events: Message[] = [];
  #ended = false;
  #wake: () => void = () => undefined;

  constructor(capacity: number, stop: () => void) {
    this.#capacity = capacity;
    this.#stop = stop;
  }

  push(event: Message): void {
    if (this.#ended) return;
    this.#events.push(event);
    if (this.#events.length > this.#capacity) {
      this.#events.shift();
      this.dropped += 1;
    }
    this.#wake();
  }

  end(): void {
    this.#ended = true;
    this.#stop();
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Message> {
    try {
      for (;;) {
        const event = this.#events.shift();
        if (event !== undefined) yield event;
        else if (this.#ended) return;
        else await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    } finally {
      this.end();
    }
  }
}
