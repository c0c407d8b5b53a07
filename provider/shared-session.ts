import { setTimeout as delay } from "node:timers/promises";
import type { ErrorCode } from "../core/errors.ts";
import { asAsteriskIacError } from "../core/errors.ts";
import { contentHash } from "../core/record.ts";
import type { Pass, PassOptions } from "../engine/pass.ts";
import { SeenServers, passOver } from "../engine/pass.ts";
import type { SecretStore } from "../engine/secrets.ts";
import type { ServerDeclaration, ServerSession } from "../engine/session.ts";
import { openSession } from "../engine/session.ts";
import type { Connection } from "./connection.ts";
import { declarationOf, front, secretsOf } from "./connection.ts";
import { without } from "./properties.ts";

/** A session that nobody uses for so long is closed, so that it keeps no process. */
const idleMs = 2_000;
/** Somebody else wrote meanwhile: so often it is looked at anew, after a while that is drawn by lot. */
const attempts = 10;
const longestPauseMs = 1_000;

const isOthers = new Set<ErrorCode>(["StaleGeneration", "WriteInProgress", "ChangedMeanwhile"]);
const isLost = new Set<ErrorCode>(["ConnectionLost", "TimedOut", "Unreachable", "AuthenticationFailed"]);

const sessions = new Map<string, SharedSession>();

/** The session to a server, shared by all that reach it in the same way. */
export function sessionOf({ spec: { ssh, local, ami }, secrets }: Connection): SharedSession {
  const key = contentHash(Buffer.from(JSON.stringify([ssh, local, ami, without(secrets, ["asterisk-iac"])])));
  const session = sessions.get(key) ?? new SharedSession();
  sessions.set(key, session);
  return session;
}

/** Closes every session at once. Pulumi just ends the process. */
export async function closeAll(): Promise<void> {
  await Promise.all([...sessions.values()].map((session) => session.close()));
  sessions.clear();
}

/** Both connections to one server, opened when they are needed, and one thing at a time over them. */
export class SharedSession {
  #open: Promise<ServerSession> | undefined;
  #idle: NodeJS.Timeout | undefined;
  #last: Promise<unknown> = Promise.resolve();

  /** Runs something while nothing else happens on this server. */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => undefined);
    return done;
  }

  /** Looks at the server and works with what was seen, and does so again where somebody else wrote meanwhile. */
  async pass<T>(
    declaration: ServerDeclaration,
    secrets: SecretStore,
    options: Partial<PassOptions>,
    work: (pass: Pass) => Promise<T>,
  ): Promise<T> {
    clearTimeout(this.#idle);
    try {
      for (let attempt = 1; ; attempt++) {
        const wasOpen = this.#open !== undefined;
        try {
          return await work(await this.look(declaration, secrets, options));
        } catch (thrown) {
          const error = asAsteriskIacError(thrown);
          if (isLost.has(error.code)) await this.#close();
          const isGone = error.code === "ConnectionLost" && wasOpen && attempt === 1;
          if ((!isOthers.has(error.code) && !isGone) || attempt === attempts)
            throw error.on(declaration.name);
          await delay(Math.random() * Math.min(longestPauseMs, 200 * attempt));
        }
      }
    } finally {
      this.#idle = setTimeout(() => void this.exclusively(() => this.#close()), idleMs).unref();
    }
  }

  /** Looks once more, within the work of a pass. */
  async look(
    declaration: ServerDeclaration,
    secrets: SecretStore,
    options: Partial<PassOptions>,
  ): Promise<Pass> {
    this.#open ??= openSession(declaration, secrets);
    const session = await this.#open.catch((error: unknown) => {
      this.#open = undefined;
      throw error;
    });
    return passOver({ ...session, declaration }, secrets, { seen: new SeenServers(), front, ...options });
  }

  async close(): Promise<void> {
    clearTimeout(this.#idle);
    await this.exclusively(() => this.#close());
    clearTimeout(this.#idle);
  }

  async #close(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    await open?.then(
      (session) => session.close(),
      () => undefined,
    );
  }
}

/** The same, of a connection and with its secrets. */
export function passOf<T>(
  connection: Connection,
  options: Partial<PassOptions>,
  work: (pass: Pass) => Promise<T>,
): Promise<T> {
  const session = sessionOf(connection);
  const declaration = declarationOf(connection, { accounts: [], files: [] });
  return session.exclusively(() => session.pass(declaration, secretsOf(connection), options, work));
}
