import { commonStart, complete } from "../core/judge/completion.ts";
import type { Role } from "../core/judge/commands.ts";
import { judge, maxLineBytes, mistakeIn, wordsOf } from "../core/judge/judge.ts";
import type { ConsolePolicy, Judging, Verdict } from "../core/judge/judge.ts";
import { harmless } from "../core/judge/output.ts";
import { AsteriskIacError, asAsteriskIacError } from "../core/errors.ts";
import type { ServerConsole, LogFollower, LogState } from "./console.ts";
import type { ServerDeclaration } from "./session.ts";

/** `full`: everything that Asterisk's own console takes but its `!`, for who could log in over SSH as well. */
export type ConsoleRole = Role | "full";

/** What became of one line; texts are harmless on a terminal. */
export type LineResult =
  | { readonly outcome: "Answered"; readonly text: string; readonly omittedBytes: number }
  | { readonly outcome: "Refused"; readonly reason: string }
  | { readonly outcome: "Failed"; readonly error: AsteriskIacError };

/** What happens to one line, told before and after it runs: for the audit. */
export type LineEvent =
  | { readonly outcome: "Sent"; readonly line: string }
  | {
      readonly outcome: "Answered";
      readonly line: string;
      readonly milliseconds: number;
      readonly bytes: number;
    }
  | { readonly outcome: "Refused"; readonly line: string; readonly reason: string }
  | { readonly outcome: "Failed"; readonly line: string; readonly code: string };

export interface ConsoleSessionOptions {
  readonly role: ConsoleRole;
  readonly policy: ConsolePolicy;
  /** Most bytes of an answer that are shown; default 1 MiB. */
  readonly maxAnswerBytes?: number;
  /** Called before a line runs and after; where it throws before, the line does not run. */
  readonly onLine?: (event: LineEvent) => void;
  /** Follows the live log; without it nothing is followed. */
  readonly log?: {
    readonly onText: (text: string, omitted: number) => void;
    readonly onState: (state: LogState) => void;
  };
}

/** The verbose messages that a console shows at first, as `asterisk -rvvv` does. */
const firstVerbosity = 3;

/** What a server's declaration says of its console. */
export function consolePolicyOf({ spec }: Pick<ServerDeclaration, "spec">): ConsolePolicy {
  const { privilegedCommands, privilegedReason, redirectContexts, queueInterfaces } = spec.console ?? {};
  return {
    privilegedCommands: privilegedCommands ?? [],
    privilegedReason,
    redirectContexts: redirectContexts ?? [],
    queueInterfaces: queueInterfaces ?? [],
  };
}

/** Whether CONSOLE_DISABLED switches every console off, whatever the manifests say. */
export function isConsoleDisabled(environment: Readonly<Record<string, string | undefined>>): boolean {
  return ["yes", "true", "1"].includes((environment["CONSOLE_DISABLED"] ?? "").toLowerCase());
}

/** `PolicyRefused` where the server's console is switched off, by its declaration or on this machine. */
export function refuseDisabled(
  { name, spec }: Pick<ServerDeclaration, "name" | "spec">,
  disabled: boolean,
): void {
  if (!disabled && spec.console?.disabled !== true) return;
  throw new AsteriskIacError(
    "PolicyRefused",
    disabled ? "the console is switched off by CONSOLE_DISABLED" : "its console is switched off",
    {
      where: { server: name },
      hint: disabled ? "Unset it to use the console." : "spec.console.disabled says so.",
    },
  );
}

/** One person at one server's console: lines are judged, run, and told of; the live log is followed. */
export class ConsoleSession {
  readonly #console: ServerConsole;
  readonly #options: ConsoleSessionOptions;
  readonly #follower: LogFollower;
  readonly #stop: () => void;
  #isMuted = false;

  constructor(console: ServerConsole, options: ConsoleSessionOptions) {
    this.#console = console;
    this.#options = options;
    this.#follower = {
      verbosity: firstVerbosity,
      onText: (text, omitted) => {
        if (!this.#isMuted) options.log?.onText(text, omitted);
      },
    };
    this.#stop =
      options.log === undefined ? () => undefined : console.follow(this.#follower, options.log.onState);
  }

  /** Judges a line and runs it. Never rejects. */
  async line(line: string): Promise<LineResult> {
    const tell = this.#options.onLine ?? (() => undefined);
    let shown = line;
    try {
      const verdict = await this.#judge(line);
      if (!verdict.allowed) {
        tell({ outcome: "Refused", line, reason: verdict.reason });
        return { outcome: "Refused", reason: verdict.reason };
      }
      shown = verdict.shown;
      tell({ outcome: "Sent", line: shown });
      const started = performance.now();
      const { text, bytes, omittedBytes } = this.#runHere(verdict.send) ?? (await this.#run(verdict.send));
      tell({
        outcome: "Answered",
        line: shown,
        milliseconds: Math.round(performance.now() - started),
        bytes,
      });
      return { outcome: "Answered", text, omittedBytes };
    } catch (thrown) {
      return this.#failed(shown, asAsteriskIacError(thrown));
    }
  }

  /** Where not even this can be told of, that is what failed. */
  #failed(line: string, error: AsteriskIacError): LineResult {
    try {
      this.#options.onLine?.({ outcome: "Failed", line, code: error.code });
      return { outcome: "Failed", error };
    } catch (thrown) {
      return { outcome: "Failed", error: asAsteriskIacError(thrown) };
    }
  }

  /** What the end of a line may be completed to: `common` is the beginning that all candidates share. */
  async complete(line: string): Promise<{ readonly candidates: readonly string[]; readonly common: string }> {
    const candidates = await this.#candidates(line).catch(() => []);
    return { candidates, common: commonStart(candidates) };
  }

  close(): void {
    this.#stop();
  }

  async #judge(line: string): Promise<Verdict> {
    const { role } = this.#options;
    if (role !== "full") {
      // What no alias can mend is refused without asking Asterisk.
      const mistake = mistakeIn(line);
      return mistake === undefined
        ? judge(line, await this.#judging(role))
        : { allowed: false, reason: mistake };
    }
    const reason = mistakeOfFull(line);
    return reason === undefined
      ? { allowed: true, send: line.trim(), shown: line }
      : { allowed: false, reason };
  }

  async #judging(role: Role): Promise<Judging> {
    return { role, policy: this.#options.policy, aliases: await this.#console.aliases(role) };
  }

  /** The commands that are about this console itself, which Asterisk would apply to the shared connection. */
  #runHere(command: string): { text: string; bytes: number; omittedBytes: number } | undefined {
    const here = (text: string) => ({ text: `${text}\n`, bytes: 0, omittedBytes: 0 });
    const words = command.toLowerCase().split(/\s+/).join(" ");
    const [, level] = /^core set verbose (\d{1,2}|off)$/.exec(words) ?? [];
    if (level !== undefined) {
      this.#console.setVerbosity(this.#follower, level === "off" ? 0 : Number(level));
      return here(`Verbosity of this console is now ${this.#follower.verbosity}.`);
    }
    if (!/^logger mute( silent)?$/.test(words)) return undefined;
    this.#isMuted = !this.#isMuted;
    return here(this.#isMuted ? "Console is muted." : "Console is not muted anymore.");
  }

  async #run(command: string): Promise<{ text: string; bytes: number; omittedBytes: number }> {
    const { role, maxAnswerBytes } = this.#options;
    const { output, omitted } = await this.#console.run(role, command, {
      ...(maxAnswerBytes === undefined ? {} : { maxBytes: maxAnswerBytes }),
    });
    return {
      text: harmless(output.toString("utf8")),
      bytes: output.length + omitted,
      omittedBytes: omitted,
    };
  }

  async #candidates(line: string): Promise<readonly string[]> {
    const { role } = this.#options;
    if (role === "full") {
      if (mistakeIn(line || "help") !== undefined) return [];
      const word = line.endsWith(" ") ? "" : (wordsOf(line).at(-1) ?? "");
      return unique(await this.#console.complete(role, line, word));
    }
    const { words, ask } = complete(line, await this.#judging(role));
    const asked = ask === undefined ? [] : await this.#console.complete(role, ask.line, ask.word);
    const begin = ask?.word.toLowerCase() ?? "";
    return unique([...words, ...asked.filter((word) => word.toLowerCase().startsWith(begin))]);
  }
}

/** Who has SSH may use quotes and everything else; but this is no way to a shell, and answers must stay whole. */
function mistakeOfFull(line: string): string | undefined {
  if (/[\x00-\x1f\x7f]/.test(line)) return "A line must hold no control characters.";
  if (/^\s*!/.test(line)) return "This is Asterisk's console and no shell.";
  if (/^\s*_/.test(line)) return "Asterisk's internal commands are not for people.";
  if (line.trim() === "") return "The line is empty.";
  return Buffer.byteLength(line) > maxLineBytes
    ? `A line must not be longer than ${maxLineBytes} bytes.`
    : undefined;
}

function unique(words: readonly string[]): string[] {
  return [...new Set(words)].sort((one, other) => one.localeCompare(other, "en"));
}
