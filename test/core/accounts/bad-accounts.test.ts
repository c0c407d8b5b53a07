import { describe, expect, test } from "@jest/globals";
import { accountProblems } from "../../../core/accounts/policy.ts";
import type { PolicyContext } from "../../../core/accounts/policy.ts";
import { amiAccount } from "../../../core/resource/index.ts";
import { accountOf, goodContext, manifestOf } from "./support.ts";

type Fields = Readonly<Record<string, unknown>>;

/** `field: message` of each reason for which a manifest is refused as such. */
function refusals(spec: Fields): string[] {
  const parsed = amiAccount.safeParse(manifestOf(spec));
  return (parsed.error?.issues ?? []).map(({ path, message }) => `${path.slice(1).join(".")}: ${message}`);
}

describe("what Asterisk would misread is refused with the manifest", () => {
  const lineBreaks: [string, Fields, string, RegExp][] = [
    ["username", { username: "crm\n[root]" }, "username", /not an account's name/],
    ["an address", { permit: ["10.0.0.1\npermit=0.0.0.0/0"] }, "permit.0", /line break/],
    ["deny", { deny: ["0.0.0.0/0\r"] }, "deny.0", /line break/],
    ["a class", { read: ["call\nwrite=all"] }, "read.0", /not a class/],
    ["an event filter", { eventFilters: ["a\nwrite=all"] }, "eventFilters.0", /line break/],
    ["a variable's value", { variables: { A: "1\nwrite=all" } }, "variables.A", /line break/],
    ["a variable's name", { variables: { "A\nwrite": "all" } }, "variables.A\nwrite", /not the name/],
    ["the reason", { privilegedReason: "a\nb" }, "privilegedReason", /line break/],
    ["the file", { file: "manager.d/a\n.conf" }, "file", /line break/],
    ["writeTimeout", { writeTimeout: "100ms\nwrite=all" }, "writeTimeout", /not a duration/],
    ["the Secret's key", { secretRef: { name: "crm", key: "a\nb" } }, "secretRef.key", /not a key/],
    ["the server's name", { serverRef: { name: "pbx1\nx" } }, "serverRef.name", /not a valid resource name/],
  ];
  test.each(lineBreaks)("a line break in %s", (_, spec, field, reason) => {
    expect(refusals(spec)).toEqual([expect.stringMatching(new RegExp(`^${field}: .*${reason.source}`, "s"))]);
  });

  const misread: [string, Fields, string, RegExp][] = [
    ["an empty name", { username: "" }, "username", /not an account's name/],
    ["a name with `]`", { username: "crm]" }, "username", /not an account's name/],
    ["a name with `[`", { username: "[crm" }, "username", /not an account's name/],
    ["a name with `;`", { username: "crm;x" }, "username", /not an account's name/],
    ["a name with a blank", { username: "crm " }, "username", /not an account's name/],
    ["a name with a NUL", { username: "crm\0" }, "username", /not an account's name/],
    ["a name that begins with #", { username: "#include" }, "username", /not an account's name/],
    ["a name that is no ASCII", { username: "crmé" }, "username", /not an account's name/],
    ["a name that Asterisk cuts", { username: "a".repeat(80) }, "username", /79/],
    ["the name of AMI's own settings", { username: "General" }, "username", /own settings/],
    ["call,,x in read", { read: ["call,,x"] }, "read.0", /not a class/],
    ["classes that are one text", { read: "call,cdr" }, "read", /expected array/],
    ["an empty class", { write: ["call", ""] }, "write.1", /not a class/],
    ["a class with a blank", { write: [" call"] }, "write.0", /not a class/],
    ["a class in capitals", { write: ["Call"] }, "write.0", /not a class/],
    ["the beginning of a class", { write: ["a"] }, "write.0", /not a class/],
    ["a class twice", { write: ["call", "call"] }, "write", /twice/],
    ["none beside a class", { write: ["none", "call"] }, "write", /none/],
    ["a host name", { permit: ["crm.example.com"] }, "permit.0", /no names/],
    ["a bad mask", { permit: ["10.0.0.0/33"] }, "permit.0", /0 to 32/],
    ["a mask with a gap", { permit: ["10.0.0.0/255.0.255.0"] }, "permit.0", /one run/],
    ["a mask of the other family", { permit: ["10.0.0.0/ffff::"] }, "permit.0", /another address family/],
    ["a mask that is no mask", { permit: ["10.0.0.0/24 "] }, "permit.0", /blank/],
    ["an empty mask", { permit: ["10.0.0.0/"] }, "permit.0", /no netmask/],
    ["two masks", { permit: ["10.0.0.0/8/8"] }, "permit.0", /no number of bits/],
    ["a comment behind an address", { permit: ["1.2.3.4/255.255.255.255 # agent"] }, "permit.0", /`#`/],
    ["a comment of .conf files", { permit: ["1.2.3.4 ; agent"] }, "permit.0", /`;`/],
    ["two addresses in one text", { permit: ["1.2.3.4,5.6.7.8"] }, "permit.0", /entry of its own/],
    ["a blank in front", { permit: [" 1.2.3.4"] }, "permit.0", /blank/],
    ["a negated address", { permit: ["!1.2.3.4"] }, "permit.0", /`!`/],
    ["an address with a port", { permit: ["1.2.3.4:5038"] }, "permit.0", /not a numeric address/],
    ["an address that reads as another", { permit: ["010.0.0.1"] }, "permit.0", /not a numeric address/],
    ["half an address", { permit: ["10.1/16"] }, "permit.0", /not a numeric address/],
    ["an IPv4 address as IPv6", { permit: ["::ffff:1.2.3.4/128"] }, "permit.0", /not a numeric address/],
    ["an address of an interface", { permit: ["fe80::1%eth0"] }, "permit.0", /not a numeric address/],
    ["a bad address in deny", { deny: ["0.0.0.0/0", "all"] }, "deny.1", /no names/],
    ["a time without a unit", { writeTimeout: "100" }, "writeTimeout", /not a duration/],
    ["a time below Asterisk's least", { writeTimeout: "99ms" }, "writeTimeout", /at least 100ms/],
    ["a time that overflows", { writeTimeout: "597h" }, "writeTimeout", /at most/],
    ["an open bracket in a filter", { eventFilters: ["[a"] }, "eventFilters.0", /never closed/],
    ["an empty filter", { eventFilters: ["!"] }, "eventFilters.0", /no pattern/],
    ["the end of a comment in a filter", { eventFilters: ["a--;"] }, "eventFilters.0", /comments/],
    ["a filter that becomes the operator", { eventFilters: [">a"] }, "eventFilters.0", /operator/],
    ["a variable with = in its name", { variables: { "A=B": "1" } }, "variables.A=B", /not the name/],
    ["a variable that Asterisk cuts", { variables: { A: "b".repeat(254) } }, "variables.A", /255/],
    ["a file outside", { file: "../manager.conf" }, "file", /component/],
    ["an absolute file", { file: "/etc/passwd" }, "file", /absolute/],
    ["a hidden file", { file: "manager.d/.crm.conf" }, "file", /begins with a dot/],
    ["a pattern as a file", { file: "manager.d/*.conf" }, "file", /not a file/],
    ["no reason in privilegedReason", { privilegedReason: " " }, "privilegedReason", /empty/],
    ["neither secretRef nor generate", { secretRef: undefined }, "", /either secretRef or generate/],
    ["both secretRef and generate", { generate: true }, "", /either secretRef or generate/],
    ["the secret itself in the manifest", { secret: "x" }, "", /secret/],
    ["an unknown field", { premit: ["10.0.0.1"] }, "", /premit/],
  ];
  test.each(misread)("%s", (_, spec, field, reason) => {
    const found = refusals(spec);
    expect(found).toHaveLength(1);
    expect(found[0]?.slice(0, field.length + 1)).toBe(`${field}:`);
    expect(found[0]).toMatch(reason);
  });
});

/** `field: message` of the errors, or of the warnings, of an account that is valid as such. */
function found(severity: "error" | "warning", spec: Fields, context: Partial<PolicyContext> = {}): string[] {
  return accountProblems(accountOf(spec), { ...goodContext, ...context })
    .filter((problem) => problem.severity === severity)
    .map(({ field, message }) => `${field}: ${message}`);
}

const everywhere = { reach: "everywhere", IPv6: true, TLS: false, web: false } as const;

describe("what is unsafe is refused", () => {
  const secrets: [string, string | undefined, RegExp][] = [
    ["missing", undefined, /is missing/],
    ["empty", "", /is empty/],
    ...["asterisk1", "odoo", "salt", "admin", "amp111", "mysecret", "phpconfig", "1234", "php[onfig"].map(
      (secret): [string, string, RegExp] => [`the default ${secret}`, secret, /well-known/],
    ),
    ["a default in capitals", "MySecret", /well-known/],
    ["the account's name", "CRM", /well-known/],
    ["the server's name", "pbx1", /well-known/],
    ["short", "k3vX9qLm2Ys", /fewer than 12/],
    ["one character many times", "x".repeat(200), /guessed/],
    ["a row of the keyboard", "qwertyuiopasdfgh", /guessed/],
    ["a date", "20240101120000", /guessed/],
    ["a word and a year", "Password2024!", /guessed/],
    ["names that everybody knows", "crm-pbx1-2024", /guessed/],
    ["the program's name", "asterisk2024asterisk", /guessed/],
    ["with a line break", "Zee9phae0aiQuoh4\n", /line break/],
    ["with a NUL", "Zee9phae0\0aiQuoh4", /NUL/],
    ["with a blank in front", " Zee9phae0aiQuoh4", /blank/],
    ["with the end of a comment", "Zee9phae0--;aiQuoh4", /comments/],
    ["that becomes the operator", ">Zee9phae0aiQuoh4", /operator/],
    ["too long", "Zee9phae0aiQuoh4".repeat(16), /255 bytes/],
  ];
  test.each(secrets)("a secret that is %s, and no message says it", (_, secret, reason) => {
    const problems = accountProblems(accountOf(), { ...goodContext, secret });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatchObject({ severity: "error", field: "secretRef" });
    expect(problems[0]?.message).toMatch(reason);
    const unsaid = secret !== undefined && secret.length >= 11 ? [secret.trim(), secret.slice(0, 8)] : [];
    for (const text of unsaid) expect(JSON.stringify(problems)).not.toContain(text);
  });

  const accounts: [string, Fields, Partial<PolicyContext>, RegExp][] = [
    ["no permit", { permit: undefined }, {}, /^permit: permits no address/],
    ["no rule at all", { permit: [], deny: [] }, {}, /^permit: permits no address/],
    ["0.0.0.0/0", { permit: ["0.0.0.0/0"] }, {}, /^permit: .*every address of IPv4$/],
    ["::/0", { permit: ["10.0.0.1", "::/0"] }, {}, /^permit: .*every address of IPv6$/],
    ["0.0.0.0/0.0.0.0", { permit: ["0.0.0.0/0.0.0.0"] }, {}, /^permit: .*every address of IPv4$/],
    ["any address with /0", { permit: ["1.2.3.4/0"] }, {}, /^permit: .*every address of IPv4$/],
    ["two halves", { permit: ["128.0.0.0/1", "0.0.0.0/1"] }, {}, /^permit: .*every address of IPv4$/],
    ["both", { permit: ["0.0.0.0/0", "::1/0"] }, {}, /^permit: .*every address of IPv4 and IPv6$/],
    ["IPv6 left open", { deny: ["0.0.0.0/0"] }, {}, /^deny: leaves IPv6 open/],
    ["IPv4 left open", { deny: ["::/0"] }, {}, /^deny: leaves IPv4 open/],
    ["nothing denied", { deny: [] }, {}, /^deny: leaves IPv4 and IPv6 open/],
    ["a part denied", { deny: ["192.0.2.0/24", "::/0"] }, {}, /^deny: leaves IPv4 open/],
    ["write=all", { write: ["all"] }, {}, /^write\.0: the class all is code execution/],
    ["write=command", { write: ["call", "command"] }, {}, /^write\.1: the class command is code/],
    ["write=config", { write: ["config"] }, {}, /^write\.0: the class config is code execution/],
    ["write=system", { write: ["system"] }, {}, /^write\.0: the class system is code execution/],
    ["write=agi", { write: ["agi"] }, {}, /^write\.0: the class agi is code execution/],
    [
      "originate where it is code execution",
      { write: ["originate"] },
      { asteriskVersion: "16.28.0" },
      /^write\.0: on Asterisk 16\.28\.0 .*CVE-2024-42365/,
    ],
    ["AMI on all interfaces", {}, { listener: everywhere }, /^serverRef: AMI listens on all interfaces/],
    ["AMI in the web server", {}, { listener: { ...goodContext.listener, web: true } }, /webenabled/],
  ];
  test.each(accounts)("%s", (_, spec, context, reason) => {
    expect(found("error", spec, context)).toEqual([expect.stringMatching(reason)]);
  });

  test("all reasons are told at once", () => {
    const spec = { permit: ["0.0.0.0/0"], write: ["all", "config"] };
    const context = { secret: "odoo", listener: { ...everywhere, web: true } };
    const fields = accountProblems(accountOf(spec), { ...goodContext, ...context }).map(({ field }) => field);
    expect(fields).toEqual(["secretRef", "permit", "write.0", "write.1", "serverRef", "serverRef"]);
  });
});

describe("an account may say otherwise by name: then it is a warning, or nothing", () => {
  const explained: [string, Fields, Partial<PolicyContext>, number][] = [
    ["privilegedReason", { write: ["all"], privilegedReason: "the panel loads modules" }, {}, 0],
    [
      "privilegedReason for originate",
      { write: ["originate"], privilegedReason: "click to call" },
      { asteriskVersion: "16.28.0" },
      0,
    ],
    ["allowAnyAddress", { permit: ["0.0.0.0/0", "::/0"], allowAnyAddress: true }, {}, 1],
    ["allowAnyAddress without rules", { permit: [], deny: [], allowAnyAddress: true }, {}, 1],
    ["allowAnyAddress for IPv6", { deny: ["0.0.0.0/0"], allowAnyAddress: true }, {}, 1],
    ["allowWeakSecret", { allowWeakSecret: true }, { secret: "odoo" }, 1],
    ["allowPlaintext", { allowPlaintext: true }, { listener: { ...everywhere, web: true } }, 2],
    [
      "a distribution that owns manager.conf",
      {},
      { listener: { ...everywhere, web: true }, distributionOwnsManager: true },
      2,
    ],
  ];
  test.each(explained)("%s", (_, spec, context, warnings) => {
    expect(found("error", spec, context)).toEqual([]);
    expect(found("warning", spec, context)).toHaveLength(warnings);
  });

  test("nothing allows an account that nobody can use, or a secret that no line can hold", () => {
    expect(found("error", { permit: [], allowAnyAddress: true })).toHaveLength(1);
    const allowed = { allowWeakSecret: true };
    expect(found("error", allowed, { secret: undefined })).toHaveLength(1);
    expect(found("error", allowed, { secret: "" })).toHaveLength(1);
    expect(found("error", allowed, { secret: "a\nb" })).toHaveLength(1);
  });

  test("originate is a warning where it is no code execution", () => {
    expect(found("error", { write: ["originate"] })).toEqual([]);
    expect(found("warning", { write: ["originate"] })).toEqual([expect.stringMatching(/at your cost/)]);
  });

  test("a large part of the internet and variables are warnings", () => {
    expect(found("warning", { permit: ["64.0.0.0/2"] })).toEqual([expect.stringMatching(/^permit\.0: /)]);
    expect(found("warning", { variables: { A: "1" }, allowVariables: true })).toEqual([
      expect.stringMatching(/freed memory/),
    ]);
    expect(found("error", { variables: { A: "1" } })).toEqual([expect.stringMatching(/freed memory/)]);
  });
});

describe("a good account passes without a word", () => {
  const good: [string, Fields, Partial<PolicyContext>][] = [
    ["with a secret of its own", {}, {}],
    [
      "whose secret is still to be generated",
      { secretRef: undefined, generate: true },
      { secret: undefined },
    ],
    [
      "the engine's own",
      { write: ["system", "reporting"], privilegedReason: "asterisk-iac reloads modules" },
      {},
    ],
    ["with no classes at all", { read: [], write: [] }, {}],
    ["from the largest private network", { permit: ["10.0.0.0/8", "fd00::/16"] }, {}],
    ["where AMI listens on all interfaces with TLS", {}, { listener: { ...everywhere, TLS: true } }],
    ["where AMI is off", {}, { listener: { reach: "off", IPv6: false, TLS: false, web: false } }],
    ["with a filter of brackets", { eventFilters: ["!Channel: DAHDI/[[:digit:]]+"] }, {}],
  ];
  test.each(good)("%s", (_, spec, context) => {
    expect(accountProblems(accountOf(spec), { ...goodContext, ...context })).toEqual([]);
  });
});
