import { written } from "../../core/guard.ts";
import type { ApplyResult } from "../../engine/apply.ts";
import type { Revision } from "../../core/source.ts";
import type { Collected } from "../../engine/collect.ts";
import type { Proof, ServerWrite } from "../../engine/server-write.ts";
import type { Paint } from "../terminal.ts";
import { printable } from "../terminal.ts";

const outcomes = {
  Applied: ["green", "applied"],
  NothingToDo: ["dim", "nothing to do"],
  RolledBack: ["red", "rolled back"],
  NotVerified: [
    "red",
    "not verified: what an earlier run wrote is not as it should be, and was changed since",
  ],
  Refused: ["red", "refused"],
} as const;

/** What an apply did, as lines for a terminal. */
export function applyText(result: ApplyResult, paint: Paint): string[] {
  const { outcome, plan, refusals, server, source, revision } = result;
  const [style, said] = outcomes[outcome];
  const lines = [`${paint("bold", plan.server)}  ${paint(style, said)}`];
  for (const { message, hint } of refusals) lines.push(`  ${printable(message)}`, `    ${hint}`);
  if (server !== undefined) {
    const verb = server.restored === undefined ? "wrote" : "put back";
    lines.push(...written(plan, "server").map((path) => `  ${verb} ${printable(path)} on the server`));
    lines.push(...serverWriteText(server, paint));
    for (const { path, what } of plan.reloads?.restarts ?? []) {
      lines.push(`  ${paint("yellow", "restart needed:")} ${printable(`${path}: ${what}`)}`);
    }
  }
  if (source !== undefined) lines.push(...sourceText(source));
  if (revision !== undefined && server !== undefined)
    lines.push(`  of commit ${revision.commit.slice(0, 12)} on ${revision.branch}`);
  return lines;
}

/** What became of a write to the server, as lines for a terminal. */
export function serverWriteText(server: ServerWrite, paint: Paint): string[] {
  const lines = [`  the old bytes are kept on the server as ${server.kept}`, ...proofText(server, paint)];
  if (server.restored === undefined) return lines;
  return [...lines, `  ${paint("bold", "the old bytes are back:")}`, ...proofText(server.restored, paint)];
}

function proofText({ reloads, verification }: Proof, paint: Paint): string[] {
  const lines: string[] = [];
  for (const [outcome, modules] of Map.groupBy(reloads.modules, (one) => one.outcome)) {
    lines.push(`  reload ${modules.map(({ module }) => module).join(", ")}: ${outcome}`);
  }
  const notReloads = verification.evidence.filter(({ source }) => !source.startsWith("reload of "));
  const unseen = new Set([
    ...notReloads.filter(({ observed }) => !observed).map(({ source, saw }) => `${source}: ${saw}`),
    ...verification.unobserved.filter((what) => !what.startsWith("reload of ")),
  ]);
  lines.push(
    ...notReloads
      .filter(({ observed }) => observed)
      .map(({ source, saw }) => `  seen  ${printable(`${source}: ${saw}`)}`),
  );
  lines.push(...[...unseen].map((what) => `  not seen  ${printable(what)}`));
  const failures = new Set(
    verification.failures.map(({ probe, expected, saw }) => `${probe}: expected ${expected}, saw ${saw}`),
  );
  lines.push(...[...failures].map((failure) => `  ${paint("red", "failed")}  ${printable(failure)}`));
  return lines;
}

function sourceText({ written: files, removed, recorded, keptAs, revision }: Collected): string[] {
  const isProposed = revision?.pullRequest !== undefined;
  const kept =
    revision === undefined
      ? `  the old bytes are kept beside the source as ${keptAs}`
      : `  the old bytes are in the history, as they were before ${keptAs}`;
  return [
    ...files.map((path) => `  ${isProposed ? "proposed" : "wrote"} ${printable(path)} to the source`),
    ...removed.map(
      (path) => `  ${isProposed ? "proposed to remove" : "removed"} ${printable(path)} from the source`,
    ),
    ...(recorded.length === 0 ? [] : [`  recorded ${recorded.length} files that are equal on both sides`]),
    ...(files.length + removed.length === 0 || isProposed ? [] : [kept]),
    ...(revision === undefined ? [] : [`  ${revisionText(revision)}`]),
  ];
}

/** Where something that was written to a source with a history is now. */
export function revisionText({ commit, branch, pullRequest }: Revision): string {
  if (pullRequest === undefined) return `commit ${commit.slice(0, 12)} on ${branch}`;
  const { number, outcome, url } = pullRequest;
  return `pull request ${number} ${pullRequestOutcomes[outcome]}: ${printable(url)}`;
}

const pullRequestOutcomes = {
  Opened: "opened",
  Updated: "updated",
  Unchanged: "is open with this already",
  Behind:
    "is open with this, but its base has moved and others committed to its branch: merge the base there",
  Rejected: "with this was closed unmerged, and is not opened again",
  Withdrawn: "closed: there is nothing to propose any more",
} as const;

/** What an apply did, as JSON has it. */
export function applyJSON({ plan, outcome, refusals, server, source, revision }: ApplyResult): object {
  return {
    outcome,
    hash: plan.hash,
    refusals,
    serverWrite: server === undefined ? null : { written: written(plan, "server"), ...server },
    sourceWrite: source ?? null,
    revision: revision ?? null,
    restarts: plan.reloads?.restarts ?? [],
  };
}
