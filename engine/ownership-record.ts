import type { OwnedFileRecord } from "../asterisk/transaction.ts";
import { ownedKeys } from "../core/conf/owned.ts";
import type { DesiredSections, RecordedOwnership } from "../core/ownership.ts";
import { hashOwned } from "../core/ownership.ts";
import { contentHash } from "../core/record.ts";
import type { ContentHash } from "../core/record.ts";
import type { ComparedOwnedFile } from "./ownership.ts";
import { desiredBytes } from "./ownership.ts";

/** What the record says of a file once its change was carried out, at `generation`. */
export function ownershipAfter(
  compared: ComparedOwnedFile,
  generation: number,
  previous: { readonly hash: string | null; readonly generation: number } | undefined,
): OwnedFileRecord {
  const { file, base, owned } = compared;
  const { desired, recorded } = file;
  const sections: RecordedOwnership["sections"] = {};
  for (const { owner, kind } of owned) {
    const declared = desired?.sections.find((one) => one.owner === owner);
    const before = recorded?.sections[owner];
    if (kind === "Remove" || kind === "Release") continue;
    if (kind === "Left" || kind === "Drift" || kind === "Held") {
      if (before !== undefined) sections[owner] = before;
    } else if (declared !== undefined) sections[owner] = recordedSections(declared);
  }
  const content = desired?.content ?? (base?.kind === "Left" ? recorded?.content : undefined);
  const nextBase = baseAfter(
    { file, base, owned },
    generation,
    recorded === undefined ? previous : recorded.base,
  );
  const hash = file.observed === undefined ? null : contentHash(file.observed);
  const isUnowned = content === undefined && Object.keys(sections).length === 0;
  if (isUnowned && (nextBase === undefined || nextBase.hash === hashAfter(compared)))
    return { isOurs: nextBase !== undefined, hash };
  return {
    isOurs: true,
    hash,
    ownership: {
      sections,
      ...(nextBase === undefined ? {} : { base: nextBase }),
      ...(content === undefined
        ? {}
        : { content: { owner: content.owner, deletionPolicy: content.deletionPolicy } }),
      ...(recorded?.original === undefined ? {} : { original: recorded.original }),
    },
  };
}

/** Of the bytes that the server has once a change is carried out. */
function hashAfter(compared: ComparedOwnedFile): ContentHash | null {
  const { file, base, owned } = compared;
  if (base?.kind === "Remove") return null;
  const isMoved = base?.kind === "Write" || owned.some(({ kind }) => kind === "Write" || kind === "Remove");
  const bytes = isMoved ? desiredBytes(compared) : file.observed;
  return bytes === undefined ? null : contentHash(bytes);
}

/** The base as it is in step now; as it was recorded before, where it is not. */
function baseAfter(
  { file, base }: ComparedOwnedFile,
  generation: number,
  before: RecordedOwnership["base"],
): RecordedOwnership["base"] {
  const isReleased =
    file.recorded?.content !== undefined && file.desired?.content === undefined && base?.kind !== "Left";
  const hasOther =
    file.desired?.content !== undefined || (file.base !== undefined && file.base !== file.original);
  if (isReleased && !hasOther) return undefined;
  const hash = file.base === undefined ? null : contentHash(file.base);
  if (base?.kind === "InSync" || base?.kind === "Record")
    return hash === null ? before : { hash, generation };
  if (base?.kind === "Remove" && base.to === "server") return { hash: null, generation };
  return base?.kind === "Write" && base.to === "server" ? { hash, generation } : before;
}

/** What the record says of one owner's keys. */
export function recordedSections({
  sections,
  deletionPolicy,
}: DesiredSections): RecordedOwnership["sections"][string] {
  return {
    keys: ownedKeys(sections).map(({ section, keys }) => ({
      section,
      keys: keys === "all" ? keys : [...keys],
    })),
    hash: hashOwned(sections.map(({ variables }) => variables)),
    deletionPolicy,
  };
}
