import { describe, expect, test } from "@jest/globals";
import { verifyAccount } from "../../../core/accounts/verification.ts";
import type { DeclaredAccount, LiveAccount } from "../../../core/accounts/verification.ts";

const declared: DeclaredAccount = {
  username: "shop",
  deny: ["0.0.0.0/0", "::/0"],
  permit: ["10.1.2.3/8", "2001:DB8::1"],
  read: ["call", "system"],
  write: [],
  allowMultipleLogin: true,
  displayConnects: false,
  variables: {},
};

const live: LiveAccount = {
  username: "shop",
  hasSecret: true,
  acl: [
    { sense: "deny", address: "0.0.0.0/0.0.0.0" },
    { sense: "deny", address: "::/::" },
    { sense: "permit", address: "10.0.0.0/255.0.0.0" },
    { sense: "permit", address: "2001:db8::1/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" },
  ],
  namedACLs: [],
  read: ["system", "call"],
  write: [],
  displayConnects: false,
  allowMultipleLogin: true,
  variables: new Map(),
};

function differing(ours: Partial<DeclaredAccount>, theirs: Partial<LiveAccount> = {}) {
  return verifyAccount({ ...declared, ...ours }, { ...live, ...theirs }).filter(({ ok }) => !ok);
}

describe("an account, declared beside live", () => {
  test("as declared, in Asterisk's own forms and order: all is well, and what is not shown is not called proved", () => {
    const checks = verifyAccount(
      { ...declared, writeTimeout: "1s", eventFilters: ["Event: Newchannel"] },
      live,
    );
    expect(checks.filter(({ ok }) => !ok)).toEqual([]);
    expect(checks.filter(({ proved }) => !proved)).toEqual([
      {
        attribute: "writetimeout",
        declared: "1s",
        live: "not shown by Asterisk",
        ok: true,
        proved: false,
      },
      {
        attribute: "eventfilter",
        declared: "1 filter",
        live: "not shown by Asterisk",
        ok: true,
        proved: false,
      },
    ]);
    expect(checks.find(({ attribute }) => attribute === "secret")).toMatchObject({
      declared: "set",
      live: "set",
    });
  });

  test("an account that Asterisk does not have", () => {
    expect(verifyAccount(declared, undefined)).toEqual([
      expect.objectContaining({ attribute: "account", live: "no such account", ok: false }),
    ]);
  });

  test("an account with variables that was only listed is there, and nothing else is proved", () => {
    const checks = verifyAccount({ ...declared, variables: { PIN: "1234" } }, "Listed");
    expect(checks.filter(({ proved }) => proved).map(({ attribute }) => attribute)).toEqual(["account"]);
    expect(checks.every(({ ok }) => ok)).toBe(true);
    expect(checks.find(({ attribute }) => attribute === "variables")).toMatchObject({
      declared: "PIN",
      live: "not asked: Asterisk may hang where it shows variables",
    });
    expect(JSON.stringify(checks)).not.toContain("1234");
  });

  test.each<[string, Partial<DeclaredAccount>, Partial<LiveAccount>]>([
    ["account", { username: "Shop" }, {}],
    ["secret", {}, { hasSecret: false }],
    ["acl", { permit: ["10.0.0.0/9", "2001:db8::1"] }, {}],
    ["acl", { permit: ["2001:db8::1", "10.0.0.0/8"] }, {}],
    ["acl", {}, { acl: live.acl.slice(0, -1) }],
    ["named acls", {}, { namedACLs: [{ name: "office", rows: [] }] }],
    ["read", { read: ["call"] }, {}],
    ["write", { write: ["call"] }, {}],
    ["displayconnects", { displayConnects: true }, {}],
    ["allowmultiplelogin", { allowMultipleLogin: false }, {}],
    ["variables", { variables: { PIN: "1234" } }, {}],
    ["variables", {}, { variables: new Map([["PIN", "1234"]]) }],
    ["variables", { variables: { PIN: "1234" } }, { variables: new Map([["PIN", "4321"]]) }],
  ])("another %s, with what to do about it, and never a value", (attribute, ours, theirs) => {
    const found = differing(ours, theirs);
    expect(found).toEqual([
      expect.objectContaining({ attribute, proved: true, advice: expect.any(String) as unknown }),
    ]);
    expect(JSON.stringify(found)).not.toMatch(/1234|4321/);
  });

  test("all classes are all, and none is none, however they are written", () => {
    expect(
      differing({ read: ["all"], write: ["none"] }, { read: ["system", "call", "all"], write: [] }),
    ).toEqual([]);
    expect(differing({ read: ["all"] }, { read: ["system", "call"] })).toHaveLength(1);
  });
});
