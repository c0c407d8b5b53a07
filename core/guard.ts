import type { Change, Side } from "./diff.ts";
import type { ObservedFile } from "./observed.ts";
import type { Plan, PlannedChange } from "./plan.ts";

/** Files without which Asterisk does not start, or does not let us in; never removed. */
const neverRemoved = new Set(["asterisk.conf", "modules.conf", "manager.conf"]);

/** What is known of a path beside its bytes. */
export interface PathFacts {
  /** The path on the server. */
  readonly observed: ObservedFile | undefined;
  /** A file that stays there and that includes this one; undefined when none does. */
  readonly includedBy: string | undefined;
  /** The server had the path at the initial import: it was there before us. */
  readonly wasThereBefore: boolean;
}

/**
 * Why a change of the table is left alone all the same; undefined when nothing is in its way. A filter on changes, for
 * the server's side: nothing that somebody else writes or that others need is touched. Pure.
 */
export function leftAlone(
  change: Change,
  { observed, includedBy, wasThereBefore }: PathFacts,
): string | undefined {
  if ((change.kind !== "Write" && change.kind !== "Remove") || change.to !== "server") return undefined;
  if (observed?.kind === "link")
    return `it is a symbolic link to ${observed.linkTarget ?? "?"}, and links are never written through`;
  if (observed?.generatedBy !== undefined) return `it is generated: ${observed.generatedBy}`;
  if (change.kind === "Write") return undefined;
  if (neverRemoved.has(change.path)) return "Asterisk does not start without it";
  if (includedBy !== undefined) return `${includedBy} includes it`;
  return wasThereBefore ? "it was there before asterisk-iac" : undefined;
}

/** What `--allow` can allow. */
export const allowances = ["take-over", "large-change", "older-revision"] as const;
export type Allowance = (typeof allowances)[number];

/** Why a plan is not applied as a whole. `allowance`: the `--allow` that would let it pass. */
export interface Refusal {
  readonly code:
    | "Conflict"
    | "DirectionNotSet"
    | "ConfInvalid"
    | "LargeChange"
    | "OlderRevision"
    | "OtherManager"
    | "PlanChanged"
    | "CallsActive";
  readonly message: string;
  readonly hint: string;
  readonly allowance?: Allowance;
}

/** What the guard knows beside the plan. */
export interface GuardInput {
  readonly allow: ReadonlySet<Allowance>;
  /** Who applied last, from the server's record; undefined before the first apply. */
  readonly lastManager: string | undefined;
  readonly manager: string;
  /** What Asterisk would refuse because of the plan, by path: in a file that is written, or in one that includes it. */
  readonly errors: ReadonlyMap<string, string>;
  /** Commits of the source, where the one that is to be applied does not come after the one that was. */
  readonly olderRevision?: { readonly applied: string; readonly now: string } | undefined;
  /** Too much at once, one sentence each. */
  readonly largeChanges: readonly string[];
  /** The plan's hash that was confirmed. */
  readonly expectedHash: string | undefined;
}

/** Every reason not to apply a plan, all at once; empty when it may be applied. Pure. */
export function guard(plan: Plan, input: GuardInput): Refusal[] {
  const paths = (kind: Change["kind"]): string[] =>
    plan.changes.filter(({ change }) => change.kind === kind).map(({ change }) => change.path);
  const conflicts = plan.changes.filter(({ change }) => change.kind === "Conflict");
  const refusals: (Refusal | undefined)[] = [
    input.expectedHash !== undefined && !plan.hash.startsWith(input.expectedHash)
      ? {
          code: "PlanChanged",
          message: `the plan is ${plan.hash} now, not ${input.expectedHash}`,
          hint: "Look at the new plan, then apply that.",
        }
      : undefined,
    listed(conflicts.map(inConflict), (files) => ({
      code: "Conflict",
      ...(conflicts.every(({ change }) => change.kind === "Conflict" && change.why === "declared")
        ? {
            message: `the server's bytes can't be written into a ConfFile: ${files}`,
            hint: "Put them into the ConfFile, or choose other files with `--file`. Nothing was written.",
          }
        : {
            message: `both sides moved: ${files}`,
            hint: "Choose with `apply --take source` or `--take server`, and `--file` for some of them. Nothing was written.",
          }),
    })),
    listed(paths("DirectionNotSet"), (files) => ({
      code: "DirectionNotSet",
      message: `no updateDirection says which side is right: ${files}`,
      hint: "Set spec.updateDirection, or choose once with `upload`, `download` or `apply --take`.",
    })),
    input.errors.size > 0
      ? {
          code: "ConfInvalid",
          message: [...input.errors].map(([path, error]) => `${path}: ${error}`).join("\n"),
          hint: "Mend it where it is declared. Nothing was written.",
        }
      : undefined,
    input.lastManager !== undefined &&
    input.lastManager !== input.manager &&
    written(plan, "server").length > 0
      ? {
          code: "OtherManager",
          message: `this server was last applied by ${input.lastManager}, and this is ${input.manager}`,
          hint: "If that one is out of use, pass `--allow take-over`.",
          allowance: "take-over",
        }
      : undefined,
    input.olderRevision !== undefined
      ? {
          code: "OlderRevision",
          message: `${input.olderRevision.now.slice(0, 12)} does not come after ${input.olderRevision.applied.slice(0, 12)}, which was applied to the server`,
          hint: "Go back with `git revert`, which makes a newer commit; if the older one is meant, pass `--allow older-revision`.",
          allowance: "older-revision",
        }
      : undefined,
    listed(input.largeChanges, (changes) => ({
      code: "LargeChange",
      message: `too much at once: ${changes}`,
      hint: "If that is meant, pass `--allow large-change`.",
      allowance: "large-change",
    })),
  ];
  return refusals
    .filter((refusal) => refusal !== undefined)
    .filter(({ allowance }) => allowance === undefined || !input.allow.has(allowance));
}

/** A path in conflict, with the resources whose keys are. */
function inConflict({ change: { path }, owners = [] }: PlannedChange): string {
  const own = owners.filter(({ kind }) => kind === "Conflict").map(({ owner }) => owner);
  return own.length === 0 ? path : `${path} (${own.join(", ")})`;
}

/** The paths that a plan writes or removes on one side. */
export function written(plan: Plan, side: Side): string[] {
  return plan.changes
    .filter(
      ({ change, blocked }) =>
        blocked === undefined && (change.kind === "Write" || change.kind === "Remove") && change.to === side,
    )
    .map(({ change }) => change.path);
}

function listed(items: readonly string[], refusal: (items: string) => Refusal): Refusal | undefined {
  if (items.length === 0) return undefined;
  return refusal(
    items.length > 5 ? `${items.slice(0, 5).join(", ")} and ${items.length - 5} more` : items.join(", "),
  );
}
