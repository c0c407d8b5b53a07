import { createHash } from "node:crypto";
import { z } from "zod";
import type { OwnedKeys, OwnedSection } from "./conf/owned.ts";
import type { Change, Take } from "./diff.ts";
import type { ContentHash } from "./record.ts";
import { deletionPolicy } from "./resource/common.ts";
import type { DeletionPolicy } from "./resource/common.ts";

/**
 * The resource that owns something in a file, as messages and records name it: `AMIAccount crm`. Ownership is per key: what
 * the owners have in a file is laid over its **base**, which is the ConfFile with content for the path, else the
 * source's copy, else what the server has.
 */
export type Owner = string;

/** A whole file as a ConfFile wants it. */
export interface DesiredContent {
  readonly owner: Owner;
  readonly bytes: Buffer;
  readonly deletionPolicy: DeletionPolicy;
}

/** Sections of a file as one resource wants them. */
export interface DesiredSections {
  readonly owner: Owner;
  readonly sections: readonly OwnedSection[];
  readonly deletionPolicy: DeletionPolicy;
}

/** What resources want in one file. */
export interface DesiredFile {
  readonly content?: DesiredContent;
  readonly sections: readonly DesiredSections[];
}

const ownedKeys = z.object({
  section: z.string(),
  keys: z.union([z.literal("all"), z.array(z.string())]),
});

/** See RecordedOwnership. */
export const recordedOwnership = z.object({
  /** What the file is without the owned keys, when that was last in step, and the generation that saw it so. */
  base: z.object({ hash: z.string().nullable(), generation: z.number().int() }).optional(),
  /** The ConfFile whose content is the base. */
  content: z.object({ owner: z.string(), deletionPolicy }).optional(),
  /** By owner: its keys, and the hash of their values. */
  sections: z.record(z.string(), z.object({ keys: z.array(ownedKeys), hash: z.string(), deletionPolicy })),
  /** The id under which the bytes from before the first owner are kept; null: there was no file. Absent: nothing was changed. */
  original: z.string().nullable().optional(),
});
/** Who owns what in a file, without values: part of the server's own record. */
export type RecordedOwnership = z.infer<typeof recordedOwnership>;

/**
 * What becomes of the keys of one owner in one file: the table of the design, where the declaration is the side of truth.
 * `Release`: they are gone, or another's, and no longer recorded. `Left`: they stay, and stay recorded. `Held`: no part of this plan.
 */
export interface OwnedChange {
  readonly owner: Owner;
  readonly kind:
    "InSync" | "Record" | "Write" | "Remove" | "Release" | "Drift" | "Left" | "Conflict" | "Held";
  /** For Write: what it answers. */
  readonly cause?: "change" | "drift" | "taken";
}

export interface OwnedPolicy {
  readonly drift: "Correct" | "Report";
  readonly prune: boolean;
  /** Owners that somebody deleted, which needs no prune. */
  readonly released: ReadonlySet<Owner>;
  /** Whether somebody decided that the declaration is right. */
  readonly isTaken: boolean;
}

/** One owner's keys as three parties know them: equal texts are equal values; null: not declared, not there, not recorded. */
export interface OwnedTriple {
  readonly owner: Owner;
  readonly desired: string | null;
  readonly observed: string | null;
  readonly recorded: string | null;
  readonly deletionPolicy: DeletionPolicy;
}

/** Compares one owner's keys three ways. Pure. */
export function diffOwned(triple: OwnedTriple, policy: OwnedPolicy): OwnedChange {
  const { owner, desired, observed, recorded } = triple;
  if (desired === null) return withdrawn(triple, policy);
  if (desired === observed) return { owner, kind: desired === recorded ? "InSync" : "Record" };
  if (recorded === null && observed === null) return { owner, kind: "Write", cause: "change" };
  if (recorded !== null && observed === recorded) return { owner, kind: "Write", cause: "change" };
  if (recorded !== null && desired === recorded)
    return policy.drift === "Report" ? { owner, kind: "Drift" } : { owner, kind: "Write", cause: "drift" };
  return policy.isTaken ? { owner, kind: "Write", cause: "taken" } : { owner, kind: "Conflict" };
}

function withdrawn(
  { owner, observed, recorded, deletionPolicy }: OwnedTriple,
  policy: OwnedPolicy,
): OwnedChange {
  if (observed === null) return { owner, kind: "Release" };
  const isDeleted = policy.released.has(owner);
  // Still recorded: as nobody's they would be drift of the source's copy, and would go with the next apply.
  if (deletionPolicy === "Retain" || (!isDeleted && !policy.prune)) return { owner, kind: "Left" };
  const isOurs = observed === recorded || isDeleted || policy.isTaken;
  return { owner, kind: isOurs ? "Remove" : "Conflict" };
}

/** Makes one change of a path of what happens to its base and to the keys in it. Pure. */
export function combine(
  path: string,
  base: Change | undefined,
  owned: readonly OwnedChange[],
  isThere: boolean,
): Change {
  if (base?.kind === "Conflict" || base?.kind === "Unknown" || base?.kind === "DirectionNotSet") return base;
  if (owned.some(({ kind }) => kind === "Conflict")) return { kind: "Conflict", path, why: "owned-keys" };
  const written = owned.filter(({ kind }) => kind === "Write" || kind === "Remove");
  const isBaseWritten = base?.kind === "Write" || base?.kind === "Remove";
  if (isBaseWritten && base.to === "source") return base;
  if (base?.kind === "Write") return base;
  const isHeld = owned.some(({ kind }) => kind !== "Remove" && kind !== "Release");
  if (base?.kind === "Remove" && !isHeld) return base;
  if (written.length > 0 || base?.kind === "Remove") {
    const isDrift = base?.kind !== "Remove" && written.every((one) => one.cause === "drift");
    const cause = isDrift ? "drift" : "owned";
    return { kind: "Write", path, to: "server", cause, creates: !isThere };
  }
  if (base !== undefined && base.kind !== "InSync" && base.kind !== "Unmanaged") return base;
  if (owned.some(({ kind }) => kind === "Record" || kind === "Release")) return { kind: "Record", path };
  if (owned.some(({ kind }) => kind === "Drift")) return { kind: "Drift", path, to: "server" };
  return owned.some(({ kind }) => kind === "Left")
    ? { kind: "Left", path, on: "server" }
    : { kind: "InSync", path };
}

/** The hash of values of owned keys, for records that lie beside them. Names in lower case, as Asterisk compares them. */
export function hashOwned(
  sections: readonly (readonly { readonly name: string; readonly value: string }[] | null)[],
): ContentHash {
  const plain = sections.map((variables) =>
    variables === null ? null : variables.map(({ name, value }) => [name.toLowerCase(), value]),
  );
  return createHash("sha256").update(JSON.stringify(plain)).digest("hex");
}

/** Whether a take of the source's side also decides for the keys in a path. */
export function takesDeclaration(take: Take | undefined, path: string): boolean {
  return take?.side === "source" && take.matches(path);
}

/** All keys of a recorded ownership, whoever owns them. */
export function keysOf(ownership: RecordedOwnership | undefined): OwnedKeys[] {
  return Object.values(ownership?.sections ?? {}).flatMap(({ keys }) => keys);
}
