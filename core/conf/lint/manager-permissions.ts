/** Rules for an account's read and write. */
import type { LoadedSection, LoadedVariable } from "../load.ts";
import type { Findings } from "./findings.ts";
import { codeExecution, isPermissionClass, parsePermissions, permissionClasses } from "./permissions.ts";
import type { PermissionToken } from "./permissions.ts";
import { quote } from "./inert.ts";

/** Looks at the last read and the last write of the account: the ones that count. */
export function lintPermissions(section: LoadedSection, findings: Findings): void {
  for (const key of ["read", "write"] as const) {
    const variable = section.variables.findLast(({ name }) => name.toLowerCase() === key);
    if (!variable) continue;
    const tokens = parsePermissions(variable.value);
    const isFine = tokens.map((token) => lintToken(token, variable, tokens, findings)).every(Boolean);
    if (key === "write" && isFine) lintPrivileged(variable, tokens, findings);
  }
}

/** Whether the token grants what it says. */
function lintToken(
  token: PermissionToken,
  variable: LoadedVariable,
  tokens: readonly PermissionToken[],
  findings: Findings,
): boolean {
  const { text, at, grants } = token;
  if (grants.length === 1 && grants[0] === text) return true;
  if (grants.length === 0 && text === "" && tokens.length === 1) return true;
  const spot = findings.valueSpot(variable, at, Math.max(text.length, 1));
  const edits = mendedList(variable, tokens, findings);
  if (grants.length === 0) {
    const meant = isPermissionClass(text.trim().toLowerCase());
    findings.warning(spot, {
      rule: "permission-unknown",
      message: `Asterisk grants nothing for ${quote(text)}: ${meant ? "blanks and upper case count" : "there is no such class"}.`,
      fix: meant
        ? "Write the classes in lower case, separated by commas without blanks."
        : `Write one of ${permissionClasses.join(", ")}.`,
      ...(meant ? edits : {}),
    });
    return false;
  }
  const granted = grants.includes("all") ? "every class" : grants.join(", ");
  findings.error(spot, {
    rule: "permission-widened",
    message:
      text === ""
        ? "An empty entry in front of a comma grants every class, code execution included."
        : `In front of a comma Asterisk takes ${quote(text)} for the beginning of a class and grants ${granted}.`,
    fix: "Write each class in full, separated by single commas.",
    ...(text === "" ? edits : {}),
  });
  return false;
}

// Only blanks, case and empty entries are mended; an entry that stays unknown is not ours to guess.
function mendedList(
  variable: LoadedVariable,
  tokens: readonly PermissionToken[],
  findings: Findings,
): { edits?: { offset: number; length: number; text: string }[] } {
  const node = findings.variableNode(variable);
  if (!node || node.interrupted || node.value !== variable.value) return {};
  const mended = tokens.map(({ text }) => text.trim().toLowerCase()).filter((text) => text !== "");
  if (!mended.every(isPermissionClass)) return {};
  const { start, end } = node.valueRange;
  return { edits: [{ offset: start, length: end - start, text: mended.join(",") }] };
}

function lintPrivileged(
  variable: LoadedVariable,
  tokens: readonly PermissionToken[],
  findings: Findings,
): void {
  const classes = tokens.flatMap(({ text }) =>
    (isPermissionClass(text) && codeExecution[text] !== undefined) || text === "originate" ? [text] : [],
  );
  if (classes.length === 0) return;
  findings.warning(findings.valueSpot(variable), {
    rule: "privileged-write",
    message: `Whoever knows this secret can run code on the server: write permission for ${classes.join(", ")} allows that.`,
    fix: "Grant only the classes that are needed, and permit only the addresses that need them.",
  });
}
