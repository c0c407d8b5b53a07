/** What becomes of files, each a line of Markdown; and their lines, behind a fold. */
import type { DifferenceLine, PlannedChange } from "../plan.ts";
import { changeSign, explainChange, explainOwners } from "../plan.ts";
import { fenced, fit, lengthOf, literal, longestNote } from "./text.ts";

const shortestDetail = 300;

/** What becomes of one file. */
export function changeMarkdown(planned: PlannedChange): string {
  const { change, blocked, error } = planned;
  const owners = explainOwners(planned).map((owner) => `; ${literal(owner)}`);
  // The sentences are ours, but for names and messages in some.
  const isOurs = blocked === undefined && error === undefined && change.kind !== "Unmanaged";
  const reason = isOurs ? explainChange(planned) : literal(explainChange(planned));
  return `<code>${changeSign(planned)}</code> ${literal(change.path)}: ${reason}${owners.join("")}`;
}

const marks = { same: " ", added: "+", removed: "-" } as const;

/**
 * The lines of files behind folds, by server; all together within a budget of characters, which each gets its part of.
 * What is left out is counted.
 */
export function foldsMarkdown(
  servers: ReadonlyMap<string, readonly PlannedChange[]>,
  budget: number,
): ReadonlyMap<string, readonly string[]> {
  const all = [...servers].flatMap(([server, changes]) => changes.map((planned) => ({ server, planned })));
  const foldable = all.filter(({ planned }) => planned.difference !== undefined);
  const folds = new Map<string, string[]>();
  const omitted = new Map<string, number>();
  let left = budget;
  for (const [at, { server, planned }] of foldable.entries()) {
    const fold = foldOf(planned, Math.floor(left / (foldable.length - at)));
    if (fold === undefined) {
      omitted.set(server, (omitted.get(server) ?? 0) + 1);
      continue;
    }
    left -= lengthOf(fold);
    folds.set(server, [...(folds.get(server) ?? []), ...fold]);
  }
  for (const [server, count] of omitted) {
    const note = `**The lines of ${count} more files are left out here.**`;
    folds.set(server, [...(folds.get(server) ?? []), note, ""]);
  }
  return folds;
}

/** Undefined where there is no room for anything that says something. */
function foldOf(planned: PlannedChange, budget: number): string[] | undefined {
  const lines = (planned.difference ?? []).flatMap(({ oldStart, newStart, lines: hunk }) => [
    `@@ -${oldStart} +${newStart} @@`,
    ...hunk.map(({ kind, text }: DifferenceLine) => marks[kind] + text),
  ]);
  const before = [`<details><summary>${changeMarkdown(planned)}</summary>`, ""];
  const after = ["", "</details>", ""];
  const room = budget - lengthOf(before) - lengthOf(after) - longestNote;
  if (room < shortestDetail && lengthOf(lines) > room) return undefined;
  const { shown, left } = fit(lines, room);
  const code = fenced("diff", shown);
  return [
    ...before,
    ...code,
    ...(left === 0 ? [] : ["", `**${left} more lines are left out here.**`]),
    ...after,
  ];
}
