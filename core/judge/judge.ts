import { commandPatterns, roles, shorthandCommands } from "./commands.ts";
import type { CommandPattern, Part, Role } from "./commands.ts";

/** netconsole reads 512 bytes; what marks the end of the answer takes some of them. */
export const maxLineBytes = 480;

/** What a server declares for its console beside the roles. */
export interface ConsolePolicy {
  /** Of `privilegedCommands`; they count only together with `privilegedReason`. */
  readonly privilegedCommands: readonly string[];
  readonly privilegedReason?: string | undefined;
  /** Where `channel redirect` may lead. */
  readonly redirectContexts: readonly string[];
  /** What `queue add member` may add. */
  readonly queueInterfaces: readonly string[];
}

/** What the judge goes by. */
export interface Judging {
  readonly role: Role;
  readonly policy: ConsolePolicy;
  /** Asterisk's aliases (cli_aliases.conf), lower-case words to the real command; undefined: too long to be known. */
  readonly aliases: ReadonlyMap<string, string | undefined>;
}

/** A line that may run: `send` is put together anew from the words that were understood. */
export interface Allowed {
  readonly allowed: true;
  readonly send: string;
  /** The same with what may be secret blotted out: for the audit. */
  readonly shown: string;
}

export interface Refused {
  readonly allowed: false;
  /** A sentence for the person who typed it. */
  readonly reason: string;
}

export type Verdict = Allowed | Refused;

/** One reading of a line: a line of the table, and the words as it takes them. */
interface Reading {
  readonly pattern: CommandPattern;
  readonly words: readonly string[];
  /** How many are the command's own. */
  readonly literal: number;
  readonly arguments: readonly { readonly name: string; readonly at: number }[];
}

/** What stands in the audit for an argument that may be secret. */
const hidden = "********";

/**
 * Judges a whole line before it reaches Asterisk. What is not known is refused; so nothing depends on how Asterisk would
 * read quotes, tabs, backslashes or an abbreviation, and none of them is ever sent.
 */
export function judge(line: string, judging: Judging): Verdict {
  const mistake = mistakeIn(line);
  if (mistake !== undefined) return refused(mistake);
  const resolved = resolve(wordsOf(line), judging.aliases);
  if ("allowed" in resolved) return resolved;
  const readings = commandPatterns
    .flatMap((pattern) => read(pattern, resolved.words))
    .sort((one, other) => other.literal - one.literal);
  const reading = readings[0];
  if (reading === undefined)
    return refused("This console knows no such command, or not with these arguments.");
  return allow(reading, judging);
}

/** What is wrong with a line before its words are looked at, as a sentence. */
export function mistakeIn(line: string): string | undefined {
  if (/[\x00-\x1f\x7f-\x9f]/.test(line)) return "A line must hold no control characters.";
  if (/["\\]/.test(line)) return "A line must hold no quotes and no backslashes.";
  if (Buffer.byteLength(line) > maxLineBytes) return `A line must not be longer than ${maxLineBytes} bytes.`;
  if (/^[ ]*!/.test(line)) return "This is Asterisk's console and no shell.";
  if (/^[ ]*_/.test(line)) return "Asterisk's internal commands are not for people.";
  if (line.trim() === "") return "The line is empty.";
  // Words are split at U+0020 alone; other blanks would be part of an argument that only looks like two.
  return /[^\S ]/.test(line) ? "A line must hold no blanks other than the space." : undefined;
}

/** The words with a shorthand or one of Asterisk's aliases put into the command that it stands for. */
function resolve(
  words: readonly string[],
  aliases: Judging["aliases"],
): { readonly words: readonly string[] } | Refused {
  const shorthand = shorthandCommands.get(words.join(" ").toLowerCase());
  const alias = longest(words, aliases);
  let real = words;
  if (shorthand !== undefined) real = shorthand.split(" ");
  else if (alias !== undefined) {
    const { name, value, length } = alias;
    if (value === undefined) return refused(`${name} is an alias whose command can't be read in full.`);
    if (mistakeIn(value) !== undefined) return refused(`${name} is an alias that this console can't judge.`);
    real = [...wordsOf(value), ...words.slice(length)];
  }
  // Asterisk resolves again what an alias stands for.
  const again = longest(real, aliases);
  if (again === undefined) return { words: real };
  return refused(`On this server ${again.name} is an alias for another command: write that command.`);
}

/** The longest name that the words begin with. */
function longest<T>(
  words: readonly string[],
  names: ReadonlyMap<string, T>,
): { readonly name: string; readonly value: T | undefined; readonly length: number } | undefined {
  for (let length = words.length; length > 0; length--) {
    const name = words.slice(0, length).join(" ").toLowerCase();
    if (names.has(name)) return { name, value: names.get(name), length };
  }
  return undefined;
}

function allow({ pattern, words, arguments: given }: Reading, { role, policy }: Judging): Verdict {
  if (roles.indexOf(role) < roles.indexOf(pattern.role))
    return refused(`The role ${role} may not use this command; ${pattern.role} may.`);
  if (!isOpen(pattern, policy))
    return refused(
      `"${pattern.privileged}" runs code, writes files or shows passwords: it must be named in the server's ` +
        "spec.console.privilegedCommands, with a privilegedReason.",
    );
  for (const { name, at } of given) {
    const problem = limits[name]?.(words[at] ?? "", policy);
    if (problem !== undefined) return refused(problem);
  }
  const secret = new Set(given.filter(({ name }) => name === "SECRET").map(({ at }) => at));
  return {
    allowed: true,
    send: words.join(" "),
    shown: words.map((word, at) => (secret.has(at) ? hidden : word)).join(" "),
  };
}

/** Whether a line of the table is for this role on this server. */
export function isFor(pattern: CommandPattern, { role, policy }: Judging): boolean {
  return roles.indexOf(role) >= roles.indexOf(pattern.role) && isOpen(pattern, policy);
}

function isOpen({ privileged }: CommandPattern, policy: ConsolePolicy): boolean {
  return (
    privileged === undefined ||
    (Boolean(policy.privilegedReason) && policy.privilegedCommands.includes(privileged))
  );
}

/** Arguments that are limited beyond being one word. */
const limits: Readonly<Record<string, (word: string, policy: ConsolePolicy) => string | undefined>> = {
  "CONTEXT,EXTENSION,PRIORITY": (word, { redirectContexts }) => {
    const [, context] = /^([^,]+),[^,]+,[^,]+$/.exec(word) ?? [];
    if (context === undefined) return "Name the place as CONTEXT,EXTENSION,PRIORITY.";
    return redirectContexts.includes(context)
      ? undefined
      : `The context ${context} is not in the server's spec.console.redirectContexts.`;
  },
  INTERFACE: (word, { queueInterfaces }) =>
    queueInterfaces.includes(word)
      ? undefined
      : `${word} is not in the server's spec.console.queueInterfaces.`,
  LEVEL: (word) => (/^(\d{1,2}|off)$/.test(word) ? undefined : "A level is a number, or off."),
};

/** Every way in which a line of the table takes exactly these words. */
function read(pattern: CommandPattern, words: readonly string[]): Reading[] {
  const readings: Reading[] = [];
  const walk = (parts: readonly Part[], at: number, sofar: Omit<Reading, "pattern">): void => {
    const [part, ...rest] = parts;
    if (part === undefined) {
      if (at === words.length) readings.push({ pattern, ...sofar });
      return;
    }
    if (part.kind === "optional") {
      walk(rest, at, sofar);
      walk([...part.parts, ...rest], at, sofar);
      return;
    }
    const word = words[at];
    if (word === undefined) return;
    if (part.kind === "word") {
      const own = word.toLowerCase();
      if (part.words.includes(own))
        walk(rest, at + 1, { ...sofar, words: [...sofar.words, own], literal: sofar.literal + 1 });
      return;
    }
    const taken = {
      ...sofar,
      words: [...sofar.words, word],
      arguments: [...sofar.arguments, { name: part.name, at }],
    };
    walk(rest, at + 1, taken);
    if (part.many) walk(parts, at + 1, taken);
  };
  walk(pattern.parts, 0, { words: [], literal: 0, arguments: [] });
  return readings;
}

/** The words of a line that has no mistake. */
export function wordsOf(line: string): string[] {
  return line.split(" ").filter((word) => word !== "");
}

function refused(reason: string): Refused {
  return { allowed: false, reason };
}
