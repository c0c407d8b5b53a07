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
  /** Servers worked on at the same time; default 16. */
  readonly concurrency?: number;
  readonly onStart?: (server: string) => void;
  readonly onResult?: (result: ServerResult<T>) => void;
}

/**
 * Runs `work` for every server, side by side within bounds. One that fails stops no other; the results keep the
 * order of `servers`. Never rejects.
 */
export async function runFleet<S extends { readonly name: string }, T>(
  servers: readonly S[],
  work: (server: S) => Promise<T>,
  options: FleetOptions<T> = {},
): Promise<ServerResult<T>[]> {
  const results = new Array<ServerResult<T>>(servers.length);
  const waiting = servers.entries();
  const worker = async (): Promise<void> => {
    for (const [index, server] of waiting) {
      options.onStart?.(server.name);
      const result = await runOne(server, work);
      results[index] = result;
      options.onResult?.(result);
    }
  };
  await Promise.all(Array.from({ length: Math.min(options.concurrency ?? 16, servers.length) }, worker));
  return results;
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
