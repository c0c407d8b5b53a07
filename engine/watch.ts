import type { AsteriskIacError } from "../core/errors.ts";
import { asAsteriskIacError } from "../core/errors.ts";
import type { ApplyOptions, ApplyResult } from "./apply.ts";
import { applyServer } from "./apply.ts";
import { SeenServers, passOver } from "./pass.ts";
import type { SecretStore } from "./secrets.ts";
import type { ServerDeclaration, ServerSession } from "./session.ts";
import { openSession } from "./session.ts";

/** Why a pass was made. */
export type WatchCause = "start" | "interval" | "FullyBooted" | "retry";

export interface WatchOptions extends ApplyOptions {
  readonly intervalMs: number;
  /** Ends the watch; a pass under way is finished first. */
  readonly signal: AbortSignal;
  readonly onPass: (cause: WatchCause, result: ApplyResult) => void;
  readonly onError: (cause: WatchCause, error: AsteriskIacError) => void;
}

const firstBackoffMs = 1_000;

/**
 * Reconciles one server until it is told to stop: at once, on an interval, and whenever Asterisk has started. Both
 * connections stay open in between. After a failure it comes back with growing, random waits, at most the interval.
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
    const mostMs = Math.min(firstBackoffMs * 2 ** failures++, options.intervalMs);
    await until(options.signal, Math.round(mostMs * (0.5 + Math.random() / 2)));
  }
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
  session.ami.onRestored(() => wake.up());
  session.ami.on("FullyBooted", () => wake.up());
  let cause: WatchCause = "start";
  while (!signal.aborted) {
    try {
      onPass(
        cause,
        await applyServer(
          await passOver(session, secrets, { seen: new SeenServers(), writing: true }),
          options,
        ),
      );
      onGood();
      // A rollback of manager.conf closes AMI; both connections are opened anew.
      if (!session.ami.isConnected) return;
    } catch (thrown) {
      const error = asAsteriskIacError(thrown).on(session.declaration.name);
      // A person must act, or the files changed meanwhile: the connections are fine. Anything else opens them anew.
      if (error.next !== "Stalled" && error.code !== "ChangedMeanwhile") throw error;
      onError(cause, error);
    }
    cause = (await wake.wait(signal, intervalMs)) ? "FullyBooted" : "interval";
  }
}

/** Something that can be waited for; a call before the wait counts, so that nothing is missed. */
class Wake {
  #called = false;
  #waiting: (() => void) | undefined;

  up(): void {
    this.#called = true;
    this.#waiting?.();
  }

  /** True if it was called, false after `milliseconds` or an abort. */
  async wait(signal: AbortSignal, milliseconds: number): Promise<boolean> {
    if (!this.#called) await until(signal, milliseconds, (resolve) => (this.#waiting = resolve));
    const called = this.#called;
    this.#called = false;
    this.#waiting = undefined;
    return called;
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
