import type { AsteriskIacError } from "../core/errors.ts";
import { asAsteriskIacError } from "../core/errors.ts";

/** What came of one server in a run over several. `milliseconds` is wall time. */
export type ServerResult<T> =
  | { readonly server: string; readonly ok: true; readonly value: T; readonly milliseconds: number }
  | {
      readonly server: string;
      readonly ok: false;
      readonly error: AsteriskIacError;
      readonly milliseconds: number;
    };

export interface FleetOptions<T> {
  /** Servers worked on at the same time; default 16. One that takes longer than `patienceMs` no longer counts. */
  readonly concurrency?: number;
  /** Default 2,000: a server that is dead waits for its deadline, and nobody waits for it. */
  readonly patienceMs?: number;
  readonly onStart?: (server: string) => void;
  readonly onResult?: (result: ServerResult<T>) => void;
}

/** However many are slow: this many times the concurrency are under way at most. */
const mostSlow = 8;

/**
 * Runs `work` for every server, side by side within bounds. One that fails or hangs stops no other; the results keep the
 * order of `servers`. Never rejects.
 */
export async function runFleet<S extends { readonly name: string }, T>(
  servers: readonly S[],
  work: (server: S) => Promise<T>,
  options: FleetOptions<T> = {},
): Promise<ServerResult<T>[]> {
  const { concurrency = 16, patienceMs = 2_000 } = options;
  const quick = new Slots(concurrency);
  const underWay = new Slots(concurrency * mostSlow);
  const runs: Promise<ServerResult<T>>[] = [];
  for (const server of servers) {
    await underWay.take();
    await quick.take();
    options.onStart?.(server.name);
    const giveBack = once(() => quick.give());
    const impatience = setTimeout(giveBack, patienceMs);
    runs.push(
      runOne(server, work).then((result) => {
        clearTimeout(impatience);
        giveBack();
        underWay.give();
        options.onResult?.(result);
        return result;
      }),
    );
  }
  return Promise.all(runs);
}

/** So many at a time; the others wait in line. */
class Slots {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  async take(): Promise<void> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  give(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free += 1;
    else next();
  }
}

function once(work: () => void): () => void {
  let done = false;
  return () => {
    if (!done) work();
    done = true;
  };
}

async function runOne<S extends { readonly name: string }, T>(
  server: S,
  work: (server: S) => Promise<T>,
): Promise<ServerResult<T>> {
  const started = performance.now();
  const elapsed = (): number => Math.round(performance.now() - started);
  try {
    return { server: server.name, ok: true, value: await work(server), milliseconds: elapsed() };
  } catch (thrown) {
    const error = asAsteriskIacError(thrown).on(server.name);
    return { server: server.name, ok: false, error, milliseconds: elapsed() };
  }
}
