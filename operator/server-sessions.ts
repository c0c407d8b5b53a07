import { isDeepStrictEqual } from "node:util";
import { RecordSource } from "../engine/record-source.ts";
import type { SecretStore } from "../engine/secrets.ts";
import type { ServerDeclaration, ServerSession } from "../engine/session.ts";
import { openSession } from "../engine/session.ts";

interface Held {
  readonly reachedBy: unknown;
  readonly session: Promise<ServerSession>;
}

/**
 * Why a server is looked at again: what Asterisk told over the session that stays open, or `Lost`: its connection ended,
 * and what the server does is not heard until somebody opens another.
 */
export type ServerCall = (key: string, why: "FullyBooted" | "Reload" | "Lost") => void;

/** One session a server, open as long as the server is declared and reached in the same way. */
export class ServerSessions {
  readonly #held = new Map<string, Held>();
  readonly #onCall: ServerCall;
  readonly #openSession: typeof openSession;

  /** @param open how a session is opened; a test may stand in between */
  constructor(onCall: ServerCall, open = openSession) {
    this.#onCall = onCall;
    this.#openSession = open;
  }

  get size(): number {
    return this.#held.size;
  }

  /** The session of a server, opened where there is none; `stamp` says which values of Secrets it was opened with. */
  async open(
    key: string,
    declaration: ServerDeclaration,
    secrets: SecretStore,
    stamp: unknown,
  ): Promise<ServerSession> {
    const { ssh, ami } = declaration.spec;
    const reachedBy = { ssh, ami, stamp };
    const held = this.#held.get(key);
    if (held !== undefined) {
      const session = await held.session;
      if (isDeepStrictEqual(held.reachedBy, reachedBy) && session.ami.isConnected)
        return { ...session, declaration };
      await this.close(key);
    }
    // It stays open longer than what the declaration holds on to is wanted: a source has read all of its files.
    const source = new RecordSource(declaration.source.name, undefined);
    const session = this.#openSession({ ...declaration, source, accounts: [], files: [] }, secrets);
    this.#held.set(key, { reachedBy, session });
    try {
      const opened = await session;
      opened.ami.on("FullyBooted", () => this.#onCall(key, "FullyBooted"));
      opened.ami.on("Reload", () => this.#onCall(key, "Reload"));
      opened.ami.onLost(() => {
        if (this.#held.get(key)?.session === session) this.#onCall(key, "Lost");
      });
      return { ...opened, declaration };
    } catch (error) {
      if (this.#held.get(key)?.session === session) this.#held.delete(key);
      throw error;
    }
  }

  /** Lets go of a server, or of a session that does not answer. */
  async close(key: string): Promise<void> {
    const held = this.#held.get(key);
    this.#held.delete(key);
    await held?.session.then(
      (session) => session.close(),
      () => undefined,
    );
  }

  async closeAll(): Promise<void> {
    await Promise.all([...this.#held.keys()].map((key) => this.close(key)));
  }
}
