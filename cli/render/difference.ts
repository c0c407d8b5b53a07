/** What changes for Asterisk, beside the lines of a file. All text of a file is made inert. */
import type { Problem } from "../../core/conf/index.ts";
import { inert } from "../../core/conf/lint/inert.ts";
import type { Effect, EffectAction, EffectiveDifference } from "../../core/difference.ts";
import {
  explainDetail,
  explainEffect,
  explainSetting,
  groupEffects,
  summarize,
} from "../../core/difference.ts";
import type { Paint } from "../terminal.ts";
import { literal } from "./markdown.ts";

const signs = { added: "+", removed: "-", changed: "~", reordered: "~" } as const;
const styles = { added: "green", removed: "red", changed: "yellow", reordered: "yellow" } as const;

/** One effect, or several told together. */
interface Told {
  readonly action: EffectAction;
  readonly title: string;
  readonly details: readonly string[];
}

function tell(effects: [Effect, ...Effect[]]): Told {
  const [{ action, details }] = effects;
  const title = explainEffect(...effects);
  switch (action) {
    case "added":
      // What a template or a section has is in the lines beside; one line of it will do.
      return { action, title, details: details.length === 0 ? [] : [settings(details)] };
    case "removed":
      return { action, title, details: [] };
    case "changed":
    case "reordered":
      return { action, title, details: details.map(explainDetail) };
  }
}

const longestLine = 160;

function settings(details: Effect["details"]): string {
  const text = details.map(explainSetting).join(", ");
  return text.length > longestLine ? `${text.slice(0, longestLine - 1)}…` : text;
}

function warnings({ refused, refusedBefore, incomplete }: EffectiveDifference): string[] {
  return [
    ...(refused === undefined ? [] : [`Asterisk refuses the new file: ${explainProblem(refused)}`]),
    ...(refusedBefore === undefined
      ? []
      : [`Asterisk refused the old file, compared up to there: ${explainProblem(refusedBefore)}`]),
    ...(incomplete ? ["incomplete: an #exec, or an include from elsewhere, is not followed"] : []),
  ];
}

function explainProblem({ kind, subject, file, line }: Problem): string {
  return `${kind}${subject === "" ? "" : ` (${subject})`}, ${file}:${line}`;
}

/** The difference as lines for a terminal: a summary, and below it what becomes of each thing. */
export function differenceText(difference: EffectiveDifference, paint: Paint): string[] {
  const lines = [`${paint("bold", inert(difference.root))}: ${inert(summarize(difference))}`];
  for (const warning of warnings(difference)) lines.push(`  ${paint("red", `! ${inert(warning)}`)}`);
  for (const { action, title, details } of groupEffects(difference.effects).map(tell)) {
    lines.push(`  ${paint(styles[action], signs[action])} ${inert(title)}`);
    for (const detail of details) lines.push(`      ${inert(detail)}`);
  }
  return lines;
}

/** The difference as a Markdown list for a pull request. */
export function differenceMarkdown(difference: EffectiveDifference): string[] {
  const lines = [`**${literal(difference.root)}**: ${literal(summarize(difference))}`, ""];
  for (const warning of warnings(difference)) lines.push(`- **${literal(warning)}**`);
  for (const { action, title, details } of groupEffects(difference.effects).map(tell)) {
    lines.push(`- \`${signs[action]}\` ${literal(title)}`);
    for (const detail of details) lines.push(`  - ${literal(detail)}`);
  }
  return lines;
}
