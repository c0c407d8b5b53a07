import { isDeepStrictEqual } from "node:util";
import type { AsteriskIacError } from "../core/errors.ts";
import { asAsteriskIacError } from "../core/errors.ts";
import type { followCalls } from "../engine/calls/follow.ts";
import type { ToldLine } from "../engine/calls/lines.ts";
import type { LastSign, Position } from "../engine/calls/position.ts";
import type { SecretStore } from "../engine/secrets.ts";
import type { ServerDeclaration } from "../engine/session.ts";
import type { Metrics } from "./runtime/index.ts";
import { parseKey } from "./runtime/index.ts";

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
  /** Where the next watch of a server begins. */
  readonly #positions = new Map<string, Position | LastSign>();

  constructor(options: ServerCallsOptions) {
    this.#options = options;
  }

  /** Somebody else watched a server's calls, and was there last at a time: milliseconds since 1970. */
  takeOver(key: string, lastSeenMs: number): void {
    this.#positions.set(key, { lastSeenMs });
  }

  /** Begins a server's watch, or another where it is read otherwise now; `stamp` says which values of Secrets it has. */
  keep(key: string, declaration: ServerDeclaration, secrets: SecretStore, stamp: unknown): void {
    const { ssh, ami, calls, country, timeZone, numbers } = declaration.spec;
    const readBy = { ssh, ami, calls, country, timeZone, numbers, stamp };
    const held = this.#watches.get(key);
    if (held !== undefined && isDeepStrictEqual(held.readBy, readBy)) return;
    held?.stop.abort();
    const stop = new AbortController();
    const begin = async (): Promise<void> => {
      if (calls === undefined) this.#positions.delete(key);
      else await this.#follow(key, declaration, secrets, stop.signal);
    };
    // One after the other: what one told, the next does not tell again.
    const watch: Watch = { readBy, stop, ended: held === undefined ? begin() : held.ended.then(begin) };
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
    if (!this.#watches.has(key)) this.#positions.delete(key);
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
    const { tell, onError } = this.#options;
    try {
      // Loaded when it is wanted: the libraries of numbers and times take 25 MiB.
      const follow = this.#options.follow ?? (await import("../engine/calls/follow.ts")).followCalls;
      await follow(declaration, secrets, {
        signal,
        position: this.#positions.get(key),
        onEnd: (position) => position !== undefined && this.#positions.set(key, position),
        tell: (line) => tell(key, line),
        onError: (error) => onError(key, error),
      });
    } catch (thrown) {
      onError(key, asAsteriskIacError(thrown));
    }
  }
}

/** Counts what is told of calls, and hands it on. */
export function counted(
  metrics: Pick<Metrics, "called" | "unwatched">,
  handOn: (line: ToldLine) => void = () => undefined,
): ServerCallsOptions["tell"] {
  return (key, line) => {
    const { namespace, name } = parseKey(key);
    const server = { namespace, server: name };
    if (line.kind === "Call") metrics.called(server, line);
    if (line.kind === "Gap")
      metrics.unwatched(server, (Date.parse(line.to.utc) - Date.parse(line.from.utc)) / 1000);
    handOn(line);
  };
}
