import { describe, expect, test } from "@jest/globals";
import { effectiveView, filesOf } from "../../../core/conf/index.ts";
import { readListener } from "../../../core/conf/lint/manager-listener.ts";
import { brief, check, diagnose, mended } from "./lint-helpers.ts";

const file = "manager.conf";
const local = "[general]\nenabled = yes\nbindaddr = 127.0.0.1\n";
const strong = "secret = Zee9phae0aiQuoh4\n";

/** What an account gives on a server that listens on loopback; lines count from its header. */
function account(lines: string): string[] {
  return check(file, `[u]\n${strong}${lines}`);
}

test("the sample of the project's own requirements: the user is deleted, and AMI listens everywhere", () => {
  const sample = [
    "[general]",
    "enabled = yes",
    "webenabled = no",
    "port = 5038",
    "bindaddr = 0.0.0.0 # Pay attention it binds to public interfaces so yuo must restrict acces only to the Agent IP address.",
    "",
    "[odoo]",
    "secret=odoo",
    "allowmultiplelogin=no",
    "displayconnects = yes",
    "read=call",
    "write=originate",
    "deny=0.0.0.0/0.0.0.0",
    "permit=1.2.3.4/255.255.255.255 # Put here Agent IP address.",
    "",
  ].join("\n");
  const found = diagnose({ [file]: sample }, file);
  const errors = found.filter(({ severity }) => severity === "error");
  expect(errors.map(({ line, rule }) => `${String(line)} ${rule}`)).toEqual([
    "5 bindaddr-invalid",
    "8 secret-default",
    "14 acl-invalid",
  ]);
  expect(errors[0]?.message).toMatch(/listens on all interfaces.*`#` starts no comment/);
  expect(errors[2]?.message).toMatch(/deletes the user.*`#` starts no comment/);
  const after = mended(file, sample);
  expect(after).toContain("255.255.255.255 ; Put");
  expect(check(file, after)).toContain("5:12-19 warning bindaddr-any");
});

test("who can reach AMI, as the policy of accounts asks", () => {
  const read = (text: string, isWhole = true) =>
    readListener(isWhole, effectiveView(file, filesOf(new Map([[file, Buffer.from(text)]]))).sections[0]);
  const open = { reach: "everywhere", IPv6: true, TLS: false, web: false };
  expect(read("[general]\nenabled=yes\n")).toEqual(open);
  expect(read("[general]\nenabled=yes\nbindaddr=0.0.0.0\n")).toEqual({ ...open, IPv6: false });
  expect(read("[general]\nenabled=yes\nbindaddr=127.0.0.1 # x\n")).toEqual(open);
  expect(read("[general]\nenabled=yes\ntlsenable=yes\nwebenabled=yes\n")).toEqual({
    ...open,
    TLS: true,
    web: true,
  });
  expect(read("[general]\nenabled=yes\nbindaddr=::1\n")).toEqual({ ...open, reach: "loopback" });
  expect(read("[general]\nenabled=yes\nbindaddr=10.0.0.1\n")).toMatchObject({ reach: "one-address" });
  expect(read("[general]\nwebenabled=yes\n")).toMatchObject({ reach: "off", web: false });
  expect(read("")).toMatchObject({ reach: "off" });
  expect(read("", false)).toMatchObject({ reach: "unknown" });
});

describe("the listener", () => {
  test("an address that is none leaves the default, every interface", () => {
    const text = "[general]\nenabled=yes\nbindaddr = localhost\n";
    expect(check(file, text)).toEqual(["3:12-21 error bindaddr-invalid"]);
    const kept = "[general]\nenabled=yes\nbindaddr=127.0.0.1\nbindaddr=127.0.0.1 # x\n";
    expect(diagnose({ [file]: kept }, file)[0]?.message).toContain("keeps the address of the line before");
  });

  test.each([
    ["bindaddr = 0.0.0.0\n", ["3:12-19 warning bindaddr-any"]],
    ["bindaddr = ::\n", ["3:12-14 warning bindaddr-any"]],
    ["", ["1:1-10 warning bindaddr-any"]],
    ["bindaddr = 127.0.0.1:5038\n", []],
    ["bindaddr = ::1\n", []],
    ["bindaddr = [::1]:5038 # ignored, as Asterisk looks no further\n", ["3:23-62 warning hash-text"]],
    ["bindaddr = 10.0.0.1\n", []],
  ])("%j", (line, expected) => {
    expect(check(file, `[general]\nenabled = yes\n${line}`)).toEqual(expected);
  });

  test("AMI that is off listens nowhere", () => {
    expect(check(file, `[general]\nbindaddr=0.0.0.0\n[u]\n${strong}`)).toEqual([]);
  });

  test("a fragment's listener is in the file that includes it: an open account is only warned of", () => {
    expect(check("manager_custom.conf", `[u]\n${strong}`)).toEqual(["1:1-4 warning acl-missing"]);
  });

  test("a second [general] is not read, its bindaddr neither", () => {
    const text =
      "[general]\nenabled=yes\nbindaddr=127.0.0.1\n[general]\ndebug=yes\n[General]\nbindaddr=127.0.0.1\n";
    expect(check(file, text)).toEqual(["4:1-10 warning duplicate-section", "6:1-10 error duplicate-section"]);
  });

  test.each(["port=80", "port=99999", "port=5038 # AMI", "port=05038", "port=-5038"])("%s", (line) => {
    expect(check(file, `${local}${line}\n`)).toEqual([expect.stringMatching(/^4:6-\d+ error port-invalid$/)]);
  });

  test("other settings", () => {
    const text = `${local}webenabled=yes\ntlsbindaddr=localhost:5039\nbindadr=1.1.1.1\nport=0x13ae\n`;
    expect(check(file, text)).toEqual([
      "4:12-15 warning web-enabled",
      "5:13-27 error bindaddr-invalid",
      "6:9-16 warning unknown-key",
    ]);
  });
});

describe("deny and permit that delete the user", () => {
  test.each([
    "1.2.3.4/255.255.255.255 # x",
    "1.2.3.4/32 # x.",
    "1.2.3.4/32 # x:",
    "1.2.3.4 # x",
    "1.2.3.4, 5.6.7.8",
    "1.2.3.4 ,5.6.7.8",
    "1.2.3.4:5",
    "localhost",
    "",
    "1.2.3.4/",
    "1.2.3.4/33",
    "1.2.3.4/-1",
    "1.2.3.4/ffff::",
    "::1/129",
    "::ffff:1.2.3.4/96",
    "::1%nosuch",
    "1.2.3.256",
    "1.2.3.4.5",
    "08.1.1.1",
    "1::2::3",
    "1:2:3:4:5:6:7",
    "[::1]:80",
  ])("permit=%s", (value) => {
    expect(account(`permit=${value}\n`)).toEqual([expect.stringMatching(/^3:\d+-\d+ error acl-invalid$/)]);
  });

  test.each([
    "1.2.3.4",
    "1.2.3.4/24",
    "1.2.3.4/+8",
    "1.2/8",
    "0x7f.1/8",
    "010.1.1.1",
    "1.2.3.4,::1/128",
    "[::1]junk/128",
    "::ffff:1.2.3.4/24",
    "fe80::1%eth0",
    "::1%7",
    "2001:db8::/32",
    "1:2:3:4:5:6:1.2.3.4",
  ])("permit=%s is fine", (value) => {
    expect(account(`permit=${value}\n`)).toEqual([]);
  });

  test("a ! turns permit into deny", () => {
    expect(account("permit=!1.2.3.4\n")).toEqual(["1:1-4 warning acl-locks-out"]);
  });

  test("a netmask in bits reads no further than its digits: only a warning", () => {
    expect(account("permit=1.2.3.4/32 # the agent\n")).toEqual(["3:19-30 warning hash-text"]);
  });

  test("the place is the entry, not the whole list", () => {
    expect(account("permit=1.2.3.4,bad,::1\n")).toEqual(["3:16-19 error acl-invalid"]);
  });

  test("a named ACL given twice", () => {
    expect(account("acl=office, home\nacl=Home\n")).toEqual(["4:5-9 error acl-invalid"]);
  });

  test("an entry that an included fragment or a template brings is told where it stands", () => {
    const texts = {
      [file]: `${local}[t](!)\npermit=bad\n[u](t)\n${strong}#include more.conf\n`,
      "more.conf": "deny=worse\n",
    };
    expect(brief(diagnose(texts, file), file)).toEqual([
      "5:8-11 error acl-invalid",
      "more.conf:1:6-11 error acl-invalid",
    ]);
  });
});

describe("who may log in", () => {
  const everywhere = "[general]\nenabled=yes\nbindaddr=::\n";
  const rules = (general: string, lines: string) =>
    check(file, `${general}[u]\n${strong}${lines}`).filter((found) => found.includes("acl-"));

  test.each([
    ["", "4:1-4 error acl-missing"],
    ["permit=10.0.0.1\n", "4:1-4 error acl-missing"],
    ["deny=0.0.0.0/0\npermit=0.0.0.0/0\n", "4:1-4 error acl-missing"],
    ["deny=0.0.0.0/0.0.0.0\npermit=10.0.0.1\n", "6:6-21 error acl-ipv4-only"],
    ["deny=0.0.0.0/0,::/0\n", "4:1-4 warning acl-locks-out"],
  ])("on every interface: %j", (lines, expected) => {
    expect(rules(everywhere, lines)).toEqual([expected]);
  });

  test.each([
    "deny=0.0.0.0/0,::/0\npermit=10.0.0.1\n",
    "deny=::/0\ndeny=0.0.0.0/0\npermit=::1\n",
    "acl=office\n",
  ])("guarded: %j", (lines) => {
    expect(rules(everywhere, lines)).toEqual([]);
  });

  test("where IPv6 does not reach, IPv4 rules alone are only warned of", () => {
    const lines = "deny=0.0.0.0/0\npermit=10.0.0.1\n";
    const general = "[general]\nenabled=yes\nbindaddr=0.0.0.0\n";
    expect(rules(general, lines)).toEqual(["6:6-15 warning acl-ipv4-only"]);
    expect(mended(file, `${general}[u]\n${strong}${lines}`)).toContain("deny=0.0.0.0/0\ndeny=::/0\npermit");
    expect(rules(local, lines)).toEqual([]);
  });

  test("on one address an open account is warned of", () => {
    expect(rules("[general]\nenabled=yes\nbindaddr=10.0.0.1\n", "")).toEqual(["4:1-4 warning acl-missing"]);
  });

  test("a second section of a user drops the first one's rules", () => {
    const first = `${local}[u]\n${strong}deny=0.0.0.0/0\npermit=10.0.0.1\n`;
    expect(check(file, `${first}[u]\nread=call\n`)).toContain("8:1-4 error duplicate-section");
    expect(check(file, `${first}[U]\npermit=10.0.0.2\n`)).toContain("8:1-4 warning duplicate-section");
    expect(check(file, `${first}[u](+)\npermit=10.0.0.2\n`)).toEqual([]);
  });
});

describe("permissions", () => {
  test.each([
    ["read=call,,x\n", ["3:11-12 error permission-widened", "3:12-13 warning permission-unknown"]],
    ["read=,call\n", ["3:6-7 error permission-widened"]],
    ["read=call,,\n", ["3:11-12 error permission-widened"]],
    ["write=a,call\n", ["3:7-8 error permission-widened"]],
    ["read=call, originate\n", ["3:11-21 warning permission-unknown"]],
    ["read=Call\n", ["3:6-10 warning permission-unknown"]],
    ["read=cal\n", ["3:6-9 warning permission-unknown"]],
    ["read=call,\n", []],
    ["read=\nwrite=none\n", []],
    ["write=call,command\n", ["3:7-19 warning privileged-write"]],
    ["write=all\n", ["3:7-10 warning privileged-write"]],
    ["write=system,reporting\n", ["3:7-23 warning privileged-write"]],
    ["write=agi\n", ["3:7-10 warning privileged-write"]],
  ])("%j", (lines, expected) => {
    expect(account(lines)).toEqual(expected);
  });

  test("a beginning of a class grants every class that begins so", () => {
    const [found] = diagnose({ [file]: `[u]\n${strong}write=c,call\n` }, file);
    expect(found?.message).toContain("grants call, command, config, cdr, cc");
  });

  test("lists are mended where there is no doubt", () => {
    expect(mended(file, `[u]\n${strong}read = Call, ,cdr ; x\n`)).toContain("read = call,cdr ; x");
    expect(mended(file, `[u]\n${strong}read = call,,foo\n`)).toContain("read = call,,foo");
  });
});

describe("secrets", () => {
  test("defaults, the user's name, short ones, none", () => {
    expect(check(file, "[u]\nsecret=amp111\n")).toEqual(["2:8-14 error secret-default"]);
    expect(check(file, "[LongUserName1]\nsecret=longusername1\n")).toEqual(["2:8-21 error secret-default"]);
    expect(check(file, "[u]\nsecret=\n")).toEqual(["2:8-9 error secret-default"]);
    expect(check(file, "[u]\nsecret=Ahf3ohSh\n")).toEqual(["2:8-16 warning secret-short"]);
    expect(check(file, "[u]\nsecret=Summer2024!Summer\n")).toEqual(["2:8-25 warning secret-guessable"]);
    expect(check(file, "[panel]\nsecret=panelpanelpanel\n")).toEqual(["2:8-23 warning secret-guessable"]);
    expect(check(file, "[u]\nsecret=0d4c9be1f7a25e38\n")).toEqual([]);
    expect(check(file, "[u]\nread=call\n")).toEqual(["1:1-4 warning secret-missing"]);
  });

  test.each(["phpconfig", "phpagi", "AstTapi", "a2billing", "remote_mgr"])(
    "the sample account %s",
    (name) => {
      expect(check(file, `[${name}]\n${strong}`)).toEqual([
        expect.stringContaining("warning sample-account"),
      ]);
    },
  );

  test("no message holds the secret", () => {
    const found = diagnose({ [file]: "[u]\nsecret=hunter # 2\nsecret=hunter\n" }, file);
    expect(found.map(({ rule }) => rule)).toEqual(["hash-text", "duplicate-key", "secret-short"]);
    expect(JSON.stringify(found)).not.toContain("hunter");
  });
});

describe("other lines of an account", () => {
  test.each([
    ["setvar=PBXACCOUNT\n", "3:8-18 warning setvar-invalid"],
    [`setvar=A=${"b".repeat(300)}\n`, "3:8-310 warning setvar-invalid"],
    ["writetimeout=99\n", "3:14-16 warning write-timeout-invalid"],
    ["writetimeout=soon\n", "3:14-18 warning write-timeout-invalid"],
    ["premit=1.2.3.4\n", "3:8-15 warning unknown-key"],
    ["read=call\nread=cdr\n", "4:6-9 warning duplicate-key"],
    ["eventfilter=\n", "3:1-13 error event-filter-invalid"],
    ["eventfilter=!\n", "3:1-14 error event-filter-invalid"],
    ["eventfilter=XX[X\n", "3:1-17 error event-filter-invalid"],
    ["eventfilter=(a\n", "3:1-15 error event-filter-invalid"],
    ["eventfilter=a\\\n", "3:1-15 error event-filter-invalid"],
    ["eventfilter()=XXX\n", "3:1-18 error event-filter-invalid"],
    ["eventfilter(method(yyy))=XXX\n", "3:1-29 error event-filter-invalid"],
    ["eventfilter(nnnn(yyy))=XXX\n", "3:1-27 error event-filter-invalid"],
    ["eventfilter(action(include)=\n", "3:1-29 error event-filter-invalid"],
    ["eventfilter(action(drop),name(A))=\n", "3:1-35 error event-filter-invalid"],
    ["eventfilter(name(A))=X\n", "3:1-23 error event-filter-invalid"],
    ["eventfilter(name(A),method(exact))=\n", "3:1-36 error event-filter-invalid"],
    ["eventfilter(name(),method(exact))=a\n", "3:1-36 error event-filter-invalid"],
    ["eventfilter(action(include))=\n", "3:1-30 error event-filter-invalid"],
  ])("%j", (lines, expected) => {
    expect(account(lines)).toEqual([expected]);
  });

  test.each([
    "setvar=A=b",
    "writetimeout=100",
    "eventfilter=Event: Newchannel",
    "eventfilter=!Channel: DAHDI/[[:digit:]]+",
    "eventfilter=[]a]",
    "eventfilter(name(VarSet),header(Channel),method(starts_with))=AB",
    "eventfilter(name(VarSet))=",
    "eventfilter(action(exclude),name(Newchannel),method(regex))=X[XYZ]X",
  ])("%s is fine", (line) => {
    expect(account(`${line}\n`)).toEqual([]);
  });

  test("a value of a template given again is no duplicate", () => {
    expect(check(file, `[t](!)\nread=call\n[u](t)\n${strong}read=cdr\n`)).toEqual([]);
  });
});
