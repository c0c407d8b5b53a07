/** Counts what somebody waits for: requests that are under way together, none of them after another's answer, count once. */
export class RoundTrips {
  #begun = 0;
  #answered = 0;

  /** Of the longest chain of requests so far, each sent after the answer to the one before. */
  get count(): number {
    return this.#begun;
  }

  async counted<T>(request: () => Promise<T>): Promise<T> {
    const place = this.#answered + 1;
    this.#begun = Math.max(this.#begun, place);
    try {
      return await request();
    } finally {
      this.#answered = Math.max(this.#answered, place);
    }
  }
}
