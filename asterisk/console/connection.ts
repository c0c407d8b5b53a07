import { randomBytes } from "node:crypto";
import type { Duplex } from "node:stream";
import { AsteriskIacError } from "../../core/errors.ts";
import { AnswerReader } from "./answer.ts";
import type { Answer } from "./answer.ts";
import { LogLines } from "./log-lines.ts";
import type { LogLine } from "./log-lines.ts";

/** What Asterisk says of itself when a console connects. */
export interface Banner {
  readonly hostName: string;
  /** Asterisk's process id: another one after a restart. */
  readonly pid: number;
  readonly asteriskVersion: string;
}

export interface CommandOptions {
  /** Deadline in milliseconds; default 30,000. The connection is given up then: its answer would come too late. */
  readonly timeoutMs?: number;
  /** Most bytes of the answer that are kept; default 1 MiB. */
  readonly maxBytes?: number;
}

/** netconsole reads into 512 bytes: a command, the word that ends its answer, and the NUL of each. */
const maxCommandBytes = 480;
const bannerMs = 10_000;
const maxBannerBytes = 1024;

/**
 * One connection to Asterisk's control socket, as `asterisk -r` has one. It is muted: what comes is answers alone.
 * Commands run one after the other. Rejects with `ConnectionLost` when it ends, which it does when Asterisk stops.
 */
export class ConsoleConnection {
  readonly banner: Banner;
  /** Resolves when the connection has ended. */
  readonly closed: Promise<void>;
  readonly #stream: Duplex;
  #ended = false;
  #queue: Promise<unknown> = Promise.resolve();
  #hear: (bytes: Buffer) => void = () => undefined;

  private constructor(stream: Duplex, banner: Banner) {
    this.#stream = stream;
    this.banner = banner;
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.closed = promise;
    stream.once("close", () => {
      this.#ended = true;
      resolve(undefined);
    });
    stream.once("end", () => stream.destroy());
    stream.on("data", (bytes: Buffer) => this.#hear(bytes)).resume();
  }

  /** Takes over a fresh stream to the control socket. Rejects with `TimedOut`, `UnexpectedAnswer`, `ConnectionLost`. */
  static async open(stream: Duplex): Promise<ConsoleConnection> {
    stream.on("error", () => undefined);
    try {
      return new ConsoleConnection(stream, await readBanner(stream));
    } catch (error) {
      stream.destroy();
      throw error;
    }
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Runs one command and waits for the whole of its answer. Judge it first: nothing is looked at here but its length. */
  command(text: string, options: CommandOptions = {}): Promise<Answer> {
    const answer = this.#queue.then(() => this.#run(text, options));
    this.#queue = answer.catch(() => undefined);
    return answer;
  }

  /** Unmutes it: from now on log lines come, and no command can be told from them any more. */
  follow(verbosity: number, onLine: (line: LogLine) => void): void {
    const lines = new LogLines();
    this.#hear = (bytes) => lines.push(bytes).forEach(onLine);
    this.setVerbosity(verbosity);
    this.#stream.write("logger mute silent\0");
  }

  /** Of a connection that follows: which verbose lines Asterisk sends. */
  setVerbosity(level: number): void {
    this.#stream.write(`core set verbose ${level} silent\0`);
  }

  close(): void {
    this.#ended = true;
    this.#stream.destroy();
  }

  async #run(text: string, { timeoutMs = 30_000, maxBytes = 1024 * 1024 }: CommandOptions): Promise<Answer> {
    if (this.#ended) throw lost();
    checkCommand(text);
    const word = `end-${randomBytes(8).toString("hex")}`;
    const reader = new AnswerReader(word, maxBytes);
    const answer = Promise.withResolvers<Answer>();
    this.#hear = (bytes) => {
      const whole = reader.push(bytes);
      if (whole !== undefined) answer.resolve(whole);
    };
    const timer = setTimeout(() => {
      answer.reject(late(timeoutMs));
      this.close();
    }, timeoutMs);
    this.#stream.write(`${text}\0${word}\0`);
    try {
      return await Promise.race([answer.promise, this.closed.then(() => Promise.reject(lost()))]);
    } finally {
      clearTimeout(timer);
      this.#hear = () => undefined;
    }
  }
}

function checkCommand(text: string): void {
  const bytes = Buffer.byteLength(text);
  if (bytes > 0 && bytes <= maxCommandBytes && !/[\0\r\n]/.test(text)) return;
  throw new AsteriskIacError(
    "InvalidArgument",
    `A command must be one line of 1 to ${maxCommandBytes} bytes; this one has ${bytes}.`,
  );
}

/** `<host name>/<process id>/<version>` and a newline; or a sentence, where Asterisk takes no more consoles. */
async function readBanner(stream: Duplex): Promise<Banner> {
  let text = Buffer.alloc(0);
  const whole = Promise.withResolvers<string>();
  const hear = (bytes: Buffer): void => {
    text = Buffer.concat([text, bytes]);
    const end = text.indexOf(0x0a);
    if (end === -1 && text.length <= maxBannerBytes) return;
    stream.pause();
    stream.off("data", hear);
    if (end !== -1 && text.length > end + 1) stream.unshift(text.subarray(end + 1));
    whole.resolve(text.toString("utf8", 0, end === -1 ? maxBannerBytes : end));
  };
  const ended = (): void => whole.reject(lost());
  const timer = setTimeout(() => whole.reject(late(bannerMs)), bannerMs);
  stream.on("data", hear).once("end", ended).once("close", ended);
  try {
    const line = await whole.promise;
    const [, hostName, pid, asteriskVersion] = /^([^/]*)\/(\d+)\/(.*)$/.exec(line) ?? [];
    if (hostName === undefined || pid === undefined || asteriskVersion === undefined) throw notAsterisk(line);
    return { hostName, pid: Number(pid), asteriskVersion };
  } finally {
    clearTimeout(timer);
    stream.off("data", hear).off("end", ended).off("close", ended);
  }
}

function notAsterisk(line: string): AsteriskIacError {
  if (line.startsWith("No more connections"))
    return new AsteriskIacError("UnexpectedAnswer", "Asterisk takes no more consoles: 128 are connected.", {
      next: "Retry",
      hint: "Close some of the consoles that are open there.",
    });
  return new AsteriskIacError(
    "UnexpectedAnswer",
    "What answers on Asterisk's control socket is no Asterisk.",
  );
}

function late(ms: number): AsteriskIacError {
  return new AsteriskIacError("TimedOut", `Asterisk's console did not answer within ${ms / 1000} s.`, {
    next: "Retry",
    hint: "The command may still be running there: what waits for calls to end answers when they have ended.",
  });
}

function lost(): AsteriskIacError {
  return new AsteriskIacError("ConnectionLost", "Asterisk closed the console's connection.", {
    next: "Retry",
    hint: "It does when it stops or restarts.",
  });
}
