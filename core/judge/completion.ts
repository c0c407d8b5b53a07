import { commandPatterns } from "./commands.ts";
import type { Part } from "./commands.ts";
import { isFor, mistakeIn, wordsOf } from "./judge.ts";
import type { Judging } from "./judge.ts";

/** What may follow the line typed so far. */
export interface Completion {
  /** The command words that may stand there, sorted. */
  readonly words: readonly string[];
  /** What to ask Asterisk where an argument may stand there: the words before, and the beginning of the argument. */
  readonly ask: { readonly line: string; readonly word: string } | undefined;
}

const nothing: Completion = { words: [], ask: undefined };

/** Completes what a role may run, and nothing else: Asterisk is asked only for arguments of commands that it may use. */
export function complete(line: string, judging: Judging): Completion {
  if (line.trim() !== "" && mistakeIn(line) !== undefined) return nothing;
  const typed = wordsOf(line);
  const last = line.endsWith(" ") || typed.length === 0 ? "" : (typed.pop() ?? "");
  const words = new Set<string>();
  let argument: readonly string[] | undefined;
  const walk = (parts: readonly Part[], sofar: readonly string[]): void => {
    const [part, ...rest] = parts;
    if (part === undefined) return;
    const word = typed[sofar.length];
    if (part.kind === "optional") {
      walk(rest, sofar);
      walk([...part.parts, ...rest], sofar);
    } else if (part.kind === "word") {
      if (word === undefined)
        for (const each of part.words.filter((one) => one.startsWith(last.toLowerCase()))) words.add(each);
      else if (part.words.includes(word.toLowerCase())) walk(rest, [...sofar, word.toLowerCase()]);
    } else if (word === undefined) argument = sofar;
    else {
      walk(rest, [...sofar, word]);
      if (part.many) walk(parts, [...sofar, word]);
    }
  };
  for (const pattern of commandPatterns) if (isFor(pattern, judging)) walk(pattern.parts, []);
  const ask = argument === undefined ? undefined : { line: [...argument, last].join(" "), word: last };
  return { words: [...words].sort(), ask };
}

/** What all of the candidates begin with, whatever the case of their letters. */
export function commonStart(candidates: readonly string[]): string {
  const [first = "", ...others] = candidates;
  let length = first.length;
  for (const other of others) {
    while (!other.toLowerCase().startsWith(first.slice(0, length).toLowerCase())) length -= 1;
  }
  return first.slice(0, length);
}
