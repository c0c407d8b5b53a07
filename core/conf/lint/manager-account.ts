/** Rules for the accounts of manager.conf. */
import { endOfLine } from "../cst.ts";
import type { LoadedSection, LoadedVariable } from "../load.ts";
import { strip } from "../text.ts";
import { opensTo, parseACL } from "./acl.ts";
import type { ACLRule } from "./acl.ts";
import { eventFilterProblem } from "./event-filter.ts";
import type { Findings, Spot } from "./findings.ts";
import { hashFix } from "./hash.ts";
import type { Listener } from "./manager-listener.ts";
import { lintPermissions } from "./manager-permissions.ts";
import { lintSecret } from "./manager-secret.ts";
import { quote } from "./inert.ts";

const accountKeys = new Set(
  "secret deny permit acl read write displayconnects allowmultiplelogin writetimeout setvar".split(" "),
);

/**
 * Looks at one account.
 * @param isLast of its name: an earlier section's faults are undone by a later one
 */
export function lintAccount(
  section: LoadedSection,
  isLast: boolean,
  listener: Listener,
  findings: Findings,
): void {
  const spot: Spot = { file: section.file, line: section.line };
  const seen = new Map<string, LoadedVariable>();
  const acls = new Set<string>();
  let isDeleted = false;
  for (const variable of section.variables) {
    const key = variable.name.toLowerCase();
    const earlier = seen.get(key);
    if (earlier && isSingle(key) && !earlier.inherited && !variable.inherited) {
      duplicateKey(variable, earlier, findings);
    }
    seen.set(key, variable);
    if (key === "permit" || key === "deny") isDeleted = lintACL(key, variable, isLast, findings) || isDeleted;
    else if (key === "acl") isDeleted = lintNamedACL(variable, acls, isLast, findings) || isDeleted;
    else if (key === "writetimeout") lintWriteTimeout(variable, findings);
    else if (key === "setvar") lintSetvar(variable, findings);
    else if (variable.name.startsWith("eventfilter")) lintEventFilter(variable, findings);
    else if (!accountKeys.has(key)) unknownKey(variable, findings);
  }
  lintPermissions(section, findings);
  lintSecret(section, spot, findings);
  // Where nobody can log in, nobody can from the wrong place.
  const isOpen = isLast && !isDeleted && seen.has("secret") && acls.size === 0;
  if (isOpen) lintReach(section, spot, listener, findings);
}

/** The deny and permit rules of an account, in order; an invalid entry ends its line. */
export function rulesOf(section: LoadedSection): ACLRule[] {
  return section.variables.flatMap(({ name, value }) => {
    const key = name.toLowerCase();
    return key === "permit" || key === "deny" ? parseACL(key, value).rules : [];
  });
}

function isSingle(key: string): boolean {
  return accountKeys.has(key) && !["deny", "permit", "acl", "setvar"].includes(key);
}

/** Whether Asterisk deletes the user for this. */
function lintACL(
  key: "permit" | "deny",
  variable: LoadedVariable,
  isLast: boolean,
  findings: Findings,
): boolean {
  const { value } = variable;
  const { problem } = parseACL(key, value);
  if (!problem) return false;
  if (!isLast) return true;
  const { at, length, reason } = problem;
  const hash = hashFix(variable, findings);
  const spot = hash ? findings.valueSpot(variable) : findings.valueSpot(variable, at, length);
  const hasBlank = /^[\t ]|[\t ]$|[\t ]\//.test(value.slice(at, at + length));
  const form = hasBlank
    ? "Write no blanks around `,` and `/`."
    : "Write `address`, `address/bits` or `address/netmask`, separated by commas without blanks.";
  findings.error(spot, {
    rule: "acl-invalid",
    message:
      `Asterisk refuses this ${key}, because ${reason}, and deletes the user: nobody can log in with this account.` +
      (hash ? " `#` starts no comment." : ""),
    fix: hash?.fix ?? form,
    ...(hash ? { edits: hash.edits } : {}),
  });
  return true;
}

/** Whether Asterisk deletes the user for this; `acls` gathers the names given. */
function lintNamedACL(
  variable: LoadedVariable,
  acls: Set<string>,
  isLast: boolean,
  findings: Findings,
): boolean {
  let isTwice = false;
  for (const entry of variable.value.split(",")) {
    const name = strip(entry).toLowerCase();
    isTwice ||= acls.has(name);
    acls.add(name);
  }
  if (!isTwice || !isLast) return isTwice;
  findings.error(findings.valueSpot(variable), {
    rule: "acl-invalid",
    message: "A named ACL is given twice, so Asterisk deletes the user: nobody can log in with this account.",
    fix: "Name each ACL once.",
  });
  return true;
}

function lintReach(section: LoadedSection, spot: Spot, listener: Listener, findings: Findings): void {
  const rules = rulesOf(section);
  if (rules.some((rule) => rule.sense === "deny") && !rules.some((rule) => rule.sense === "permit")) {
    findings.warning(spot, {
      rule: "acl-locks-out",
      message: `The account [${section.name}] denies, and permits no address: nobody can log in with it.`,
      fix: "Add a `permit` for each address that may.",
    });
    return;
  }
  if (listener.reach === "off" || listener.reach === "loopback") return;
  const everywhere = listener.reach === "everywhere";
  if (opensTo("IPv4", rules)) {
    const finding = {
      rule: "acl-missing",
      message: `The account [${section.name}] may log in from ${rules.length === 0 ? "any address" : "any address that no rule names"}${everywhere ? ", and AMI listens on all interfaces" : ""}.`,
      fix: "Write `deny=0.0.0.0/0` and `deny=::/0` first, then a `permit` for each address that may.",
    } as const;
    if (everywhere) findings.error(spot, finding);
    else findings.warning(spot, finding);
  } else if (opensTo("IPv6", rules)) {
    IPv4Only(section, everywhere && listener.IPv6, findings);
  }
}

function IPv4Only(section: LoadedSection, isReachable: boolean, findings: Findings): void {
  const deny = section.variables.findLast(({ name, value }) => {
    return name.toLowerCase() === "deny" && parseACL("deny", value).rules.some((rule) => rule.everything);
  });
  if (!deny) return;
  const node = findings.variableNode(deny);
  const eol = node ? endOfLine(node) : "";
  const finding = {
    rule: "acl-ipv4-only",
    message: `This denies IPv4 only: from any IPv6 address the account [${section.name}] may log in${isReachable ? ", and AMI listens there too" : ""}.`,
    fix: "Add `deny=::/0`.",
    ...(node && eol !== "" && node.depth === 0
      ? { edits: [{ offset: node.offset + node.source.length, length: 0, text: `deny=::/0${eol}` }] }
      : {}),
  } as const;
  if (isReachable) findings.error(findings.valueSpot(deny), finding);
  else findings.warning(findings.valueSpot(deny), finding);
}

function duplicateKey(variable: LoadedVariable, earlier: LoadedVariable, findings: Findings): void {
  findings.warning(findings.valueSpot(variable), {
    rule: "duplicate-key",
    message: `\`${variable.name}\` is given twice: this line counts, and line ${String(earlier.line)} of ${earlier.file} does not.`,
    fix: "Keep one of them.",
  });
}

function lintWriteTimeout(variable: LoadedVariable, findings: Findings): void {
  const milliseconds = Number.parseInt(variable.value, 10);
  if (milliseconds >= 100) return;
  findings.warning(findings.valueSpot(variable), {
    rule: "write-timeout-invalid",
    message: `${quote(variable.value)} is no time of at least 100 milliseconds: Asterisk ignores it.`,
    fix: "Write `writetimeout = 100` or more.",
  });
}

function lintSetvar(variable: LoadedVariable, findings: Findings): void {
  const { value } = variable;
  if (value.includes("=") && value.length < 256) return;
  findings.warning(findings.valueSpot(variable), {
    rule: "setvar-invalid",
    message: value.includes("=")
      ? "Asterisk keeps 255 bytes of a setvar."
      : "Asterisk silently ignores a setvar without `=`.",
    fix: "Write `setvar = NAME=value`.",
  });
}

function lintEventFilter(variable: LoadedVariable, findings: Findings): void {
  const problem = eventFilterProblem(variable.name, variable.value);
  if (problem === undefined) return;
  const node = findings.variableNode(variable);
  const range = node && { start: node.nameRange.start, end: node.valueRange.end };
  findings.error(
    { file: variable.file, line: variable.line, range },
    {
      rule: "event-filter-invalid",
      message: `Asterisk refuses this filter, because ${problem}: events are not filtered by it.`,
      fix: "Write `eventfilter = pattern`, or `eventfilter(name(Event),header(Header),method(exact)) = text`.",
    },
  );
}

function unknownKey(variable: LoadedVariable, findings: Findings): void {
  findings.warning(findings.valueSpot(variable), {
    rule: "unknown-key",
    message: `AMI knows no setting ${quote(variable.name)} for an account and silently ignores it.`,
    fix: "Correct the name, or remove the line.",
  });
}
