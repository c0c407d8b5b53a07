import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { join } from "node:path";
import type { CallRecord } from "../../calls/call-record.ts";
import { bob, cases, expectRecord } from "../support/call-cases.ts";
import { callsOf, eventually, followCalls } from "../support/calls-load.ts";
import { useLab } from "../support/lab.ts";
import type { Telephony } from "../support/telephony.ts";
import { bringUpTelephony } from "../support/telephony.ts";

const lab = useLab({ count: 2, asterisk: 16 });
const some = cases.filter(({ what }) =>
  [
    "answered",
    "busy",
    "withheld by its presentation",
    "transferred blind",
    "transferred blind by SIP",
    "transferred by SIP after a call in between",
  ].includes(what),
);
let telephony: Telephony;
let calls: CallRecord[] = [];
let begunMs = 0;

beforeAll(async () => {
  telephony = await bringUpTelephony(lab);
  const watch = followCalls(join(lab.directory, "manifests.yaml"), ["pbx1"]);
  await watch.ready;
  begunMs = Date.now();
  for (const { call } of some) await telephony.call({ from: "carrier", callerID: bob, ...call });
  await eventually(() => callsOf(watch.lines()).length >= some.length);
  expect(await watch.stop("SIGINT")).toBe(0);
  calls = callsOf(watch.lines());
}, 120_000);

afterAll(() => telephony?.close());

test.each(some)("$what", (dialled) => {
  // Its events have no SIP status.
  const cause = dialled.what === "busy" ? { cause: { code: 17, protocol: null } } : {};
  expectRecord(calls, { ...dialled, is: { ...dialled.is, ...cause } }, begunMs);
});

test("a withheld number is nowhere", () => {
  const withheld = calls.filter(({ caller }) => caller.presentation === "Withheld");
  expect(withheld).toHaveLength(1);
  expect(JSON.stringify(withheld)).not.toMatch(/1701234567|Bob/);
});
