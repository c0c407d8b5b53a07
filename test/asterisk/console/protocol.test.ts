import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { parseAliases } from "../../../asterisk/console/aliases.ts";
import { AnswerReader } from "../../../asterisk/console/answer.ts";
import type { Answer } from "../../../asterisk/console/answer.ts";
import { LogLines } from "../../../asterisk/console/log-lines.ts";

const end = "No such command 'end-1234' (type 'core show help end-1234' for other possible commands)\n";

describe("an answer", () => {
  test("is the same however its bytes are split", () => {
    const bytes = Buffer.from(`0 active channels\nNo such command 'end-12'\n${end}`);
    for (let split = 0; split <= bytes.length; split++) {
      const reader = new AnswerReader("end-1234", 1000);
      const first = reader.push(bytes.subarray(0, split));
      const answer = first ?? reader.push(bytes.subarray(split));
      expect(answer?.output.toString()).toBe("0 active channels\nNo such command 'end-12'\n");
    }
  });

  test("is whole for any output and any pieces, and bounded", () => {
    fc.assert(
      fc.property(fc.string(), fc.array(fc.nat(40)), fc.nat(60), (output, cuts, limit) => {
        const reader = new AnswerReader("end-1234", limit);
        const expected = Buffer.from(output);
        let rest = Buffer.concat([expected, Buffer.from(end)]);
        let answer: Answer | undefined;
        for (const cut of [...cuts, rest.length]) {
          answer = reader.push(rest.subarray(0, cut));
          rest = rest.subarray(cut);
          if (rest.length === 0) break;
        }
        answer ??= reader.push(rest);
        expect(answer?.output).toEqual(expected.subarray(0, limit));
        expect(answer?.omitted).toBe(Math.max(0, expected.length - limit));
      }),
    );
  });
});

describe("the live log", () => {
  const bytes = Buffer.concat([
    Buffer.from("[Nov 22] \x1b[1;31mERROR\x1b[0m: caf\u00e9\n"),
    Buffer.from([0xfc]),
    Buffer.from("Executing\n"),
    Buffer.from([0xff]),
    Buffer.from("Ready\n"),
    Buffer.from("unfinished"),
  ]);

  test("is cut into lines with their levels, however it is split", () => {
    for (let split = 0; split <= bytes.length; split++) {
      const lines = new LogLines();
      expect([...lines.push(bytes.subarray(0, split)), ...lines.push(bytes.subarray(split))]).toEqual([
        { level: undefined, text: "[Nov 22] \x1b[1;31mERROR\x1b[0m: caf\u00e9" },
        { level: 3, text: "    -- Executing" },
        { level: 0, text: "Ready" },
      ]);
    }
  });

  test("a line without an end does not grow without bound", () => {
    const lines = new LogLines();
    const seen = Array.from({ length: 100 }, () => lines.push(Buffer.alloc(1000, 0x61))).flat();
    expect(seen).toHaveLength(1);
    expect(seen[0]?.text).toHaveLength(8192);
    expect(lines.push(Buffer.from("\nnext\n"))).toEqual([{ level: undefined, text: "next" }]);
  });
});

test("aliases: one that Asterisk has cut is known not to be known", () => {
  const row = (name: string, command: string): string =>
    `${name.padEnd(50).slice(0, 50)} ${command.padEnd(50).slice(0, 50)}`;
  const output = [
    row("Alias Command", "Real Command"),
    row("Hangup Request", "channel request hangup"),
    row("pjsip reload", "module reload res_pjsip.so res_pjsip_authenticator_digest.so"),
    "",
  ].join("\n");
  expect([...parseAliases(output)]).toEqual([
    ["hangup request", "channel request hangup"],
    ["pjsip reload", undefined],
  ]);
  expect(parseAliases("No such command 'cli show aliases'\n").size).toBe(0);
});
