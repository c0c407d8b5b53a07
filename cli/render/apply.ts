import { written } from "../../core/guard.ts";
import type { ApplyResult } from "../../engine/apply.ts";
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
  const { outcome, plan, refusals, server, source } = result;
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

function sourceText({ written: files, removed, recorded, keptAs }: Collected): string[] {
  return [
    ...files.map((path) => `  wrote ${printable(path)} to the source`),
    ...removed.map((path) => `  removed ${printable(path)} from the source`),
    ...(recorded.length === 0 ? [] : [`  recorded ${recorded.length} files that are equal on both sides`]),
    ...(files.length + removed.length === 0
      ? []
      : [`  the old bytes are kept beside the source as ${keptAs}`]),
  ];
}

/** What an apply did, as JSON has it. */
export function applyJSON({ plan, outcome, refusals, server, source }: ApplyResult): object {
  return {
    outcome,
    hash: plan.hash,
    refusals,
    serverWrite: server === undefined ? null : { written: written(plan, "server"), ...server },
    sourceWrite: source ?? null,
    restarts: plan.reloads?.restarts ?? [],
  };
}
