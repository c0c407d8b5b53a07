import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { escapeReferences, fillSecrets, secretReferences } from "../../core/secret-references.ts";

const where = "ConfFile trunk";
const fill = (text: string, value: string | undefined = "s3cret"): string =>
  fillSecrets(text, where, () => value);

describe("references to secrets", () => {
  test("each is found once, and filled in everywhere", () => {
    const text = "a = @{secret:trunk/password}\nb = x@{secret:trunk/password}@{secret:other.name/a_B-1.c}y\n";
    expect(secretReferences(text, where)).toEqual([
      { name: "trunk", key: "password" },
      { name: "other.name", key: "a_B-1.c" },
    ]);
    expect(fillSecrets(text, where, ({ name, key }) => `<${name} ${key}>`)).toBe(
      "a = <trunk password>\nb = x<trunk password><other.name a_B-1.c>y\n",
    );
  });

  test.each([
    ["@@{secret:a/b}", "@{secret:a/b}"],
    ["@@@{secret:a/b}", "@@{secret:a/b}"],
    ["@@{secret:no reference", "@{secret:no reference"],
    [
      "${SECRET:a/b} {secret:a/b} @ {secret:a/b} @{SECRET:a/b}",
      "${SECRET:a/b} {secret:a/b} @ {secret:a/b} @{SECRET:a/b}",
    ],
    ["exten => 1,1,NoOp(${CALLERID(num)})", "exten => 1,1,NoOp(${CALLERID(num)})"],
  ])("%s is none, and becomes %s", (text, filled) => {
    expect(secretReferences(text, where)).toEqual([]);
    expect(fill(text)).toBe(filled);
  });

  test.each([
    "@{secret:}",
    "@{secret:a}",
    "@{secret:/b}",
    "@{secret:a/}",
    "@{secret:a/b/c}",
    "@{secret:Upper/b}",
    "@{secret:../b}",
    "@{secret:a/b c}",
    "@{secret: a/b}",
    "@{secret:a/b",
    "@{secret:a/b\n}",
  ])("%j begins like one and is refused, with its line", (text) => {
    const expected = {
      code: "ConfInvalid",
      message: "line 2 of ConfFile trunk begins a reference to a secret that is none",
    };
    expect(() => secretReferences(`first\n${text}`, where)).toThrow(expect.objectContaining(expected));
    expect(() => fill(`first\n${text}`)).toThrow(expect.objectContaining(expected));
  });

  test("one that is not there is refused by name", () => {
    expect(() => fillSecrets("a = @{secret:trunk/password}", where, () => undefined)).toThrow(
      expect.objectContaining({
        code: "SecretMissing",
        message: "ConfFile trunk refers to the secret trunk, key password, which is not there",
      }),
    );
  });

  test.each([
    ["", "is empty"],
    ["canary\n[general]", "line break"],
    ["canary\r", "line break"],
    ["canary\0", "NUL"],
    ["canary;x", "comment"],
    [";canary", "comment"],
  ])("a value that would mean something else in a file is refused without being shown: %j", (value, why) => {
    expect(() => fill("a = @{secret:trunk/password}", value)).toThrow(
      expect.objectContaining({ code: "ConfInvalid", message: expect.stringContaining(why) }),
    );
    expect(() => fill("a = @{secret:trunk/password}", value)).not.toThrow(/canary/);
  });

  test("a value is put in as it is: what looks like a reference or a replacement in it means nothing", () => {
    for (const value of ["@{secret:a/b}", "$&$1$$", "x\\;y"])
      expect(fill("a = @{secret:a/b}", value)).toBe(`a = ${value}`);
  });

  test("any text, escaped, comes out as it was", () => {
    const text = fc.array(fc.constantFrom("@", "{secret:", "a/b", "}", "\n", "x"), { maxLength: 12 });
    fc.assert(
      fc.property(text, (parts) => {
        const plain = parts.join("");
        expect(secretReferences(escapeReferences(plain), where)).toEqual([]);
        expect(fill(escapeReferences(plain))).toBe(plain);
      }),
    );
  });
});
