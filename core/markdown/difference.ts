import type { EffectiveDifference } from "../difference.ts";
import { summarize } from "../difference.ts";
import { effectSigns, told, warnings } from "../difference/told.ts";
import { literal } from "./text.ts";

/** What changes for Asterisk, as a Markdown list for a pull request. */
export function differenceMarkdown(difference: EffectiveDifference): string[] {
  const lines = [`**${literal(difference.root)}**: ${literal(summarize(difference))}`, ""];
  for (const warning of warnings(difference)) lines.push(`- **${literal(warning)}**`);
  for (const { action, title, details } of told(difference)) {
    lines.push(`- \`${effectSigns[action]}\` ${literal(title)}`);
    for (const detail of details) lines.push(`  - ${literal(detail)}`);
  }
  return lines;
}
