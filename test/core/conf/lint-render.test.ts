import { describe, expect, test } from "@jest/globals";
import { renderDiagnostic } from "../../../core/conf/lint.ts";
import type { Diagnostic } from "../../../core/conf/lint.ts";
import { diagnose } from "./lint-helpers.ts";
import { isSecretKey, maskLine, maskValue, secretRules } from "../../../core/conf/secrets.ts";

const diagnostic: Diagnostic = {
  file: "manager.conf",
  line: 14,
  column: 8,
  endColumn: 12,
  severity: "error",
  rule: "acl-invalid",
  message: "What Asterisk does.",
  fix: "What to write.",
};

describe("a diagnostic as text", () => {
  test("shows place, line, carets and fix", () => {
    expect(renderDiagnostic(diagnostic, "permit=here ; note\r\n")).toBe(
      [
        "manager.conf:14:8: error: What Asterisk does. [acl-invalid]",
        "  14 | permit=here ; note",
        "     |        ^^^^",
        "  fix: What to write.",
      ].join("\n"),
    );
  });

  test("keeps carets under the place behind tabs and letters of several bytes", () => {
    const source = Buffer.from("\tpérmit=here", "utf8").toString("latin1");
    const [, line, carets] = renderDiagnostic({ ...diagnostic, column: 10, endColumn: 14 }, source).split(
      "\n",
    );
    expect(line).toBe("  14 |  pérmit=here");
    expect(carets).toBe(`     | ${" ".repeat(8)}^^^^`);
  });

  test("masks secrets and keeps the carets in place", () => {
    const [, line, carets] = renderDiagnostic(
      { ...diagnostic, line: 3 },
      "secret=hunter2 # old: hunter1",
    ).split("\n");
    expect(line).toBe(`  3 | secret=${"*".repeat(22)}`);
    expect(carets).toBe(`    | ${" ".repeat(7)}^^^^`);
  });

  test("lets nothing act on a terminal", () => {
    const hostile = "x=\x1b[2J\x9b1m\u0007\x7f";
    const text = renderDiagnostic(
      { ...diagnostic, file: "a\x1b.conf", message: "\x1b]0;x\x07", fix: "\x08" },
      hostile,
    );
    expect(text).not.toMatch(/[\0-\x09\x0b-\x1f\x7f-\x9f]/);
    expect(text).toContain("x=␛[2J�1m␇␡");
    const marks = Buffer.from("x=\u202etxt.exe", "utf8").toString("latin1");
    expect(renderDiagnostic(diagnostic, marks)).not.toContain("\u202e");
  });

  test("escapes markup for a page", () => {
    const html = renderDiagnostic({ ...diagnostic, file: "<b>.conf" }, `x=<script>alert('1&"')`, {
      format: "html",
    });
    expect(html).not.toMatch(/[<>"']/);
    expect(html).toContain("&lt;script&gt;alert(&#39;1&amp;&quot;&#39;)");
  });

  test("cuts a long line around the place", () => {
    const source = `${"a".repeat(5000)}here${"b".repeat(5000)}`;
    const [, line = "", carets = ""] = renderDiagnostic(
      { ...diagnostic, column: 5001, endColumn: 5005 },
      source,
    ).split("\n");
    expect(line.length).toBeLessThan(250);
    expect(line.slice(carets.indexOf("^"), carets.lastIndexOf("^") + 1)).toBe("here");
  });
});

test("hostile lines take no longer than others", () => {
  const started = performance.now();
  for (const piece of ["\r", " \r", "a", "=", "a=", "://a:", " #", "[", "(", ",", "--", "\\;"]) {
    const line = `x = ${piece.repeat(8000 / piece.length)}x`;
    const text = `[a]\n${`${line}\n`.repeat(20)}${piece.repeat(1_000_000)}`;
    for (const file of ["manager.conf", "extensions.conf", "queues.conf"]) {
      for (const found of diagnose({ [file]: text }, file)) renderDiagnostic(found, line);
      maskLine(file, line);
    }
  }
  expect(performance.now() - started).toBeLessThan(20_000);
});

describe("secrets in a line", () => {
  test.each([
    ["manager.conf", "secret = hunter2", "secret = *******"],
    ["manager.conf", ";secret=hunter2", ";secret=*******"],
    ["manager.conf", "x = 1 ; secret=hunter2", "x = 1 ; secret=*******"],
    ["manager.conf", "setvar=PASSWORD=hunter2", "setvar=PASSWORD=*******"],
    ["manager.conf", "secret += hunter2", "secret += *******"],
    ["pjsip.conf", "md5_cred=0123abcd", "md5_cred=********"],
    ["pjsip.conf", "password_digest = MD5:0123", "password_digest = ********"],
    ["pjsip.conf", "refresh_token=abc", "refresh_token=***"],
    ["confbridge.conf", "pin=1234", "pin=****"],
    ["confbridge.conf", "admin_pin=1234", "admin_pin=****"],
    ["voicemail.conf", "1234 => 4242,Jo Doe,jo@example.org", "1234 => ****,Jo Doe,jo@example.org"],
    ["vm_general.inc", "1234 => 4242,Jo", "1234 => ****,Jo"],
    ["meetme.conf", "conf => 1234,5678,9999", "conf => 1234,*********"],
    ["agents.conf", "agent => 1001,4321,Jo", "agent => 1001,****,Jo"],
    ["iax.conf", "register => jo:hunter2@host", "register => jo:*******@host"],
    ["sip.conf", "auth = jo:hunter2@realm", "auth = jo:*******@realm"],
    ["res_odbc.conf", "password => hunter2", "password => *******"],
    ["extensions.conf", "AMPMGRPASS=hunter2", "AMPMGRPASS=*******"],
    ["extensions.conf", "exten => 1,1,Authenticate(4242,x)", "exten => 1,1,Authenticate(****,x)"],
    ["res_curl.conf", "x = https://jo:hunter2@host/", "x = https://jo:*******@host/"],
  ])("%s: %s", (file, line, masked) => {
    expect(maskLine(file, line)).toBe(masked);
    expect(masked).toHaveLength(line.length);
  });

  test.each([
    ["manager.conf", "permit=1.2.3.4/255.255.255.255 # agent"],
    ["voicemail.conf", "minpassword=4"],
    ["voicemail.conf", "externpass=/usr/bin/x"],
    ["iax.conf", "requirecalltoken=no"],
    ["pjsip.conf", "auth=jo"],
    ["ari.conf", "password_format = plain"],
    ["extensions.conf", "exten => 1,1,Dial(PJSIP/jo)"],
  ])("%s: %s stays", (file, line) => {
    expect(maskLine(file, line)).toBe(line);
  });

  test("keys are known by file, and the list can be added to", () => {
    expect(isSecretKey("manager.conf", "Secret")).toBe(true);
    expect(isSecretKey("manager.conf", "permit")).toBe(false);
    expect(isSecretKey("sub/meetme.conf", "conf")).toBe(true);
    expect(isSecretKey("queues.conf", "conf")).toBe(false);
    const rules = [...secretRules, { files: /^mine\.conf$/, key: /^licence$/ }];
    expect(maskValue("mine.conf", "licence", "abc", rules)).toBe("***");
    expect(maskValue("mine.conf", "licence", "abc")).toBe("abc");
  });
});
