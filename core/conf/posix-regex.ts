/**
 * The regular expressions of `[name](+variable=value)`: POSIX extended ones, as regcomp(3) of the GNU C library
 * takes them, matched without backtracking so that no file can stall its reader. Groups and `{n,m}` cannot occur:
 * `)` and `,` end the place where they would stand.
 */
import { bracket } from "./glob.ts";

/** A character test or an anchor, with how often it may come. */
interface Item {
  readonly test: ((character: string) => boolean) | "start" | "end";
  optional: boolean;
  repeated: boolean;
}

const escapes: Readonly<Record<string, RegExp>> = { w: /\w/, W: /\W/, s: /\s/, S: /\S/ };

/**
 * A function that tells whether the expression matches somewhere in a text.
 * `undefined`: regcomp refuses the expression, or it uses what only the GNU library knows (`\<`, `\b`, `[[.x.]]`).
 */
export function compileRegex(pattern: string): ((text: string) => boolean) | undefined {
  const alternatives: Item[][] = [[]];
  const characters = [...pattern];
  for (let index = 0; index < characters.length; index++) {
    const character = characters[index] as string;
    const items = alternatives.at(-1) as Item[];
    const add = (test: Item["test"]) => items.push({ test, optional: false, repeated: false });
    if (character === "|") {
      alternatives.push([]);
    } else if (character === "(") {
      return undefined;
    } else if (character === "^" || character === "$") {
      add(character === "^" ? "start" : "end");
    } else if (character === ".") {
      add(() => true);
    } else if (character === "[") {
      const set = /^\[\[[.=]/.test(pattern.slice(index)) ? undefined : bracket(characters, index + 1, false);
      if (set === undefined) return undefined;
      add(set.test);
      index = set.last;
    } else if (character === "\\") {
      const next = characters[++index];
      if (next === undefined || /[1-9bB<>`']/.test(next)) return undefined;
      const named = escapes[next];
      add(named === undefined ? (other) => other === next : (other) => named.test(other));
    } else if (/[*+?{]/.test(character)) {
      const length = quantify(items, pattern.slice(index));
      if (length === undefined) return undefined;
      index += length - 1;
    } else {
      add((other) => other === character);
    }
  }
  return (text) => alternatives.some((items) => matches(items, text));
}

/** Applies the quantifier that `rest` begins with to the last item; its length, or undefined if it is refused. */
function quantify(items: Item[], rest: string): number | undefined {
  const last = items.at(-1);
  if (last === undefined || typeof last.test === "string") return undefined;
  if (rest.startsWith("{")) {
    const [interval, count] = /^\{(\d+)\}/.exec(rest) ?? [];
    // A quantifier behind an interval repeats a group, which items cannot say; no file was seen with one.
    if (interval === undefined || /^[*+?{]/.test(rest.slice(interval.length))) return undefined;
    items.pop();
    for (let left = Math.min(Number(count), 255); left > 0; left--) items.push({ ...last });
    return interval.length;
  }
  if (!rest.startsWith("+")) last.optional = true;
  if (!rest.startsWith("?")) last.repeated = true;
  return 1;
}

/** Follows all ways through the items at once. */
function matches(items: readonly Item[], text: string): boolean {
  const { length } = items;
  let current = new Uint8Array(length + 1);
  let next = new Uint8Array(length + 1);
  for (let index = 0; index <= text.length; index++) {
    current[0] = 1;
    for (let state = 0; state < length; state++) {
      const { test, optional } = items[state] as Item;
      const passes =
        optional || (test === "start" && index === 0) || (test === "end" && index === text.length);
      if (current[state] && passes) current[state + 1] = 1;
    }
    if (current[length]) return true;
    if (index === text.length) break;
    const character = text.charAt(index);
    for (let state = 0; state < length; state++) {
      const { test, repeated } = items[state] as Item;
      if (!current[state] || typeof test === "string" || !test(character)) continue;
      next[state + 1] = 1;
      if (repeated) next[state] = 1;
    }
    [current, next] = [next, current.fill(0)];
  }
  return false;
}
