/** Plans as one Markdown comment for reviewers: what callers and phones notice first, the lines of files last. */
import type { AsteriskIacError } from "../../core/errors.ts";
import type { Refusal } from "../../core/guard.ts";
import { differenceMarkdown } from "../../core/markdown/difference.ts";
import { changeMarkdown, foldsMarkdown } from "../../core/markdown/folds.ts";
import { bounded, lengthOf, literal, longestNote } from "../../core/markdown/text.ts";
import type { Plan } from "../../core/plan.ts";
import { hasPendingChanges } from "../../core/plan.ts";
import type { ReloadPlan } from "../../core/reloads.ts";
import type { OfflineFacts } from "./offline.ts";
import { offlineSentences } from "./offline.ts";
import { summary } from "./plan.ts";

/** What came of planning one server: a plan, or why there is none. */
export type PlannedServer =
  | {
      readonly server: string;
      readonly plan: Plan;
      readonly refusals: readonly Refusal[];
      readonly offline?: OfflineFacts;
    }
  | { readonly server: string; readonly error: AsteriskIacError };

/** GitHub takes comments of 65,536 characters; some are for whoever posts it. */
const longestComment = 60_000;
/** What all that is not a file's lines may take. */
const longestSummaries = 40_000;
const mostNames = 30;
/** Of one name among others. */
const longestText = 100;
/** Of what is said of one server: reloads and restarts come after the effects, and have to be seen. */
const partOfEffects = 0.6;

/** The comment, as lines. Never longer than a forge takes: what is left out is counted. */
export function planMarkdown(servers: readonly PlannedServer[], gone: readonly string[] = []): string[] {
  const told = servers.filter((one) => "error" in one || one.plan.changes.length > 0);
  const quiet = servers.filter((one) => !told.includes(one)).map(({ server }) => server);
  const head = [
    `## Asterisk: ${headline(servers)}`,
    "",
    ...(quiet.length === 0 ? [] : [`Nothing to do on ${names(quiet)}.`, ""]),
    ...(gone.length === 0 ? [] : [`No longer declared, and left as they are: ${names(gone)}.`, ""]),
  ];
  const share = Math.max(1000, Math.floor(longestSummaries / Math.max(1, told.length)));
  const sections = told.map((one) => ({
    one,
    lines: bounded(section(one, share), share),
    last: footer(one),
  }));
  const shown: typeof sections = [];
  let used = lengthOf(head);
  for (const one of sections) {
    const length = lengthOf(one.lines) + lengthOf(one.last) + longestNote;
    // Names of those that are left out take their place, too.
    if (used + length > longestComment - mostNames * longestText) break;
    used += length;
    shown.push(one);
  }
  const left = told.slice(shown.length).map(({ server }) => server);
  const changes = shown.flatMap(({ one }) =>
    "plan" in one ? [[one.server, one.plan.changes] as const] : [],
  );
  const folds = foldsMarkdown(new Map(changes), longestComment - used);
  return [
    ...head,
    ...shown.flatMap(({ one, lines, last }) => [...lines, ...(folds.get(one.server) ?? []), ...last]),
    ...(left.length === 0 ? [] : [`**Left out here, for a comment holds no more: ${names(left)}.**`, ""]),
  ];
}

/** The comment where nothing at all could be planned: the manifests are wrong, or a revision is not there. */
export function failureMarkdown(error: AsteriskIacError): string[] {
  return ["## Asterisk: the plan could not be made", "", ...bounded(errorLines(error), longestSummaries)];
}

function headline(servers: readonly PlannedServer[]): string {
  const plans = servers.flatMap((one) => ("plan" in one ? [one] : []));
  const changed = plans.filter(({ plan }) => hasPendingChanges(plan)).length;
  const failed = servers.length - plans.length;
  const refused = plans.filter(({ refusals }) => refusals.length > 0).length;
  const count = `${changed} of ${servers.length} server${servers.length === 1 ? "" : "s"} would change`;
  return [
    count,
    ...(refused === 0 ? [] : [`${refused} would be refused`]),
    ...(failed === 0 ? [] : [`${failed} could not be planned`]),
  ].join(", ");
}

function names(servers: readonly string[]): string {
  const shown = servers.slice(0, mostNames).map(literal).join(", ");
  return servers.length > mostNames ? `${shown} and ${servers.length - mostNames} more` : shown;
}

function section(one: PlannedServer, budget: number): string[] {
  if ("error" in one)
    return [`### ${literal(one.server)}`, "", "**Could not be planned:**", "", ...errorLines(one.error), ""];
  const { server, plan, refusals } = one;
  return [
    `### ${literal(server)}`,
    "",
    ...refusals.flatMap(refusal),
    ...(refusals.length === 0 ? [] : [""]),
    ...consequences(plan, Math.floor(budget * partOfEffects)),
    `Files (${plan.updateDirection ?? "no updateDirection: nothing is ever written"}): ${summary(plan)}.`,
    "",
    ...plan.changes
      .filter(({ difference }) => difference === undefined)
      .map((change) => `- ${changeMarkdown(change)}`),
    "",
  ];
}

function errorLines({ message, hint, where: { file, line } }: AsteriskIacError): string[] {
  const place = file === undefined ? "" : `${file}${line === undefined ? "" : `:${line}`}: `;
  return [
    ...`${place}${message}`.split("\n").map((text) => `- ${literal(text)}`),
    ...(hint === undefined ? [] : [`- ${literal(hint)}`]),
  ];
}

function refusal({ message, hint }: Refusal): string[] {
  return [
    ...message.split("\n").map((line) => `- **Would be refused:** ${literal(line)}`),
    `  - ${literal(hint)}`,
  ];
}

function consequences(plan: Plan, budget: number): string[] {
  const effects = plan.effects.filter(({ effects, refused }) => effects.length > 0 || refused !== undefined);
  const reloads = reloadLines(plan);
  return [
    ...(effects.length === 0 ? [] : ["**What callers, agents and phones notice**", ""]),
    ...bounded(
      effects.flatMap((effect) => [...differenceMarkdown(effect), ""]),
      budget,
    ),
    ...(reloads.length === 0 ? [] : ["**What Asterisk does**", "", ...reloads, ""]),
  ];
}

function reloadLines({ reloads, changes }: Plan): string[] {
  if (reloads !== undefined) return knownReloads(reloads);
  const isWritten = changes.some(
    ({ change, blocked }) =>
      blocked === undefined && "to" in change && change.kind !== "Drift" && change.to === "server",
  );
  return isWritten ? ["- Reloads, and restarts that are needed, are not known."] : [];
}

function knownReloads({ reloads, restarts, notLoaded }: ReloadPlan): string[] {
  return [
    ...restarts.map(({ path, what }) => `- **Restart needed:** ${literal(path)}: ${literal(what)}`),
    ...[...Map.groupBy(reloads, ({ because }) => because.map(literal).join(", "))].map(
      ([files, modules]) =>
        `- reloads ${modules.map(({ module }) => literal(module)).join(", ")} for ${files}`,
    ),
    ...notLoaded.map(({ path, why }) => `- no reload for ${literal(path)}: ${literal(why)}`),
  ];
}

function footer(one: PlannedServer): string[] {
  if ("error" in one) return [];
  const { server, plan, offline } = one;
  const limits = offline === undefined ? [] : offlineSentences(offline, literal).map((line) => `> - ${line}`);
  return [
    ...(limits.length === 0 ? [] : [...limits, ""]),
    ...(plan.hash === ""
      ? []
      : [
          "To apply this plan and no other:",
          "",
          "```sh",
          `asteriskctl apply ${server} --expect ${plan.hash}`,
          "```",
          "",
        ]),
  ];
}
