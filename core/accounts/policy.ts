import { opensTo } from "../conf/lint/acl.ts";
import type { Listener } from "../conf/lint/manager-listener.ts";
import { codeExecution } from "../conf/lint/permissions.ts";
import { secretWeakness, shortestSecret } from "../conf/lint/manager-secret-strength.ts";
import { textProblem } from "../resource/ami-account-fields.ts";
import type { AMIAccount, AMIAccountSpec } from "../resource/ami-account.ts";
import { namesEveryAddress, rulesOf } from "./address.ts";
import { hasOriginateHole } from "./originate-hole.ts";

/** Why an account is not safe. An error refuses it before anything is written. */
export interface AccountProblem {
  readonly severity: "error" | "warning";
  /** A dot path in the spec, such as `permit.0`. */
  readonly field: string;
  readonly message: string;
  readonly hint: string;
}

/** What the policy needs to know beside the declaration. */
export interface PolicyContext {
  /** The account's secret; undefined where the Secret or its key is missing, or `generate` has not made it yet. */
  readonly secret: string | undefined;
  /** As Asterisk prints it: `22.10.1`, `18.9-cert17`. */
  readonly asteriskVersion: string;
  /** How manager.conf's [general] binds. */
  readonly listener: Listener;
  /** A distribution writes manager.conf: what [general] says is not the user's to change. */
  readonly distributionOwnsManager: boolean;
  readonly serverName: string;
}

/** All that is unsafe about an account, in the order of its fields; pure. No message holds a value of the secret. */
export function accountProblems(account: Pick<AMIAccount, "spec">, context: PolicyContext): AccountProblem[] {
  const { spec } = account;
  return [
    ...secretProblems(spec, context),
    ...addressProblems(spec),
    ...classProblems(spec, context.asteriskVersion),
    ...variableProblems(spec),
    ...listenerProblems(spec, context),
  ];
}

const secretHint =
  "Use `generate: true`, or a secret of at least 16 random characters; `allowWeakSecret: true` accepts it as it is.";

function secretProblems(spec: AMIAccountSpec, { secret, serverName }: PolicyContext): AccountProblem[] {
  const field = spec.generate === true ? "generate" : "secretRef";
  if (secret === undefined) {
    if (spec.generate === true) return [];
    const hint = "Store the secret under the key that `secretRef` names, or use `generate: true`.";
    return [error(field, "the account's secret is missing", hint)];
  }
  const malformed = secret === "" ? "is empty" : textProblem(secret);
  if (malformed !== undefined) {
    const hint = "Store another secret, without the line break that editors put at the end of a file.";
    return [error(field, `the account's secret ${malformed}`, hint)];
  }
  const weakness = secretWeakness(secret, [spec.username, serverName]);
  if (weakness === undefined) return [];
  const message = `the account's secret ${weaknesses[weakness]}`;
  return [spec.allowWeakSecret ? warning(field, message, secretHint) : error(field, message, secretHint)];
}

const weaknesses = {
  empty: "is empty",
  "well-known": "is a well-known default, or the name of the account or the server",
  short: `has fewer than ${String(shortestSecret)} characters`,
  guessable: "can be guessed: it is made of words, names, dates, repetitions or sequences",
} as const;

const families = ["IPv4", "IPv6"] as const;

function addressProblems(spec: AMIAccountSpec): AccountProblem[] {
  const { permit, deny, allowAnyAddress } = spec;
  const severity = allowAnyAddress ? "warning" : "error";
  if (permit.length === 0 && !(allowAnyAddress && deny.length === 0)) {
    const hint = "Name the addresses that log in: 127.0.0.1 for the server itself and for an SSH tunnel.";
    return [error("permit", "permits no address: nobody, or anybody, could log in", hint)];
  }
  const everywhere = families.filter((family) => namesEveryAddress(permit, family));
  if (everywhere.length > 0) {
    const message = `permits every address of ${everywhere.join(" and ")}`;
    const hint = "Name the addresses that log in; `allowAnyAddress: true` accepts it as it is.";
    return [{ severity, field: "permit", message, hint }];
  }
  const open = families.filter((family) => opensTo(family, rulesOf(spec)));
  if (open.length === 0) return permit.flatMap(wideProblem);
  const message = `leaves ${open.join(" and ")} open: Asterisk lets in what no rule names, and each rule is for one family only`;
  const hint =
    'Leave `deny` out, or begin it with "0.0.0.0/0" and "::/0"; `allowAnyAddress: true` accepts it as it is.';
  return [{ severity, field: "deny", message, hint }];
}

/** The shortest prefixes that pass without a word; 10.0.0.0/8 is the largest private network. */
const widest = { IPv4: 8, IPv6: 16 } as const;

function wideProblem(entry: string, index: number): AccountProblem[] {
  const [rule] = rulesOf({ deny: [], permit: [entry] });
  if (rule === undefined || bitsOf(rule.mask) >= widest[rule.family]) return [];
  const message = `${entry} permits a large part of the internet`;
  return [warning(`permit.${String(index)}`, message, "Name the addresses that log in.")];
}

function bitsOf(mask: readonly number[]): number {
  return mask.reduce((bits, byte) => bits + byte.toString(2).replaceAll("0", "").length, 0);
}

function classProblems(spec: AMIAccountSpec, asteriskVersion: string): AccountProblem[] {
  const isExplained = spec.privilegedReason !== undefined;
  return spec.write.flatMap((name, index) => {
    const field = `write.${String(index)}`;
    const how = codeExecution[name];
    if (how !== undefined) {
      if (isExplained) return [];
      const message = `the class ${name} is code execution on the server: it ${how}`;
      return [error(field, message, "Leave it out, or say in `privilegedReason` why the account needs it.")];
    }
    if (name !== "originate" || isExplained) return [];
    if (hasOriginateHole(asteriskVersion)) {
      const message = `on Asterisk ${asteriskVersion} the class originate is code execution on the server (CVE-2024-42365)`;
      const hint =
        "Update Asterisk to 18.24.2, 20.9.2, 21.4.2 or later (certified: 18.9-cert11, 20.7-cert2), or say in `privilegedReason` why the account needs it.";
      return [error(field, message, hint)];
    }
    const message = "the class originate starts calls, at your cost, to any number that the dialplan reaches";
    return [warning(field, message, "Leave it out, or say in `privilegedReason` why the account needs it.")];
  });
}

// __init_manager frees an account's variables when it reads a changed manager.conf again, and goes on using them. Seen:
// `manager show user` prints other memory (22.10.1) or never ends (16.28); 22.10.1 dies when the account is removed.
function variableProblems({ variables, allowVariables }: AMIAccountSpec): AccountProblem[] {
  if (Object.keys(variables).length === 0) return [];
  const message =
    "Asterisk has a fault with variables of accounts: from the next change of manager.conf on it uses freed memory, and can hang or crash with all calls";
  const hint =
    "Set the variables in the Originate action or in the dialplan instead; `allowVariables: true` accepts them all the same.";
  return [(allowVariables ? warning : error)("variables", message, hint)];
}

function listenerProblems(spec: AMIAccountSpec, context: PolicyContext): AccountProblem[] {
  const { listener, distributionOwnsManager } = context;
  const severity = spec.allowPlaintext || distributionOwnsManager ? "warning" : "error";
  const problems: AccountProblem[] = [];
  if (listener.reach === "everywhere" && !listener.TLS) {
    const hint =
      "Write `bindaddr = 127.0.0.1` in manager.conf and reach it through SSH, or use `tlsenable`; `allowPlaintext: true` accepts it as it is.";
    const message =
      "AMI listens on all interfaces without TLS: the account's events and actions can be read on the way";
    problems.push({ severity, field: "serverRef", message, hint });
  }
  if (listener.web) {
    const hint =
      "Write `webenabled = no` in manager.conf and restart Asterisk, for a reload leaves it on; `allowPlaintext: true` accepts it as it is.";
    const message =
      "webenabled: the account can log in through Asterisk's web server too, wherever http.conf lets it listen";
    problems.push({ severity, field: "serverRef", message, hint });
  }
  return problems;
}

function error(field: string, message: string, hint: string): AccountProblem {
  return { severity: "error", field, message, hint };
}

function warning(field: string, message: string, hint: string): AccountProblem {
  return { severity: "warning", field, message, hint };
}
