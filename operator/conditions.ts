import type { Condition } from "../core/conditions.ts";
import type { Change } from "../core/diff.ts";
import type { AsteriskIacError } from "../core/errors.ts";
import type { OwnedChange } from "../core/ownership.ts";
import type { Plan } from "../core/plan.ts";
import { explainChange, explainOwned } from "../core/plan.ts";
import type { DeclaredConfFile } from "../engine/desired.ts";
import { confFileOwner } from "../engine/desired.ts";
import type { StatusCondition } from "./objects.ts";

/** A condition without what a status keeps of it. */
export type Plain = Omit<StatusCondition, "lastTransitionTime" | "observedGeneration">;

/** The longest message of a condition that the API server takes. */
const longest = 32_768;

/** Of conditions as kstatus reads them, those that always stand together: Ready, Reconciling and Stalled. */
export function readiness(ready: Plain, { isReconciling }: { isReconciling: boolean }): Plain[] {
  const { reason, message } = ready;
  const isReady = ready.status === "True";
  return [
    ready,
    isReady || !isReconciling
      ? { type: "Reconciling", status: "False", reason: isReady ? "Done" : "Waiting", message: "" }
      : { type: "Reconciling", status: "True", reason, message },
  ];
}

/** What the conditions of a resource are when looking at it ended in an error. */
export function failed(
  { code, message: said, hint, next }: AsteriskIacError,
  reason: string = code,
): Plain[] {
  const message = hint === undefined ? said : `${said}\n${hint}`;
  const ready: Plain = { type: "Ready", status: "False", reason, message };
  if (next === "Stalled")
    return [...readiness(ready, { isReconciling: false }), { ...ready, type: "Stalled", status: "True" }];
  return [
    ...readiness(ready, { isReconciling: true }),
    { type: "Stalled", status: "False", reason: "Progressing", message: "" },
  ];
}

/** Of what keeps a server from being ready, what does not go by itself. */
const waitsForPerson = new Set(["DirectionNotSet", "Drift", "Conflict"]);

/** Those of a server, from the engine's and from what was not applied although it was seen. */
export function serverConditions(all: readonly Condition[], error: AsteriskIacError | undefined): Plain[] {
  const ready = all.find(({ type }) => type === "Ready");
  if (ready === undefined) return [...all];
  const isForPerson = waitsForPerson.has(ready.reason);
  if (error !== undefined && !all.some(isStalled))
    return [
      ...failed(error, isForPerson ? ready.reason : error.code),
      ...all.filter(({ type }) => type !== "Ready" && type !== "Stalled"),
    ];
  const isReconciling = !all.some(isStalled) && !isForPerson;
  return [...readiness(ready, { isReconciling }), ...all.filter(({ type }) => type !== "Ready")];
}

function isStalled({ type, status }: Plain): boolean {
  return type === "Stalled" && status === "True";
}

/** Ready, of a resource that the server has. */
export function inStep(message: string): Plain {
  return { type: "Ready", status: "True", reason: "InSync", message };
}

/** Ready, of a ConfFile with which nothing went wrong: what the plan leaves to do in it, such as drift that is only reported. */
export function fileReadiness(file: DeclaredConfFile | undefined, plan: Plan | AsteriskIacError): Plain {
  const changes = plan instanceof Error ? [] : plan.changes;
  const planned = changes.find(({ change }) => change.path === file?.spec.path);
  // A file of which it has sections may differ for others' sake.
  const own = planned?.owners?.find(({ owner }) => owner === confFileOwner(file?.name ?? ""));
  const what = file?.spec.sections === undefined ? planned?.change : own;
  const reason = what === undefined ? undefined : pendingReason(what);
  if (planned === undefined || reason === undefined) return inStep("the server has it as declared");
  const message = own === undefined ? explainChange(planned) : explainOwned(own);
  return { type: "Ready", status: "False", reason, message };
}

function pendingReason({ kind, ...rest }: Change | OwnedChange): string | undefined {
  if (kind === "Conflict" || kind === "DirectionNotSet") return kind;
  if (kind === "Drift" || ("cause" in rest && rest.cause === "drift")) return "Drift";
  return kind === "Write" || kind === "Unknown" ? "ChangesPending" : undefined;
}

/**
 * Conditions for a status: each keeps the time of its last transition. Conditions that were there before and are not
 * given now stay, unless `replaces`.
 */
export function withTransitions(
  before: readonly StatusCondition[] | undefined,
  now: readonly Plain[],
  { generation, at, keep }: { generation: number | undefined; at: Date; keep: boolean },
): StatusCondition[] {
  const known = new Map((before ?? []).map((condition) => [condition.type, condition]));
  const changed = now.map(({ type, status, reason, message }): StatusCondition => {
    const last = known.get(type);
    return {
      type,
      status,
      reason,
      message: message.slice(0, longest),
      ...(generation === undefined ? {} : { observedGeneration: generation }),
      lastTransitionTime: last?.status === status ? last.lastTransitionTime : at.toISOString(),
    };
  });
  const given = new Set(now.map(({ type }) => type));
  const kept = keep ? [...known.values()].filter(({ type }) => !given.has(type)) : [];
  return [...changed, ...kept];
}
