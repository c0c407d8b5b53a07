import { effectiveView, filesOf, type EffectiveView } from "../../core/conf/index.ts";
import { differenceOf, type Effect, type EffectiveDifference } from "../../core/difference.ts";

/** Files by path, as text; a single text is the root itself. */
export type Files = string | Readonly<Record<string, string>>;

/** What Asterisk sees in `root`. */
export function viewOf(root: string, files: Files): EffectiveView {
  const all = typeof files === "string" ? { [root]: files } : files;
  return effectiveView(
    root,
    filesOf(new Map(Object.entries(all).map(([path, text]) => [path, Buffer.from(text)]))),
  );
}

export function difference(root: string, before: Files, after: Files): EffectiveDifference {
  return differenceOf(viewOf(root, before), viewOf(root, after), root);
}

/** Kind, action and name in a line: `endpoint 100 changed`. */
export function told({ effects }: { readonly effects: readonly Effect[] }): string[] {
  return effects.map(({ kind, action, name, context }) =>
    [kind, name, action, ...(context === undefined ? [] : ["in", context])].join(" "),
  );
}
