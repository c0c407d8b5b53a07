import { describe, expect, test } from "@jest/globals";
import type { Change } from "../../core/diff.ts";
import type { OwnedChange, OwnedPolicy, OwnedTriple } from "../../core/ownership.ts";
import { combine, diffOwned, hashOwned } from "../../core/ownership.ts";

const owner = "ConfFile q";
const base: OwnedPolicy = { drift: "Correct", prune: false, released: new Set(), isTaken: false };
const said = ({ kind, cause }: OwnedChange): string => (cause === undefined ? kind : `${kind} ${cause}`);
const triple = (
  desired: string | null,
  observed: string | null,
  recorded: string | null,
  deletionPolicy: OwnedTriple["deletionPolicy"] = "Restore",
): OwnedTriple => ({ owner, desired, observed, recorded, deletionPolicy });

describe("one owner's keys", () => {
  // D is declared, R is recorded and not declared any more, X is somebody else's.
  test.each<
    [observed: string | null, recorded: string | null, correct: string, report: string, taken: string]
  >([
    [null, null, "Write change", "Write change", "Write change"],
    ["D", null, "Record", "Record", "Record"],
    ["X", null, "Conflict", "Conflict", "Write taken"],
    [null, "D", "Write drift", "Drift", "Write drift"],
    ["D", "D", "InSync", "InSync", "InSync"],
    ["X", "D", "Write drift", "Drift", "Write drift"],
    [null, "R", "Conflict", "Conflict", "Write taken"],
    ["D", "R", "Record", "Record", "Record"],
    ["R", "R", "Write change", "Write change", "Write change"],
    ["X", "R", "Conflict", "Conflict", "Write taken"],
  ])("declared; the server has %s, recorded is %s", (observed, recorded, correct, report, taken) => {
    const all = triple("D", observed, recorded);
    expect(said(diffOwned(all, base))).toBe(correct);
    expect(said(diffOwned(all, { ...base, drift: "Report" }))).toBe(report);
    expect(said(diffOwned(all, { ...base, isTaken: true }))).toBe(taken);
    for (const policy of [{ prune: true }, { released: new Set([owner]) }])
      expect(said(diffOwned(all, { ...base, ...policy }))).toBe(correct);
    expect(said(diffOwned({ ...all, deletionPolicy: "Retain" }, base))).toBe(correct);
  });

  test.each<
    [
      observed: string | null,
      deletionPolicy: "Restore" | "Retain",
      left: string,
      pruned: string,
      deleted: string,
      taken: string,
    ]
  >([
    [null, "Restore", "Release", "Release", "Release", "Release"],
    ["R", "Restore", "Left", "Remove", "Remove", "Remove"],
    ["X", "Restore", "Left", "Conflict", "Remove", "Remove"],
    [null, "Retain", "Release", "Release", "Release", "Release"],
    ["R", "Retain", "Left", "Left", "Left", "Left"],
    ["X", "Retain", "Left", "Left", "Left", "Left"],
  ])("withdrawn; the server has %s, %s", (observed, deletionPolicy, left, pruned, deleted, taken) => {
    const all = triple(null, observed, "R", deletionPolicy);
    for (const drift of ["Correct", "Report"] as const) {
      expect(said(diffOwned(all, { ...base, drift }))).toBe(left);
      expect(said(diffOwned(all, { ...base, drift, prune: true }))).toBe(pruned);
      expect(said(diffOwned(all, { ...base, drift, released: new Set([owner]) }))).toBe(deleted);
      expect(said(diffOwned(all, { ...base, drift, prune: true, isTaken: true }))).toBe(taken);
    }
  });
});

describe("a file of base and owned keys", () => {
  const path = "queues.conf";
  const changes = {
    none: undefined,
    InSync: { kind: "InSync", path },
    Record: { kind: "Record", path },
    write: { kind: "Write", path, to: "server", cause: "change", creates: false },
    collect: { kind: "Write", path, to: "source", cause: "change", creates: false },
    Remove: { kind: "Remove", path, to: "server" },
    Drift: { kind: "Drift", path, to: "server" },
    Left: { kind: "Left", path, on: "server" },
    Unmanaged: { kind: "Unmanaged", path, why: "only-there" },
    Conflict: { kind: "Conflict", path, why: "both-moved" },
    DirectionNotSet: { kind: "DirectionNotSet", path },
    Unknown: { kind: "Unknown", path, side: "server" },
  } as const satisfies Record<string, Change | undefined>;
  const kinds = ["InSync", "Record", "Write", "Remove", "Release", "Drift", "Left", "Conflict"] as const;

  /** What becomes of the file: rows by what happens to its base, columns by what happens to the one owner's keys. */
  const table: Record<keyof typeof changes, readonly string[]> = {
    //               InSync      Record      Write       Remove      Release     Drift    Left    Conflict
    none: /*      */ ["InSync", "Record", "owned", "owned", "Record", "Drift", "Left", "Conflict"],
    InSync: /*    */ ["InSync", "Record", "owned", "owned", "Record", "Drift", "Left", "Conflict"],
    Record: /*    */ ["Record", "Record", "owned", "owned", "Record", "Record", "Record", "Conflict"],
    write: /*     */ [...Array<string>(7).fill("write"), "Conflict"],
    collect: /*   */ [...Array<string>(7).fill("collect"), "Conflict"],
    Remove: /*    */ ["owned", "owned", "owned", "Remove", "Remove", "owned", "owned", "Conflict"],
    Drift: /*     */ ["Drift", "Drift", "owned", "owned", "Drift", "Drift", "Drift", "Conflict"],
    Left: /*      */ ["Left", "Left", "owned", "owned", "Left", "Left", "Left", "Conflict"],
    Unmanaged: /* */ ["InSync", "Record", "owned", "owned", "Record", "Drift", "Left", "Conflict"],
    Conflict: /*  */ Array<string>(8).fill("Conflict"),
    DirectionNotSet: Array<string>(8).fill("DirectionNotSet"),
    Unknown: /*   */ Array<string>(8).fill("Unknown"),
  };

  test.each(Object.keys(changes) as (keyof typeof changes)[])("whose base is %s", (name) => {
    const combined = kinds.map((kind) => combine(path, changes[name], [{ owner, kind }], true));
    const named = combined.map((change) => {
      if (change.kind !== "Write") return change.kind;
      if (change.cause === "owned") return change.to === "server" ? "owned" : "owned, to the source";
      return change === changes.write ? "write" : change === changes.collect ? "collect" : "another write";
    });
    expect(named).toEqual(table[name]);
  });

  test("drift of the keys alone is told as drift, and what is not there is created", () => {
    const drift: OwnedChange = { owner, kind: "Write", cause: "drift" };
    const change: OwnedChange = { owner: "AMIAccount a", kind: "Write", cause: "change" };
    expect(combine(path, changes.InSync, [drift], true)).toMatchObject({ cause: "drift", creates: false });
    expect(combine(path, changes.InSync, [drift, change], true)).toMatchObject({ cause: "owned" });
    expect(combine(path, undefined, [change], false)).toMatchObject({ cause: "owned", creates: true });
  });

  test("one conflict among several owners stops the whole file", () => {
    const owned: OwnedChange[] = [
      { owner, kind: "Write", cause: "change" },
      { owner: "AMIAccount a", kind: "Conflict" },
    ];
    expect(combine(path, changes.write, owned, true)).toEqual({ kind: "Conflict", path, why: "owned-keys" });
  });
});

test("the hash of values is the same for names in other letters, and for nothing else", () => {
  const hash = (...values: [string, string][]): string =>
    hashOwned([values.map(([name, value]) => ({ name, value }))]);
  expect(hash(["Secret", "a"])).toBe(hash(["secret", "a"]));
  const different = [
    hash(["secret", "a"]),
    hash(["secret", "A"]),
    hash(["secret", "a"], ["deny", "b"]),
    hash(["deny", "b"], ["secret", "a"]),
    hashOwned([null]),
    hashOwned([[]]),
  ];
  expect(new Set(different).size).toBe(different.length);
});
