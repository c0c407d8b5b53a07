import { ipv4Mapped, parseAddress } from "./address.ts";
import type { Address } from "./address.ts";

/** One rule of an access list, as Asterisk keeps it. */
export interface ACLRule {
  readonly sense: "permit" | "deny";
  readonly family: "IPv4" | "IPv6";
  /** The mask has no bit set: the rule is for every address of its family. */
  readonly everything: boolean;
}

/** Why Asterisk refuses an entry; `at` and `length` say where in the value it stands. */
export interface ACLProblem {
  readonly reason: string;
  readonly at: number;
  readonly length: number;
}

/**
 * Reads the value of `permit`, `deny` (main/acl.c, ast_append_ha): entries separated by commas, each `!` for the
 * opposite, an address, and a mask in bits or as an address. The rules before an invalid entry stand.
 */
export function parseACL(
  sense: "permit" | "deny",
  value: string,
): { rules: ACLRule[]; problem?: ACLProblem } {
  const rules: ACLRule[] = [];
  let at = 0;
  for (const entry of value.split(",")) {
    const rule = parseEntry(sense, entry);
    if (typeof rule === "string") return { rules, problem: { reason: rule, at, length: entry.length } };
    rules.push(rule);
    at += entry.length + 1;
  }
  return { rules };
}

function parseEntry(sense: "permit" | "deny", entry: string): ACLRule | string {
  const slash = entry.indexOf("/");
  const written = slash < 0 ? entry : entry.slice(0, slash);
  const negated = written.startsWith("!");
  const text = negated ? written.slice(1) : written;
  const parsed = parseAddress(text, "forbid");
  if (!parsed) return `"${text}" is no IP address`;
  const address = ipv4Mapped(parsed);

  const mask = slash < 0 ? undefined : parseMask(address, entry.slice(slash + 1));
  if (typeof mask === "string") return mask;
  return {
    sense: negated ? (sense === "permit" ? "deny" : "permit") : sense,
    family: address.length === 4 ? "IPv4" : "IPv6",
    everything: mask?.everything ?? false,
  };
}

function parseMask(address: Address, text: string): { everything: boolean } | string {
  if (/[:.]/.test(text)) {
    const parsed = parseAddress(text, "forbid");
    if (!parsed) return `"${text}" is no netmask`;
    const mask = ipv4Mapped(parsed);
    if (mask.length !== address.length) return `the netmask "${text}" is of another address family`;
    return { everything: mask.every((byte) => byte === 0) };
  }
  // sscanf("%d") stops at the first byte that is no digit: `24 # office` is 24.
  const bits = /^[\t-\r ]*([+-]?\d{1,30})/.exec(text)?.[1];
  if (bits === undefined || Number(bits) < 0 || Number(bits) > address.length * 8) {
    return `"${text}" is no netmask of 0 to ${String(address.length * 8)} bits`;
  }
  return { everything: Number(bits) === 0 };
}
