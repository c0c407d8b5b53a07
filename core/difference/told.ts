/** What a difference says, in the order and the words that every rendering of it has. */
import type { Problem } from "../conf/index.ts";
import type { Effect, EffectAction, EffectiveDifference } from "../difference.ts";
import { explainDetail, explainEffect, explainSetting, groupEffects } from "./sentences.ts";

/** The sign that each action stands behind. */
export const effectSigns = { added: "+", removed: "-", changed: "~", reordered: "~" } as const;

/** One effect, or several told together. Names and values come from files: whoever shows them makes them inert. */
export interface Told {
  readonly action: EffectAction;
  readonly title: string;
  readonly details: readonly string[];
}

/** All effects of a difference, alike ones as one. */
export function told({ effects }: Pick<EffectiveDifference, "effects">): Told[] {
  return groupEffects(effects).map(tell);
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

/** Why the effects are not all, or none. */
export function warnings({ refused, refusedBefore, incomplete }: EffectiveDifference): string[] {
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
