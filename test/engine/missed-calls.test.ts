import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import type { Host } from "../../asterisk/host.ts";
import type { CDR } from "../../calls/cdr-csv.ts";
import { recordContext } from "../../calls/record-context.ts";
import { asteriskServer } from "../../core/resource/index.ts";
import { MissedCalls } from "../../engine/calls/missed-calls.ts";

const second = 1_000_000;
const begin = Date.parse("2026-11-22T10:00:00Z") * 1000;
const host = {} as Host;
const { spec } = asteriskServer.parse({
  apiVersion: "asterisk-iac.dev/v1alpha1",
  kind: "AsteriskServer",
  metadata: { name: "pbx1" },
  spec: { ssh: { host: "pbx1" }, ami: { credentialsSecretRef: { name: "ami" } } },
});

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

/** Asterisk's CDRs as they come to be, and what is found of them. */
function looking() {
  const rows: CDR[] = [];
  const reads: number[] = [];
  const told: string[] = [];
  const next = { breaks: false };
  const missed = new MissedCalls({
    context: recordContext("pbx1", spec),
    isKnown: (uniqueID) => uniqueID === "watched" || told.includes(uniqueID),
    tell: ({ uniqueIDs }) => told.push(...uniqueIDs),
    read: (_, __, since) => {
      reads.push((since - begin) / second);
      if (next.breaks) return Promise.reject(new Error("the connection broke"));
      return Promise.resolve(rows.filter(({ end }) => end >= since));
    },
  });
  const wait = async (seconds: number): Promise<void> => {
    for (let passed = 0; passed < seconds; passed++) {
      jest.advanceTimersByTime(1_000);
      await missed.lookUpDue(host, begin);
    }
  };
  const write = (uniqueID: string, start: number, end: number): void => {
    const telephones = { source: "101", destination: "105", channel: "PJSIP/101-1", destinationChannel: "" };
    const times = { start: begin + start * second, answer: undefined, end: begin + end * second };
    rows.push({
      ...{ uniqueID, linkedID: undefined, disposition: "NO ANSWER", isAmbiguous: false },
      ...telephones,
      ...times,
    });
  };
  return { missed, reads, told, wait, write, next };
}

test("a connection that breaks and breaks: each gap is looked up at once, and all of them together later", async () => {
  const { missed, reads, told, wait, write } = looking();
  for (let gap = 0; gap < 20; gap++) {
    await missed.lookUp(host, { from: begin + gap * second, to: begin + (gap + 0.5) * second }, begin);
    await wait(1);
  }
  const atOnce = reads.length;
  // Written late: one of a gap, one that was watched, one that began after all gaps.
  write("late", 3.1, 3.4);
  write("watched", 4.6, 4.9);
  write("new", 60, 61);
  await wait(400);
  expect(told).toEqual(["late"]);
  // 20 gaps in 20 seconds, each to be looked up three times: a read every five seconds is enough.
  expect(atOnce).toBeLessThanOrEqual(20 + 4);
  expect(reads.length - 20).toBeLessThanOrEqual(3 * 5);
});

test("what breaks off is looked up again, and what was never watched is not looked for", async () => {
  const { missed, reads, told, wait, write, next } = looking();
  await missed.lookUp(host, { from: begin + 10 * second, to: begin + 20 * second }, begin);
  write("before", -30, -20);
  write("late", 12, 13);
  next.breaks = true;
  await expect(wait(11)).rejects.toThrow("the connection broke");
  expect(told).toEqual([]);
  next.breaks = false;
  await wait(1);
  expect(told).toEqual(["late"]);
  expect(reads).toEqual([0, 0, 0]);
});
