/** A merge of lines from three sides. */
import { diffArrays } from "diff";

/** More lines than this between two sides are no small change: not merged. */
const mostChanges = 4_000;

/** What one side made of the base: which of its lines stay, and what comes before each, or at the end. */
interface Side {
  readonly stays: boolean[];
  readonly inserted: string[][];
}

/**
 * The base with what both sides made of it: a line stays if both keep it, and what either puts in is in. Whether
 * that makes sense, the caller has to look. Undefined where a side differs too much.
 * @param lineEnd ends a last line without an end while it is compared, and where it is the last no more
 */
export function mergeLines(
  base: readonly string[],
  ours: readonly string[],
  theirs: readonly string[],
  lineEnd: string,
): string | undefined {
  const ended = (lines: readonly string[]) =>
    lines.map((line) => (line.endsWith("\n") ? line : line + lineEnd));
  const from = ended(base);
  const our = sideOf(from, ended(ours));
  const their = sideOf(from, ended(theirs));
  if (!our || !their) return undefined;
  slideOut(from, our, their);
  const lines: string[] = [];
  let lastIsTheirs = false;
  for (let index = 0; index <= from.length; index++) {
    const [ourLines = [], theirLines = []] = [our.inserted[index], their.inserted[index]];
    lines.push(...ourLines, ...theirLines);
    if (ourLines.length + theirLines.length > 0) lastIsTheirs = theirLines.length > 0;
    const line = from[index];
    if (line === undefined || our.stays[index] !== true || their.stays[index] !== true) continue;
    lines.push(line);
    lastIsTheirs = false;
  }
  const text = lines.join("");
  const decider = lastIsTheirs || isEnded(ours) === isEnded(base) ? theirs : ours;
  return isEnded(decider) || !text.endsWith(lineEnd) ? text : text.slice(0, -lineEnd.length);
}

function isEnded(lines: readonly string[]): boolean {
  return lines.at(-1)?.endsWith("\n") ?? true;
}

function sideOf(base: readonly string[], changed: readonly string[]): Side | undefined {
  const changes = diffArrays([...base], [...changed], { maxEditLength: mostChanges });
  if (!changes) return undefined;
  const stays: boolean[] = [];
  const inserted: string[][] = Array.from({ length: base.length + 1 }, () => []);
  for (const { added, removed, value } of changes) {
    if (added) inserted[stays.length]?.push(...value);
    else for (let count = 0; count < value.length; count++) stays.push(!removed);
  }
  return { stays, inserted };
}

/**
 * Which of several equal lines was put in, a blank one mostly, is a matter of taste: what others put in between lines
 * that we take out moves to where those begin or end, so that it keeps its own.
 */
function slideOut(base: readonly string[], our: Side, their: Side): void {
  const isInside = (index: number) => our.stays[index - 1] === false && our.stays[index] === false;
  for (const [index, block] of [...their.inserted.entries()]) {
    if (block.length === 0 || !isInside(index)) continue;
    for (const step of [-1, 1] as const) {
      let at = index;
      let moved = block;
      while (isInside(at)) {
        const passed = step < 0 ? base[at - 1] : base[at];
        const isFree =
          their.stays[step < 0 ? at - 1 : at] === true && their.inserted[at + step]?.length === 0;
        if (!isFree || passed === undefined || passed !== (step < 0 ? moved.at(-1) : moved[0])) break;
        moved = step < 0 ? [passed, ...moved.slice(0, -1)] : [...moved.slice(1), passed];
        at += step;
      }
      if (isInside(at)) continue;
      their.inserted[index] = [];
      their.inserted[at] = moved;
      break;
    }
  }
}
