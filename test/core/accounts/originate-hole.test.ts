import { expect, test } from "@jest/globals";
import { hasOriginateHole } from "../../../core/accounts/originate-hole.ts";

test.each([
  ["16.28.0~dfsg-0+deb11u4", true],
  ["18.24.1", true],
  ["18.24.2", false],
  ["18.26.0", false],
  ["19.8.1", true],
  ["20.9.1", true],
  ["20.9.2", false],
  ["20.10.0", false],
  ["21.4.1", true],
  ["21.4.2", false],
  ["22.0.0", false],
  ["22.10.1", false],
  ["23.0.0-rc1", false],
  ["18.9-cert10", true],
  ["18.9-cert11", false],
  ["certified/20.7-cert1", true],
  ["20.7-cert2", false],
  ["16.8-cert14", true],
  ["22.8-cert1", false],
  ["GIT-master-1234", true],
])("%s lets originate run code: %s", (version, expected) => {
  expect(hasOriginateHole(version)).toBe(expected);
});
