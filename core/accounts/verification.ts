import { parseACL } from "../conf/lint/acl.ts";
import type { ACLRule } from "../conf/lint/acl.ts";

/** One row of an access list, as live Asterisk has it. */
export interface AccessRow {
  readonly sense: "permit" | "deny";
  /** As Asterisk prints it, the mask spelt out: `10.0.0.0/255.0.0.0`, `2001:db8::/ffff:ffff::`. */
  readonly address: string;
}

/** An AMI account as live Asterisk shows it (`manager show user`). */
export interface LiveAccount {
  readonly username: string;
  /** Asterisk shows only that there is one. */
  readonly hasSecret: boolean;
  /** The account's own rows, in order: the last that fits an address decides. */
  readonly acl: readonly AccessRow[];
  /** Lists of acl.conf that it names; an address must pass each. One that is not in acl.conf has no rows and passes nobody. */
  readonly namedACLs: readonly { readonly name: string; readonly rows: readonly AccessRow[] }[];
  /** Classes in Asterisk's order; every class and `all` where it has all; none where it has none. */
  readonly read: readonly string[];
  readonly write: readonly string[];
  readonly displayConnects: boolean;
  readonly allowMultipleLogin: boolean;
  readonly variables: ReadonlyMap<string, string>;
}

/** What a spec declares of an account, as far as it reaches Asterisk. */
export interface DeclaredAccount {
  readonly username: string;
  readonly permit: readonly string[];
  readonly deny: readonly string[];
  readonly read: readonly string[];
  readonly write: readonly string[];
  readonly allowMultipleLogin: boolean;
  readonly displayConnects: boolean;
  readonly variables: Readonly<Record<string, string>>;
  readonly writeTimeout?: string;
  readonly eventFilters?: readonly string[];
}

/** One attribute, declared beside live. Values of variables and the secret are never in it. */
export interface AttributeCheck {
  readonly attribute: string;
  readonly declared: string;
  readonly live: string;
  readonly ok: boolean;
  /** Whether Asterisk shows the attribute at all: where it does not, `ok` says only that nothing speaks against it. */
  readonly proved: boolean;
  /** What to do about a difference. */
  readonly advice?: string;
}

/**
 * What was seen of an account; `Listed`: only that it is there, since Asterisk can't safely show one that has variables
 * (docs/ami-classes.md); `undefined`: that it is not.
 */
export type SeenAccount = LiveAccount | "Listed" | undefined;

/** Every attribute of an account, declared beside live; one row where live Asterisk does not have it. Pure. */
export function verifyAccount(declared: DeclaredAccount, live: SeenAccount): AttributeCheck[] {
  if (live === undefined) {
    return [
      {
        attribute: "account",
        declared: declared.username,
        live: "no such account",
        ok: false,
        proved: true,
        advice:
          "Asterisk deletes an account of which a permit or deny can't be read, and says so in its log. Else: reload " +
          "manager, and see whether manager.conf includes the file that holds the account.",
      },
    ];
  }
  if (live === "Listed") {
    const checks = compare(declared, asDeclared(declared));
    return checks.map((each) => {
      if (each.attribute === "account" || !each.proved) return each;
      return unseen(each.attribute, each.declared, "not asked: Asterisk may hang where it shows variables");
    });
  }
  return compare(declared, live);
}

function compare(declared: DeclaredAccount, live: LiveAccount): AttributeCheck[] {
  return [
    check("account", declared.username, live.username, "Asterisk has it in other letters; sections differ."),
    check("secret", "set", live.hasSecret ? "set" : "not set", "The account has no secret: write it anew."),
    check("acl", showRows(declaredRows(declared)), showRows(live.acl), aclAdvice),
    namedACLs(live),
    check("read", showClasses(declared.read), showClasses(live.read), classAdvice("read")),
    check("write", showClasses(declared.write), showClasses(live.write), classAdvice("write")),
    check("displayconnects", yesNo(declared.displayConnects), yesNo(live.displayConnects), reloadAdvice),
    check(
      "allowmultiplelogin",
      yesNo(declared.allowMultipleLogin),
      yesNo(live.allowMultipleLogin),
      reloadAdvice,
    ),
    variables(declared, live),
    unseen("writetimeout", declared.writeTimeout ?? "not declared"),
    unseen("eventfilter", count(declared.eventFilters?.length ?? 0, "filter")),
  ];
}

const reloadAdvice =
  "Reload manager. If it stays, the file says otherwise: a second section of this name, or an include read later.";
const aclAdvice = `The last row that fits an address decides. ${reloadAdvice}`;

function classAdvice(kind: "read" | "write"): string {
  return `Asterisk keeps the old classes where ${kind}= is missing, and reads all but the last as prefixes. ${reloadAdvice}`;
}

function check(attribute: string, declared: string, live: string, advice: string): AttributeCheck {
  const ok = declared === live;
  return { attribute, declared, live, ok, proved: true, ...(ok ? {} : { advice }) };
}

function unseen(attribute: string, declared: string, live = "not shown by Asterisk"): AttributeCheck {
  return { attribute, declared, live, ok: true, proved: false };
}

/** What live Asterisk shows of an account that is as declared. */
function asDeclared(declared: DeclaredAccount): LiveAccount {
  const variables = new Map(Object.entries(declared.variables));
  return { ...declared, hasSecret: true, acl: declaredRows(declared), namedACLs: [], variables };
}

function namedACLs({ namedACLs }: LiveAccount): AttributeCheck {
  const live = namedACLs.map(({ name }) => name).join(", ") || "none";
  return check(
    "named acls",
    "none",
    live,
    "An acl= that is not declared narrows who may log in: take it out.",
  );
}

/** The names; a value may be a secret, so that another is told without either. */
function variables(declared: DeclaredAccount, live: LiveAccount): AttributeCheck {
  const wanted = Object.entries(declared.variables);
  const advice =
    "Asterisk frees an account's variables at each reload and goes on using them, until it crashes: declare none, and " +
    "restart Asterisk.";
  const other = wanted.filter(
    ([name, value]) => live.variables.has(name) && live.variables.get(name) !== value,
  );
  const names = (all: Iterable<string>): string => [...all].sort().join(", ") || "none";
  const shown = check("variables", names(wanted.map(([name]) => name)), names(live.variables.keys()), advice);
  if (other.length === 0) return shown;
  return {
    ...shown,
    live: `${shown.live} (another value: ${names(other.map(([name]) => name))})`,
    ok: false,
    advice,
  };
}

function declaredRows({ permit, deny }: DeclaredAccount): AccessRow[] {
  return [
    ...deny.flatMap((entry) => parseACL("deny", entry).rules),
    ...permit.flatMap((entry) => parseACL("permit", entry).rules),
  ].map(printRule);
}

/** A rule as Asterisk prints it (ast_ha_output of main/acl.c). */
function printRule({ sense, family, network, mask }: ACLRule): AccessRow {
  const print = family === "IPv4" ? printIPv4 : printIPv6;
  return { sense, address: `${print(network)}/${print(mask)}` };
}

function printIPv4(bytes: readonly number[]): string {
  return bytes.join(".");
}

/** As getnameinfo writes it: the longest row of two or more zero groups is `::`, an IPv4 tail is dotted. */
function printIPv6(bytes: readonly number[]): string {
  const groups = Array.from(
    { length: 8 },
    (_, index) => (bytes[2 * index] ?? 0) * 256 + (bytes[2 * index + 1] ?? 0),
  );
  const embedsIPv4 = groups[6] !== 0 && groups.slice(0, 6).every((group) => group === 0);
  if (embedsIPv4) return `::${printIPv4(bytes.slice(12))}`;
  const zeros = longestZeros(groups);
  const hex = (from: number, to?: number): string =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(":");
  return zeros.length < 2 ? hex(0) : `${hex(0, zeros.start)}::${hex(zeros.start + zeros.length)}`;
}

function longestZeros(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let length = 0;
  for (const [index, group] of groups.entries()) {
    length = group === 0 ? length + 1 : 0;
    if (length > best.length) best = { start: index - length + 1, length };
  }
  return best;
}

function showRows(rows: readonly AccessRow[]): string {
  return rows.map(({ sense, address }) => `${sense} ${address}`).join(", ") || "none";
}

function showClasses(classes: readonly string[]): string {
  if (classes.includes("all")) return "all";
  return (
    classes
      .filter((name) => name !== "none")
      .sort()
      .join(",") || "none"
  );
}

function yesNo(value: boolean): string {
  return value ? "yes" : "no";
}

function count(number: number, what: string): string {
  return number === 0 ? "none" : `${number} ${what}${number === 1 ? "" : "s"}`;
}
