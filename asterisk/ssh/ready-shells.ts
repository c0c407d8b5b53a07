import type { Client, ClientChannel } from "ssh2";

/** sshd's MaxSessions is 10; two are left for ending what hangs. */
const MAX_SHELLS = 8;

/** After so many refusals in a row, none of ours being open, the server is believed. */
const MAX_REFUSALS = 5;

/** The server refused a session while it has others of ours: it allows fewer than we thought. */
class TooManySessions extends Error {}

/**
 * Keeps one shell started ahead, so that running a script costs one round trip and not three, and neither the start-up
 * files of the login shell nor sudo are waited for. Bounds how many are open at once; who comes later waits.
 */
export class ReadyShells {
  readonly #client: Client;
  readonly #commandLine: string;
  readonly #exited = new WeakSet<ClientChannel>();
  #limit = MAX_SHELLS;
  #open = 0;
  #refusals = 0;
  #spare: Promise<ClientChannel> | undefined;
  #waiting: (() => void)[] = [];

  constructor(client: Client, commandLine: string) {
    this.#client = client;
    this.#commandLine = commandLine;
    this.#prepare();
  }

  /** A channel on which a shell waits for its program. Rejects with ssh2's error if the server opens none. */
  async take(): Promise<ClientChannel> {
    for (;;) {
      const started = this.#spare ?? (this.#open < this.#limit ? this.#start() : undefined);
      this.#spare = undefined;
      if (started === undefined) {
        await new Promise<void>((resolve) => this.#waiting.push(resolve));
        continue;
      }
      try {
        const channel = await started;
        this.#prepare();
        if (!this.#exited.has(channel)) return channel;
        // It ended while it was kept. If that is the rule (sudo refuses), a new one says why.
        channel.resume().stderr.resume();
        return await this.#start();
      } catch (error) {
        if (!(error instanceof TooManySessions)) throw error;
      }
    }
  }

  /** The same beyond the bound and without waiting: to end what hangs. */
  takeNow(): Promise<ClientChannel> {
    return this.#start();
  }

  #prepare(): void {
    if (this.#spare !== undefined || this.#waiting.length > 0 || this.#open >= this.#limit) return;
    const spare = this.#start();
    this.#spare = spare;
    spare.catch(() => {
      if (this.#spare === spare) this.#spare = undefined;
    });
  }

  async #start(): Promise<ClientChannel> {
    this.#open += 1;
    try {
      const channel = await this.#execute();
      this.#refusals = 0;
      channel.once("exit", () => this.#exited.add(channel));
      channel.once("close", () => this.#freed());
      return channel;
    } catch (error) {
      this.#freed();
      const refused = (error as { reason?: unknown }).reason !== undefined;
      // sshd counts a session for a moment longer than we do, so one refusal of the only one proves little.
      if (!refused || (this.#open === 0 && ++this.#refusals >= MAX_REFUSALS)) throw error;
      this.#limit = Math.max(1, this.#open);
      throw new TooManySessions();
    }
  }

  #execute(): Promise<ClientChannel> {
    return new Promise((resolve, reject) => {
      this.#client.exec(this.#commandLine, (error, channel) => (error ? reject(error) : resolve(channel)));
    });
  }

  #freed(): void {
    this.#open -= 1;
    this.#waiting.shift()?.();
  }
}
