import { describe, expect, test } from "@jest/globals";
import { expandBraces, globAsterisk } from "../../../core/conf/glob.ts";

const paths = [
  "b.conf",
  "a.conf",
  "A.conf",
  ".h.conf",
  "d/a.conf",
  "d/.h.conf",
  "é.conf",
  "[x].conf",
  "a,b.conf",
];

describe("globAsterisk", () => {
  test.each([
    ["*.conf", ["A.conf", "[x].conf", "a,b.conf", "a.conf", "b.conf", "é.conf"]],
    ["?.conf", ["A.conf", "a.conf", "b.conf", "é.conf"]],
    ["*/*.conf", ["d/a.conf"]],
    [".*", [".h.conf"]],
    ["[ab].conf", ["a.conf", "b.conf"]],
    ["[!a].conf", ["A.conf", "b.conf", "é.conf"]],
    ["[^[:lower:]].conf", ["A.conf", "é.conf"]],
    ["[a-c].conf", ["a.conf", "b.conf"]],
    ["[.]h.conf", []],
    ["[].-]*", []],
    ["\\[x].conf", ["[x].conf"]],
    ["[x].conf", []],
    ["[x.conf", []],
    ["{b,a}.conf", ["b.conf", "a.conf"]],
    ["{b,?}.conf", ["b.conf", "A.conf", "a.conf", "b.conf", "é.conf"]],
    ["a\\,b.conf", ["a,b.conf"]],
    ["d/*", ["d/a.conf"]],
    ["d", []],
  ])("%s", (pattern, matches) => {
    expect(globAsterisk(pattern, paths)).toEqual(matches);
  });

  test("a pattern full of stars takes no time", () => {
    const name = "a".repeat(250);
    expect(globAsterisk(`${"*a".repeat(100)}b`, [name])).toEqual([]);
    expect(globAsterisk(`${"*a".repeat(100)}*`, [name])).toEqual([name]);
  });
});

describe("expandBraces", () => {
  test.each([
    ["a{b,c{d,e}}f", ["abf", "acdf", "acef"]],
    ["{a,b}{c,d}", ["ac", "ad", "bc", "bd"]],
    ["{}x", ["x"]],
    ["{a}", ["a"]],
    ["{a,b", ["{a,b"]],
    ["a}", ["a}"]],
    ["\\{a,b}", ["\\{a,b}"]],
    ["{a\\,b,c}", ["a\\,b", "c"]],
  ])("%s", (pattern, alternatives) => {
    expect([...expandBraces(pattern)]).toEqual(alternatives);
  });
});
