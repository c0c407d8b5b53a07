/** Figures of repeated runs. */

/** The middle one; of an even number the upper of both. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
}

/** Milliseconds that the work took. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

/** One thing that is measured, by the name it is printed under. */
export interface Contestant {
  readonly name: string;
  /** How often it counts. */
  readonly rounds: number;
  /** One run of it; not timed: what `before` does. */
  readonly run: () => Promise<void>;
  readonly before?: () => Promise<void>;
  /** Throws where the run did not do its work. Not timed. */
  readonly after?: () => Promise<void>;
}

/**
 * Runs each in turn, A B C A B C, so that whatever else the machine does falls on all of them. Those of three rounds and
 * more have another one before, which does not count. The milliseconds of each, in the order of the rounds.
 */
export async function inTurn(
  contestants: readonly Contestant[],
  onRound: (message: string) => void,
): Promise<ReadonlyMap<string, readonly number[]>> {
  const times = new Map(contestants.map(({ name }) => [name, [] as number[]]));
  const most = Math.max(...contestants.map(({ rounds }) => rounds));
  for (let round = 0; round <= most; round++) {
    for (const { name, rounds, before, run, after } of contestants) {
      if (round > rounds || (round === 0 && rounds < 3)) continue;
      await before?.();
      const milliseconds = await timed(run);
      await after?.();
      onRound(`${round === 0 ? "to warm up" : `round ${round}`}: ${name} ${milliseconds.toFixed(0)} ms`);
      if (round > 0) times.get(name)?.push(milliseconds);
    }
  }
  return times;
}
