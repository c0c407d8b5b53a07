import { describe, expect, test } from "@jest/globals";
import { differenceText } from "../../cli/render/difference.ts";
import { differenceMarkdown } from "../../core/markdown/difference.ts";
import { difference } from "../support/views.ts";

const plain = (_style: unknown, text: string) => text;
const before = "[base](!)\ntype=endpoint\ncontext=a\n[100](base)\n[101](base)\n[200]\ntype=aor\n";
const after = `${before.replace("context=a", "context=b").replace("[200]\ntype=aor\n", "")}[102](base)\naors=102\n`;

test("as text: alike effects in one line, what an added thing has in one more", () => {
  expect(differenceText(difference("pjsip.conf", before, after), plain)).toEqual([
    "pjsip.conf: 1 endpoint added, 1 aor removed, 2 endpoints changed, 1 template changed",
    "  - aor 200 removed",
    "  ~ endpoints 100, 101 changed",
    "      context = a → b",
    "  + endpoint 102 added",
    "      type = endpoint, context = b, aors = 102",
    "  ~ template base changed: reaches 3 sections",
    "      context = a → b",
  ]);
});

test("as Markdown: a list", () => {
  expect(differenceMarkdown(difference("rtp.conf", "[general]\nx=1\n", "[general]\nx=2\n"))).toEqual([
    "**<code>rtp&#46;conf</code>**: <code>1 section changed</code>",
    "",
    "- `~` <code>section &#91;general&#93; changed</code>",
    "  - <code>x &#61; 1 → 2</code>",
  ]);
});

test("a hundred alike are counted, not listed", () => {
  const many = Array.from({ length: 100 }, (_, index) => `[${1000 + index}]\ntype=aor\n`).join("");
  expect(differenceText(difference("pjsip.conf", many, ""), plain)).toEqual([
    "pjsip.conf: 100 aors removed",
    "  - aors 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007 and 92 more removed",
  ]);
});

test("a file that Asterisk refuses is said first, with the place", () => {
  expect(differenceText(difference("x.conf", "[a]\n", "[a]\n#include none.conf\n"), plain)).toEqual([
    "x.conf: Asterisk refuses the file",
    "  ! Asterisk refuses the new file: include-missing (none.conf), x.conf:2",
  ]);
});

describe("names and values of a hostile file", () => {
  const hostile = difference(
    "x.conf",
    "",
    "[</code><script>alert(1)</script>\x1b[31m\u202e]\n@everyone = ![x](https://evil.example) `a` **b**\x1b]0;t\x07\n",
  );

  test("are inert on a terminal", () => {
    expect(differenceText(hostile, plain).join("\n")).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f\u202e]/);
  });

  test("are inert in Markdown and HTML", () => {
    const text = differenceMarkdown(hostile).join("\n");
    expect(text).toContain("alert");
    expect(text.replace(/<\/?code>|&#\d+;|^ *- (`[-+~]` )?|\*\*(?=<|:)/gm, "")).not.toMatch(
      /[<>@`*[\]!(\x1b\u202e]/,
    );
    expect(text.match(/<code>/g)?.length).toBe(text.match(/<\/code>/g)?.length);
  });
});
