import { describe, expect, test } from "@jest/globals";
import { compileRegex } from "../../../core/conf/posix-regex.ts";

describe("compileRegex answers as regcomp(3) and regexec(3) of the GNU C library do", () => {
  test.each([
    ["", "x", true],
    ["b", "abc", true],
    ["^b", "abc", false],
    ["^a.c$", "abc", true],
    ["a$b", "a$b", false],
    ["^a*b+c?$", "bbc", true],
    ["^a*b+c?$", "ac", false],
    ["a**b", "b", true],
    ["a+*b", "b", true],
    ["^a{2}b$", "aab", true],
    ["^a{2}b$", "ab", false],
    ["^a{0}b$", "b", true],
    ["x|^b", "b", true],
    ["a|", "x", true],
    ["[]a]", "]", true],
    ["[^]a]", "]", false],
    ["[a\\]", "\\", true],
    ["[a-]", "-", true],
    ["[[:digit:]x]$", "a7", true],
    ["\\w\\W\\S\\s", "a b ", true],
    ["\\.", "x", false],
    ["a}]", "a}]", true],
  ])("%s in %s: %s", (pattern, text, matches) => {
    expect(compileRegex(pattern)?.(text)).toBe(matches);
  });

  test.each([
    "*a",
    "a|*b",
    "^*a",
    "+",
    "{",
    "{2}",
    "a{",
    "a{x",
    "a{2",
    "[a",
    "[]",
    "[b-a]",
    "[[:x:]]",
    "(",
    "\\",
    "\\1",
  ])("refuses %s", (pattern) => {
    expect(compileRegex(pattern)).toBeUndefined();
  });

  test("no expression takes more than expression × text steps", () => {
    expect(compileRegex(`${"a*".repeat(50)}b`)?.("a".repeat(8000))).toBe(false);
  });
});
