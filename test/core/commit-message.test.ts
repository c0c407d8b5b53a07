import { describe, expect, test } from "@jest/globals";
import { collectedMessage, importedMessage, restoredMessage } from "../../core/commit-message.ts";
import type { Effect } from "../../core/difference.ts";
import { makePlan } from "../../core/plan.ts";
import type { ImportRecord } from "../../core/record.ts";

const secret = "hunter2";
const effect = (file: string, name: string, more: Partial<Effect> = {}): Effect => ({
  kind: "queue",
  action: "changed",
  name,
  details: [{ action: "changed", name: "strategy", old: secret, new: `${secret}!`, file, line: 1 }],
  file,
  line: 1,
  ...more,
});

const planOf = (effects: readonly Effect[]) =>
  makePlan({
    server: "pbx1",
    updateDirection: "FromAsterisk",
    changes: [],
    effects: [{ root: "queues.conf", effects }],
    reloads: undefined,
  });

describe("the message of a commit", () => {
  test("names the server, its files and their sections, and no value", () => {
    const plan = planOf([
      effect("queues.conf", "support"),
      effect("queues.d/sales.conf", "sales", { action: "added", details: [] }),
      effect("other.conf", "elsewhere"),
    ]);
    const paths = { written: ["queues.conf", "queues.d/sales.conf"], removed: ["old.conf"], recorded: [] };
    expect(collectedMessage(plan, paths)).toBe(
      [
        "pbx1: queues.conf, queues.d/sales.conf, old.conf collected from Asterisk",
        "",
        "queues.conf:",
        "- queue support changed",
        "queues.d/sales.conf:",
        "- queue sales added",
        "old.conf: gone from the server",
        "",
      ].join("\n"),
    );
    expect(collectedMessage(plan, paths)).not.toContain(secret);
  });

  test("of many files counts them, of none says that they are in step", () => {
    const written = ["a.conf", "b.conf", "c.conf", "d.conf"];
    expect(collectedMessage(planOf([]), { written, removed: [], recorded: [] })).toMatch(
      /^pbx1: 4 files collected from Asterisk\n\na.conf:\n- nothing that counts for Asterisk\n/,
    );
    expect(collectedMessage(planOf([]), { written: [], removed: [], recorded: ["a.conf"] })).toBe(
      "pbx1: a.conf recorded as in step with Asterisk\n\n- a.conf\n",
    );
  });

  test("is not forged by a name with a line break", () => {
    const text = restoredMessage("pbx1", ["a\nSigned-off-by: root\u001b[2J"], "0123456789ab");
    expect(text).toBe(
      "pbx1: a?Signed-off-by: root?[2J put back as before 0123456789ab\n\n- a?Signed-off-by: root?[2J\n",
    );
  });

  test("closes no issue and calls nobody, whatever the names are", () => {
    const said = restoredMessage("pbx1", ["closes #7.conf", "fixes GH-8", "@all", "team!9"], "0123456789ab");
    expect(said).not.toMatch(/[#@!]\w|GH-\d/);
    expect(said.replaceAll("\u2060", "")).toContain("- closes #7.conf\n- fixes GH-8\n- @all\n- team!9\n");
  });

  test("of an import counts the outcomes and names what the repository kept", () => {
    const files = { "a.conf": { outcome: "Stored" }, "b.conf": { outcome: "Kept" } } as const;
    const record = { server: "pbx1", asteriskVersion: "22.1", files } as unknown as ImportRecord;
    expect(importedMessage(record)).toBe(
      "pbx1: 2 files imported from Asterisk 22.1\n\nstored 1, equal 0, kept 1, skipped 0\n\nKept as the repository has them:\n- b.conf\n",
    );
  });
});
