import { test } from "@jest/globals";
import fc from "fast-check";
import { confBytes, fragmentText } from "../../support/conf-arbitraries.ts";
import { checkConfInvariants } from "../../support/conf-invariants.ts";

test("1,000,000 generated inputs come back byte for byte", () => {
  fc.assert(fc.property(confBytes, checkConfInvariants), { numRuns: 950_000 });
  const bytes = fragmentText.map((text) => Buffer.from(text, "latin1"));
  fc.assert(fc.property(bytes, checkConfInvariants), { numRuns: 50_000 });
});
