import { test } from "@jest/globals";
import fc from "fast-check";
import { confBytes, fragmentText } from "../../support/conf-arbitraries.ts";
import { checkConfInvariants } from "../../support/conf-invariants.ts";

test("100,000 generated inputs come back byte for byte, without a gap between their nodes", () => {
  fc.assert(fc.property(confBytes, checkConfInvariants), { numRuns: 98_000 });
});

test("files as Asterisk's grammar makes them come back byte for byte", () => {
  const bytes = fragmentText.map((text) => Buffer.from(text, "latin1"));
  fc.assert(fc.property(bytes, checkConfInvariants), { numRuns: 2_000 });
});
