import { createHash } from "node:crypto";
import type { Change } from "./diff.ts";
import type { EffectiveDifference } from "./difference.ts";
import type { OwnedChange, Owner } from "./ownership.ts";
import type { RecordedHash } from "./record.ts";
import type { ReloadPlan } from "./reloads.ts";
import type { UpdateDirection } from "./resource/index.ts";

/** One line of a difference; `text` has its secrets masked and no line end. */
export interface DifferenceLine {
  readonly kind: "same" | "added" | "removed";
  readonly text: string;
}

/** Some neighbouring lines that differ; the numbers count from 1. */
export interface DifferenceHunk {
  readonly oldStart: number;
  readonly newStart: number;
  readonly lines: readonly DifferenceLine[];
}

/** What a plan says of one path that is not simply in sync. */
export interface PlannedChange {
  readonly change: Change;
  /** Recorded hashes of both sides; null where the path is not there. */
  readonly sourceHash: RecordedHash | null;
  readonly serverHash: RecordedHash | null;
  /** What happens to the keys that resources own in it; `result`: the recorded hash of what is to be written. */
  readonly owners?: readonly (OwnedChange & { readonly result: RecordedHash | null })[];
  /** The ConfFile that is the whole file, where the source has a copy that does not count therefore. */
  readonly hides?: Owner;
  /** Why it is left alone although the table says otherwise: a link, a generated file, one that others need. */
  readonly blocked?: string;
  /** What Asterisk would refuse in it; such a plan is not applied. */
  readonly error?: string;
  /** Old and new as lines, from the written side to the other; undefined for what is not text. */
  readonly difference?: readonly DifferenceHunk[];
}

/** What would happen to one server, as data: sorted by path, printable, without content. */
export interface Plan {
  readonly server: string;
  readonly updateDirection: UpdateDirection | undefined;
  readonly changes: readonly PlannedChange[];
  /** Paths on which both sides and the record agree. */
  readonly inSync: number;
  /** What changes for Asterisk, by the files that its modules open. */
  readonly effects: readonly EffectiveDifference[];
  /** Undefined where nothing is written to the server. */
  readonly reloads: ReloadPlan | undefined;
  /** SHA-256 of what would be done to what; clock, live calls and rendering are left out. */
  readonly hash: string;
}

/** What a plan is made of. `changes` holds the paths that are in sync, too. */
export type PlanParts = Omit<Plan, "inSync" | "hash">;

/** Builds the plan with its hash. Pure. */
export function makePlan({ changes: all, ...parts }: PlanParts): Plan {
  const changes = all.filter(({ change }) => change.kind !== "InSync");
  const hashed = changes.map(({ change, sourceHash, serverHash, blocked, error, owners }) => [
    change,
    sourceHash,
    serverHash,
    blocked !== undefined,
    error !== undefined,
    ...(owners === undefined ? [] : [owners]),
  ]);
  const hash = createHash("sha256")
    .update(JSON.stringify([parts.server, parts.updateDirection ?? null, hashed]))
    .digest("hex");
  return { ...parts, changes, inSync: all.length - changes.length, hash };
}

/** Whether something is to be done or decided: what `--detailed-exitcode` answers with 2. */
export function hasPendingChanges(plan: Plan): boolean {
  return plan.changes.some(({ change, blocked }) => blocked === undefined && isPending(change));
}

function isPending(change: Change): boolean {
  switch (change.kind) {
    case "Write":
    case "Remove":
    case "Record":
    case "Drift":
    case "Conflict":
    case "DirectionNotSet":
    case "Unknown":
      return true;
    case "InSync":
    case "Left":
    case "Unmanaged":
      return false;
  }
}

/** One sentence of what happens to a path, in the design's words. */
export function explain(change: Change): string {
  switch (change.kind) {
    case "InSync":
      return "in sync";
    case "Record":
      return "both sides are equal; only the record is brought up to date";
    case "Write":
      if (change.cause === "owned") return `what resources own in it is written to the ${change.to}`;
      if (change.cause === "taken")
        return `the ${other(change.to)}'s bytes were chosen and are written to the ${change.to}`;
      if (change.cause === "drift") return `drift: the ${change.to} moved away and is corrected`;
      return change.creates
        ? `created on the ${change.to}`
        : `changed on the ${other(change.to)}, written to the ${change.to}`;
    case "Remove":
      return `gone from the ${other(change.to)}, removed from the ${change.to}`;
    case "Drift":
      return `drift: the ${change.to} moved away; reported only (drift: Report)`;
    case "Left":
      return `gone from the ${other(change.on)}, left on the ${change.on} (prune: false)`;
    case "Conflict":
      return {
        "both-moved": "conflict: both sides changed since they were last equal",
        "moved-and-gone": "conflict: one side changed it and the other removed it",
        "never-recorded": "conflict: both sides have it, with different bytes, and never were equal",
        declared:
          "conflict: the server's bytes were chosen, and a ConfFile declares others: nothing is ever written into one",
        "owned-keys": "conflict: the server has other values for what a resource declares, and not from us",
      }[change.why];
    case "Unmanaged":
      return change.why === "rule"
        ? `unmanaged by the rule ${change.rule ?? ""}`
        : "only there, never recorded: not touched";
    case "DirectionNotSet":
      return "the two sides differ and no updateDirection says which is right";
    case "Unknown":
      return `the ${change.side}'s copy can't be read`;
  }
}

/** A sign that a change is recognised by at the start of its line. */
export function changeSign({ change, blocked, error }: PlannedChange): "+" | "~" | "-" | "!" | "=" | "·" {
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

/** The same as `explain`, or why nothing of the kind will happen. */
export function explainChange({ change, blocked, error }: PlannedChange): string {
  if (blocked !== undefined) return `left alone: ${blocked}`;
  return error === undefined ? explain(change) : `refused: ${error}`;
}

/** What happens to the keys that resources own in a file, where anything does. */
export function explainOwners({ owners = [], hides }: PlannedChange): string[] {
  const changed = owners.filter(({ kind }) => kind !== "InSync" && kind !== "Held");
  return [
    ...(hides === undefined ? [] : [`${hides} is the whole file instead of the source's copy`]),
    ...changed.map((owned) => `${owned.owner}: ${explainOwned(owned)}`),
  ];
}

/** One sentence of what happens to what a resource owns in a file. */
export function explainOwned({ kind, cause }: OwnedChange): string {
  switch (kind) {
    case "InSync":
      return "in sync";
    case "Record":
      return "the server has it already; only the record is brought up to date";
    case "Write":
      if (cause === "taken") return "the declaration was chosen and is written to the server";
      return cause === "drift" ? "drift: the server moved away and is corrected" : "written to the server";
    case "Remove":
      return "no longer declared: taken out, and what was there before comes back";
    case "Release":
      return "no longer declared, and gone from the server or another's: only the record is brought up to date";
    case "Drift":
      return "drift: the server moved away; reported only (drift: Report)";
    case "Left":
      return "no longer declared, left on the server (prune: false, or deletionPolicy: Retain)";
    case "Conflict":
      return "conflict: the server has other values, which are not from us";
    case "Held":
      return "no part of this plan";
  }
}

function other(side: "source" | "server"): "source" | "server" {
  return side === "source" ? "server" : "source";
}
