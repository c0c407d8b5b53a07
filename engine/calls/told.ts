/** How long it is known which calls were told: longer than CDRs are looked for after a gap. Milliseconds. */
const keptMs = 900_000;

/** The channels of calls that were told, for a while. */
export class Told {
  readonly #at = new Map<string, number>();

  get uniqueIDs(): readonly string[] {
    return [...this.#at.keys()];
  }

  has(uniqueID: string): boolean {
    return this.#at.has(uniqueID);
  }

  add(uniqueIDs: Iterable<string>): void {
    const now = performance.now();
    for (const uniqueID of uniqueIDs) this.#at.set(uniqueID, now);
    // In the order in which they were told: the oldest come first.
    for (const [uniqueID, at] of this.#at) {
      if (now - at < keptMs) break;
      this.#at.delete(uniqueID);
    }
  }
}
