/** Rules for lines that start with `#`. */
import type { Problem } from "../problems.ts";
import type { LintOptions } from "./diagnostic.ts";
import type { Findings, Spot } from "./findings.ts";
import type { IncludeKind } from "./reading.ts";
import { quote } from "./inert.ts";

/** Tells of an include or another directive; `refused` says what becomes of the file where it is fatal. */
export function lintInclude(
  problem: Problem,
  kind: IncludeKind,
  spot: Spot,
  refused: string,
  findings: Findings,
  options: LintOptions,
): void {
  const subject = quote(problem.subject);
  switch (kind) {
    case "include-missing": {
      const isPattern = /[*?[{]/.test(problem.subject);
      findings.error(spot, {
        rule: "include-missing",
        message: isPattern
          ? `${refused}: no file matches the pattern ${subject}.`
          : `${refused}: it finds no file ${subject} below the configuration directory (paths never start at the including file).`,
        fix: isPattern
          ? "Put a file there, an empty one is enough, or write `#tryinclude`."
          : "Correct the path, create the file, or write `#tryinclude`.",
      });
      return;
    }
    case "include-circle":
      findings.error(spot, {
        rule: "include-circle",
        message: `This leads back to ${subject}, which is being read: Asterisk goes round until the tenth level and fails there.`,
        fix: "Remove the include that closes the circle.",
      });
      return;
    case "include-too-deep":
      findings.error(spot, {
        rule: "include-too-deep",
        message: `Asterisk follows includes ten levels deep: ${subject} is not read.`,
        fix: "Include it from a file nearer to the first.",
      });
      return;
    case "include-external":
      findings.warning(spot, {
        rule: "include-external",
        message: `${subject} lies outside the configuration directory: Asterisk reads it, but it was not looked at here.`,
        fix: "Keep what Asterisk reads in the configuration directory.",
      });
      return;
    case "include-unreadable":
      findings.warning(spot, {
        rule: "include-unreadable",
        message: "An include matches this file, but it cannot be read: Asterisk goes on without it.",
        fix: "Make it a readable regular file, or keep it out of the pattern.",
      });
      return;
    case "exec": {
      const finding = {
        rule: "exec",
        message: `With \`execincludes = yes\` in asterisk.conf, Asterisk runs ${subject} in a shell whenever it reads this file; without, it skips the line. What it would add is not known here.`,
        fix: "Write what the command prints into a file and include that.",
      } as const;
      if (options.allowExec === true) findings.warning(spot, finding);
      else findings.error(spot, { ...finding, fix: `${finding.fix} Or allow it with allowExec.` });
      return;
    }
    case "unknown-directive": {
      const node = findings.node(spot.file, spot.line);
      const hash = node ? node.offset + node.source.indexOf("#") : undefined;
      findings.warning(spot, {
        rule: "unknown-directive",
        message:
          "Asterisk skips this line with a warning: `#` starts a directive (#include, #tryinclude, #exec), not a comment.",
        fix: "Start a comment with `;`.",
        ...(hash === undefined ? {} : { edits: [{ offset: hash, length: 1, text: ";" }] }),
      });
      return;
    }
    case "directive-without-argument":
      findings.warning(spot, {
        rule: "directive-argument",
        message: "Asterisk skips this line: the directive names no file.",
        fix: 'Write `#include "file.conf"`.',
      });
  }
}
