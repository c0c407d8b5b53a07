import { describe, expect, test } from "@jest/globals";
import { brief, check, diagnose, diagnoseAll, mended, only } from "./lint-helpers.ts";

const file = "queues.conf";

describe("comments", () => {
  test("text after # in a value is told, and mended to a comment", () => {
    const text = "[a]\nstrategy = ringall # the default\nx = a#b\n";
    expect(check(file, text)).toEqual(["2:20-33 warning hash-text"]);
    expect(mended(file, text)).toBe("[a]\nstrategy = ringall ; the default\nx = a#b\n");
  });

  test("text after // in a value is told, an address with // is not", () => {
    const text = "[a]\nx = 1 // one\ny = http://host/\n";
    expect(check(file, text)).toEqual(["2:7-13 warning slash-text"]);
    expect(mended(file, text)).toBe("[a]\nx = 1 ; one\ny = http://host/\n");
  });

  test("a comment that starts with # is an unknown directive", () => {
    const text = "[a]\n  # a comment\n";
    expect(check(file, text)).toEqual(["2:3-14 warning unknown-directive"]);
    expect(mended(file, text)).toBe("[a]\n  ; a comment\n");
  });

  test("a semicolon directly behind a secret may belong to it", () => {
    expect(check("res_odbc.conf", "[a]\npassword => ab;cd\nuser => x;y\n")).toEqual([
      "2:15-18 warning semicolon-text",
    ]);
    expect(check("res_odbc.conf", "[a]\npassword => ab\\;cd ; note\n")).toEqual([]);
  });

  test("--; outside a block comment drops the rest of the file", () => {
    expect(check(file, "[a]\nx = 1 --; one\ny = 2\n[b\n")).toEqual(["2:7-10 error block-comment-stray-end"]);
    expect(check(file, "[a]\n;-- two --; --;\n")).toEqual([
      "2:1-16 warning no-equals",
      "2:13-16 error block-comment-stray-end",
    ]);
    expect(check(file, "[a]\n;-- one\n--; x = 1\n;--- no block\n")).toEqual([]);
  });

  test("a block comment that is never closed drops the rest of the file", () => {
    expect(check(file, "[a]\nx = 1 ;-- one\n;-- two --;\ny = 2\n")).toEqual([
      "2:7-10 error block-comment-unterminated",
    ]);
  });

  test("a block comment never closed leaks into the files that the same pattern matches", () => {
    const texts = { [file]: '[a]\n#include "d/*.conf"\n', "d/1.conf": "x=1\n;--\n", "d/2.conf": "y=1 # z\n" };
    expect(brief(diagnose(texts, file))).toContain("d/1.conf:2:1-4 error block-comment-unterminated");
  });

  test("the 129th block comment inside others hangs Asterisk", () => {
    expect(check(file, "[a]\n" + ";--\n".repeat(129))).toContain("130:1-4 error block-comment-too-deep");
  });
});

describe("bytes", () => {
  test("a byte order mark counts in line 1 only", () => {
    const text = "\xEF\xBB\xBF[a]\nx=1\n\xEF\xBB\xBFy=2\n\xEF\xBB\xBF[b]\n";
    expect(check(file, text)).toEqual(["3:1-4 warning byte-order-mark", "4:1-4 error byte-order-mark"]);
    expect(check(file, mended(file, text))).toEqual([]);
  });

  test("a byte order mark in the second file of a pattern hides its header", () => {
    const texts = {
      [file]: '#include "d/*.conf"\n',
      "d/1.conf": "[a]\n",
      "d/2.conf": "\xEF\xBB\xBF[b]\nx=1\n",
    };
    expect(brief(diagnose(texts, file))).toEqual(["d/2.conf:1:1-4 error byte-order-mark"]);
  });

  test("a carriage return inside a line ends none", () => {
    expect(check(file, "[a]\r\nx=1\r\r\ny=2\rz=3\r\n")).toEqual(["3:4-5 warning carriage-return"]);
    expect(mended(file, "[a]\ny=2\rz=3\n")).toBe("[a]\ny=2\nz=3\n");
  });

  test("a NUL byte hides the rest of its line", () => {
    expect(check(file, "[a]\nx=1\0 2\n")).toContain("2:4-5 warning nul-byte");
  });

  test("a line of more than 8190 bytes is skipped", () => {
    expect(check(file, `[a]\nx=${"y".repeat(8188)}\n`)).toEqual([]);
    expect(check(file, `[a]\nx=${"y".repeat(8189)}\n`)).toEqual(["2:1-8192 error line-too-long"]);
  });
});

describe("sections", () => {
  test("a blank before the parentheses loses the template", () => {
    const text = "[t](!)\n[a] (t) ; user\n";
    expect(check(file, text)).toEqual(["2:5-8 error header-text"]);
    expect(mended(file, text)).toBe("[t](!)\n[a](t) ; user\n");
  });

  test("other text behind a header is ignored too", () => {
    expect(check(file, "[a] b\n[c](!) d\n")).toEqual([
      "1:5-6 warning header-text",
      "2:8-9 warning header-text",
    ]);
    expect(mended(file, "[a] b\n")).toBe("[a] ; b\n");
  });

  test("blanks between the parentheses are part of the name", () => {
    const text = "[t](!)\n[a]( t)\n";
    const [found] = diagnose({ [file]: text }, file);
    expect(check(file, text)).toEqual(["2:5-7 error unknown-parent"]);
    expect(found?.message).toContain("refuses all of queues.conf");
    expect(mended(file, text)).toBe("[t](!)\n[a](t)\n");
    expect(mended(file, "[a]( !)\n")).toBe("[a](!)\n");
  });

  test("an unknown parent makes the file invalid", () => {
    expect(check(file, "[a](t)\n[t](!)\n")).toEqual(["1:5-6 error unknown-parent"]);
    expect(check(file, "[T](!)\n[a](t)\n")).toEqual([]);
  });

  test("an empty parent is the first section of all", () => {
    expect(check(file, "[a]\nx=1\n[b]()\n[c](a,)\n")).toEqual([
      "3:4-5 warning empty-parent",
      "4:6-7 warning empty-parent",
    ]);
  });

  test("adding to a section that is not there makes the file invalid", () => {
    expect(check(file, "[a](!)\n[a](+)\n")).toEqual(["2:2-3 error unknown-section"]);
  });

  test("a section that inherits from itself hangs Asterisk", () => {
    expect(check(file, "[a]\nx=1\n[a](+,a)\n")).toEqual(["3:7-8 error inherits-itself"]);
  });

  test("a filter that is no regular expression matches nothing", () => {
    expect(check(file, "[a]\nx=1\n[a](+x=[)\n")).toContain("3:1-10 warning filter-invalid");
  });

  test("a name over 79 bytes is cut", () => {
    expect(check(file, `[${"n".repeat(79)}]\n[${"n".repeat(80)}]\n`)).toEqual(["2:2-82 warning name-cut"]);
  });

  test("a template in asterisk.conf that nothing inherits from", () => {
    expect(check("asterisk.conf", "[directories](!)\nastetcdir => /x\n[t](!)\nx=1\n[a](t)\n")).toEqual([
      "1:1-17 warning template-unused",
    ]);
    expect(check(file, "[a](!)\nx=1\n")).toEqual([]);
  });

  test("an empty name is a name", () => {
    expect(check(file, "[]\nx=1\n")).toEqual([]);
  });

  test.each([
    ["[a\n", "1:1-3 error header-unclosed"],
    ["[a](t\n", "1:1-6 error header-unclosed"],
    ["[a]\n\\ x=1\n", "2:1-6 error invalid-escape"],
    ["[a]\n\\\n", "2:1-2 error invalid-escape"],
    ["x=1\n", "1:1-4 error no-section"],
    ["\n[a]\nnothing\n", "3:1-8 warning no-equals"],
    ["[a]\n = 1\n", "2:2-5 warning no-name"],
  ])("%j", (text, expected) => {
    expect(check(file, text)).toEqual([expected]);
  });

  test("+=> appends a text that starts with >", () => {
    expect(check(file, "[a]\nx=1\nx +=> 2\n")).toEqual(["3:5-6 warning append-arrow"]);
    expect(mended(file, "[a]\nx=1\nx +=> 2\n")).toBe("[a]\nx=1\nx += 2\n");
  });
});

describe("includes", () => {
  test("an include that finds nothing makes the file invalid, whether name or pattern", () => {
    expect(check(file, '[a]\n#include "none.conf"\n')).toEqual(["2:11-20 error include-missing"]);
    expect(check(file, "[a]\n#include none.d/*.conf\n")).toEqual(["2:10-23 error include-missing"]);
    expect(check(file, "[a]\n#tryinclude none.d/*.conf\n#tryinclude none.conf\n")).toEqual([]);
    expect(only(file, "[a]\n#include none.d/*.conf\n").message).toMatch(
      /refuses all of queues.conf.*pattern/,
    );
  });

  test("a fault in an included file stops that file only", () => {
    const [found] = diagnose({ [file]: "[a]\n#include b.conf\n", "b.conf": "x=1\n[b\n" }, file);
    expect(found).toMatchObject({ file: "b.conf", line: 2, rule: "header-unclosed" });
    expect(found?.message).toMatch(/^Asterisk reads no more of this file/);
  });

  test("a circle of includes", () => {
    const texts = { [file]: "[a]\n#include b.conf\n", "b.conf": "#include queues.conf\n" };
    expect(brief(diagnose(texts, file))).toContain("b.conf:1:10-21 error include-circle");
  });

  test("more than ten levels of includes", () => {
    const names = Array.from({ length: 12 }, (_, index) => `${String(index)}.conf`);
    const texts = Object.fromEntries(
      names.map((name, index) => [name, `[s]\n#include ${names[index + 1] ?? "0.txt"}\n`]),
    );
    expect(brief(diagnose(texts, "0.conf"))).toContain("10.conf:2:10-17 error include-too-deep");
  });

  test("an include that leaves the directory is told and not followed", () => {
    const text = "[a]\n#include ../secret.conf\n#include /etc/passwd\n#include /etc/asterisk/b.conf\n";
    expect(brief(diagnose({ [file]: text, "b.conf": "x=1\n" }, file), file)).toEqual([
      "2:10-24 warning include-external",
      "3:10-21 warning include-external",
    ]);
  });

  test("a file that is not there", () => {
    expect(check("none.conf", "").concat(brief(diagnose({}, "none.conf"), "none.conf"))).toEqual([
      "0:1-2 error file-missing",
    ]);
  });

  test("includes that lead to the same files again and again", () => {
    const texts = {
      [file]: "[a]\n#include d/*.conf\n",
      "d/1.conf": "#include d/*.conf\n",
      "d/2.conf": "x=1\n",
    };
    const rules = diagnose(texts, file, { sizeLimit: 10_000 }).map(({ rule }) => rule);
    expect(rules).toContain("too-large");
  });

  test("one of several files that cannot be read", () => {
    const texts = { [file]: "[a]\n#include {a,b}.inc\n", "a.inc": "x=1\n" };
    expect(brief(diagnose(texts, file))).toEqual(["b.inc:0:1-2 warning include-unreadable"]);
  });

  test("#exec is an error unless it is allowed", () => {
    const text = "[a]\n#exec /usr/bin/true\n";
    expect(check(file, text)).toEqual(["2:7-20 error exec"]);
    expect(only(file, text).message).toContain("execincludes");
    expect(check(file, text, { allowExec: true })).toEqual(["2:7-20 warning exec"]);
  });

  test("directives that are none", () => {
    expect(check(file, "[a]\n#incldue x\n#include\n")).toEqual([
      "2:1-11 warning unknown-directive",
      "3:1-9 warning directive-argument",
    ]);
  });
});

describe("a directory", () => {
  test("a fragment is judged where it is included, each fault told once", () => {
    const texts = {
      "queues.conf": "[general]\n#include fragment.conf\n[q]\n#include fragment.conf\n",
      "fragment.conf": "x=1 # one\n[z\n",
    };
    expect(brief(diagnoseAll(texts))).toEqual([
      "fragment.conf:1:5-10 warning hash-text",
      "fragment.conf:2:1-3 error header-unclosed",
    ]);
  });

  test("what no module reads and no file includes is only warned of", () => {
    expect(brief(diagnoseAll({ "left_over.conf": "x=1\n", "queues.conf": "[a]\n" }))).toEqual([
      "left_over.conf:1:1-4 warning no-section",
    ]);
  });

  test("files that include each other in a circle are looked at all the same", () => {
    const texts = { "a.conf": "[a]\n#include b.conf\n", "b.conf": "[b]\n#include a.conf\n" };
    expect(brief(diagnoseAll(texts))).toContain("b.conf:2:10-16 error include-circle");
  });

  test("what is in another format is left alone", () => {
    const texts = { "ast_debug_tools.conf": "X=(\n", "extensions.lua": "x = 1\n", "dbsep.conf": "dsn=x\n" };
    expect(diagnoseAll(texts)).toEqual([]);
  });

  test("a file that a database stands in for", () => {
    const texts = { "extconfig.conf": "[settings]\nqueues.conf => odbc,asterisk\nsippeers => odbc,a\n" };
    expect(brief(diagnoseAll(texts))).toEqual(["extconfig.conf:2:16-29 warning mapped-to-database"]);
  });

  test("two pjsip objects of one type and name", () => {
    const text = "[1]\ntype=endpoint\n[1]\ntype=auth\n[1]\ntype=auth\n";
    expect(check("pjsip.conf", text)).toEqual(["5:1-4 error duplicate-object"]);
    expect(only("pjsip.conf", text).message).toContain("line 3 of pjsip.conf");
  });

  test("address lists of other modules go by the same rules", () => {
    expect(check("acl.conf", "[a]\ndeny=0.0.0.0/0\npermit=10.0.0.0/8, 192.168.0.0/16\n")).toEqual([
      "3:19-34 error acl-invalid",
    ]);
  });
});
