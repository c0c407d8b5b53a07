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

test.each([
  ["sip.conf", "auth= "],
  ["sip.conf", "auth=: "],
  ["meetme.conf", "conf="],
  ["agents.conf", "agent="],
])("a hostile line of %s, a MiB of `%s`, holds nobody up", (file, piece) => {
  const line = piece.repeat((1024 * 1024) / piece.length);
  const startedAt = performance.now();
  expect(hideSecrets(file, line)).toBe(line);
  expect(performance.now() - startedAt).toBeLessThan(5_000);
});

test.each([
  ["iax.conf", "register => me:Tr0ub4dor@carrier", "register => me:********@carrier"],
  ["meetme.conf", "conf => 1234,5678", "conf => 1234,********"],
  ["agents.conf", "agent => 1001,4321,Mark", "agent => 1001,********,Mark"],
])("in %s `%s` is shown without its secret", (file, line, shown) => {
  expect(hideSecrets(file, line)).toBe(shown);
});
