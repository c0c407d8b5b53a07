/** The load of a busy server: 1,000 calls at 20 a second, the watch killed half way. Run with `npm run fuzz`. */
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { join } from "node:path";
import { callsOf, killHalfWay } from "../support/calls-load.ts";
import { useLab } from "../support/lab.ts";
import type { Telephony } from "../support/telephony.ts";
import { bringUpTelephony } from "../support/telephony.ts";

const lab = useLab({ count: 2 });
const count = Number(process.env["CALLS"] ?? 1_000);
let telephony: Telephony;

beforeAll(async () => {
  telephony = await bringUpTelephony(lab);
}, 120_000);

afterAll(() => telephony?.close());

test(`${count} calls: none is lost, none is told twice`, async () => {
  const { numbers, lines } = await killHalfWay(telephony, {
    manifests: join(lab.directory, "manifests.yaml"),
    file: join(lab.directory, "calls.jsonl"),
    count,
    toldBefore: count / 2,
  });
  const calls = callsOf(lines);
  expect(calls.map(({ called }) => called.number).sort()).toEqual(numbers);
  expect(calls.filter(({ source }) => source === "Events").length).toBeGreaterThanOrEqual(count / 2);
  expect(calls.every(({ disposition }) => disposition === "Answered")).toBe(true);
});
