import { describe, expect, test } from "@jest/globals";
import type { Extent } from "../../core/change-limit.ts";
import { excessesOf, explainExcess } from "../../core/change-limit.ts";
import type { MaxChange } from "../../core/resource/max-change.ts";
import { maxChange } from "../../core/resource/max-change.ts";
import { viewOf } from "../support/views.ts";

const numbers = (count: number, from = 100) => Array.from({ length: count }, (_, index) => from + index);
const endpoints = (all: readonly number[]) =>
  all.map((number) => `[${number}]\ntype=endpoint\n[${number}]\ntype=aor\n`).join("");
const files = (count: number) => numbers(count).map((number) => `f${number}.conf`);

function sentences(extent: Partial<Extent>, limit: MaxChange = maxChange.parse(undefined)): string[] {
  const excesses = excessesOf({ filesBefore: [], filesAfter: [], views: [], ...extent }, limit);
  return excesses.map((excess) => explainExcess(excess, "server"));
}

const pjsip = (before: readonly number[], after: readonly number[]) => ({
  views: [
    {
      root: "pjsip.conf",
      before: viewOf("pjsip.conf", endpoints(before)),
      after: viewOf("pjsip.conf", endpoints(after)),
    },
  ],
});

describe("the default: 30 % of at least ten", () => {
  test("12 of 32 endpoints disappear: told in telephone terms, for each kind", () => {
    expect(sentences(pjsip(numbers(32), numbers(20)))).toEqual([
      "38 % of the aors of pjsip.conf (12 of 32: 120, 121, 122 among them) disappear from the server",
      "38 % of the endpoints of pjsip.conf (12 of 32: 120, 121, 122 among them) disappear from the server",
    ]);
  });

  test("exactly 30 % is not more than 30 %", () => {
    expect(sentences(pjsip(numbers(10), numbers(7)))).toEqual([]);
    expect(sentences(pjsip(numbers(10), numbers(6)))).toHaveLength(2);
  });

  test("of fewer than ten all may go", () => {
    expect(sentences(pjsip(numbers(9), []))).toEqual([]);
    expect(sentences({ filesBefore: files(9) })).toEqual([]);
  });

  test("as many others in their place do not make up for what is gone", () => {
    expect(sentences(pjsip(numbers(10), numbers(10, 200)))).toHaveLength(2);
  });

  test("whatever is added or changed counts for nothing", () => {
    expect(sentences(pjsip(numbers(10), numbers(200)))).toEqual([]);
    const changed = {
      root: "queues.conf",
      before: viewOf(
        "queues.conf",
        numbers(20)
          .map((name) => `[${name}]\nmember=a\n`)
          .join(""),
      ),
      after: viewOf(
        "queues.conf",
        numbers(20)
          .map((name) => `[${name}]\nmember=b\n`)
          .join(""),
      ),
    };
    expect(sentences({ views: [changed] })).toEqual([]);
  });

  test("files: an empty branch is refused, a few files less are not", () => {
    expect(sentences({ filesBefore: files(10), filesAfter: [] })).toEqual([
      "100 % of the files (10 of 10: f100.conf, f101.conf, f102.conf among them) disappear from the server",
    ]);
    expect(sentences({ filesBefore: files(10), filesAfter: files(7) })).toEqual([]);
  });

  test("a file that is removed or emptied counts with all that it held, in its own words", () => {
    const before = viewOf(
      "extensions.conf",
      `[in]\n${numbers(12)
        .map((n) => `exten => ${n},1,Hangup\n`)
        .join("")}`,
    );
    for (const after of [viewOf("extensions.conf", {}), viewOf("extensions.conf", "")]) {
      expect(sentences({ views: [{ root: "extensions.conf", before, after }] })).toEqual([
        "100 % of the extensions of extensions.conf (12 of 12: 100, 101, 102 among them) disappear from the server",
      ]);
    }
  });

  test("mailboxes of the same number in different contexts are different ones", () => {
    const boxes = (context: string) =>
      `[${context}]\n${numbers(10)
        .map((n) => `${n} => 1\n`)
        .join("")}`;
    const before = viewOf("voicemail.conf", boxes("a") + boxes("b"));
    const after = viewOf("voicemail.conf", boxes("a"));
    expect(sentences({ views: [{ root: "voicemail.conf", before, after }] })).toEqual([
      "50 % of the mailboxes of voicemail.conf (10 of 20: 100, 101, 102 among them) disappear from the server",
    ]);
  });

  test("templates are used by nobody but their children", () => {
    const templates = numbers(20)
      .map((name) => `[${name}](!)\n`)
      .join("");
    const views = [
      { root: "pjsip.conf", before: viewOf("pjsip.conf", templates), after: viewOf("pjsip.conf", "") },
    ];
    expect(sentences({ views })).toEqual([]);
  });
});

describe("maxChange as declared", () => {
  test("a number counts things, however many there are", () => {
    expect(sentences(pjsip(numbers(3), numbers(1)), 2)).toEqual([]);
    expect(sentences(pjsip(numbers(3), numbers(1)), 1)).toEqual([
      "67 % of the aors of pjsip.conf (2 of 3: 101, 102) disappear from the server",
      "67 % of the endpoints of pjsip.conf (2 of 3: 101, 102) disappear from the server",
    ]);
    expect(sentences({ filesBefore: files(3), filesAfter: files(2) }, 0)).toHaveLength(1);
  });

  test("100% lets everything pass, 0% nothing", () => {
    expect(sentences(pjsip(numbers(20), []), "100%")).toEqual([]);
    expect(sentences(pjsip(numbers(20), numbers(19)), "0%")).toHaveLength(2);
  });

  test.each(["30", "101%", "-1%", "1.5%", "030%", "%", -1, 1.5, null])("%p is refused", (value) => {
    expect(maxChange.safeParse(value).success).toBe(false);
  });

  test.each(["0%", "30%", "100%", 0, 12])("%p is taken", (value) => {
    expect(maxChange.parse(value)).toBe(value);
  });
});
