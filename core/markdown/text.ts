/** Markdown for pull requests, in which text from elsewhere is only text. */
import { inert } from "../conf/lint/inert.ts";

/** Nobody reads more of one text, and one line may fill a comment. Characters. */
const longestText = 300;

/** Text that is only text: every mark an entity, and all of it code, where nobody is mentioned and nothing linked. */
export function literal(text: string): string {
  const shown = text.length > longestText ? `${text.slice(0, longestText - 1)}…` : text;
  return `<code>${inert(shown).replace(/[!-/:-@[-`{-~]/g, (mark) => `&#${mark.charCodeAt(0)};`)}</code>`;
}

/** Lines as a block of code, in which nothing has a meaning: its fence is longer than any that stands in it. */
export function fenced(language: string, lines: readonly string[]): string[] {
  const shown = lines.map(codeLine);
  const longest = shown.reduce((most, line) => Math.max(most, ...runsOfBackticks(line)), 2);
  const fence = "`".repeat(longest + 1);
  return [`${fence}${language}`, ...shown, fence];
}

function runsOfBackticks(line: string): number[] {
  return [...line.matchAll(/`+/g)].map(([run]) => run.length);
}

/** Tabs stay: files are indented by them. */
function codeLine(line: string): string {
  const shown = line.length > longestText ? `${line.slice(0, longestText - 1)}…` : line;
  return shown.split("\t").map(inert).join("\t");
}

/** Characters that lines take, their ends counted in. */
export function lengthOf(lines: readonly string[]): number {
  return lines.reduce((sum, line) => sum + line.length + 1, 0);
}

/** As many whole lines as fit, and how many do not. */
export function fit(lines: readonly string[], budget: number): { shown: readonly string[]; left: number } {
  let [count, length] = [0, 0];
  for (const line of lines) {
    length += line.length + 1;
    if (length > budget) break;
    count++;
  }
  return { shown: lines.slice(0, count), left: lines.length - count };
}

/** Of what is said in the place of lines that are left out. Characters. */
export const longestNote = 100;

/** Whole lines that fit; each stands for itself, so that a cut breaks nothing. What is left out is counted. */
export function bounded(lines: readonly string[], budget: number): readonly string[] {
  const { shown, left } = fit(lines, budget - longestNote);
  return left === 0 ? lines : [...shown, "", `**${left} more lines are left out here.**`, ""];
}
