import { setTimeout as delay } from "node:timers/promises";
import type { AsteriskIacError } from "../../core/errors.ts";
import { asAsteriskIacError } from "../../core/errors.ts";
import type { SecretStore } from "../secrets.ts";
import type { ServerDeclaration } from "../session.ts";
import type { CallWatchOptions } from "./call-watch.ts";
import { CallWatch } from "./call-watch.ts";
import type { LastSign, Position } from "./position.ts";

export interface FollowOptions extends CallWatchOptions {
  /** A connection was lost, or can't be made: it is tried again. */
  readonly onError?: (error: AsteriskIacError) => void;
  /** Told where the watch ended, however it ended: the position of the next. */
  readonly onEnd?: (position: Position | LastSign | undefined) => void;
}

const backoffMs = { first: 500, most: 30_000 };
/** A connection that lasts so long was a good one: the next is tried at once. */
const steadyMs = 5_000;

/**
 * Watches a server's calls until it is told to stop, and tells each when it is over. A lost connection is opened again; what
 * was missed is looked up and marked. Rejects with what a first connection rejects with, and later only where a person must
 * act.
 */
export async function followCalls(
  declaration: ServerDeclaration,
  secrets: SecretStore,
  options: FollowOptions,
): Promise<void> {
  const watch = new CallWatch(declaration, secrets, options);
  let failures = 0;
  try {
    while (!options.signal.aborted) {
      // A reader that was too slow is waited for; one that failed ends the watch.
      await watch.drained();
      let connectedAt = Infinity;
      try {
        await watch.connect(() => (connectedAt = performance.now()));
      } catch (thrown) {
        const error = asAsteriskIacError(thrown).on(declaration.name);
        if (error.next === "Stalled" || !watch.hasWatched) throw error;
        options.onError?.(error);
      }
      if (performance.now() - connectedAt >= steadyMs) failures = 0;
      const mostMs = Math.min(backoffMs.most, backoffMs.first * 2 ** failures++);
      await delay(Math.random() * mostMs, undefined, { signal: options.signal }).catch(() => undefined);
    }
  } finally {
    try {
      await watch.end();
    } finally {
      options.onEnd?.(watch.position);
    }
  }
}
