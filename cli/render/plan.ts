import type { DifferenceHunk, Plan, PlannedChange } from "../../core/plan.ts";
import { changeSign, explainChange, explainOwners } from "../../core/plan.ts";
import type { ReloadPlan } from "../../core/reloads.ts";
import { differenceText } from "./difference.ts";
import type { OfflineFacts } from "./offline.ts";
import { offlineSentences } from "./offline.ts";
import { disturbsCalls } from "../../engine/active-calls.ts";
import type { Paint } from "../terminal.ts";
import { printable } from "../terminal.ts";

const styles = { "+": "green", "~": "yellow", "-": "red", "!": "red", "=": "dim", "·": "dim" } as const;

function title(planned: PlannedChange): string {
  return `${printable(planned.change.path)}: ${printable(explainChange(planned))}`;
}

export function summary(plan: Plan): string {
  const counts = new Map<string, number>();
  for (const planned of plan.changes) {
    const { change } = planned;
    const key =
      planned.blocked !== undefined
        ? "left alone"
        : planned.error !== undefined
          ? "refused"
          : change.kind === "Write"
            ? `to write to the ${change.to}`
            : {
                InSync: "in sync",
                Record: "to record",
                Remove: "to remove",
                Drift: "drifted",
                Left: "left",
                Conflict: "in conflict",
                Unmanaged: "unmanaged",
                DirectionNotSet: "without a direction",
                Unknown: "unreadable",
              }[change.kind];
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return [`${plan.inSync} in sync`, ...[...counts].map(([key, count]) => `${count} ${key}`)].join(", ");
}

/** What stands beside a plan that makes Asterisk reload: the calls that are up. */
export function callsText(plan: Plan, activeCalls: number): string[] {
  if (activeCalls === 0 || !disturbsCalls(plan)) return [];
  return [`  ${activeCalls === 1 ? "1 call is" : `${activeCalls} calls are`} up`];
}

/** The plan as lines for a terminal. */
export function planText(plan: Plan, paint: Paint): string[] {
  const direction = plan.updateDirection ?? "no updateDirection: nothing is ever written";
  const lines = [`${paint("bold", plan.server)}  ${direction}  ${summary(plan)}`];
  for (const planned of plan.changes) {
    const mark = changeSign(planned);
    lines.push(`  ${paint(styles[mark], mark)} ${title(planned)}`);
    lines.push(...explainOwners(planned).map((line) => `      ${printable(line)}`));
    for (const hunk of planned.difference ?? []) {
      lines.push(`      ${paint("cyan", hunkHeader(hunk))}`);
      for (const line of hunk.lines) {
        const [prefix, style] = { same: [" ", "dim"], added: ["+", "green"], removed: ["-", "red"] }[
          line.kind
        ] as [string, "dim" | "green" | "red"];
        lines.push(`      ${paint(style, `${prefix}${printable(line.text)}`)}`);
      }
    }
  }
  if (plan.changes.length === 0) return [...lines, "  nothing to do"];
  for (const effect of plan.effects) {
    if (effect.effects.length === 0 && effect.refused === undefined) continue;
    lines.push(...differenceText(effect, paint).map((line) => `  ${line}`));
  }
  lines.push(...reloadsText(plan.reloads, paint));
  return plan.hash === "" ? lines : [...lines, `  plan ${plan.hash.slice(0, 12)}`];
}

function reloadsText(reloads: ReloadPlan | undefined, paint: Paint): string[] {
  if (reloads === undefined) return [];
  return [
    ...(reloads.reloads.length === 0
      ? []
      : [`  reload: ${reloads.reloads.map(({ module }) => module).join(", ")}`]),
    ...reloads.restarts.map(
      ({ path, what }) => `  ${paint("yellow", "restart needed:")} ${printable(`${path}: ${what}`)}`,
    ),
    ...reloads.notLoaded.map(({ path, why }) => `  no reload for ${printable(`${path}: ${why}`)}`),
  ];
}

function hunkHeader({ oldStart, newStart }: DifferenceHunk): string {
  return `@@ -${oldStart} +${newStart} @@`;
}

/** What a plan without the server can't know, as lines for a terminal. */
export function offlineText(facts: OfflineFacts): string[] {
  return offlineSentences(facts, printable).map((line) => `  ${line}`);
}
