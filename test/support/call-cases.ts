/** Calls through the telephony of a lab, and what the record of each has to say. */
import { expect } from "@jest/globals";
import type { CallRecord } from "../../calls/call-record.ts";
import type { CallOptions } from "./telephony.ts";
import { trunkNumber } from "./telephony.ts";

/** A call, and what its record has to say. */
export interface CallCase {
  readonly what: string;
  readonly call: Partial<CallOptions> & { readonly to: string };
  readonly is: Record<string, unknown>;
  readonly attempts?: readonly string[];
  readonly transfers?: readonly (readonly [string, string | null | undefined, string | null | undefined])[];
}

export const bob = "Bob <01701234567>";
const shownBob = { number: "01701234567", e164: "+491701234567", country: "DE", presentation: "Shown" };
export const did = (extension: string): string => `${trunkNumber}${extension}`;
const inbound = (extension: string) => ({
  direction: "Inbound",
  caller: { ...shownBob, name: "Bob" },
  called: { number: did(extension), e164: `+49${did(extension).slice(1)}`, kind: "E164", country: "DE" },
});
const nobody = { answer: null, answeredBy: null, talkSeconds: 0 };

/** What was dialled, and what the record has to say of it. Each call has a number of its own. */
export const cases: readonly CallCase[] = [
  {
    what: "answered",
    call: { to: did("105") },
    is: { ...inbound("105"), disposition: "Answered", answeredBy: { number: "105", endpoint: "PJSIP/105" } },
    attempts: ["105 ANSWER"],
  },
  {
    what: "busy",
    call: { to: did("102") },
    is: { ...inbound("102"), ...nobody, disposition: "Busy", cause: { code: 17, protocol: 486 } },
    attempts: ["102 BUSY"],
  },
  {
    what: "unanswered",
    call: { to: did("103") },
    is: { ...inbound("103"), ...nobody, disposition: "NoAnswer" },
    attempts: ["103 NOANSWER"],
  },
  {
    what: "cancelled",
    call: { to: did("113"), patience: 1.2 },
    is: { ...inbound("113"), ...nobody, disposition: "Cancelled" },
    attempts: ["103 CANCEL"],
  },
  {
    what: "declined",
    call: { to: did("104") },
    is: { ...inbound("104"), ...nobody, disposition: "Declined", cause: { code: 21 } },
    attempts: ["104 NOANSWER"],
  },
  {
    what: "to a telephone that is not there",
    call: { to: did("109") },
    is: { ...inbound("109"), ...nobody, disposition: "Unavailable" },
    attempts: [],
  },
  {
    what: "abandoned in a queue",
    call: { to: did("100"), patience: 1.2 },
    is: { ...inbound("100"), ...nobody, disposition: "Abandoned", queue: "support", agent: null },
  },
  {
    what: "timed out in a queue",
    call: { to: did("110") },
    is: { ...inbound("110"), ...nobody, disposition: "QueueTimeout", queue: "support", agent: null },
  },
  {
    what: "answered from a queue",
    call: { to: did("120") },
    is: {
      ...inbound("120"),
      disposition: "Answered",
      queue: "willing",
      agent: { name: "Dave", interface: "PJSIP/105" },
      answeredBy: { number: "105" },
    },
    attempts: ["105 ANSWER"],
  },
  {
    what: "transferred blind",
    call: { to: did("106"), talk: 6 },
    is: { ...inbound("106"), disposition: "Answered", answeredBy: { number: "106" } },
    attempts: ["106 ANSWER", "105 ANSWER"],
    transfers: [["Blind", "106", "105"]],
  },
  {
    what: "transferred after a consultation",
    call: { to: did("107"), talk: 8 },
    is: { ...inbound("107"), disposition: "Answered", answeredBy: { number: "107" } },
    attempts: ["107 ANSWER", "105 ANSWER"],
    transfers: [["Attended", "107", "105"]],
  },
  {
    what: "transferred blind by SIP",
    call: { to: did("108"), talk: 3 },
    is: { ...inbound("108"), disposition: "Answered", answeredBy: { number: "108", endpoint: "PJSIP/108" } },
    attempts: ["108 ANSWER", "105 ANSWER"],
    transfers: [["Blind", "108", "105"]],
  },
  {
    what: "transferred by SIP after a call in between",
    call: { to: did("112"), talk: 3 },
    is: { ...inbound("112"), disposition: "Answered", answeredBy: { number: "112", endpoint: "PJSIP/112" } },
    attempts: ["112 ANSWER", "105 ANSWER"],
    transfers: [["Attended", "112", "105"]],
  },
  {
    what: "forked",
    call: { to: did("200") },
    is: { ...inbound("200"), disposition: "Answered", answeredBy: { number: "105" } },
    attempts: ["102 BUSY", "103 CANCEL", "105 ANSWER"],
  },
  {
    what: "answered by Asterisk alone",
    call: { to: did("300") },
    is: { ...inbound("300"), ...nobody, disposition: "AnsweredBySystem" },
    attempts: [],
  },
  {
    what: "withheld by its presentation",
    call: { to: did("101"), presentation: "prohib" },
    is: { ...inbound("101"), disposition: "Answered", caller: { presentation: "Withheld", number: null } },
  },
  {
    what: "withheld by its name",
    call: { to: did("111"), callerID: "Anonymous <anonymous>" },
    is: { ...inbound("111"), disposition: "Answered", caller: { presentation: "Withheld", number: null } },
  },
  {
    what: "from one extension to another",
    call: { from: "101", to: "105" },
    is: {
      direction: "Internal",
      caller: { number: "101", kind: "Extension", e164: null, name: "Phone 101" },
      called: { number: "105", kind: "Extension", e164: null },
      disposition: "Answered",
    },
  },
  {
    what: "from an extension outside",
    call: { from: "102", to: "001709876543" },
    is: {
      direction: "Outbound",
      caller: { number: "102", kind: "Extension" },
      called: { number: "001709876543", e164: "+491709876543", country: "DE" },
      disposition: "Answered",
      answeredBy: { e164: "+491709876543", endpoint: "PJSIP/carrier" },
    },
  },
  {
    what: "to a number that nobody has",
    call: { from: "103", to: "001701234599" },
    is: {
      direction: "Outbound",
      called: { number: "001701234599", e164: "+491701234599" },
      disposition: "UnknownNumber",
      cause: { code: 1, protocol: 404 },
    },
  },
];

/** Compares the record of a call with what was dialled; `begunMs` is when the first was. */
export function expectRecord(
  calls: readonly CallRecord[],
  { call, is, attempts, transfers = [] }: CallCase,
  begunMs: number,
): void {
  const record = calls.find(({ called }) => called.number === call.to);
  expect(record).toMatchObject({
    server: "pbx1",
    timeZone: "Europe/Berlin",
    source: "Events",
    unknown: [],
    ...is,
  });
  if (attempts !== undefined)
    expect(record?.attempts.map(({ number, result }) => `${number} ${result}`).sort()).toEqual(
      [...attempts].sort(),
    );
  expect(record?.transfers.map(({ kind, by, to }) => [kind, by?.number, to?.number])).toEqual(transfers);
  const [start, answer, end] = [record?.start, record?.answer, record?.end].map((time) =>
    time == null ? undefined : Date.parse(time.utc),
  );
  expect(start).toBeGreaterThan(begunMs - 1_000);
  expect(end).toBeLessThan(Date.now());
  expect(record?.durationSeconds).toBeCloseTo(((end ?? 0) - (start ?? 0)) / 1000, 2);
  expect(Date.parse(record?.start.local ?? "")).toBe(start);
  if (answer === undefined) return;
  expect(answer).toBeGreaterThanOrEqual(start ?? 0);
  expect(record?.talkSeconds).toBeCloseTo(((end ?? 0) - answer) / 1000, 2);
  // The caller hangs up after so many seconds of talk.
  expect(record?.talkSeconds).toBeGreaterThan((call.talk ?? 1) - 0.5);
}
