import { expect, test } from "@jest/globals";
import { redact, redactText, redacted } from "../../core/redact.ts";

test("no text of nested data holds a secret, as key's value, in lists, maps or in the middle", () => {
  const data = {
    plan: [{ text: "+secret=hunter2hunter2 ; x" }, "hunter2hunter2"],
    map: new Map([["a", { deep: "say hunter2hunter2 twice: hunter2hunter2" }]]),
    number: 4,
    none: null,
  };
  const shown = redact(data, ["hunter2hunter2"]);
  expect(shown).toEqual({
    plan: [{ text: `+secret=${redacted} ; x` }, redacted],
    map: new Map([["a", { deep: `say ${redacted} twice: ${redacted}` }]]),
    number: 4,
    none: null,
  });
  expect(data.plan[1]).toBe("hunter2hunter2");
});

test("of a secret that begins with another nothing is left", () => {
  expect(redactText("is abcdefgh", ["abcd", "abcdefgh"])).toBe(`is ${redacted}`);
});

test("what is too short to be looked for leaves the text as it is, the same object too", () => {
  const data = { text: "a no in nobody" };
  expect(redact(data, ["no", ""])).toBe(data);
});

test("what might stand in a hash or a word of ours is looked for in one field only, and in all of that", () => {
  const data = {
    hash: "00083410",
    evidence: [{ source: "log 8341", saw: "8341, again" }],
    saw: { deep: ["8341"] },
  };
  expect(redact(data, ["8341"], "saw")).toEqual({
    hash: "00083410",
    evidence: [{ source: "log 8341", saw: `${redacted}, again` }],
    saw: { deep: [redacted] },
  });
});

test("errors keep their class and are left as they are", () => {
  const error = new Error("longsecret");
  expect(redact({ error }, ["longsecret"]).error).toBe(error);
});
