import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { nameProblem, pathFromBytes, pathToBytes } from "../../asterisk/path-bytes.ts";

test("every byte string has its own path, and comes back", () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 20 }),
    fc.string({ unit: "binary" }).map((text) => new Uint8Array(Buffer.from(text))),
    fc
      .constantFrom("caf\xe9.conf", "\xed\xb2\x80", "\xef\xbf\xbd", "\xf0\x9f\x92\x80", "\xef\xbb\xbfx")
      .map((text) => Uint8Array.from(Buffer.from(text, "latin1"))),
  );
  fc.assert(
    fc.property(fc.array(bytes, { maxLength: 4 }), (parts) => {
      const name = Buffer.concat(parts);
      expect(pathToBytes(pathFromBytes(name))).toEqual(name);
    }),
    { numRuns: 2_000 },
  );
});

test("UTF-8 reads as it is", () => {
  expect(pathFromBytes(Buffer.from("größe/💀.conf"))).toBe("größe/💀.conf");
});

describe("names that no source can hold are named with the reason", () => {
  test.each([
    ["extensions.conf", undefined],
    ["💀.conf", undefined],
    ["a\nb.conf", "its name holds a line break"],
    [pathFromBytes(Buffer.from("caf\xe9.conf", "latin1")), "its name is not UTF-8 (caf\\xe9.conf)"],
  ])("%j", (path, problem) => {
    expect(nameProblem(path)).toBe(problem);
  });
});
