/** What changes for Asterisk, beside the lines of a file. All text of a file is made inert. */
import { inert } from "../../core/conf/lint/inert.ts";
import type { EffectiveDifference } from "../../core/difference.ts";
import { summarize } from "../../core/difference.ts";
import { effectSigns, told, warnings } from "../../core/difference/told.ts";
import type { Paint } from "../terminal.ts";

const styles = { added: "green", removed: "red", changed: "yellow", reordered: "yellow" } as const;

/** The difference as lines for a terminal: a summary, and below it what becomes of each thing. */
export function differenceText(difference: EffectiveDifference, paint: Paint): string[] {
  const lines = [`${paint("bold", inert(difference.root))}: ${inert(summarize(difference))}`];
  for (const warning of warnings(difference)) lines.push(`  ${paint("red", `! ${inert(warning)}`)}`);
  for (const { action, title, details } of told(difference)) {
    lines.push(`  ${paint(styles[action], effectSigns[action])} ${inert(title)}`);
    for (const detail of details) lines.push(`      ${inert(detail)}`);
  }
  return lines;
}
