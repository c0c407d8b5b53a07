import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { CallRecord } from "../../calls/call-record.ts";
import { callRecord } from "../../calls/call-record.ts";
import type { CallEvent } from "../../calls/observed-call.ts";
import { endpointOf } from "../../calls/observed-call.ts";
import { recordContext } from "../../calls/record-context.ts";
import { parseTimestamp } from "../../calls/times.ts";
import { CallTracker } from "../../calls/tracker.ts";
import { telephonySpec } from "../support/telephony.ts";

const context = recordContext("pbx1", {
  ...telephonySpec,
  numbers: { ...telephonySpec.numbers, callerFormat: "National" },
});

type Fields = Readonly<Record<string, string>>;

function eventOf(fields: Fields): CallEvent {
  const entries = Object.entries(fields).map(([name, value]) => [name.toLowerCase(), value] as const);
  const values = new Map(entries);
  return {
    get: (name) => values.get(name.toLowerCase()),
    all: (name) => entries.filter(([other]) => other === name.toLowerCase()).map(([, value]) => value),
  };
}

/** Real events of two Asterisk 22.10.1 (test/support/telephony.ts), twenty calls at once, as they came. */
const recorded = readFileSync(join(import.meta.dirname, "fixtures", "events.jsonl"), "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line) as Fields);

function timeOf(fields: Fields): number {
  return parseTimestamp(fields["Timestamp"]) ?? 0;
}

function recordsOf(events: readonly Fields[], tracker = new CallTracker()): CallRecord[] {
  for (const fields of events) tracker.observe(eventOf(fields), timeOf(fields));
  return tracker.advance(Infinity).map((call) => callRecord(call, context));
}

const byID = (records: readonly CallRecord[]): CallRecord[] =>
  [...records].sort((a, b) => (a.id < b.id ? -1 : 1));

/** The events of each call by themselves. */
function scripts(events: readonly Fields[]): Fields[][] {
  const calls = recordsOf(events);
  return calls.map(({ uniqueIDs }) => {
    const own = new Set(uniqueIDs);
    return events.filter((fields) =>
      Object.entries(fields).some(([name, value]) => name.endsWith("Uniqueid") && own.has(value)),
    );
  });
}

describe("twenty recorded calls", () => {
  const records = byID(recordsOf(recorded));
  const of = (number: string): CallRecord[] => records.filter(({ called }) => called.number === number);

  test("each is one record, and none is left", () => {
    const tracker = new CallTracker();
    expect(recordsOf(recorded, tracker)).toHaveLength(20);
    expect(tracker.openCount).toBe(0);
    expect(records.every(({ source, unknown }) => source === "Events" && unknown.length === 0)).toBe(true);
  });

  test.each([
    ["030123456102", ["Busy"]],
    ["030123456103", ["Cancelled", "NoAnswer"]],
    ["030123456104", ["Declined"]],
    ["030123456109", ["Unavailable"]],
    ["030123456100", ["Abandoned", "QueueTimeout"]],
    ["030123456120", ["Answered"]],
    ["030123456300", ["AnsweredBySystem"]],
    ["030123456999", ["Failed"]],
    ["001701234599", ["UnknownNumber"]],
  ])("%s ended as %p", (number, dispositions) => {
    expect(
      of(number)
        .map(({ disposition }) => disposition)
        .sort(),
    ).toEqual(dispositions);
  });

  test("telephones that ring together are one call", () => {
    const [call] = of("030123456200");
    expect(call?.attempts.map(({ number, result }) => `${number} ${result}`)).toEqual([
      "102 BUSY",
      "103 CANCEL",
      "105 ANSWER",
    ]);
    expect(call?.answeredBy?.number).toBe("105");
  });

  test("legs through Local channels are one call, of the telephones that they reach", () => {
    const [call] = of("030123456210");
    expect(call?.uniqueIDs).toHaveLength(7);
    expect(call?.attempts.map(({ endpoint }) => endpoint).sort()).toEqual(["PJSIP/101", "PJSIP/103"]);
  });

  test.each([
    ["030123456106", "Blind", "106"],
    ["030123456107", "Attended", "107"],
  ])("%s: a transfer (%s) is part of the call", (number, kind, by) => {
    const [call] = of(number);
    expect(call?.transfers.map((each) => [each.kind, each.by?.number, each.to?.number])).toEqual([
      [kind, by, "105"],
    ]);
    expect(call?.caller.e164).toBe("+491701234567");
    expect(call?.answeredBy?.number).toBe(by);
  });

  test("a number that is withheld is nowhere in the record, though it is in the events", () => {
    const withheld = of("030123456101").filter(({ caller }) => caller.presentation === "Withheld");
    expect(withheld).toHaveLength(2);
    const ids = new Set(withheld.flatMap(({ uniqueIDs }) => uniqueIDs));
    const events = recorded.filter((fields) => ids.has(fields["Uniqueid"] ?? ""));
    expect(JSON.stringify(events)).toContain("01701234567");
    expect(JSON.stringify(withheld)).not.toMatch(/1701234567|Bob|Anonymous|carrier/i);
  });

  test("where Asterisk says nothing of the presentation, only an extension is shown", () => {
    const silent = recorded.map((fields) =>
      Object.fromEntries(Object.entries(fields).filter(([name]) => !/ChanVariable|CallingPres/.test(name))),
    );
    for (const { caller, unknown } of recordsOf(silent)) {
      const isShown = caller.number !== null;
      expect(isShown).toBe(caller.endpoint === "PJSIP/101");
      if (!isShown && caller.presentation === "Unknown") expect(unknown).toContain("caller");
    }
  });
});

test("of an ISDN channel, which is named after its caller's number, the span alone is shown", () => {
  const channel = { Channel: "DAHDI/i1/01701234567-1f", CallerIDNum: "01701234567", Exten: "030123456101" };
  const ids = { Uniqueid: "1795342250.1", Linkedid: "1795342250.1" };
  const [record] = recordsOf([
    { Event: "Newchannel", Timestamp: "1795342250.1", ...channel, ...ids },
    { Event: "Hangup", Timestamp: "1795342252.1", Cause: "16", ...channel, ...ids },
  ]);
  expect(record?.caller).toMatchObject({ endpoint: "DAHDI/i1", number: null, presentation: "Unknown" });
  expect(JSON.stringify(record)).not.toContain("1701234567");
});

test.each([
  ["PJSIP/carrier-0000001f", "PJSIP/carrier"],
  ["IAX2/branch-9-4321", "IAX2/branch-9"],
  ["DAHDI/i2/030123456-3", "DAHDI/i2"],
  ["DAHDI/5-1", "DAHDI/5-1"],
  ["Local/101@phones-00000002;2", "Local/101@phones"],
])("the endpoint of %s is %s", (channel, endpoint) => {
  expect(endpointOf(channel)).toBe(endpoint);
});

test("a channel that ends while it is asked what is up is not taken for up", () => {
  const tracker = new CallTracker();
  const of = (id: string): Fields => ({ Channel: `PJSIP/101-0000000${id}`, Uniqueid: `1795342250.${id}` });
  tracker.observe(eventOf({ Event: "Hangup", Cause: "16", ...of("1") }), 1_795_342_260_000_000);
  const rows = [of("1"), of("2")].map((fields) => eventOf({ Event: "Status", ...fields }));
  tracker.resume(rows, { from: undefined, to: 1_795_342_260_000_000 }, new Set());
  expect([...tracker.legsUp()]).toEqual(["1795342250.2"]);
});

describe("whatever the order", () => {
  const expected = byID(recordsOf(recorded));
  const calls = scripts(recorded);

  test("calls mixed in any way give the same records", () => {
    fc.assert(
      fc.property(fc.infiniteStream(fc.nat()), (choices) => {
        const waiting = calls.map((events) => [...events]).filter((events) => events.length > 0);
        const mixed: Fields[] = [];
        while (waiting.length > 0) {
          const at = (choices.next().value as number) % waiting.length;
          const next = waiting[at]?.shift();
          if (next !== undefined) mixed.push(next);
          if (waiting[at]?.length === 0) waiting.splice(at, 1);
        }
        expect(byID(recordsOf(mixed))).toEqual(expected);
      }),
      { numRuns: 30 },
    );
  });

  test("legs hung up in any order give the same records", () => {
    fc.assert(
      fc.property(fc.infiniteStream(fc.nat()), (choices) => {
        const shuffled = calls.flatMap((events) => {
          const hangups = events.filter(({ Event }) => Event === "Hangup");
          const others = events.filter(({ Event }) => Event !== "Hangup");
          const order = hangups.map((hangup) => [choices.next().value as number, hangup] as const);
          return [...others, ...order.sort(([a], [b]) => a - b).map(([, hangup]) => hangup)];
        });
        expect(byID(recordsOf(shuffled))).toEqual(expected);
      }),
      { numRuns: 30 },
    );
  });

  test("events that come twice change nothing", () => {
    const twice = recorded.flatMap((fields) =>
      fields["Event"] === "DialBegin" || /Transfer|Join/.test(fields["Event"] ?? "")
        ? [fields]
        : [fields, fields],
    );
    expect(byID(recordsOf(twice))).toEqual(expected);
  });
});

const at = (seconds: number): string => `1795000${String(seconds).padStart(3, "0")}.000000`;

function leg(id: string, linkedID: string, channel: string, seconds: number, more: Fields = {}): Fields {
  return {
    Event: "Newchannel",
    Timestamp: at(seconds),
    Channel: channel,
    Uniqueid: id,
    Linkedid: linkedID,
    ...more,
  };
}

function hangup(id: string, linkedID: string, seconds: number): Fields {
  return { Event: "Hangup", Timestamp: at(seconds), Uniqueid: id, Linkedid: linkedID, Cause: "16" };
}

describe("calls that are joined", () => {
  const consult = [
    leg("1795000000.1", "1795000000.1", "PJSIP/carrier-00000001", 0, { Exten: "030123456101" }),
    leg("1795000000.2", "1795000000.1", "PJSIP/101-00000002", 0),
    leg("1795000010.3", "1795000010.3", "PJSIP/101-00000003", 10, { Exten: "105" }),
    leg("1795000010.4", "1795000010.3", "PJSIP/105-00000004", 10),
  ];

  test("the consulting leg of a SIP transfer dies under its old Linkedid, and is of the call all the same", () => {
    const transfer = {
      Event: "AttendedTransfer",
      Timestamp: at(20),
      Result: "Success",
      OrigTransfererUniqueid: "1795000000.2",
      OrigTransfererLinkedid: "1795000000.1",
      SecondTransfererUniqueid: "1795000010.3",
      SecondTransfererLinkedid: "1795000010.3",
      TransfereeUniqueid: "1795000000.1",
      TransfereeLinkedid: "1795000000.1",
      TransferTargetUniqueid: "1795000010.4",
      TransferTargetLinkedid: "1795000010.3",
    };
    const [call, ...others] = recordsOf([
      ...consult,
      transfer,
      hangup("1795000000.2", "1795000000.1", 20),
      hangup("1795000010.3", "1795000010.3", 20),
      hangup("1795000010.4", "1795000000.1", 30),
      hangup("1795000000.1", "1795000000.1", 30),
    ]);
    expect(others).toEqual([]);
    expect(call?.id).toBe("1795000000.1");
    expect(call?.linkedIDs).toEqual(["1795000000.1", "1795000010.3"]);
    expect(call?.durationSeconds).toBe(30);
    expect(call?.transfers.map(({ kind, to }) => [kind, to?.number])).toEqual([["Attended", "105"]]);
  });

  test("bridges that are joined without a transfer: a known leg with another Linkedid", () => {
    const moved = {
      Event: "BridgeEnter",
      Timestamp: at(15),
      Uniqueid: "1795000010.4",
      Linkedid: "1795000000.1",
    };
    const ends = consult.map(({ Uniqueid = "", Linkedid = "" }) => hangup(Uniqueid, Linkedid, 30));
    expect(recordsOf([...consult, moved, ...ends])).toHaveLength(1);
    expect(recordsOf([...consult, ...ends])).toHaveLength(2);
  });

  test("who picks up somebody else's call belongs to it", () => {
    const [call, ...others] = recordsOf([
      ...consult,
      {
        Event: "Pickup",
        Timestamp: at(12),
        Uniqueid: "1795000010.3",
        Linkedid: "1795000010.3",
        TargetUniqueid: "1795000000.2",
        TargetLinkedid: "1795000000.1",
      },
      ...consult.map(({ Uniqueid = "", Linkedid = "" }) => hangup(Uniqueid, Linkedid, 30)),
    ]);
    expect(others).toEqual([]);
    expect(call?.transfers.map(({ kind, to }) => [kind, to?.endpoint])).toEqual([["Pickup", "PJSIP/101"]]);
  });

  test("a call that is over waits for a leg that still joins it", () => {
    const tracker = new CallTracker();
    const [first = {}, second = {}] = consult;
    for (const fields of [first, hangup("1795000000.1", "1795000000.1", 5)])
      tracker.observe(eventOf(fields), timeOf(fields));
    expect(tracker.advance(1795000006e6)).toEqual([]);
    tracker.observe(eventOf(second), 1795000006e6);
    expect(tracker.advance(1795000020e6)).toEqual([]);
    tracker.observe(eventOf(hangup("1795000000.2", "1795000000.1", 21)), 1795000021e6);
    expect(tracker.advance(1795000024e6)).toHaveLength(1);
  });
});

describe("gaps", () => {
  const row = (id: string, linkedID: string, channel: string, more: Fields = {}): CallEvent =>
    eventOf({
      Event: "Status",
      Uniqueid: id,
      Linkedid: linkedID,
      Channel: channel,
      ChannelState: "6",
      ...more,
    });
  const gap = { from: 1795000010e6, to: 1795000020e6 };
  const events = [
    leg("1795000000.1", "1795000000.1", "PJSIP/carrier-00000001", 0, { Exten: "030123456101" }),
    leg("1795000005.2", "1795000005.2", "PJSIP/carrier-00000002", 5, { Exten: "030123456102" }),
  ];
  function watched(): CallTracker {
    const tracker = new CallTracker();
    for (const fields of events) tracker.observe(eventOf(fields), timeOf(fields));
    return tracker;
  }

  test("what is up before and after goes on; what is gone has ended, nobody knows when", () => {
    const tracker = watched();
    tracker.resume([row("1795000000.1", "1795000000.1", "PJSIP/carrier-00000001")], gap, tracker.legsUp());
    const [ended, ...others] = tracker.advance(1795000023e6).map((call) => callRecord(call, context));
    expect(others).toEqual([]);
    expect(ended).toMatchObject({ id: "1795000005.2", end: null, durationSeconds: null, source: "Part" });
    expect(ended?.disposition).toBe("Unknown");
    expect(ended?.unknown).toEqual(expect.arrayContaining(["end", "cause", "attempts"]));
    expect(tracker.openCount).toBe(1);
  });

  test("what began in the gap is adopted with what Status tells", () => {
    const tracker = watched();
    const known = tracker.legsUp();
    const variables = {
      Variable: "CALLERID(pres)=allowed",
      DNID: "030123456105",
      CallerIDNum: "01701234567",
    };
    const started = eventOf({
      ...{ Event: "Status", Uniqueid: "1795000015.3", Linkedid: "1795000015.3", ChannelState: "6" },
      ...{ Channel: "PJSIP/carrier-00000003", ...variables },
    });
    tracker.resume([started], gap, known);
    tracker.observe(eventOf(hangup("1795000015.3", "1795000015.3", 30)), 1795000030e6);
    const records = tracker.advance(Infinity).map((call) => callRecord(call, context));
    expect(records.find(({ id }) => id === "1795000015.3")).toMatchObject({
      source: "Part",
      start: { utc: "2026-11-18T11:06:55.000Z" },
      caller: { e164: "+491701234567" },
      called: { number: "030123456105" },
    });
  });

  test("a call that began after the watch came back is whole", () => {
    const tracker = watched();
    const known = tracker.legsUp();
    const fields = leg("1795000019.9", "1795000019.9", "PJSIP/carrier-00000009", 19);
    tracker.observe(eventOf(fields), timeOf(fields));
    tracker.resume([], gap, known);
    tracker.observe(eventOf(hangup("1795000019.9", "1795000019.9", 25)), 1795000025e6);
    const whole = tracker.advance(Infinity).map((call) => callRecord(call, context));
    expect(whole.find(({ id }) => id === "1795000019.9")?.source).toBe("Events");
  });
});

test("memory is bounded: the oldest call gives way, and says so", () => {
  const tracker = new CallTracker({ mostLegs: 100 });
  const given: CallRecord[] = [];
  for (let at = 0; at < 1000; at += 1) {
    const id = `1795000000.${at}`;
    tracker.observe(eventOf(leg(id, id, `PJSIP/carrier-${at}`, 0)), at);
    given.push(...tracker.advance(at).map((call) => callRecord(call, context)));
  }
  expect(tracker.legsUp().size).toBe(100);
  expect(given).toHaveLength(900);
  expect(given.every(({ source, disposition }) => source === "Part" && disposition === "Unknown")).toBe(true);
});

test("one call can't fill the memory: what is left out is counted", () => {
  const tracker = new CallTracker();
  const first = "1795000000.0";
  tracker.observe(eventOf(leg(first, first, "PJSIP/carrier-00000001", 0, { Exten: "101" })), 0);
  for (let at = 1; at <= 500; at += 1) {
    const id = `1795000000.${at}`;
    tracker.observe(eventOf(leg(id, first, "PJSIP/101-00000002", at)), at);
    const dial = {
      Event: "DialBegin",
      Uniqueid: first,
      Linkedid: first,
      DestUniqueid: id,
      DestLinkedid: first,
    };
    tracker.observe(eventOf(dial), at);
    tracker.observe(eventOf(hangup(id, first, at)), at);
  }
  tracker.observe(eventOf(hangup(first, first, 600)), 600);
  const [call] = tracker.advance(Infinity);
  expect([call?.attempts.length, call?.omitted]).toEqual([200, 300]);
});
