/** Which lines of a file stay for which wanted ones: as many as can, in order. */
import type { OwnedLine, WantedLine } from "./lines.ts";

/** Wanted line `wanted` stands in line `line` already, or would with another value. */
export interface Match {
  readonly line: number;
  readonly wanted: number;
  readonly same: boolean;
}

/** Above this many pairs nothing but what is equal at both ends is matched. */
const mostPairs = 4_000_000;
/** One line that stays as it is outweighs any number of lines that keep only their names. */
const sameWeight = 1 << 16;

/** Matches, in order: the most lines that stay as they are, and then the most of which only the value changes. */
export function match(lines: readonly OwnedLine[], wanted: readonly WantedLine[]): Match[] {
  let start = 0;
  let end = lines.length;
  let wantedEnd = wanted.length;
  const weight = (line: number, want: number) => weigh(lines[line], wanted[want]);
  while (start < end && start < wantedEnd && weight(start, start) === sameWeight) start++;
  while (end > start && wantedEnd > start && weight(end - 1, wantedEnd - 1) === sameWeight) {
    end--;
    wantedEnd--;
  }
  const matches: Match[] = [];
  for (let index = 0; index < start; index++) matches.push({ line: index, wanted: index, same: true });
  const rows = end - start;
  const columns = wantedEnd - start;
  if (rows * columns <= mostPairs) {
    for (const [row, column] of bestPath(rows, columns, (r, c) => weight(start + r, start + c))) {
      const same = weight(start + row, start + column) === sameWeight;
      matches.push({ line: start + row, wanted: start + column, same });
    }
  }
  for (let index = end; index < lines.length; index++) {
    matches.push({ line: index, wanted: index - end + wantedEnd, same: true });
  }
  return matches;
}

function weigh(line: OwnedLine | undefined, wanted: WantedLine | undefined): number {
  if (!line || !wanted) return 0;
  const { name, value, operator, gap, interrupted } = line.node;
  if (name !== wanted.name || (operator === "+=") !== (wanted.operator === "+=")) return 0;
  if (value === wanted.value && (operator !== "+=" || gap === wanted.gap)) return sameWeight;
  return operator === "+=" || interrupted ? 0 : 1;
}

/** The heaviest common subsequence, as pairs in order; among equals the one that matches first things first. */
function bestPath(
  rows: number,
  columns: number,
  weight: (row: number, column: number) => number,
): [number, number][] {
  const width = columns + 1;
  const best = new Float64Array((rows + 1) * width);
  const at = (row: number, column: number) => best[row * width + column] ?? 0;
  for (let row = rows - 1; row >= 0; row--) {
    for (let column = columns - 1; column >= 0; column--) {
      const pair = weight(row, column);
      best[row * width + column] = Math.max(
        pair === 0 ? 0 : pair + at(row + 1, column + 1),
        at(row + 1, column),
        at(row, column + 1),
      );
    }
  }
  const path: [number, number][] = [];
  for (let row = 0, column = 0; row < rows && column < columns;) {
    const pair = weight(row, column);
    if (pair > 0 && at(row, column) === pair + at(row + 1, column + 1)) path.push([row++, column++]);
    else if (at(row, column) === at(row + 1, column)) row++;
    else column++;
  }
  return path;
}
