import { isDeepStrictEqual } from "node:util";
import type { AsteriskIacError } from "../core/errors.ts";
import { asAsteriskIacError } from "../core/errors.ts";
import { followCalls } from "../engine/calls/follow.ts";
import type { ToldLine } from "../engine/calls/lines.ts";
import type { SecretStore } from "../engine/secrets.ts";
import type { ServerDeclaration } from "../engine/session.ts";

interface Watch {
  readonly readBy: unknown;
  readonly stop: AbortController;
  readonly ended: Promise<void>;
}

export interface ServerCallsOptions {
  /** Takes each line of a server's calls. */
  readonly tell: (key: string, line: ToldLine) => void;
  readonly onError: (key: string, error: AsteriskIacError) => void;
  /** How calls are followed; a test may stand in between. */
  readonly follow?: typeof followCalls;
}

/** One watch of calls for each server that declares `calls`, over a connection of its own. */
export class ServerCalls {
  readonly #options: ServerCallsOptions;
  readonly #watches = new Map<string, Watch>();

  constructor(options: ServerCallsOptions) {
    this.#options = options;
  }

  /** Begins a server's watch, or another where it is read otherwise now; `stamp` says which values of Secrets it has. */
  keep(key: string, declaration: ServerDeclaration, secrets: SecretStore, stamp: unknown): void {
    const { ssh, ami, calls, country, timeZone, numbers } = declaration.spec;
    const readBy = { ssh, ami, calls, country, timeZone, numbers, stamp };
    const held = this.#watches.get(key);
    if (held !== undefined && isDeepStrictEqual(held.readBy, readBy)) return;
    held?.stop.abort();
    this.#watches.delete(key);
    if (calls === undefined) return;
    const stop = new AbortController();
    const watch: Watch = { readBy, stop, ended: this.#follow(key, declaration, secrets, stop.signal) };
    this.#watches.set(key, watch);
    // One that ended for a reason that a person must mend begins again with the next reconcile.
    void watch.ended.then(() => this.#watches.get(key) === watch && this.#watches.delete(key));
  }

  /** The server is no longer ours. */
  async forget(key: string): Promise<void> {
    const held = this.#watches.get(key);
    this.#watches.delete(key);
    held?.stop.abort();
    await held?.ended;
  }

  /** Ends every watch; what was told is told to its end. */
  async closeAll(): Promise<void> {
    await Promise.all([...this.#watches.keys()].map((key) => this.forget(key)));
  }

  /** Never rejects. */
  async #follow(
    key: string,
    declaration: ServerDeclaration,
    secrets: SecretStore,
    signal: AbortSignal,
  ): Promise<void> {
    const { follow = followCalls, tell, onError } = this.#options;
    try {
      await follow(declaration, secrets, {
        signal,
        tell: (line) => tell(key, line),
        onError: (error) => onError(key, error),
      });
    } catch (thrown) {
      onError(key, asAsteriskIacError(thrown));
    }
  }
}
