import { describe, expect, test } from "@jest/globals";
import { planImport } from "../../core/import.ts";
import type { ImportInput } from "../../core/import.ts";
import type { ObservedFile } from "../../core/observed.ts";
import type { SourceFile } from "../../core/source.ts";

const observed = (path: string, hash: string, more: Partial<ObservedFile> = {}): ObservedFile => ({
  path,
  kind: "file",
  hash,
  size: 1,
  mode: "0640",
  owner: "asterisk:asterisk",
  ...more,
});

function decide(
  file: ObservedFile,
  input: { source?: SourceFile } & Partial<Omit<ImportInput, "source">> = {},
) {
  const { source, ...rest } = input;
  const [step] = planImport({
    observed: [file],
    selected: (path) => path.endsWith(".conf"),
    pathPolicy: () => ({ kind: "Managed", direction: "ToAsterisk" }),
    source: new Map(source === undefined ? [] : [[file.path, source]]),
    promised: {},
    recorded: (hash) => `recorded:${hash}`,
    ...rest,
  });
  return step;
}

describe("the initial import of one path", () => {
  test("what the source lacks is stored", () => {
    expect(decide(observed("a.conf", "1"))).toMatchObject({ outcome: "Stored" });
  });

  test("what the source has with the same bytes is equal", () => {
    expect(decide(observed("a.conf", "1"), { source: { hash: "1", size: 1 } })).toMatchObject({
      outcome: "Equal",
    });
  });

  test("what the source has with other bytes is kept as it is", () => {
    expect(decide(observed("a.conf", "1"), { source: { hash: "2", size: 1 } })).toMatchObject({
      outcome: "Kept",
    });
  });

  test("a symbolic link in the source is kept, not followed", () => {
    expect(decide(observed("a.conf", "1"), { source: { problem: "is a symbolic link" } })).toMatchObject({
      outcome: "Kept",
      reason: "the source's copy is a symbolic link",
    });
  });

  test("what `files` does not select is outside", () => {
    expect(decide(observed("keys.pem", "1"))).toMatchObject({ outcome: "Outside" });
  });

  test("an unmanaged path is named with its rule", () => {
    expect(
      decide(observed("a.conf", "1"), { pathPolicy: () => ({ kind: "Unmanaged", rule: "a*" }) }),
    ).toMatchObject({
      outcome: "Unmanaged",
      reason: "rule a*",
    });
  });

  test("an unreadable file is skipped with the reason, never taken for an empty one", () => {
    expect(decide(observed("a.conf", "", { problem: "Permission denied" }))).toMatchObject({
      outcome: "Skipped",
      reason: "Permission denied",
    });
  });
});

describe("an import that was interrupted and goes on", () => {
  const promised = { "a.conf": { outcome: "Stored" as const, hash: "recorded:1" } };

  test("a file that it had stored stays stored", () => {
    expect(decide(observed("a.conf", "1"), { promised, source: { hash: "1", size: 1 } })).toMatchObject({
      outcome: "Stored",
    });
  });

  test("a file that it had stored and that changed on the server since is stored anew", () => {
    expect(decide(observed("a.conf", "9"), { promised, source: { hash: "1", size: 1 } })).toMatchObject({
      outcome: "Stored",
      replaces: "1",
    });
  });

  test("a file that somebody else put into the source since is kept", () => {
    expect(decide(observed("a.conf", "1"), { promised, source: { hash: "7", size: 1 } })).toMatchObject({
      outcome: "Kept",
    });
  });
});
