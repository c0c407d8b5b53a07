import type { PathPolicy, UpdateDirection } from "./resource/index.ts";
import { comparePaths } from "./record.ts";

/**
 * One path as three parties know it. Hashes are compared for equality only. `null`: the path is not there;
 * `"unknown"`: it could not be read, so nothing can be concluded from it.
 */
export interface Triple {
  readonly path: string;
  readonly source: string | null | "unknown";
  readonly server: string | null | "unknown";
  readonly recorded: string | null;
}

/** A person's choice of the side that is right, made once. */
export interface Take {
  readonly side: Side;
  /**
   * `conflicts`: where the table can't decide; the other paths go their way. `all`: every path that differs and that this
   * side has; a path that does not match is no part of the plan.
   */
  readonly scope: "conflicts" | "all";
  readonly matches: (path: string) => boolean;
}

export interface DiffPolicy {
  readonly pathPolicy: (path: string) => PathPolicy;
  readonly prune: boolean;
  readonly drift: "Correct" | "Report";
  readonly take?: Take;
}

/** Which way a path moves; `Source` and `Server` name the side that is written. */
export type Side = "source" | "server";

/**
 * What happens to one path; the table "What happens" of the design, one cell each.
 *
 * - `InSync`: both sides and the record agree.
 * - `Write`: `to` gets the other side's bytes. `cause` tells a declared change from a drift that is corrected, and both
 *   from what a person took; `owned`: only what resources own in the file changes.
 * - `Remove`: gone from the side of truth and removed from `to`.
 * - `Record`: both sides are equal and the record is not: only the record changes.
 * - `Drift`: `to` moved away and is only reported (`drift: Report`).
 * - `Left`: gone from the side of truth, left on the other and reported (`prune: false`).
 * - `Conflict`: both moved. Nothing is written until somebody decides.
 * - `Unmanaged`: a rule says so, or only the written side has it.
 * - `DirectionNotSet`: the two differ and nothing says which is right.
 * - `Unknown`: one side could not be read.
 */
export type Change =
  | { readonly kind: "InSync"; readonly path: string }
  | { readonly kind: "Record"; readonly path: string }
  | {
      readonly kind: "Write";
      readonly path: string;
      readonly to: Side;
      readonly cause: "change" | "drift" | "taken" | "owned";
      readonly creates: boolean;
    }
  | { readonly kind: "Remove"; readonly path: string; readonly to: Side }
  | { readonly kind: "Drift"; readonly path: string; readonly to: Side }
  | { readonly kind: "Left"; readonly path: string; readonly on: Side }
  | {
      readonly kind: "Conflict";
      readonly path: string;
      readonly why: "both-moved" | "moved-and-gone" | "never-recorded" | "owned-keys" | "declared";
    }
  | {
      readonly kind: "Unmanaged";
      readonly path: string;
      readonly why: "rule" | "only-there";
      readonly rule?: string;
    }
  | { readonly kind: "DirectionNotSet"; readonly path: string }
  | { readonly kind: "Unknown"; readonly path: string; readonly side: Side };

/** Compares three ways, path by path. Pure; sorted by path. */
export function diff(triples: readonly Triple[], policy: DiffPolicy): Change[] {
  return triples
    .map((triple) => diffPath(triple, policy))
    .filter((change) => change !== undefined)
    .sort((a, b) => comparePaths(a.path, b.path));
}

function diffPath(triple: Triple, policy: DiffPolicy): Change | undefined {
  const { path, source, server, recorded } = triple;
  const pathPolicy = policy.pathPolicy(path);
  if (pathPolicy.kind === "Unmanaged") return { kind: "Unmanaged", path, why: "rule", rule: pathPolicy.rule };
  if (source === "unknown") return { kind: "Unknown", path, side: "source" };
  if (server === "unknown") return { kind: "Unknown", path, side: "server" };
  if (source === server) {
    if (source === recorded) return source === null ? undefined : { kind: "InSync", path };
    return { kind: "Record", path };
  }
  const { take } = policy;
  const isTaken = take?.matches(path) === true;
  if (take?.scope === "all" && !isTaken) return undefined;
  const taken = isTaken
    ? takenChange(path, sidesOf(take.side, source, server), recorded, policy.prune)
    : undefined;
  if (take?.scope === "all" && taken?.kind === "Write") return taken;
  const change: Change =
    pathPolicy.kind === "DirectionNotSet"
      ? { kind: "DirectionNotSet", path }
      : diffDirected(path, sides(pathPolicy.direction, source, server), recorded, policy);
  const undecided = change.kind === "Conflict" || change.kind === "DirectionNotSet";
  return undecided && taken !== undefined ? taken : change;
}

/**
 * What the side that was taken has goes to the other. What it does not have: never recorded, it is the other's own and
 * stays; as recorded on the other, it goes away as `prune` says; moved there, it was a conflict, and goes away.
 */
function takenChange(
  path: string,
  { truth, target, to }: Sides,
  recorded: string | null,
  prune: boolean,
): Change {
  if (truth !== null) return { kind: "Write", path, to, cause: "taken", creates: target === null };
  if (recorded === null) return { kind: "Unmanaged", path, why: "only-there" };
  return target === recorded && !prune ? { kind: "Left", path, on: to } : { kind: "Remove", path, to };
}

interface Sides {
  readonly truth: string | null;
  readonly target: string | null;
  readonly to: Side;
}

function sides(direction: UpdateDirection, source: string | null, server: string | null): Sides {
  return sidesOf(direction === "ToAsterisk" ? "source" : "server", source, server);
}

function sidesOf(truth: Side, source: string | null, server: string | null): Sides {
  return truth === "source"
    ? { truth: source, target: server, to: "server" }
    : { truth: server, target: source, to: "source" };
}

/** The table itself. `truth` and `target` differ here. */
function diffDirected(
  path: string,
  { truth, target, to }: Sides,
  recorded: string | null,
  policy: DiffPolicy,
): Change {
  if (recorded === null) {
    if (target === null) return { kind: "Write", path, to, cause: "change", creates: true };
    if (truth === null) return { kind: "Unmanaged", path, why: "only-there" };
    return { kind: "Conflict", path, why: "never-recorded" };
  }
  if (truth === recorded) {
    if (policy.drift === "Report") return { kind: "Drift", path, to };
    return { kind: "Write", path, to, cause: "drift", creates: target === null };
  }
  if (target === recorded) {
    if (truth !== null) return { kind: "Write", path, to, cause: "change", creates: false };
    return policy.prune ? { kind: "Remove", path, to } : { kind: "Left", path, on: to };
  }
  return { kind: "Conflict", path, why: truth === null || target === null ? "moved-and-gone" : "both-moved" };
}
