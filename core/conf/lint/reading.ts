/** What loading a file met (problems.ts), told as diagnostics. */
import type { ConfNode } from "../cst.ts";
import type { Loaded } from "../load.ts";
import type { Problem } from "../problems.ts";
import { strip } from "../text.ts";
import type { LintOptions } from "./diagnostic.ts";
import type { Finding, Findings, Spot } from "./findings.ts";
import { lintInclude } from "./includes.ts";
import { markInside } from "./lines.ts";
import { isKnownRoot } from "./roots.ts";
import { quote } from "./inert.ts";

/** Tells of everything that kept Asterisk from reading `root` as it was meant. */
export function lintReading(root: string, loaded: Loaded, findings: Findings, options: LintOptions): void {
  for (const problem of loaded.problems) {
    const node = findings.node(problem.file, problem.line);
    const spot: Spot = { file: problem.file, line: problem.line, range: rangeOf(problem, node) };
    const refused =
      problem.file === root ? `Asterisk refuses all of ${root}` : "Asterisk reads no more of this file";
    if (isMisplacedMark(problem, node)) markInside(node, spot, findings);
    else if (isInclude(problem)) lintInclude(problem, problem.kind, spot, refused, findings, options);
    else lintProblem(problem, spot, refused, { root, loaded, findings, node });
  }
  if (root === "asterisk.conf") lintTemplates(loaded, findings);
}

/** Templates that nothing is made of: in asterisk.conf, where Debian ships `[directories](!)`, never meant so. */
function lintTemplates({ sections }: Loaded, findings: Findings): void {
  const parents = new Set(sections.flatMap(({ inherits }) => inherits));
  for (const { name, template, variables, file, line } of sections) {
    if (!template || variables.length === 0 || parents.has(name)) continue;
    findings.warning(
      { file, line },
      {
        rule: "template-unused",
        message: `\`(!)\` makes ${quote(name)} a template, and no section inherits from it: nothing in it counts.`,
        fix: "Remove the `(!)` if the section is meant itself.",
      },
    );
  }
}

const includeKinds = [
  "directive-without-argument",
  "exec",
  "include-circle",
  "include-external",
  "include-missing",
  "include-too-deep",
  "include-unreadable",
  "unknown-directive",
] as const;
export type IncludeKind = (typeof includeKinds)[number];

function isInclude(problem: Problem): problem is Problem & { kind: IncludeKind } {
  return (includeKinds as readonly string[]).includes(problem.kind);
}

// A header behind a misplaced mark is none, and so a line without `=`: told as what it is.
function isMisplacedMark({ kind }: Problem, node: ConfNode | undefined): node is ConfNode {
  if (kind !== "no-equals" && kind !== "no-section") return false;
  return node !== undefined && /^[\0-\x20]*\xEF\xBB\xBF[\0-\x20]*\[/.test(node.source);
}

interface Context {
  readonly root: string;
  readonly loaded: Loaded;
  readonly findings: Findings;
  readonly node: ConfNode | undefined;
}

function lintProblem(problem: Problem, spot: Spot, refused: string, context: Context): void {
  const { findings } = context;
  const subject = quote(problem.subject);
  switch (problem.kind as Exclude<Problem["kind"], IncludeKind>) {
    case "no-section":
      noSection(problem, spot, refused, context);
      return;
    case "unknown-parent":
      findings.error(spot, unknownParent(problem, refused, context));
      return;
    case "unknown-section":
      findings.error(spot, {
        rule: "unknown-section",
        message: `${refused}: \`(+)\` adds to a section, and none named ${subject} is there by then (templates do not count).`,
        fix: "Define the section above, or in a file included before, or remove the `(+)`.",
      });
      return;
    case "no-closing-bracket":
    case "no-closing-parenthesis": {
      const missing = problem.kind === "no-closing-bracket" ? "]" : ")";
      findings.error(spot, {
        rule: "header-unclosed",
        message: `${refused}: this section's header has no \`${missing}\`.`,
        fix: `Close it with \`${missing}\`.`,
      });
      return;
    }
    case "invalid-escape":
      findings.error(spot, {
        rule: "invalid-escape",
        message: `${refused}: a \`\\\` at the start of a line must have a printable ASCII character behind it.`,
        fix: "Remove the `\\`.",
      });
      return;
    case "inherits-itself":
      findings.error(spot, {
        rule: "inherits-itself",
        message: `Section ${subject} inherits from itself: Asterisk never ends copying its variables and hangs.`,
        fix: "Remove its own name from between the parentheses.",
      });
      return;
    case "too-large":
      findings.error(spot, {
        rule: "too-large",
        message:
          "The includes or templates lead to more lines than any real configuration has: they were not followed further.",
        fix: "Remove includes and parents that lead to the same lines again and again.",
      });
      return;
    case "nested-too-deep":
      findings.error(spot, {
        rule: "block-comment-too-deep",
        message: "The 129th nested `;--`: Asterisk never gets past this line and hangs.",
        fix: "Close the block comments with `--;`.",
      });
      return;
    case "file-missing":
      findings.error(spot, {
        rule: "file-missing",
        message: "There is no such file, or it cannot be read.",
        fix: "Name a file below the configuration directory.",
      });
      return;
    case "filter-refused":
      findings.warning(spot, {
        rule: "filter-invalid",
        message: `Asterisk cannot compile the regular expression ${subject}, so the filter matches nothing.`,
        fix: "Write a POSIX extended regular expression.",
      });
      return;
    case "name-cut":
      findings.warning(spot, {
        rule: "name-cut",
        message: `Asterisk keeps 79 bytes of a section's name: this one becomes ${quote(problem.subject.slice(0, 79))}.`,
        fix: "Shorten the name.",
      });
      return;
    case "too-long":
      findings.error(spot, {
        rule: "line-too-long",
        message: "Asterisk skips lines of more than 8190 bytes.",
        fix: "Split the line: `+=` appends to a variable.",
      });
      return;
    case "no-equals":
      findings.warning(spot, {
        rule: "no-equals",
        message: "Asterisk skips this line: it has no `=`.",
        fix: "Write `name = value`, or start the line with `;` to make it a comment.",
      });
      return;
    case "no-name":
      findings.warning(spot, {
        rule: "no-name",
        message: "Asterisk skips this line: nothing stands before the `=`.",
        fix: "Write `name = value`.",
      });
      return;
    case "unterminated-comment":
      findings.error(spot, {
        rule: "block-comment-unterminated",
        message:
          "This `;--` is never closed: Asterisk ignores the rest of the file, and of the files that the same `#include` pattern matches after it.",
        fix: "Close the comment with `--;`.",
      });
      return;
    // Told where the `--;` stands, by lines.ts.
    case "silenced":
  }
}

function noSection(problem: Problem, spot: Spot, refused: string, { root, findings }: Context): void {
  const { file } = problem;
  const fix = "Begin with a header, such as `[general]`, or include the file behind one.";
  if (file === root && !isKnownRoot(root)) {
    findings.warning(spot, {
      rule: "no-section",
      message: `No file includes ${quote(file)} and no module is known to read it; alone Asterisk would refuse it, because no section is open for this line.`,
      fix,
    });
    return;
  }
  const readFrom = file === root ? "" : `, read from ${root}`;
  findings.error(spot, {
    rule: "no-section",
    message: `${refused}: no section is open for this line${readFrom}.`,
    fix,
  });
}

function unknownParent(problem: Problem, refused: string, { loaded, node }: Context): Finding {
  const name = problem.subject;
  const trimmed = strip(name);
  const exists = loaded.sections.some((section) => section.name.toLowerCase() === trimmed.toLowerCase());
  const message = `${refused}: no section named ${quote(name)} is there by then to inherit from.`;
  const option =
    node?.kind === "section"
      ? node.options?.find((one) => one.kind === "inherit" && one.name === name)
      : undefined;
  if (trimmed === name || !option || (!exists && trimmed !== "!" && !trimmed.startsWith("+"))) {
    return { rule: "unknown-parent", message, fix: "Define the parent above, or in a file included before." };
  }
  const { start, end } = option.range;
  return {
    rule: "unknown-parent",
    message: `${message} Blanks between the parentheses count.`,
    fix: `Write ${quote(trimmed)} without blanks.`,
    edits: [{ offset: start, length: end - start, text: trimmed }],
  };
}

function rangeOf(problem: Problem, node: ConfNode | undefined): Spot["range"] {
  if (node?.kind === "directive")
    return node.argument === undefined || problem.kind === "unknown-directive"
      ? undefined
      : node.argumentRange;
  if (node?.kind === "section") {
    if (problem.kind === "name-cut" || problem.kind === "unknown-section") return node.nameRange;
    const option = node.options?.find((one) => one.kind === "inherit" && one.name === problem.subject);
    return option?.range;
  }
  if (problem.kind === "unterminated-comment" && node) {
    const start = node.offset + node.source.lastIndexOf(";--");
    return start < node.offset ? undefined : { start, end: start + 3 };
  }
  return undefined;
}
