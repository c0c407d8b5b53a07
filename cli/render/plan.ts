import type { DifferenceHunk, Plan, PlannedChange } from "../../core/plan.ts";
import { explain, explainOwned } from "../../core/plan.ts";
import type { ReloadPlan } from "../../core/reloads.ts";
import { differenceMarkdown, differenceText } from "./difference.ts";
import type { Paint } from "../terminal.ts";
import { printable } from "../terminal.ts";

/** A sign a change is recognised by at the start of its line. */
function sign({ change, blocked, error }: PlannedChange): string {
  if (blocked !== undefined) return "·";
  if (error !== undefined) return "!";
  switch (change.kind) {
    case "Write":
      return change.creates ? "+" : "~";
    case "Remove":
      return "-";
    case "Conflict":
    case "DirectionNotSet":
    case "Unknown":
      return "!";
    case "Record":
    case "InSync":
      return "=";
    case "Drift":
    case "Left":
    case "Unmanaged":
      return "·";
  }
}

const styles = { "+": "green", "~": "yellow", "-": "red", "!": "red", "=": "dim", "·": "dim" } as const;

function title(planned: PlannedChange): string {
  const reason = reasonOf(planned);
  return `${printable(planned.change.path)}: ${printable(reason)}`;
}

function reasonOf({ change, blocked, error }: PlannedChange): string {
  if (blocked !== undefined) return `left alone: ${blocked}`;
  return error === undefined ? explain(change) : `refused: ${error}`;
}

function ownersOf({ owners = [], hides }: PlannedChange): string[] {
  const changed = owners.filter(({ kind }) => kind !== "InSync" && kind !== "Held");
  return [
    ...(hides === undefined ? [] : [printable(`${hides} is the whole file instead of the source's copy`)]),
    ...changed.map((owned) => printable(`${owned.owner}: ${explainOwned(owned)}`)),
  ];
}

function summary(plan: Plan): string {
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

/** The plan as lines for a terminal. */
export function planText(plan: Plan, paint: Paint): string[] {
  const direction = plan.updateDirection ?? "no updateDirection: nothing is ever written";
  const lines = [`${paint("bold", plan.server)}  ${direction}  ${summary(plan)}`];
  for (const planned of plan.changes) {
    const mark = sign(planned) as keyof typeof styles;
    lines.push(`  ${paint(styles[mark], mark)} ${title(planned)}`);
    lines.push(...ownersOf(planned).map((line) => `      ${line}`));
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
  lines.push(...reloadsText(plan.reloads, paint), `  plan ${plan.hash.slice(0, 12)}`);
  return lines;
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

/** The plan as Markdown for a pull request: a list, and each difference behind a fold. */
export function planMarkdown(plan: Plan): string[] {
  const lines = [
    `### ${plan.server}`,
    "",
    `${plan.updateDirection ?? "No updateDirection"}: ${summary(plan)}.`,
    "",
  ];
  for (const planned of plan.changes) {
    lines.push(`- \`${sign(planned)}\` ${code(planned.change.path)}: ${escape(reasonOf(planned))}`);
    lines.push(...ownersOf(planned).map((line) => `  - ${escape(line)}`));
    if (planned.difference === undefined) continue;
    lines.push("", "  <details><summary>difference</summary>", "", "  <pre>");
    for (const hunk of planned.difference) {
      lines.push(hunkHeader(hunk));
      for (const line of hunk.lines)
        lines.push(escapeHTML({ same: " ", added: "+", removed: "-" }[line.kind] + printable(line.text)));
    }
    lines.push("  </pre>", "", "  </details>", "");
  }
  const effects = plan.effects.filter(({ effects, refused }) => effects.length > 0 || refused !== undefined);
  for (const effect of effects) lines.push("", ...differenceMarkdown(effect));
  const reloads = reloadsText(plan.reloads, (_, text) => text);
  if (reloads.length > 0) lines.push("", ...reloads.map((line) => `- ${escape(line.trim())}`));
  lines.push("", `plan \`${plan.hash}\``, "");
  return lines;
}

function escapeHTML(text: string): string {
  return text.replace(/[&<>]/g, (character) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[character] ?? "");
}

/** Inert in Markdown and HTML. */
function escape(text: string): string {
  return escapeHTML(text).replace(/[\\`*_[\]|]/g, "\\$&");
}

function code(text: string): string {
  return `<code>${printable(text).replace(/[&<>`]/g, (character) => `&#${character.charCodeAt(0)};`)}</code>`;
}
