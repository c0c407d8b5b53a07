import { expect, test } from "@jest/globals";
import { clockText } from "../../cli/render/clock.ts";
import type { Paint } from "../../cli/terminal.ts";

const plain: Paint = (_, text) => text;

test.each([
  ["a clock that is right", { aheadMs: 900, uncertainMs: 1, differences: [] }, []],
  ["one that may be right", { aheadMs: 9_000, uncertainMs: 8_000, differences: [] }, []],
  ["one that nobody could ask", { aheadMs: 0, uncertainMs: Infinity, differences: [] }, []],
  [
    "one that is ahead",
    { aheadMs: 3_600_040, uncertainMs: 5, differences: [] },
    ["clock: 3600.0 s ahead of ours"],
  ],
  [
    "one that is behind",
    { aheadMs: -61_500, uncertainMs: 5, differences: [] },
    ["clock: 61.5 s behind ours"],
  ],
  ["another zone", { aheadMs: 0, uncertainMs: 5, differences: ["at +0000"] }, ["clock: at +0000"]],
])("%s", (_, clock, text) => {
  expect(clockText(clock, plain)).toEqual(text);
});
