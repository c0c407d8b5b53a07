import type { Edit } from "../edit.ts";
import type { LoadedVariable } from "../load.ts";
import type { Findings } from "./findings.ts";
import { hashAt } from "./lines.ts";

/** For a value that a `# …` at its end spoils: how to mend it. */
export function hashFix(
  variable: LoadedVariable,
  findings: Findings,
): { fix: string; edits: Edit[] } | undefined {
  const node = findings.variableNode(variable);
  if (!node) return undefined;
  const text = node.source.slice(node.valueRange.start - node.offset, node.valueRange.end - node.offset);
  const at = hashAt(text);
  if (at === undefined) return undefined;
  return {
    fix: "Start the comment with `;` instead of `#`.",
    edits: [{ offset: node.valueRange.start + at, length: 1, text: ";" }],
  };
}
