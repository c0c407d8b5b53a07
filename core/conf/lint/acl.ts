import { ipv4Mapped, parseAddress } from "./address.ts";
import type { Address } from "./address.ts";
import { quote } from "./inert.ts";

/** One rule of an access list, as Asterisk keeps it. */
export interface ACLRule {
  readonly sense: "permit" | "deny";
  readonly family: "IPv4" | "IPv6";
  /** The mask has no bit set: the rule is for every address of its family. */
  readonly everything: boolean;
  /** The address with the mask applied, and the mask; each 4 bytes for IPv4, 16 for IPv6. */
  readonly network: Address;
  readonly mask: Address;
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

/** What becomes of an address that no narrower rule names: the last rule for everything decides, and first all may. */
export function opensTo(family: ACLRule["family"], rules: readonly ACLRule[]): boolean {
  return rules.findLast((rule) => rule.family === family && rule.everything)?.sense !== "deny";
}

/**
 * Whether these rules let an address in (ast_apply_ha of main/acl.c): at first all may, then the last rule that matches
 * wins. Rules for IPv4 pass IPv6 over, and the other way round; an IPv4-mapped address counts as IPv4.
 */
export function permits(rules: readonly ACLRule[], address: Address): boolean {
  const bytes = ipv4Mapped(address);
  const decisive = rules.findLast(
    ({ network, mask }) =>
      network.length === bytes.length &&
      network.every((byte, index) => ((bytes[index] ?? 0) & (mask[index] ?? 0)) === byte),
  );
  return decisive?.sense !== "deny";
}

function parseEntry(sense: "permit" | "deny", entry: string): ACLRule | string {
  const slash = entry.indexOf("/");
  const written = slash < 0 ? entry : entry.slice(0, slash);
  const negated = written.startsWith("!");
  const text = negated ? written.slice(1) : written;
  const parsed = parseAddress(text, "forbid");
  if (!parsed) return `${quote(text)} is no IP address`;
  const address = ipv4Mapped(parsed);

  const mask =
    slash < 0 ? maskOf(address.length * 8, address.length) : parseMask(address, entry.slice(slash + 1));
  if (typeof mask === "string") return mask;
  return {
    sense: negated ? (sense === "permit" ? "deny" : "permit") : sense,
    family: address.length === 4 ? "IPv4" : "IPv6",
    everything: mask.every((byte) => byte === 0),
    network: address.map((byte, index) => byte & (mask[index] ?? 0)),
    mask,
  };
}

function parseMask(address: Address, text: string): Address | string {
  if (/[:.]/.test(text)) {
    const parsed = parseAddress(text, "forbid");
    if (!parsed) return `${quote(text)} is no netmask`;
    const mask = ipv4Mapped(parsed);
    if (mask.length !== address.length) return `the netmask ${quote(text)} is of another address family`;
    return mask;
  }
  // sscanf("%d") stops at the first byte that is no digit: `24 # office` is 24.
  const bits = /^[\t-\r ]*([+-]?\d{1,30})/.exec(text)?.[1];
  if (bits === undefined || Number(bits) < 0 || Number(bits) > address.length * 8) {
    return `${quote(text)} is no netmask of 0 to ${String(address.length * 8)} bits`;
  }
  return maskOf(Number(bits), address.length);
}

function maskOf(bits: number, length: number): Address {
  return Array.from({ length }, (_, index) => 0xff & (0xff00 >> Math.min(Math.max(bits - index * 8, 0), 8)));
}
