import type { AsteriskIacError } from "../core/errors.ts";
import { asAsteriskIacError } from "../core/errors.ts";
import type { ApplyOptions, ApplyResult } from "./apply.ts";
import { applyServer } from "./apply.ts";
import { SeenServers, passOver } from "./pass.ts";
import type { SecretStore } from "./secrets.ts";
import type { ServerDeclaration, ServerSession } from "./session.ts";
import { leavesConnections, openSession } from "./session.ts";

/** Why a pass was made. */
export type WatchCause = "start" | "interval" | "commit" | "FullyBooted" | "retry";

export interface WatchOptions extends ApplyOptions {
  readonly intervalMs: number;
  /** Ends the watch; a pass under way is finished first. */
  readonly signal: AbortSignal;
  readonly onPass: (cause: WatchCause, result: ApplyResult) => void;
  readonly onError: (cause: WatchCause, error: AsteriskIacError) => void;
}

const firstBackoffMs = 1_000;

/**
 * Reconciles one server until it is told to stop: at once, on an interval, whenever Asterisk has started, and when its
 * source has a new commit. Both connections stay open in between. After a failure it comes back with growing, random
 * waits, at most the interval.
 */
export async function watchServer(
  declaration: ServerDeclaration,
  secrets: SecretStore,
  options: WatchOptions,
): Promise<void> {
  let failures = 0;
  while (!options.signal.aborted) {
    let session: ServerSession | undefined;
    try {
      session = await openSession(declaration, secrets);
      failures = 0;
      await watchSession(session, secrets, options, () => (failures = 0));
    } catch (thrown) {
      options.onError(failures === 0 ? "start" : "retry", asAsteriskIacError(thrown).on(declaration.name));
    } finally {
      await session?.close();
    }
    await until(options.signal, backoffMs(failures++, options.intervalMs));
  }
}

function backoffMs(failures: number, mostMs: number): number {
  return Math.round(Math.min(firstBackoffMs * 2 ** failures, mostMs) * (0.5 + Math.random() / 2));
}

/** Passes over one session; throws when a connection is lost. */
async function watchSession(
  session: ServerSession,
  secrets: SecretStore,
  options: WatchOptions,
  onGood: () => void,
): Promise<void> {
  const { signal, onPass, onError, intervalMs } = options;
  const wake = new Wake();
  session.ami.onRestored(() => wake.up("FullyBooted"));
  session.ami.on("FullyBooted", () => wake.up("FullyBooted"));
  const stopListening = session.declaration.source.onChange?.(() => wake.up("commit"));
  let cause: WatchCause = "start";
  let troubles = 0;
  try {
    while (!signal.aborted) {
      let wait = intervalMs;
      try {
        onPass(
          cause,
          await applyServer(
            await passOver(session, secrets, { seen: new SeenServers(), writing: true }),
            options,
          ),
        );
        onGood();
        troubles = 0;
        // A rollback of manager.conf closes AMI; both connections are opened anew.
        if (!session.ami.isConnected) return;
      } catch (thrown) {
        const error = asAsteriskIacError(thrown).on(session.declaration.name);
        if (!leavesConnections(error)) throw error;
        onError(cause, error);
        if (error.next !== "Stalled") wait = error.retryAfterMs ?? soon(error, troubles++, intervalMs);
      }
      const isSoon = wait !== intervalMs;
      cause = (await wake.wait(signal, wait)) ?? (isSoon ? "retry" : "interval");
    }
  } finally {
    stopListening?.();
  }
}

/** What others changed meanwhile is planned anew at once, unless they go on and on. */
function soon({ code }: AsteriskIacError, troubles: number, mostMs: number): number {
  return code === "ChangedMeanwhile" && troubles === 0 ? 0 : backoffMs(troubles, mostMs);
}

/** Something that can be waited for; a call before the wait counts, so that nothing is missed. */
class Wake {
  #cause: WatchCause | undefined;
  #waiting: (() => void) | undefined;

  up(cause: WatchCause): void {
    this.#cause = cause;
    this.#waiting?.();
  }

  /** Why it was called; undefined after `milliseconds` or an abort. */
  async wait(signal: AbortSignal, milliseconds: number): Promise<WatchCause | undefined> {
    if (this.#cause === undefined) await until(signal, milliseconds, (resolve) => (this.#waiting = resolve));
    const cause = this.#cause;
    this.#cause = undefined;
    this.#waiting = undefined;
    return cause;
  }
}

async function until(
  signal: AbortSignal,
  milliseconds: number,
  onWait: (resolve: () => void) => void = () => undefined,
): Promise<void> {
  if (signal.aborted) return;
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const done = (): void => resolve(undefined);
  const timer = setTimeout(done, milliseconds);
  signal.addEventListener("abort", done, { once: true });
  onWait(done);
  await promise;
  clearTimeout(timer);
  signal.removeEventListener("abort", done);
}
