import { describe, expect, test } from "@jest/globals";
import { type ConfNode, endOfLine, parse, type Range, stringify } from "../../../core/conf/cst.ts";
import { checkConfInvariants } from "../../support/conf-invariants.ts";

function nodes(text: string): readonly ConfNode[] {
  return parse(Buffer.from(text, "latin1")).nodes;
}

/** The node, with each range as the text that it holds. */
function shown(text: string, index = 0) {
  const node = nodes(text)[index] as ConfNode;
  const entries = Object.entries(node).map(([key, value]) => [key, withText(text, value)]);
  return Object.fromEntries(entries) as Record<string, unknown>;
}

function withText(text: string, value: unknown): unknown {
  if (Array.isArray(value)) return value.map((one) => withText(text, one));
  if (typeof value !== "object" || value === null) return value;
  if ("start" in value) return text.slice((value as Range).start, (value as Range).end);
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, withText(text, one)]));
}

describe("every line is a node", () => {
  test.each([
    ["", []],
    ["\n \t\n\0x\n", ["blank", "blank", "blank"]],
    ["; c\n  ;\n", ["comment", "comment"]],
    [";--\nx\n\n--;\n", ["block-comment", "block-comment", "block-comment", "block-comment"]],
    ["[a]\nv=1\n#include x\n", ["section", "variable", "directive"]],
    ["x\n=1\n", ["ignored", "ignored"]],
    ["[a\n[b](\n\\ x\n", ["invalid", "invalid", "invalid"]],
    ["v=1\r\nw=2", ["variable", "variable"]],
  ])("%j", (text, kinds) => {
    expect(nodes(text).map(({ kind }) => kind)).toEqual(kinds);
  });

  test("a node knows its line, its offset and its end of line", () => {
    const found = nodes("[a]\r\n\nv=1\rx\nw=2").map((node) => [node.line, node.offset, endOfLine(node)]);
    expect(found).toEqual([
      [1, 0, "\r\n"],
      [2, 5, "\n"],
      [3, 6, "\n"],
      [4, 12, ""],
    ]);
  });
});

describe("a variable", () => {
  test("its parts, and where they stand", () => {
    expect(shown("[a]\n  callerid =>  a\\;b  ; shown\r\n", 1)).toMatchObject({
      name: "callerid",
      operator: "=>",
      value: "a;b",
      gap: "  ",
      nameRange: "callerid",
      operatorRange: "=>",
      valueRange: "a\\;b",
      comment: "; shown",
      interrupted: false,
      depth: 0,
    });
  });

  test.each([
    ["v+=1", "v", "+=", "1"],
    ["v +=> 1", "v", "+=", "> 1"],
    ["v= >1", "v", "=", ">1"],
    ["v==1", "v", "=", "=1"],
    ["\\+=1", "+", "=", "1"],
    ["\\;=1", ";", "=", "1"],
    ["v;--x--;w=1", "vw", "=", "1"],
    ["v=\\;", "v", "=", ";"],
  ])("%s", (text, name, operator, value) => {
    expect(nodes(text)).toMatchObject([{ kind: "variable", name, operator, value }]);
    checkConfInvariants(Buffer.from(text));
  });

  test("without a value has its place right behind the operator", () => {
    const text = "v =   ; none";
    expect(nodes(text)).toMatchObject([{ value: "", valueRange: { start: 3, end: 3 } }]);
  });

  test("a leading \\ belongs to the name's range, a \\ before the first ; to the value's", () => {
    expect(shown("\\[v = \\;1\n")).toMatchObject({
      name: "[v",
      nameRange: "\\[v",
      value: ";1",
      valueRange: "\\;1",
    });
  });

  test.each([
    ["v = 1 ;-- c --; 2", true, "1 ;-- c --; 2"],
    ["v ;-- c --; = 1", true, "1"],
    ["v = 1 ;-- c --;", false, "1"],
    [";-- c --; v = 1", false, "1"],
    ["v = 1\\;2 ;-- c --;", false, "1\\;2"],
  ])("%s: whether a block comment interrupts it", (text, interrupted, valueRange) => {
    expect(shown(text)).toMatchObject({ interrupted, valueRange });
  });
});

describe("a section", () => {
  test("its name, its options and what is dropped behind it", () => {
    expect(shown("[a b](!,+v=1,base) junk ; c\n")).toMatchObject({
      name: "a b",
      nameRange: "a b",
      options: [
        { kind: "template", range: "!" },
        { kind: "append", filter: "v=1", range: "+v=1" },
        { kind: "inherit", name: "base", range: "base" },
      ],
      rest: "junk",
      comment: "; c",
    });
  });

  test("an option list that does not stand close is dropped text", () => {
    expect(shown("[a] (b)\n")).toMatchObject({ options: undefined, rest: "(b)" });
  });

  test("an empty option list holds one empty name", () => {
    expect(shown("[a]()\n")).toMatchObject({ options: [{ kind: "inherit", name: "", range: "" }] });
  });
});

describe("a directive", () => {
  test.each([
    ['#include "a b.conf" ; c', "include", "a b.conf"],
    ["#TryInclude <a.conf>", "tryinclude", "a.conf"],
    ["#exec /bin/x -y", "exec", "/bin/x -y"],
    ["#include 'a.conf'", "include", "'a.conf'"],
    ['#include "a.conf', "include", '"a.conf'],
    ['#include "', "include", ""],
    ["#include ;x", "include", undefined],
    ['#include"a.conf"', undefined, undefined],
    ["# include a.conf", undefined, "include a.conf"],
    ["#constructor x", undefined, "x"],
  ])("%s", (text, directive, argument) => {
    expect(nodes(text)).toMatchObject([{ kind: "directive", directive, argument }]);
    expect(shown(text)["argumentRange"]).toBe(argument ?? "");
  });
});

describe("what a linter needs to know of comments", () => {
  test("the depth tells of a block that is never closed", () => {
    expect(nodes("v=1 ;--\n;-- \nx\n").map(({ depth }) => depth)).toEqual([1, 2, 2]);
  });

  test("the depth tells where a --; silences what follows", () => {
    const found = nodes("v=1 --; x\nw=2\n\n");
    expect(found).toMatchObject([
      { kind: "variable", value: "1 --; x", depth: -1 },
      { kind: "ignored", reason: "silenced", depth: -1 },
      { kind: "ignored", reason: "silenced", depth: -1 },
    ]);
  });

  test("129 nested block comments are what Asterisk never ends reading", () => {
    expect(nodes(";--".repeat(128))).toMatchObject([{ kind: "block-comment", depth: 128 }]);
    expect(nodes(";--".repeat(129))).toMatchObject([{ kind: "invalid", reason: "nested-too-deep" }]);
  });
});

describe("lines that fill Asterisk's buffer", () => {
  test.each([
    [8190, "variable"],
    [8191, "ignored"],
    [16382, "ignored"],
    [100_000, "ignored"],
  ])("%i bytes", (length, kind) => {
    const text = `${"v=".padEnd(length, "z")}\nw=1\n`;
    expect(nodes(text)).toMatchObject([
      { kind, line: 1 },
      { kind: "variable", line: 2 },
    ]);
  });

  test("a NUL in a long line makes Asterisk read on in the middle of it", () => {
    const found = nodes(`v=1\0${"z".repeat(8187)}w=2\nx=3\n`);
    expect(found).toMatchObject([
      { kind: "variable", name: "v", value: "1", line: 1 },
      { kind: "variable", name: "w", line: 1, offset: 8191 },
      { kind: "variable", name: "x", line: 2 },
    ]);
  });
});

test("a byte order mark is skipped, unless another file of a glob came before", () => {
  const bytes = Buffer.from("\uFEFFv=1\n");
  expect(parse(bytes)).toMatchObject({ byteOrderMark: true, nodes: [{ name: "v" }] });
  expect(parse(bytes, { skipByteOrderMark: false }).nodes).toMatchObject([{ name: "\xEF\xBB\xBFv" }]);
});

test("a block comment of the file before goes on", () => {
  const { nodes: found } = parse(Buffer.from("v=1\n--;w=2\n"), { depth: 1 });
  expect(found).toMatchObject([{ kind: "block-comment" }, { kind: "variable", name: "w" }]);
});

test.each([
  ["one line", Buffer.alloc(100_000_000, "x")],
  ["a NUL in every buffer", Buffer.alloc(100_000_000, `${"x".repeat(8000)}\0`)],
  [
    "CRLF and bytes of all kinds",
    Buffer.alloc(20_000_000, Buffer.from(Array.from({ length: 300 }, (_, i) => i))),
  ],
  ["lines of nothing but escapes", Buffer.alloc(5_000_000, `${"\\;".repeat(4000)}\r\n`)],
])("a huge file of %s comes back byte for byte", (_, bytes) => {
  expect(Buffer.compare(stringify(parse(bytes)), bytes)).toBe(0);
});
