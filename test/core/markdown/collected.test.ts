import { describe, expect, test } from "@jest/globals";
import { collectedReview, longestReview } from "../../../core/markdown/collected.ts";
import type { EffectiveDifference } from "../../../core/difference.ts";
import type { Change } from "../../../core/diff.ts";
import type { PlannedChange } from "../../../core/plan.ts";
import { makePlan } from "../../../core/plan.ts";
import { outsideOfCode } from "../../support/markdown.ts";
import { difference } from "../../support/views.ts";

function collected(path: string, lines?: readonly string[], more: Partial<Change> = {}): PlannedChange {
  const change = { kind: "Write", path, to: "source", cause: "change", creates: false, ...more } as Change;
  return {
    ...{ change, sourceHash: "hmac-sha256:1", serverHash: "hmac-sha256:2" },
    ...(lines === undefined
      ? {}
      : {
          difference: [
            { oldStart: 1, newStart: 1, lines: lines.map((text) => ({ kind: "added" as const, text })) },
          ],
        }),
  };
}

const planOf = (changes: readonly PlannedChange[], effects: readonly EffectiveDifference[] = []) =>
  makePlan({ server: "pbx1", updateDirection: "FromAsterisk", changes, effects, reloads: undefined });

const queues = difference("queues.conf", "", "[support]\nstrategy = rrmemory\nmember => PJSIP/100\n");

describe("what changed on a server, for reviewers", () => {
  test("says what it means, then which files, then their lines behind folds", () => {
    const plan = planOf(
      [
        collected("moh.bin"),
        collected("old.conf", ["x"], { kind: "Remove" } as Partial<Change>),
        collected("queues.conf", ["[support]", "strategy = rrmemory"]),
      ],
      [queues],
    );
    const paths = { written: ["moh.bin", "queues.conf"], removed: ["old.conf"], recorded: ["sip.conf"] };
    expect(collectedReview(plan, paths).split("\n")).toEqual([
      "**What changed for callers, agents and phones**",
      "",
      "**<code>queues&#46;conf</code>**: <code>1 queue added</code>",
      "",
      "- `+` <code>queue support added</code>",
      "  - <code>strategy &#61; rrmemory&#44; member PJSIP&#47;100</code>",
      "",
      "Files: 2 new or changed, 1 gone from the server, 1 in step.",
      "",
      "- <code>~</code> <code>moh&#46;bin</code>: changed on the server, written to the source; its lines are not shown",
      "- in step with Asterisk, and only recorded: <code>sip&#46;conf</code>",
      "",
      "<details><summary><code>-</code> <code>old&#46;conf</code>: gone from the server, removed from the source</summary>",
      "",
      "```diff",
      "@@ -1 +1 @@",
      "+x",
      "```",
      "",
      "</details>",
      "",
      "<details><summary><code>~</code> <code>queues&#46;conf</code>: changed on the server, written to the source</summary>",
      "",
      "```diff",
      "@@ -1 +1 @@",
      "+[support]",
      "+strategy = rrmemory",
      "```",
      "",
      "</details>",
      "",
    ]);
  });

  test("leaves out what the same plan writes to the server", () => {
    const plan = planOf(
      [
        collected("queues.conf", ["x"]),
        collected("sip.conf", ["secret"], { to: "server" } as Partial<Change>),
      ],
      [queues, difference("sip.conf", "", "[100]\ntype=friend\n")],
    );
    const paths = { written: ["queues.conf"], removed: [], recorded: [] };
    expect(collectedReview(plan, paths)).not.toContain("sip&#46;conf");
  });

  test("says so where nothing counts for Asterisk, or everything is only recorded", () => {
    const plan = planOf([collected("queues.conf", ["; a comment"])]);
    const review = collectedReview(plan, { written: ["queues.conf"], removed: [], recorded: [] });
    expect(review).toMatch(
      /^Nothing changed that counts for Asterisk\.\n\nFiles: 1 new or changed\.\n\n<details>/,
    );
    expect(collectedReview(planOf([]), { written: [], removed: [], recorded: ["a.conf"] })).toBe(
      "Files: 1 in step.\n\n- in step with Asterisk, and only recorded: <code>a&#46;conf</code>\n",
    );
  });

  test("nothing of a file or a name means anything outside of code", () => {
    const hostile =
      "``` ````` </details></pre></code><img src=x onerror=alert(1)> @everyone [x](javascript:alert(1)) closes #1 https://evil.example \u001b[31m \u202e";
    const path = `${hostile}.conf`;
    const effects = [
      difference(path, "", `[${hostile.replaceAll(/[[\]]/g, "")}]\n${hostile} = ${hostile}\n`),
    ];
    const plan = planOf([collected(path, [hostile, "`````", "</details>"]), collected(hostile)], effects);
    const review = collectedReview(plan, { written: [path, hostile], removed: [], recorded: [hostile] });
    expect(effects[0]?.effects).not.toEqual([]);
    expect(review).toContain("onerror");
    expect(review).not.toMatch(/[\0-\x08\x0b-\x1f\u202e]/);
    expect(outsideOfCode(review)).not.toMatch(/@|#\d|onerror|https:|javascript|evil/);
  });

  test("is never longer than a forge takes, and says how much is left out", () => {
    const lines = Array.from({ length: 20_000 }, (_, line) => `exten => ${line},1,Answer() ; <x>`);
    const many = Array.from({ length: 2_000 }, (_, at) => `[queue-${at}]\nmember => PJSIP/${at}\n`).join("");
    const files = Array.from({ length: 500 }, (_, at) => `file-${at}.conf`);
    const plan = planOf(
      [
        collected("queues.conf", lines),
        ...files.map((path) => collected(path, lines.slice(0, 50))),
        collected("moh.bin"),
      ],
      [difference("queues.conf", "", many)],
    );
    const written = ["queues.conf", "moh.bin", ...files];
    const review = collectedReview(plan, { written, removed: [], recorded: files });
    expect(review.length).toBeLessThanOrEqual(longestReview);
    expect(review).toMatch(/\*\*\d+ more lines are left out here\.\*\*/);
    expect(review).toMatch(/\*\*The lines of \d+ more files are left out here\.\*\*/);
    expect(review).toContain("queue queue&#45;0 added");
    expect(review).toContain("Files: 502 new or changed, 500 in step.");
    expect(outsideOfCode(review)).not.toContain("exten");
  });
});
