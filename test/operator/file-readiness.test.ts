import { expect, test } from "@jest/globals";
import type { Change } from "../../core/diff.ts";
import { AsteriskIacError } from "../../core/errors.ts";
import { makePlan } from "../../core/plan.ts";
import type { PlannedChange } from "../../core/plan.ts";
import { confFile } from "../../core/resource/index.ts";
import { fileReadiness } from "../../operator/conditions.ts";

const path = "queues.conf";
const fileOf = (what: object) => ({
  name: "queues",
  spec: confFile.shape.spec.parse({ serverRef: { name: "pbx" }, path, ...what }),
});
const whole = fileOf({ content: "[sales]\n" });
const sections = fileOf({ sections: [{ name: "sales", lines: "strategy = ringall" }] });
const drifted: Change = { kind: "Write", path, to: "server", cause: "drift", creates: false };

/** Ready of the file where the plan has one change; `owns` is what becomes of its own sections. */
function reasonOf(
  file: typeof whole,
  change: Change,
  more: Partial<PlannedChange> = {},
): readonly [string, string] {
  const planned = { change, sourceHash: null, serverHash: null, ...more };
  const parts = { server: "pbx", updateDirection: "ToAsterisk", effects: [], reloads: undefined } as const;
  const { status, reason } = fileReadiness(file, makePlan({ ...parts, changes: [planned] }));
  return [status, reason];
}

test.each<[string, Change, Partial<PlannedChange>, string]>([
  ["drift that is only reported", { kind: "Drift", path, to: "server" }, {}, "Drift"],
  ["drift that is not put back yet", drifted, {}, "Drift"],
  ["a conflict", { kind: "Conflict", path, why: "both-moved" }, {}, "Conflict"],
  ["no direction", { kind: "DirectionNotSet", path }, {}, "DirectionNotSet"],
  ["a file that can't be read", { kind: "Unknown", path, side: "server" }, {}, "ChangesPending"],
  [
    "a file that is left alone",
    { kind: "Write", path, to: "server", cause: "change", creates: false },
    { blocked: "it is generated" },
    "ChangesPending",
  ],
])("with %s a ConfFile is not ready", (_, change, more, reason) => {
  expect(reasonOf(whole, change, more)).toEqual(["False", reason]);
});

test.each<[string, Change]>([
  ["in sync", { kind: "InSync", path }],
  ["only to be recorded", { kind: "Record", path }],
  ["of another path", { kind: "Drift", path: "other.conf", to: "server" }],
])("what is %s leaves it ready", (_, change) => {
  expect(reasonOf(whole, change)).toEqual(["True", "InSync"]);
});

test("sections are told of by themselves, whatever else there is in the file", () => {
  const owned = (owner: string) => ({
    owners: [{ owner, kind: "Drift" as const, result: null }],
  });
  const change: Change = { kind: "Drift", path, to: "server" };
  expect(reasonOf(sections, change, owned("ConfFile queues"))).toEqual(["False", "Drift"]);
  expect(reasonOf(sections, change, owned("ConfFile others"))).toEqual(["True", "InSync"]);
});

test("where the whole has no plan each was tried alone, and what was wrong then is told before this", () => {
  const error = new AsteriskIacError("ConfInvalid", "another ConfFile is wrong");
  expect(fileReadiness(whole, error).status).toBe("True");
});
