import type { Change } from "./diff.ts";
import type { ObservedFile } from "./observed.ts";

/** Files without which Asterisk does not start, or does not let us in; never removed. */
const neverRemoved = new Set(["asterisk.conf", "modules.conf", "manager.conf"]);

/**
 * Why a change of the table is not made all the same; undefined when nothing is in its way. `observed` is the path on
 * the server, `error` what Asterisk would refuse in the source's copy. Pure.
 */
export function blockedBy(
  change: Change,
  observed: ObservedFile | undefined,
  error: string | undefined,
): string | undefined {
  if (change.kind !== "Write" && change.kind !== "Remove") return undefined;
  if (change.to !== "server") return undefined;
  if (observed?.kind === "link")
    return `it is a symbolic link to ${observed.linkTarget ?? "?"}, and links are never written through`;
  if (observed?.generatedBy !== undefined) return `it is generated: ${observed.generatedBy}`;
  if (change.kind === "Remove")
    return neverRemoved.has(change.path) ? "Asterisk does not start without it" : undefined;
  return error;
}
