/** A last look at every file before it is handed out: that nothing of others was lost, moved or made. */
import type { ConfFile, ConfNode } from "../cst.ts";
import { ConfError } from "../errors.ts";
import { storedName } from "../section-table.ts";
import { comparable, textOf } from "./lines.ts";
import type { Claim } from "./lines.ts";

/** Throws Ambiguous where `after` does not hold all of `before` that the claims do not cover, or holds more. */
export function refuseLoss(before: ConfFile, after: ConfFile, claims: readonly Claim[]): void {
  if (hasSameOthers(before, after, claims)) return;
  throw new ConfError(
    "Ambiguous",
    `Sections [${claims.map(({ section }) => section).join("], [")}] cannot change without a change to what is not owned.`,
    "Simplify the lines around them: no NUL bytes, and block comments on lines of their own.",
  );
}

/** Whether two files are the same but for what the claims cover, blank lines and block comments. */
export function hasSameOthers(before: ConfFile, after: ConfFile, claims: readonly Claim[]): boolean {
  const was = othersIn(before, claims);
  const is = othersIn(after, claims);
  return was.length === is.length && was.every((line, index) => line === is[index]);
}

/** What a file holds beside the claims, in order: each line with the section it stands in, comments by themselves. */
function othersIn(file: ConfFile, claims: readonly Claim[]): string[] {
  const claimed = claimsBySection(claims);
  const lines: string[] = [];
  let section = "";
  let keys: ReadonlySet<string> | "all" | undefined;
  for (const node of file.nodes) {
    if (node.kind === "blank" || node.kind === "block-comment") continue;
    if (node.kind === "section") {
      section = comparable(storedName(node.name));
      keys = claimed.get(section);
      if (keys) continue;
    }
    if (node.kind === "variable" && (keys === "all" || keys?.has(comparable(node.name)) === true)) continue;
    const source = textOf(node.source);
    lines.push(standsAnywhere(node) ? source : `${section}\n${source}`);
  }
  return lines;
}

function claimsBySection(claims: readonly Claim[]): Map<string, Set<string> | "all"> {
  const claimed = new Map<string, Set<string> | "all">();
  for (const { section, keys } of claims) {
    const name = comparable(storedName(section));
    const before = claimed.get(name);
    const all = keys === "all" || before === "all";
    claimed.set(name, all ? "all" : new Set([...(before ?? []), ...keys.map(comparable)]));
  }
  return claimed;
}

/** A line that means the same in whatever section, for it means nothing. */
export function standsAnywhere(node: ConfNode): boolean {
  if (node.kind === "ignored") return node.reason === "silenced" || node.reason === "too-long";
  return node.kind === "blank" || node.kind === "comment" || node.kind === "block-comment";
}
