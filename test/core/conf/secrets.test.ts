import { expect, test } from "@jest/globals";
import { hideSecrets } from "../../../core/conf/secrets.ts";

test.each([
  ["a long secret", "secret = Tr0ub4dor", "secret = ********"],
  ["one of a single character", "secret = x", "secret = ********"],
  ["one with a star in it", "secret = a*b", "secret = ********"],
  ["a PIN before other fields", "101 => 7,Reception", "101 => ********,Reception"],
  ["stars that are no secret", "exten => _*9X.,1,NoOp(**)", "exten => _*9X.,1,NoOp(**)"],
])("%s is shown with its length hidden, and nothing else changes", (_, line, shown) => {
  expect(hideSecrets("any.conf", line)).toBe(shown);
});
