/** What Asterisk printed for one command. */
export interface Answer {
  readonly output: Buffer;
  /** Bytes that were left out because there were too many; 0 for a whole answer. */
  readonly omitted: number;
}

/**
 * Finds the end of an answer, which the console's protocol does not mark. After each command a second one is sent that
 * no Asterisk has, a random word: Asterisk runs them one after the other, so its `No such command '<word>' …` comes
 * right after the answer, and nobody can guess it. Takes bytes as they come, however they are split.
 */
export class AnswerReader {
  readonly #end: Buffer;
  readonly #limit: number;
  readonly #chunks: Buffer[] = [];
  #kept = 0;
  #omitted = 0;
  /** The last bytes, which may be the beginning of the end. */
  #tail: Buffer = Buffer.alloc(0);
  #found = false;

  constructor(word: string, limit: number) {
    this.#end = Buffer.from(`No such command '${word}'`);
    this.#limit = limit;
  }

  /** The answer when it is whole, with what Asterisk says of the word gone; undefined before. */
  push(bytes: Buffer): Answer | undefined {
    this.#tail = this.#tail.length === 0 ? bytes : Buffer.concat([this.#tail, bytes]);
    if (!this.#found) {
      const at = this.#tail.indexOf(this.#end);
      this.#found = at !== -1;
      const sure = this.#found ? at : Math.max(0, this.#tail.length - this.#end.length + 1);
      this.#keep(this.#tail.subarray(0, sure));
      this.#tail = this.#tail.subarray(sure);
    }
    if (!this.#found || !this.#tail.includes("\n")) return undefined;
    return { output: Buffer.concat(this.#chunks), omitted: this.#omitted };
  }

  #keep(bytes: Buffer): void {
    const kept = bytes.subarray(0, Math.max(0, this.#limit - this.#kept));
    this.#kept += kept.length;
    this.#omitted += bytes.length - kept.length;
    // A copy: what is kept must not keep the whole packet alive.
    if (kept.length > 0) this.#chunks.push(Buffer.from(kept));
  }
}
