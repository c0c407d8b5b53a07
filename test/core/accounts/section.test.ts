import { expect, test } from "@jest/globals";
import { accountSection } from "../../../core/accounts/section.ts";
import { readOwned, writeOwned } from "../../../core/conf/owned.ts";
import { accountOf } from "./support.ts";

/** `name=value`, in order. */
function linesOf(spec: Readonly<Record<string, unknown>>, secret = "Zee9phae0aiQuoh4"): string[] {
  const { variables } = accountSection(accountOf(spec).spec, secret);
  return variables.map(({ name, value }) => `${name}=${value}`);
}

test("every key in its place, those that are not declared too", () => {
  expect(linesOf({ read: undefined, write: undefined })).toEqual([
    "secret=Zee9phae0aiQuoh4",
    "deny=0.0.0.0/0",
    "deny=::/0",
    "permit=127.0.0.1",
    "permit=10.20.0.0/16",
    "permit=2001:db8:1::/48",
    "read=none",
    "write=none",
    "displayconnects=yes",
    "allowmultiplelogin=yes",
    "writetimeout=100",
  ]);
});

test("all that can be declared", () => {
  const spec = {
    write: ["call", "originate"],
    displayConnects: false,
    allowMultipleLogin: false,
    writeTimeout: "1m0.5s",
    eventFilters: ["Event: Newchannel", "!Channel: DAHDI/"],
    variables: { B: "two words", A: "1", "CDR(accountcode)": "x" },
  };
  expect(linesOf(spec).slice(6)).toEqual([
    "read=call,cdr",
    "write=call,originate",
    "displayconnects=no",
    "allowmultiplelogin=no",
    "writetimeout=60500",
    "setvar=A=1",
    "setvar=B=two words",
    "setvar=CDR(accountcode)=x",
    "eventfilter=Event: Newchannel",
    "eventfilter=!Channel: DAHDI/",
  ]);
});

test("the section is the account's alone, and its file reads back as it", () => {
  const spec = { eventFilters: ["^[ab;]$"], variables: { A: "[x]; # y" } };
  const section = accountSection(accountOf(spec).spec, "a;b\\c=>#[é]9phae0");
  expect(section).toMatchObject({ name: "crm", whole: true });
  const written = writeOwned(Buffer.from("[other]\nsecret = x\n"), [section]);
  const [read] = readOwned(written, [{ section: "crm", keys: "all" }]);
  expect(read?.map(({ name, value }) => ({ name, value }))).toEqual(section.variables);
});
