/** What changed on a server, for those who decide whether it is kept: what it means first, the lines of files last. */
import type { WrittenPaths } from "../commit-message.ts";
import type { EffectiveDifference } from "../difference.ts";
import type { Plan } from "../plan.ts";
import { differenceMarkdown } from "./difference.ts";
import { changeMarkdown, foldsMarkdown } from "./folds.ts";
import { bounded, lengthOf, literal } from "./text.ts";

/** What a review may take. Characters: GitHub takes 65,536, and some are for whoever posts it. */
export const longestReview = 55_000;
/** What all that is not a file's lines may take. */
const longestSummary = 30_000;
/** Effects leave room for the files, which have to be seen. */
const longestEffects = 20_000;
const mostNames = 30;

/**
 * The text of a pull request that collects what changed on a server, at most `longestReview` characters of Markdown. A plan
 * holds no secret; what comes from a file or a name is code and nothing else. Pure.
 */
export function collectedReview(plan: Plan, { written, removed, recorded }: WrittenPaths): string {
  const paths = new Set([...written, ...removed]);
  const changes = plan.changes.filter(({ change }) => paths.has(change.path));
  const unfolded = [
    ...changes
      .filter(({ difference }) => difference === undefined)
      .map((change) => `- ${changeMarkdown(change)}; its lines are not shown`),
    ...(recorded.length === 0 ? [] : [`- in step with Asterisk, and only recorded: ${names(recorded)}`]),
  ];
  const summary = bounded(
    [
      ...effectLines(plan.effects, paths),
      `Files: ${counts({ written, removed, recorded })}.`,
      "",
      ...(unfolded.length === 0 ? [] : [...unfolded, ""]),
    ],
    longestSummary,
  );
  const folds = foldsMarkdown(new Map([[plan.server, changes]]), longestReview - lengthOf(summary));
  return `${[...summary, ...(folds.get(plan.server) ?? [])].join("\n").trimEnd()}\n`;
}

function effectLines(differences: readonly EffectiveDifference[], paths: ReadonlySet<string>): string[] {
  // A plan may write to the server too: that is no part of what is collected from it.
  const ours = differences
    .map((difference) => ({
      ...difference,
      effects: difference.effects.filter(({ file }) => paths.has(file)),
    }))
    .filter(({ effects, root, refused }) => effects.length > 0 || (refused !== undefined && paths.has(root)));
  if (ours.length === 0) return paths.size === 0 ? [] : ["Nothing changed that counts for Asterisk.", ""];
  const lines = ours.flatMap((difference) => [...differenceMarkdown(difference), ""]);
  return ["**What changed for callers, agents and phones**", "", ...bounded(lines, longestEffects)];
}

function counts({ written, removed, recorded }: WrittenPaths): string {
  const all = [
    [written, "new or changed"],
    [removed, "gone from the server"],
    [recorded, "in step"],
  ] as const;
  return all.flatMap(([paths, what]) => (paths.length === 0 ? [] : [`${paths.length} ${what}`])).join(", ");
}

function names(paths: readonly string[]): string {
  const shown = paths.slice(0, mostNames).map(literal).join(", ");
  return paths.length > mostNames ? `${shown} and ${paths.length - mostNames} more` : shown;
}
