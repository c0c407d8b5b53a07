import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import {
  clockSkew,
  momentsOfYear,
  parseTimestamp,
  readNaive,
  serverTime,
  timeOfID,
  zoneDifferences,
} from "../../calls/times.ts";

const at = (utc: string): number => Date.parse(utc) * 1000;

/** Both changes of 2026: the last second before and the first after; Lord Howe's clocks change by half an hour. */
const changes = [
  ["Europe/Berlin", "2026-03-29T00:59:59Z", "2026-03-29T01:59:59.000+01:00"],
  ["Europe/Berlin", "2026-03-29T01:00:00Z", "2026-03-29T03:00:00.000+02:00"],
  ["Europe/Berlin", "2026-10-25T00:59:59Z", "2026-10-25T02:59:59.000+02:00"],
  ["Europe/Berlin", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00.000+01:00"],
  ["America/New_York", "2026-03-08T06:59:59Z", "2026-03-08T01:59:59.000-05:00"],
  ["America/New_York", "2026-03-08T07:00:00Z", "2026-03-08T03:00:00.000-04:00"],
  ["America/New_York", "2026-11-01T05:59:59Z", "2026-11-01T01:59:59.000-04:00"],
  ["America/New_York", "2026-11-01T06:00:00Z", "2026-11-01T01:00:00.000-05:00"],
  ["Australia/Lord_Howe", "2026-04-04T14:59:59Z", "2026-04-05T01:59:59.000+11:00"],
  ["Australia/Lord_Howe", "2026-04-04T15:00:00Z", "2026-04-05T01:30:00.000+10:30"],
  ["Australia/Lord_Howe", "2026-10-03T15:29:59Z", "2026-10-04T01:59:59.000+10:30"],
  ["Australia/Lord_Howe", "2026-10-03T15:30:00Z", "2026-10-04T02:30:00.000+11:00"],
  ["America/Santiago", "2026-04-05T02:59:59Z", "2026-04-04T23:59:59.000-03:00"],
  ["America/Santiago", "2026-04-05T03:00:00Z", "2026-04-04T23:00:00.000-04:00"],
  ["America/Santiago", "2026-09-06T03:59:59Z", "2026-09-05T23:59:59.000-04:00"],
  ["America/Santiago", "2026-09-06T04:00:00Z", "2026-09-06T01:00:00.000-03:00"],
  ["Asia/Kolkata", "2026-03-29T01:00:00Z", "2026-03-29T06:30:00.000+05:30"],
  ["Asia/Kolkata", "2026-10-25T01:00:00Z", "2026-10-25T06:30:00.000+05:30"],
] as const;

describe("around both clock changes", () => {
  test.each(changes)("%s: %s is %s", (zone, utc, local) => {
    expect(serverTime(at(utc), zone)).toEqual({ utc: utc.replace("Z", ".000Z"), local });
  });

  test("a call across the autumn change lasts as long as it lasted", () => {
    const [start, end] = [at("2026-10-25T00:59:56Z"), at("2026-10-25T01:00:04Z")];
    expect([serverTime(start, "Europe/Berlin").local, serverTime(end, "Europe/Berlin").local]).toEqual([
      "2026-10-25T02:59:56.000+02:00",
      "2026-10-25T02:00:04.000+01:00",
    ]);
    expect(end - start).toBe(8_000_000);
  });
});

describe("local times without an offset", () => {
  test.each([
    ["Europe/Berlin", "2026-10-25 01:59:59", "Exact", "2026-10-24T23:59:59Z"],
    ["Europe/Berlin", "2026-10-25 02:30:00", "Ambiguous", "2026-10-25T00:30:00Z"],
    ["Europe/Berlin", "2026-10-25 03:00:00", "Exact", "2026-10-25T02:00:00Z"],
    ["Europe/Berlin", "2026-03-29 02:30:00", "Skipped", "2026-03-29T01:30:00Z"],
    ["America/New_York", "2026-11-01 01:15:00", "Ambiguous", "2026-11-01T05:15:00Z"],
    ["America/New_York", "2026-03-08 02:15:00", "Skipped", "2026-03-08T07:15:00Z"],
    ["Australia/Lord_Howe", "2026-04-05 01:45:00", "Ambiguous", "2026-04-04T14:45:00Z"],
    ["Australia/Lord_Howe", "2026-10-04 02:15:00", "Skipped", "2026-10-03T15:45:00Z"],
    ["America/Santiago", "2026-04-04 23:30:00", "Ambiguous", "2026-04-05T02:30:00Z"],
    ["America/Santiago", "2026-09-06 00:30:00", "Skipped", "2026-09-06T04:30:00Z"],
    ["Asia/Kolkata", "2026-10-25 02:30:00", "Exact", "2026-10-24T21:00:00Z"],
  ])("%s %s is %s", (zone, naive, certainty, utc) => {
    expect(readNaive(naive, zone)).toEqual({ at: at(utc), certainty });
  });

  test("an earlier moment that is known tells the second of two from the first", () => {
    const known = at("2026-10-25T01:10:00Z");
    expect(readNaive("2026-10-25 02:30:00", "Europe/Berlin", known)).toEqual({
      at: at("2026-10-25T01:30:00Z"),
      certainty: "Exact",
    });
    expect(readNaive("2026-10-25 02:30:00", "Europe/Berlin", at("2026-10-25T00:10:00Z"))?.certainty).toBe(
      "Ambiguous",
    );
  });

  test.each(["", "2026-10-25", "2026-10-25T02:30:00", "2026-13-25 02:30:00", "2026-02-30 02:30:00"])(
    "%p is no time",
    (text) => expect(readNaive(text, "UTC")).toBeUndefined(),
  );

  test("what is exact comes back as it was written", () => {
    const zones = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "UTC"];
    fc.assert(
      fc.property(
        fc.integer({ min: at("2020-01-01T00:00:00Z") / 1e6, max: at("2030-01-01T00:00:00Z") / 1e6 }),
        fc.constantFrom(...zones),
        (seconds, zone) => {
          const naive = serverTime(seconds * 1e6, zone)
            .local.slice(0, 19)
            .replace("T", " ");
          const read = readNaive(naive, zone, seconds * 1e6);
          // The first of two can't be told from the second; nothing that was written is ever Skipped.
          expect(read?.certainty).not.toBe("Skipped");
          expect(read?.at).toBe(seconds * 1e6);
        },
      ),
    );
  });
});

test.each([
  ["1763799999.123456", 1763799999123456],
  ["1763799999.5", 1763799999500000],
  ["1763799999", 1763799999000000],
  ["", undefined],
  [undefined, undefined],
  ["yesterday", undefined],
])("AMI's timestamp %p is %p", (text, expected) => expect(parseTimestamp(text)).toBe(expected));

test("the skew is what the way there and back does not explain", () => {
  expect(clockSkew(1_000_250_000, 1_000_000, 1_000_100)).toEqual({ aheadMs: 200, uncertainMs: 50 });
  expect(clockSkew(999_000_000, 1_000_000, 1_000_000)).toEqual({ aheadMs: -1000, uncertainMs: 0 });
});

test("a zone that differs only in summer is noticed in winter", () => {
  const [now = 0, january = 0, july = 0] = momentsOfYear(at("2026-11-22T10:00:00Z"));
  const seen = (summer: string) => [
    { at: now, offset: "+0100" },
    { at: january, offset: "+0100" },
    { at: july, offset: summer },
  ];
  expect(zoneDifferences("Europe/Berlin", seen("+0200"))).toEqual([]);
  expect(zoneDifferences("Europe/Berlin", seen("+0100"))).toEqual([
    "on 2026-07-01 the server's clock is at +0100, and Europe/Berlin is at +02:00",
  ]);
});

test.each([
  ["1763799999.12", 1763799999000000],
  ["pbx-berlin-1763799999.12", 1763799999000000],
  ["my-own-id", undefined],
  ["12.5", undefined],
])("the id %s was made at %p", (id, expected) => expect(timeOfID(id)).toBe(expected));
