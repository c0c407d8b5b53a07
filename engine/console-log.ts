import type { LogLine } from "../asterisk/console/log-lines.ts";
import { harmless } from "../core/judge/output.ts";

/** What a follower of a server's live log is told. */
export interface LogFollower {
  /** The highest level of verbose messages that is wanted; notices, warnings and errors come always. */
  verbosity: number;
  /** Lines since the last time, each with its newline, harmless on a terminal; and how many were left out. */
  readonly onText: (text: string, omitted: number) => void;
}

/** How often at most; the first line after a pause comes at once. In a flood, which nobody reads along, less often. */
const everyMs = 100;
const floodMs = 500;

/** Nobody reads more at a time; the rest is counted. So a flood costs the same whatever its size. */
const maxLines = 40;
const maxBytes = 4 * 1024;

/** Hands the lines of one log to many followers, some at a time: each text is made once for all who want the same. */
export class LogFeed {
  readonly #followers = new Set<LogFollower>();
  #lines: LogLine[] = [];
  #omitted = new Map<number | undefined, number>();
  #timer: NodeJS.Timeout | undefined;
  #nextFlush = -Infinity;

  get size(): number {
    return this.#followers.size;
  }

  /** The level that Asterisk must be asked for. */
  get verbosity(): number {
    return Math.max(0, ...[...this.#followers].map(({ verbosity }) => verbosity));
  }

  add(follower: LogFollower): void {
    this.#followers.add(follower);
  }

  delete(follower: LogFollower): void {
    this.#followers.delete(follower);
  }

  push(line: LogLine): void {
    if (this.#lines.length < maxLines) this.#lines.push(line);
    else this.#omitted.set(line.level, (this.#omitted.get(line.level) ?? 0) + 1);
    this.#timer ??= setTimeout(() => this.#flush(), Math.max(5, this.#nextFlush - performance.now()));
  }

  /** Hands on what has come so far, without waiting for more. */
  flush(): void {
    if (this.#timer !== undefined) this.#flush();
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#nextFlush = performance.now() + (this.#omitted.size > 0 ? floodMs : everyMs);
    const texts = new Map<number, { text: string; omitted: number }>();
    for (const { verbosity, onText } of [...this.#followers]) {
      const told = texts.get(verbosity) ?? this.#told(verbosity);
      texts.set(verbosity, told);
      if (told.text !== "" || told.omitted > 0) onText(told.text, told.omitted);
    }
    this.#lines = [];
    this.#omitted = new Map();
  }

  #told(verbosity: number): { text: string; omitted: number } {
    const wanted = (level: number | undefined): boolean => level === undefined || level <= verbosity;
    let text = "";
    let omitted = 0;
    for (const line of this.#lines) {
      if (!wanted(line.level)) continue;
      if (text.length < maxBytes) text += `${harmless(line.text)}\n`;
      else omitted += 1;
    }
    for (const [level, count] of this.#omitted) if (wanted(level)) omitted += count;
    return { text, omitted };
  }
}
