import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { join } from "node:path";
import type { CallRecord } from "../../calls/call-record.ts";
import { contextOf } from "../../cli/context.ts";
import { passwordKey, pendingOf } from "../../engine/account-secret.ts";
import { callsCredentials } from "../../engine/calls/credentials.ts";
import { followCalls as follow } from "../../engine/calls/follow.ts";
import type { Secret, SecretStore } from "../../engine/secrets.ts";
import { connectAs, openHost } from "../../engine/session.ts";
import { asteriskctl } from "../support/asteriskctl.ts";
import type { CallsProcess } from "../support/calls-load.ts";
import { callsOf, eventually, followCalls, killHalfWay } from "../support/calls-load.ts";
import { useLab } from "../support/lab.ts";
import type { CallOptions, Telephony } from "../support/telephony.ts";
import { bringUpTelephony, trunkNumber } from "../support/telephony.ts";

const lab = useLab({ count: 2 });
let telephony: Telephony;
let manifests: string;

beforeAll(async () => {
  manifests = join(lab.directory, "manifests.yaml");
  telephony = await bringUpTelephony(lab);
}, 120_000);

afterAll(() => telephony?.close());

interface Case {
  readonly what: string;
  readonly call: Partial<CallOptions> & { readonly to: string };
  readonly is: Record<string, unknown>;
  readonly attempts?: readonly string[];
  readonly transfers?: readonly (readonly [string, string | null | undefined, string | null | undefined])[];
}

const bob = "Bob <01701234567>";
const shownBob = { number: "01701234567", e164: "+491701234567", country: "DE", presentation: "Shown" };
const did = (extension: string): string => `${trunkNumber}${extension}`;
const inbound = (extension: string) => ({
  direction: "Inbound",
  caller: { ...shownBob, name: "Bob" },
  called: { number: did(extension), e164: `+49${did(extension).slice(1)}`, kind: "E164", country: "DE" },
});
const nobody = { answer: null, answeredBy: null, talkSeconds: 0 };

/** What was dialled, and what the record has to say of it. Each call has a number of its own. */
const cases: readonly Case[] = [
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

describe("real calls, as they were dialled", () => {
  let watch: CallsProcess;
  const begun = { at: 0 };
  let calls: CallRecord[] = [];

  beforeAll(async () => {
    watch = followCalls(manifests, ["pbx1"]);
    await watch.ready;
    begun.at = Date.now();
    for (const { call } of cases) await telephony.call({ from: "carrier", callerID: bob, ...call });
    await eventually(() => callsOf(watch.lines()).length >= cases.length, 40_000);
    expect(await watch.stop("SIGINT")).toBe(0);
    calls = callsOf(watch.lines());
  }, 60_000);

  test("one record each", () => {
    expect(calls.map(({ called }) => called.number).sort()).toEqual(cases.map(({ call }) => call.to).sort());
    expect(new Set(calls.map(({ id }) => id)).size).toBe(cases.length);
  });

  test.each(cases)("$what", ({ call, is, attempts, transfers = [] }) => {
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
    expect(start).toBeGreaterThan(begun.at - 1_000);
    expect(end).toBeLessThan(Date.now());
    expect(record?.durationSeconds).toBeCloseTo(((end ?? 0) - (start ?? 0)) / 1000, 2);
    expect(Date.parse(record?.start.local ?? "")).toBe(start);
    if (answer === undefined) return;
    expect(answer).toBeGreaterThanOrEqual(start ?? 0);
    expect(record?.talkSeconds).toBeCloseTo(((end ?? 0) - answer) / 1000, 2);
    // The caller hangs up after so many seconds of talk.
    expect(record?.talkSeconds).toBeGreaterThan((call.talk ?? 1) - 0.5);
  });

  test("no withheld number is in anything that was told", () => {
    const withheld = calls.filter(({ caller }) => caller.presentation === "Withheld");
    expect(withheld).toHaveLength(2);
    expect(JSON.stringify(withheld)).not.toMatch(/1701234567|Bob/);
  });

  test("the zone is not the declared one, and that is said", () => {
    const [clock] = watch.lines().filter((line) => line.kind === "Clock");
    expect(clock).toMatchObject({
      timeZone: "Europe/Berlin",
      offset: "+0000",
      hasTimestamps: true,
      hasPresentations: true,
    });
    expect(JSON.stringify(clock)).toMatch(
      /on \d{4}-07-01 the server.s clock is at \+0000, and Europe.Berlin is at \+02:00/,
    );
  });
});

test("the calls that are up, and those that ended, without a watch", async () => {
  await telephony.call({ from: "carrier", to: did("101"), callerID: bob, talk: 20 });
  const list = async (): Promise<{ up: CallRecord[]; ended: CallRecord[] }> => {
    const { stdout } = await asteriskctl(["-f", manifests, "--output", "json", "calls", "pbx1"]);
    const { servers } = JSON.parse(stdout) as { servers: { up: CallRecord[]; ended: CallRecord[] }[] };
    return servers[0] ?? { up: [], ended: [] };
  };
  let seen = await list();
  await eventually(async () => (seen = await list()).up.length > 0);
  expect(seen.up).toHaveLength(1);
  expect(seen.up[0]).toMatchObject({
    disposition: "Up",
    end: null,
    caller: { e164: "+491701234567" },
    called: { number: did("101") },
  });
  expect(seen.ended.length).toBeGreaterThan(0);
  // A CDR does not say whether the caller may be shown.
  expect(JSON.stringify(seen.ended)).not.toMatch(/1701234567|Bob/);
  await telephony.hangUpAll();
});

test("a reader that fails ends the watch at once, and its error is told", async () => {
  const { servers, secrets } = await contextOf({ filename: [manifests], output: "json" }, ["pbx1"]);
  const stop = new AbortController();
  const deadline = setTimeout(() => stop.abort(), 20_000);
  const watch = Promise.all(
    servers.map((server) =>
      follow(server, secrets, {
        signal: stop.signal,
        tell: () => Promise.reject(new Error("no space left on the disk")),
      }),
    ),
  );
  await expect(watch).rejects.toThrow("no space left on the disk");
  clearTimeout(deadline);
  expect(stop.signal.aborted).toBe(false);
}, 40_000);

test("while the account's secret is changed, the one that is live logs in", async () => {
  const { servers, secrets } = await contextOf({ filename: [manifests], output: "json" }, ["pbx1"]);
  for (const server of servers) {
    const name = callsCredentials(server);
    const live = await secrets.read(name);
    const both: Secret = new Map([
      ...[...live].filter(([key]) => key !== passwordKey),
      [passwordKey, Buffer.from("the one from before the change")],
      [pendingOf(passwordKey), live.get(passwordKey) ?? Buffer.alloc(0)],
    ]);
    const read = (asked: string) => (asked === name ? Promise.resolve(both) : secrets.read(asked));
    const host = await openHost(server, secrets);
    try {
      const client = await connectAs(host, server, { read } as SecretStore, name);
      expect((await client.action("Ping")).get("Response")).toBe("Success");
      await client.close();
    } finally {
      await host.close();
    }
  }
  expect(servers).toHaveLength(1);
}, 30_000);

test("100 calls at 20 a second, the watch killed half way: none is lost, none is told twice", async () => {
  const file = join(lab.directory, "calls.jsonl");
  const { numbers, lines } = await killHalfWay(telephony, { manifests, file, count: 100, toldBefore: 20 });
  const calls = callsOf(lines);
  expect(calls.map(({ called }) => called.number).sort()).toEqual(numbers);
  expect(lines.filter(({ kind }) => kind === "Gap")).toHaveLength(1);
  const sources = new Set(calls.map(({ source }) => source));
  expect([...sources]).toEqual(expect.arrayContaining(["Events", "CDR"]));
}, 90_000);
