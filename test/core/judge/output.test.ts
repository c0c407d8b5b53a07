import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { harmless, plain } from "../../../core/judge/output.ts";

describe("output of a server", () => {
  test.each<[string, string, string]>([
    ["colours stay, and end with the text", "\x1b[1;31mERROR\x1b[0m x", "\x1b[1;31mERROR\x1b[0m x\x1b[0m"],
    ["the screen is not cleared", "a\x1b[2Jb\x1b[H", "ab"],
    ["the title is not set", "a\x1b]0;evil\x07b", "ab"],
    ["nor the clipboard", "a\x1b]52;c;ZXZpbA==\x1b\\b", "ab"],
    ["a sequence that never ends hides no other line", "a\x1b]0;evil\nb", "a\nb"],
    ["no file is linked", "\x1b]8;;file:///etc/passwd\x1b\\x\x1b]8;;\x1b\\", "x"],
    ["nothing is asked of the terminal", "\x1b[6n\x1b[c\x1bZ\x1bP$qm\x1b\\", ""],
    ["a C1 control character is no way around", "\x9b2J\x9d0;evil\x07", "2J0;evil"],
    ["hidden text is shown", "\x1b[8mhidden\x1b[0m", "hidden\x1b[0m\x1b[0m"],
    ["one sequence can't hide in another", "\x1b\x1b[2J[2J", "[2J"],
    ["nor behind what is invisible", "\x1b\u200e[2J", ""],
    ["lines can't be overwritten", "innocent\rrm -rf\x08\x08", "innocentrm -rf"],
    ["text can't be reordered", "a\u202eb\u2066c", "abc"],
  ])("%s", (_, text, shown) => {
    expect(harmless(text)).toBe(shown);
  });

  test("holds no control character but line feeds, tabs and colours, whatever comes", () => {
    const piece = fc.constantFrom(
      "\x1b",
      "[",
      "]",
      "2J",
      "31m",
      ";",
      "\x07",
      "\\",
      "\x9b",
      "P",
      "a",
      "\n",
      "\r",
      "\u200e",
      "0",
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.array(piece).map((pieces) => pieces.join("")),
          fc.string({ unit: "binary" }),
        ),
        (text) => {
          expect(harmless(text).replaceAll(/\x1b\[[\d;]+m/g, "")).not.toMatch(
            /[\x00-\x08\x0b-\x1f\x7f-\x9f]/,
          );
          expect(plain(text)).not.toContain("\x1b");
        },
      ),
      { numRuns: 1000 },
    );
  });
});
