import { setTimeout as delay } from "node:timers/promises";
import { parseAliases } from "../asterisk/console/aliases.ts";
import type { Answer } from "../asterisk/console/answer.ts";
import { ConsoleConnection } from "../asterisk/console/connection.ts";
import type { Banner, CommandOptions } from "../asterisk/console/connection.ts";
import { openControlSocket } from "../asterisk/console/socket.ts";
import type { SocketHost } from "../asterisk/host.ts";
import { AsteriskIacError, asAsteriskIacError, isUnreachable } from "../core/errors.ts";
import { plain } from "../core/judge/output.ts";
import { LogFeed } from "./console-log.ts";
import type { LogFollower } from "./console-log.ts";
import { openHost } from "./session.ts";
import type { ServerDeclaration } from "./session.ts";
import type { SecretStore } from "./secrets.ts";

export type { LogFollower } from "./console-log.ts";

/** Whether the live log is there: told when it comes, and when it goes. */
export type LogState =
  | { readonly connected: true; readonly banner: Banner }
  | { readonly connected: false; readonly error: AsteriskIacError };

/** Consoles of one role share so many connections: Asterisk takes 128, and an sshd ten shells. */
const connectionsPerLane = 2;
const aliasesMs = 10_000;
const shortestPauseMs = 250;
const longestPauseMs = 5_000;
const restMs = 30_000;

/**
 * The console of one server, for any number of people: its own way to the machine, one connection that follows the
 * live log for all of them, and a few for commands. Everything is opened when it is first needed and again when it is
 * lost, by a restart of Asterisk or of the machine; all of it is closed half a minute after the last follower has gone.
 */
export class ServerConsole {
  readonly #declaration: Pick<ServerDeclaration, "name" | "spec">;
  readonly #restMs: number;
  readonly #secrets: SecretStore;
  readonly #feed = new LogFeed();
  readonly #onState = new Set<(state: LogState) => void>();
  readonly #lanes = new Map<string, Connections>();
  readonly #closed = new AbortController();
  #host: Promise<SocketHost> | undefined;
  #state: LogState | undefined;
  #log: ConsoleConnection | undefined;
  #following: Promise<void> | undefined;
  #rest: NodeJS.Timeout | undefined;
  #aliases: { readonly until: number; readonly read: Promise<Map<string, string | undefined>> } | undefined;

  constructor(
    declaration: Pick<ServerDeclaration, "name" | "spec">,
    secrets: SecretStore,
    options: { readonly restMs?: number } = {},
  ) {
    this.#declaration = declaration;
    this.#secrets = secrets;
    this.#restMs = options.restMs ?? restMs;
  }

  /**
   * Runs one command that was judged. `lane` keeps what belongs to different roles on different connections: some
   * commands print after they have answered. Rejects as `ConsoleConnection` and `openHost` do.
   */
  async run(lane: string, command: string, options: CommandOptions = {}): Promise<Answer> {
    let connections = this.#lanes.get(lane);
    if (connections === undefined) {
      connections = new Connections(() => this.#open());
      this.#lanes.set(lane, connections);
    }
    try {
      return await connections.use((connection) => connection.command(command, options));
    } catch (error) {
      throw asAsteriskIacError(error).on(this.#declaration.name);
    }
  }

  /** Asterisk's aliases, at most ten seconds old. */
  aliases(lane: string): Promise<Map<string, string | undefined>> {
    if (this.#aliases === undefined || this.#aliases.until < performance.now()) {
      const read = this.run(lane, "cli show aliases").then(({ output }) =>
        parseAliases(output.toString("utf8")),
      );
      this.#aliases = { until: performance.now() + aliasesMs, read };
      read.catch(() => (this.#aliases = undefined));
    }
    return this.#aliases.read;
  }

  /** What Asterisk would complete the last word of a line to. The line must hold no quotes and no backslashes. */
  async complete(lane: string, line: string, word: string): Promise<string[]> {
    const { output } = await this.run(lane, `_command matchesarray "${line}" "${word}"`);
    const [, ...matches] = output
      .toString("utf8")
      .replace(/_EOF_\s*$/, "")
      .split(" ");
    return matches.filter((match) => match !== "" && !/[\s"\\]/.test(match) && plain(match) === match);
  }

  /** Follows the live log; gives what ends it. The state is told at once if it is known, and whenever it changes. */
  follow(follower: LogFollower, onState: (state: LogState) => void): () => void {
    clearTimeout(this.#rest);
    this.#feed.add(follower);
    this.#onState.add(onState);
    if (this.#state !== undefined) onState(this.#state);
    this.#following ??= this.#follow();
    this.#log?.setVerbosity(this.#feed.verbosity);
    return () => {
      this.#feed.delete(follower);
      this.#onState.delete(onState);
      if (this.#feed.size === 0) {
        this.#log?.close();
        this.#restLater();
      } else this.#log?.setVerbosity(this.#feed.verbosity);
    };
  }

  /** Changes which verbose messages a follower gets. */
  setVerbosity(follower: LogFollower, level: number): void {
    follower.verbosity = level;
    this.#log?.setVerbosity(this.#feed.verbosity);
  }

  async close(): Promise<void> {
    clearTimeout(this.#rest);
    this.#closed.abort();
    this.#log?.close();
    for (const connections of this.#lanes.values()) connections.close();
    await this.#following;
    await (await this.#host?.catch(() => undefined))?.close();
  }

  /** Closes what is open once nobody has followed for a while, and no command is under way. */
  #restLater(): void {
    clearTimeout(this.#rest);
    this.#rest = setTimeout(() => {
      const lanes = [...this.#lanes.values()];
      if (this.#following !== undefined || lanes.some(({ isBusy }) => isBusy)) return this.#restLater();
      for (const connections of lanes) connections.close();
      this.#lanes.clear();
      const host = this.#host;
      this.#host = undefined;
      host?.then((open) => open.close()).catch(() => undefined);
    }, this.#restMs).unref();
  }

  /** Until nobody follows any more. */
  async #follow(): Promise<void> {
    let pauseMs = shortestPauseMs;
    while (this.#feed.size > 0 && !this.#closed.signal.aborted) {
      let error = new AsteriskIacError("ConnectionLost", "Asterisk closed the console's connection.");
      try {
        const log = await this.#open();
        this.#log = log;
        log.follow(this.#feed.verbosity, (line) => this.#feed.push(line));
        this.#tell({ connected: true, banner: log.banner });
        pauseMs = shortestPauseMs;
        if (this.#feed.size === 0) log.close();
        await log.closed;
      } catch (thrown) {
        error = asAsteriskIacError(thrown);
      }
      this.#log = undefined;
      this.#feed.flush();
      if (this.#feed.size === 0) break;
      this.#tell({ connected: false, error });
      await delay(pauseMs, undefined, { signal: this.#closed.signal }).catch(() => undefined);
      pauseMs = Math.min(pauseMs * 2, longestPauseMs);
    }
    this.#following = undefined;
    this.#state = undefined;
  }

  #tell(state: LogState): void {
    const isNews = this.#state?.connected !== state.connected;
    this.#state = state;
    if (isNews) for (const onState of [...this.#onState]) onState(state);
  }

  /** A new connection to Asterisk; over a new way to the machine where the old one is gone. */
  async #open(): Promise<ConsoleConnection> {
    for (let isSecond = false; ; isSecond = true) {
      if (this.#closed.signal.aborted)
        throw new AsteriskIacError("ConnectionLost", "The console was closed.");
      const had = this.#host;
      const host = had ?? openHost(this.#declaration, this.#secrets);
      this.#host = host;
      try {
        return await ConsoleConnection.open(await openControlSocket(await host));
      } catch (thrown) {
        const error = asAsteriskIacError(thrown).on(this.#declaration.name);
        const isWayLost = isUnreachable(error) && error.code !== "Unreachable";
        const isUnopened = await host.then(
          () => false,
          () => true,
        );
        if ((isWayLost || isUnopened) && this.#host === host) {
          this.#host = undefined;
          void host.then((open) => open.close()).catch(() => undefined);
        }
        if (had === undefined || isSecond || !isWayLost) throw error;
      }
    }
  }
}

interface Slot {
  readonly connection: Promise<ConsoleConnection>;
  users: number;
  isEnded: boolean;
}

/** A few connections of one lane: an idle one is taken, else a new one opened, else it is shared. */
class Connections {
  readonly #open: () => Promise<ConsoleConnection>;
  #slots: Slot[] = [];

  constructor(open: () => Promise<ConsoleConnection>) {
    this.#open = open;
  }

  async use<T>(work: (connection: ConsoleConnection) => Promise<T>): Promise<T> {
    const slot = this.#slot();
    slot.users += 1;
    try {
      return await work(await slot.connection);
    } finally {
      slot.users -= 1;
    }
  }

  get isBusy(): boolean {
    return this.#slots.some(({ users }) => users > 0);
  }

  close(): void {
    for (const { connection } of this.#slots)
      void connection.then((open) => open.close()).catch(() => undefined);
  }

  #slot(): Slot {
    this.#slots = this.#slots.filter(({ isEnded }) => !isEnded);
    const [least] = [...this.#slots].sort((one, other) => one.users - other.users);
    if (least !== undefined && (least.users === 0 || this.#slots.length >= connectionsPerLane)) return least;
    const slot: Slot = { connection: this.#open(), users: 0, isEnded: false };
    const end = (): void => void (slot.isEnded = true);
    slot.connection.then(({ closed }) => closed.then(end), end);
    this.#slots.push(slot);
    return slot;
  }
}
