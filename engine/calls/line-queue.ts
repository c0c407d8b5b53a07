import type { ToldLine } from "./lines.ts";

/** Lines that wait for their reader; past this the watch pauses. */
const most = 5_000;

/** Hands lines on one after the other, in order, however slow their reader is. */
export class LineQueue {
  readonly #tell: (line: ToldLine) => void | Promise<void>;
  #waiting = 0;
  #hasFailed = false;
  #last: Promise<void> = Promise.resolve();

  constructor(tell: (line: ToldLine) => void | Promise<void>) {
    this.#tell = tell;
  }

  get isFull(): boolean {
    return this.#waiting >= most;
  }

  /** Whether the reader rejected: nothing is handed on any more, and `drained` says why. */
  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  push(line: ToldLine): void {
    this.#waiting += 1;
    this.#last = this.#last.then(async () => {
      await this.#tell(line);
      this.#waiting -= 1;
    });
    this.#last.catch(() => (this.#hasFailed = true));
  }

  /** When all were taken. Rejects with what the reader rejected with: nothing was handed on since. */
  async drained(): Promise<void> {
    await this.#last;
  }
}
