import { expect, test } from "@jest/globals";
import { isPermitted, namesEveryAddress, rulesOf } from "../../../core/accounts/address.ts";

const everything = ["0.0.0.0/0", "::/0"];

test.each([
  ["without rules all may", [], [], "192.0.2.1", true],
  ["what is denied may not", everything, [], "192.0.2.1", false],
  ["a permitted address may", everything, ["192.0.2.1"], "192.0.2.1", true],
  ["the one beside it may not", everything, ["192.0.2.1"], "192.0.2.2", false],
  ["the last address of a network", everything, ["192.0.2.0/25"], "192.0.2.127", true],
  ["the first one behind it", everything, ["192.0.2.0/25"], "192.0.2.128", false],
  ["a network written by one of its hosts", everything, ["192.0.2.77/24"], "192.0.2.1", true],
  ["a netmask", everything, ["127.0.0.1/255.255.255.0"], "127.0.0.200", true],
  ["bits that end within a byte", everything, ["10.0.0.0/9"], "10.128.0.0", false],
  ["0.0.0.0/0 does not stop IPv6", ["0.0.0.0/0"], [], "2001:db8::1", true],
  ["::/0 does not stop IPv4", ["::/0"], [], "192.0.2.1", true],
  ["an IPv6 network", everything, ["2001:db8:1::/48"], "2001:db8:1:ffff::1", true],
  ["beside an IPv6 network", everything, ["2001:db8:1::/48"], "2001:db8:2::1", false],
  ["an IPv4-mapped address is IPv4", everything, ["192.0.2.1"], "::ffff:192.0.2.1", true],
  ["an IPv4-mapped address is not stopped by ::/0", ["::/0"], [], "::ffff:192.0.2.1", true],
  ["no address", [], [], "pbx.example.com", false],
])("%s", (_, deny, permit, address, expected) => {
  expect(isPermitted(rulesOf({ deny, permit }), address)).toBe(expected);
});

test.each([
  [["0.0.0.0/0"], true],
  [["1.2.3.4/0.0.0.0"], true],
  [["128.0.0.0/1", "0.0.0.0/2", "64.0.0.0/2"], true],
  [["128.0.0.0/1", "0.0.0.0/2"], false],
  [["0.0.0.0/1", "192.0.0.0/2"], false],
  [["::/0"], false],
  [[], false],
])("%j names every address of IPv4: %s", (permit, expected) => {
  expect(namesEveryAddress(permit, "IPv4")).toBe(expected);
});
