import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { join } from "node:path";
import type { CallRecord } from "../../calls/call-record.ts";
import type { ObservedClock } from "../../engine/calls/clock.ts";
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
import { bob, cases, did, expectRecord } from "../support/call-cases.ts";
import type { Telephony } from "../support/telephony.ts";
import { bringUpTelephony } from "../support/telephony.ts";

const lab = useLab({ count: 2 });
let telephony: Telephony;
let manifests: string;

beforeAll(async () => {
  manifests = join(lab.directory, "manifests.yaml");
  telephony = await bringUpTelephony(lab);
});

afterAll(() => telephony?.close());

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
  });

  test("one record each", () => {
    expect(calls.map(({ called }) => called.number).sort()).toEqual(cases.map(({ call }) => call.to).sort());
    expect(new Set(calls.map(({ id }) => id)).size).toBe(cases.length);
  });

  test.each(cases)("$what", (dialled) => expectRecord(calls, dialled, begun.at));

  test("every telephone that was to transfer a call did", () => {
    expect(telephony.complaints).toEqual([]);
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

test("status says so too", async () => {
  const { stdout } = await asteriskctl(["-f", manifests, "--output", "json", "status", "pbx1"]);
  const { servers } = JSON.parse(stdout) as { servers: { clock: ObservedClock }[] };
  expect(servers[0]?.clock).toMatchObject({ aheadMs: expect.any(Number), offset: "+0000" });
  expect(servers[0]?.clock.differences.join()).toContain("Europe/Berlin is at +02:00");
  const text = (await asteriskctl(["-f", manifests, "status", "pbx1"])).stdout;
  expect(text).toMatch(/^ {2}clock: on \d{4}-07-01 the server.s clock is at \+0000/m);
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
});

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
});

test("100 calls at 20 a second, the watch killed half way: none is lost, none is told twice", async () => {
  const file = join(lab.directory, "calls.jsonl");
  const { numbers, lines } = await killHalfWay(telephony, { manifests, file, count: 100, toldBefore: 20 });
  const calls = callsOf(lines);
  expect(calls.map(({ called }) => called.number).sort()).toEqual(numbers);
  expect(lines.filter(({ kind }) => kind === "Gap")).toHaveLength(1);
  const sources = new Set(calls.map(({ source }) => source));
  expect([...sources]).toEqual(expect.arrayContaining(["Events", "CDR"]));
});
