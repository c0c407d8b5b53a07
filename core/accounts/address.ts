import { parseAddress } from "../conf/lint/address.ts";
import { parseACL, permits } from "../conf/lint/acl.ts";
import type { ACLRule } from "../conf/lint/acl.ts";

/** The addresses of an account's spec. */
export interface AddressLists {
  readonly deny: readonly string[];
  readonly permit: readonly string[];
}

/** The rules of an account in the order in which they are written: deny, then permit. */
export function rulesOf({ deny, permit }: AddressLists): ACLRule[] {
  return [
    ...deny.flatMap((entry) => parseACL("deny", entry).rules),
    ...permit.flatMap((entry) => parseACL("permit", entry).rules),
  ];
}

/** Whether Asterisk lets a client of that numeric address log in. What is no numeric address is not permitted. */
export function isPermitted(rules: readonly ACLRule[], address: string): boolean {
  const parsed = parseAddress(address, "forbid");
  return parsed !== undefined && permits(rules, parsed);
}

/**
 * Whether entries of `permit` together name every address of a family: `0.0.0.0/0`, `1.2.3.4/0.0.0.0`, or
 * `0.0.0.0/1` beside `128.0.0.0/1`. Their masks are whole prefixes.
 */
export function namesEveryAddress(permit: readonly string[], family: ACLRule["family"]): boolean {
  const ranges = rulesOf({ deny: [], permit })
    .filter((rule) => rule.family === family)
    .map(rangeOf)
    .sort((a, b) => (a.first < b.first ? -1 : 1));
  let next = 0n;
  for (const { first, last } of ranges) {
    if (first > next) return false;
    if (last >= next) next = last + 1n;
  }
  return next === 1n << (family === "IPv4" ? 32n : 128n);
}

function rangeOf({ network, mask }: ACLRule): { first: bigint; last: bigint } {
  const first = toNumber(network);
  return { first, last: first + toNumber(mask.map((byte) => 0xff ^ byte)) };
}

function toNumber(bytes: readonly number[]): bigint {
  return bytes.reduce((number, byte) => number * 256n + BigInt(byte), 0n);
}
