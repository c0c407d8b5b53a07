import type { AsteriskIacError } from "./errors.ts";
import type { Plan } from "./plan.ts";
import type { ImportRecord } from "./record.ts";
import type { UpdateDirection } from "./resource/index.ts";

/** A condition as Kubernetes has them. */
export interface Condition {
  readonly type: "Ready" | "Reachable" | "InitialImportDone" | "InSync" | "Stalled";
  readonly status: "True" | "False" | "Unknown";
  /** One word in CamelCase. */
  readonly reason: string;
  readonly message: string;
}

/** What the conditions of a server are computed from. */
export interface Observation {
  readonly record: ImportRecord | undefined;
  readonly updateDirection: UpdateDirection | undefined;
  /** The plan, or why there is none. */
  readonly plan: Plan | AsteriskIacError | undefined;
}

/** The conditions of a server that answered. Computed here and nowhere else. Pure. */
export function conditions({ record, updateDirection, plan }: Observation): Condition[] {
  const imported: Condition =
    record?.state === "Done"
      ? {
          type: "InitialImportDone",
          status: "True",
          reason: "Imported",
          message: `at ${record.doneAt ?? "?"}`,
        }
      : record === undefined
        ? {
            type: "InitialImportDone",
            status: "False",
            reason: "NotImported",
            message: "no import was made yet",
          }
        : {
            type: "InitialImportDone",
            status: "False",
            reason: "Interrupted",
            message: "an import was interrupted; the next one goes on",
          };
  const inSync = inSyncCondition(plan);
  const stalled: Condition =
    plan instanceof Error && plan.next === "Stalled"
      ? { type: "Stalled", status: "True", reason: plan.code, message: plan.message }
      : { type: "Stalled", status: "False", reason: "Progressing", message: "" };
  const reachable: Condition = {
    type: "Reachable",
    status: "True",
    reason: "Connected",
    message: "SSH and AMI answered",
  };
  return [ready([stalled, imported, inSync], updateDirection), reachable, imported, inSync, stalled];
}

function ready(
  [stalled, imported, inSync]: [Condition, Condition, Condition],
  updateDirection: UpdateDirection | undefined,
): Condition {
  const not = ({ reason, message }: Condition): Condition => ({
    type: "Ready",
    status: "False",
    reason,
    message,
  });
  if (stalled.status === "True") return not(stalled);
  if (imported.status === "False") return not(imported);
  if (updateDirection === undefined) {
    return not({
      ...imported,
      reason: "DirectionNotSet",
      message: "no updateDirection, so nothing is ever written",
    });
  }
  if (inSync.status !== "True") return not(inSync);
  return { type: "Ready", status: "True", reason: "InSync", message: inSync.message };
}

function inSyncCondition(plan: Observation["plan"]): Condition {
  const type = "InSync";
  if (plan === undefined || plan instanceof Error) {
    return {
      type,
      status: "Unknown",
      reason: "NotCompared",
      message: plan === undefined ? "the import comes first" : plan.message,
    };
  }
  const count = (kinds: readonly string[]): number =>
    plan.changes.filter(({ change }) => kinds.includes(change.kind)).length;
  const conflicts = count(["Conflict"]);
  if (conflicts > 0)
    return {
      type,
      status: "False",
      reason: "Conflict",
      message: `${conflicts} files in conflict, plan ${plan.hash.slice(0, 12)}`,
    };
  const drift = plan.changes.filter(
    ({ change }) => change.kind === "Drift" || (change.kind === "Write" && change.cause === "drift"),
  ).length;
  if (drift > 0) return { type, status: "False", reason: "Drift", message: `${drift} files moved away` };
  const pending = count(["Write", "Remove", "Record", "DirectionNotSet", "Unknown"]);
  if (pending > 0)
    return { type, status: "False", reason: "ChangesPending", message: `${pending} files differ` };
  return { type, status: "True", reason: "InSync", message: `${plan.inSync} files in sync` };
}
