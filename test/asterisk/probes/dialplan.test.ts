import { describe, expect, test } from "@jest/globals";
import { dialplanProbe } from "../../../asterisk/probes/dialplan.ts";
import { effectiveView, filesOf } from "../../../core/conf/index.ts";

/** What `dialplan show` prints of two files that one wildcard includes: the second's lines go on from the first's. */
function shown({ second = "Dial(PJSIP/200)", firstLine = 4 } = {}): string[] {
  return [
    "[ Context 'sales' created by 'pbx_config' ]",
    "  '100' =>          1. NoOp(one)                                  [extensions-1.conf:2]",
    "[ Context 'support' created by 'pbx_config' ]",
    `  '200' =>          1. Answer()                                   [extensions-2.conf:${firstLine}]`,
    `                    2. ${second}                            [extensions-2.conf:${firstLine + 1}]`,
  ];
}

const files = {
  "extensions.conf": "#include extensions-*.conf\n",
  "extensions-1.conf": "[sales]\nexten => 100,1,NoOp(one)\n",
  "extensions-2.conf": "[support]\nexten => 200,1,Answer()\nexten => 200,2,Dial(PJSIP/200)\n",
};

function judge(lines: readonly string[]) {
  const bytes = new Map(Object.entries(files).map(([path, text]) => [path, Buffer.from(text)]));
  const { sections } = effectiveView("extensions.conf", filesOf(bytes), { configDirectory: "/etc/asterisk" });
  return dialplanProbe({ before: sections, after: sections }).judge(lines);
}

describe("files that one wildcard includes: Asterisk counts their lines on", () => {
  test("a file whose lines are all shifted by as much is live", () => {
    expect(judge(shown())).toMatchObject({ failures: [], saw: "2 contexts and 2 extensions of the files" });
  });

  test("a file whose lines are not shifted is live", () => {
    expect(judge(shown({ firstLine: 2 })).failures).toEqual([]);
  });

  test("another text at a shifted line is not what was written", () => {
    expect(judge(shown({ second: "Dial(PJSIP/201)" })).failures).toEqual([
      { expected: "extension 200 in support", saw: "another line is live, from extensions-2.conf:5" },
    ]);
  });

  test("lines that are shifted by different numbers are not what was written", () => {
    const lines = shown().map((line) => line.replace("extensions-2.conf:5", "extensions-2.conf:7"));
    expect(judge(lines).failures).toEqual([
      { expected: "extension 200 in support", saw: "another line is live, from extensions-2.conf:7" },
    ]);
  });

  test("lines before their place in the file can't be shifted there", () => {
    expect(judge(shown({ firstLine: 1 })).failures).toHaveLength(2);
  });
});
