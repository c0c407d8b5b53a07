import { describe, expect, test } from "@jest/globals";
import type { ImportRecord } from "../../core/record.ts";
import type { Records } from "../../core/recorded.ts";
import { formatCollectedRecord, parseCollectedRecord, recordedOf } from "../../core/recorded.ts";

function records(parts: {
  imported?: ImportRecord["files"];
  generation?: number;
  collected?: Records["collected"]["files"];
  applied?: Records["applied"];
}): Records {
  const imported: ImportRecord = {
    version: 1,
    server: "pbx1",
    state: "Done",
    startedAt: "",
    asteriskVersion: "22",
    generation: parts.generation ?? 0,
    identity: { machine: "", configDirectory: "" },
    keyCheck: "",
    files: parts.imported ?? {},
  };
  return {
    imported,
    collected: { version: 1, files: parts.collected ?? {} },
    applied: parts.applied ?? {},
    recorded: (hash) => `keyed:${hash}`,
  };
}

const imported = { "a.conf": { outcome: "Stored" as const, hash: "keyed:1" } };

describe("what is recorded of a path: the entry of the side written last", () => {
  test("never seen: nothing", () => {
    expect(recordedOf("a.conf", records({}))).toBeNull();
  });

  test("before the first apply: the import's", () => {
    expect(recordedOf("a.conf", records({ imported }))).toBe("keyed:1");
  });

  test("kept by the import as it was in the source: nothing, so that the difference is a conflict", () => {
    expect(
      recordedOf("a.conf", records({ imported: { "a.conf": { outcome: "Kept", hash: "keyed:1" } } })),
    ).toBeNull();
  });

  test("applied after the import: the server's entry", () => {
    expect(
      recordedOf("a.conf", records({ imported, applied: { "a.conf": { hash: "2", generation: 1 } } })),
    ).toBe("keyed:2");
  });

  test("removed on the server: nothing", () => {
    expect(
      recordedOf("a.conf", records({ imported, applied: { "a.conf": { hash: null, generation: 1 } } })),
    ).toBeNull();
  });

  test("collected after that apply: the source's entry", () => {
    const collected = { "a.conf": { hash: "keyed:3", generation: 1 } };
    expect(
      recordedOf(
        "a.conf",
        records({ imported, collected, applied: { "a.conf": { hash: "2", generation: 1 } } }),
      ),
    ).toBe("keyed:3");
  });

  test("applied again after it was collected: the server's entry", () => {
    const collected = { "a.conf": { hash: "keyed:3", generation: 1 } };
    expect(
      recordedOf(
        "a.conf",
        records({ imported, collected, applied: { "a.conf": { hash: "4", generation: 2 } } }),
      ),
    ).toBe("keyed:4");
  });

  test("imported again after an apply: the import's", () => {
    expect(
      recordedOf(
        "a.conf",
        records({ imported, generation: 5, applied: { "a.conf": { hash: "2", generation: 5 } } }),
      ),
    ).toBe("keyed:1");
  });
});

test("a record of what was collected reads back as it was written, sorted", () => {
  const text = formatCollectedRecord({
    version: 1,
    files: { "b.conf": { hash: null, generation: 2 }, "a.conf": { hash: "x", generation: 1 } },
  });
  expect(text.indexOf("a.conf")).toBeLessThan(text.indexOf("b.conf"));
  expect(parseCollectedRecord(text, "collected.json").files["b.conf"]).toEqual({ hash: null, generation: 2 });
});

test("a broken record is an error, never an empty one", () => {
  expect(() => parseCollectedRecord("{", "collected.json")).toThrow(
    expect.objectContaining({ code: "RecordInvalid" }),
  );
});
