import type { ToldLine } from "./lines.ts";

/** Lines that wait for their reader; past this the watch pauses. */
const most = 5_000;

/** Hands lines on one after the other, in order, however slow their reader is. */
export class LineQueue {
  readonly #tell: (line: ToldLine) => void | Promise<void>;
  #waiting = 0;
  #last: Promise<void> = Promise.resolve();

  constructor(tell: (line: ToldLine) => void | Promise<void>) {
    this.#tell = tell;
  }

  get isFull(): boolean {
    return this.#waiting >= most;
  }

  push(line: ToldLine): void {
    this.#waiting += 1;
    this.#last = this.#last.then(async () => {
      await this.#tell(line);
      this.#waiting -= 1;
    });
    // Awaited in `drained`; a failure there must not be unhandled here.
    this.#last.catch(() => undefined);
  }

  /** When all were taken. Rejects with what the reader rejected with: nothing was handed on since. */
  async drained(): Promise<void> {
    await this.#last;
  }
}
