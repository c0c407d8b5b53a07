import { createHash, randomBytes } from "node:crypto";
import type { Person } from "./sign-in.ts";

/** Longest session, however long the token is good for. */
const longestMs = 12 * 3600 * 1000;
const ticketMs = 30_000;
const maxSessions = 1000;
const maxTickets = 8;

/** A person's sign-in in one browser. */
export interface Session {
  /** Names it in the audit; opens nothing. */
  readonly name: string;
  readonly person: Person;
  /** Aborted, with an `EndReason`, when the person signs out, was idle, or the sign-in is no longer good. */
  readonly ended: AbortSignal;
}

/** `Idle`: nothing was typed for so long, at any of the person's consoles. */
export type EndReason = "Idle" | "SignedOut";

interface Kept extends Session {
  readonly end: AbortController;
  readonly timer: NodeJS.Timeout;
  readonly idle: NodeJS.Timeout;
  /** Hash of a ticket → what it opens. In the order in which they were given. */
  readonly tickets: Map<string, { readonly server: string; readonly until: number }>;
}

/**
 * Who is signed in, in memory alone: a restart signs everybody out. Cookies and tickets are kept as hashes. Times are
 * measured and not told by a clock, so that one that jumps changes nothing.
 */
export class Sessions {
  readonly #all = new Map<string, Kept>();
  readonly #idleMs: number;

  constructor(idleMs: number) {
    this.#idleMs = Math.min(longestMs, idleMs);
  }

  /** Begins a session and gives the cookie's value; undefined while there are too many. */
  begin(person: Person): { readonly cookie: string; readonly session: Session } | undefined {
    if (this.#all.size >= maxSessions) return undefined;
    const cookie = randomBytes(32).toString("base64url");
    const id = hash(cookie);
    const end = new AbortController();
    const timer = setTimeout(() => this.#end(id), Math.min(longestMs, person.validForMs)).unref();
    const idle = setTimeout(() => this.#end(id, "Idle"), this.#idleMs).unref();
    const session = {
      name: id.slice(0, 12),
      person,
      ended: end.signal,
      end,
      timer,
      idle,
      tickets: new Map(),
    };
    this.#all.set(id, session);
    return { cookie, session };
  }

  /** The person is there: something was typed. */
  typed(session: Session): void {
    this.#kept(session)?.idle.refresh();
  }

  /** The session of a cookie, if what was signed in with is still good. */
  async find(cookie: string | undefined): Promise<Session | undefined> {
    if (cookie === undefined) return undefined;
    const session = this.#all.get(hash(cookie));
    if (session === undefined || (await session.person.isStillValid())) return session;
    this.end(session);
    return undefined;
  }

  end(session: Session): void {
    for (const [id, each] of this.#all) if (each.name === session.name) this.#end(id);
  }

  /** A ticket that opens one connection of this session to one server, once and soon. */
  ticket(session: Session, server: string): string {
    const ticket = randomBytes(32).toString("base64url");
    const tickets = this.#kept(session)?.tickets;
    tickets?.set(hash(ticket), { server, until: performance.now() + ticketMs });
    for (const oldest of tickets?.keys() ?? []) {
      if ((tickets?.size ?? 0) <= maxTickets) break;
      tickets?.delete(oldest);
    }
    return ticket;
  }

  /** Uses up a ticket: the server that it opens; undefined where it was used, is too old, or another session's. */
  redeem(session: Session, ticket: string): string | undefined {
    const tickets = this.#kept(session)?.tickets;
    const found = tickets?.get(hash(ticket));
    tickets?.delete(hash(ticket));
    return found !== undefined && found.until > performance.now() ? found.server : undefined;
  }

  /** Ends the sessions whose sign-in was taken back meanwhile. */
  async sweep(): Promise<void> {
    for (const session of [...this.#all.values()])
      if (!(await session.person.isStillValid().catch(() => true))) this.end(session);
  }

  close(): void {
    for (const id of [...this.#all.keys()]) this.#end(id);
  }

  #kept(session: Session): Kept | undefined {
    return [...this.#all.values()].find(({ name }) => name === session.name);
  }

  #end(id: string, reason: EndReason = "SignedOut"): void {
    const session = this.#all.get(id);
    this.#all.delete(id);
    clearTimeout(session?.timer);
    clearTimeout(session?.idle);
    session?.end.abort(reason);
  }
}

/** Refuses who guesses: so many failed sign-ins a minute from one address, and from all. */
export class SignInLimit {
  readonly #perAddress = 10;
  readonly #inAll = 100;
  #since = performance.now();
  #failures = new Map<string, number>();
  #total = 0;

  /** Seconds to wait before another try; 0 where none are. */
  waitSeconds(address: string): number {
    const left = this.#since + 60_000 - performance.now();
    if (left <= 0) {
      this.#since = performance.now();
      this.#failures = new Map();
      this.#total = 0;
      return 0;
    }
    const isOver = (this.#failures.get(address) ?? 0) >= this.#perAddress || this.#total >= this.#inAll;
    return isOver ? Math.ceil(left / 1000) : 0;
  }

  failed(address: string): void {
    this.#total += 1;
    this.#failures.set(address, (this.#failures.get(address) ?? 0) + 1);
  }
}

function hash(secret: string): string {
  return createHash("sha256").update(secret).digest("hex");
}
