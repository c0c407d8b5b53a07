import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { CallRecord } from "../../calls/call-record.ts";
import type { GapLine, ToldLine } from "../../engine/calls/lines.ts";
import { reservePort, type ReservedPort } from "../../lab/ports.ts";
import { callsOf, eventually } from "../support/calls-load.ts";
import { startOperatorProcess, type OperatorProcess } from "../support/operator-process.ts";
import { Namespace, useOperatorLab } from "../support/operator.ts";
import { bringUpTelephony, telephonySpec, trunkNumber, type Telephony } from "../support/telephony.ts";

const lab = useOperatorLab({ count: 2 });
const namespace = "exchange";
const server = `${namespace}/pbx1`;
let telephony: Telephony;
const ports: ReservedPort[] = [];
const replicas: OperatorProcess[] = [];

beforeAll(async () => {
  telephony = await bringUpTelephony(lab);
  const team = await Namespace.create(
    lab,
    namespace,
    lab.manifestsOf(0, namespace, {
      ...telephonySpec,
      calls: { credentialsSecretRef: { name: "pbx1-calls" } },
    }),
  );
  // What `bootstrap --calls` made.
  const secret = (key: string) => readFile(join(lab.directory, "secrets", "pbx1-calls", key), "utf8");
  await team.createSecret("pbx1-calls", {
    username: "asterisk-iac-calls",
    password: await secret("password"),
  });
}, 120_000);

afterAll(async () => {
  for (const replica of replicas) replica.kill("SIGKILL");
  await telephony?.close();
  await Promise.all(ports.map((port) => port.release()));
});

/** A replica of the operator, ready to lead. */
async function startReplica(): Promise<{ replica: OperatorProcess; metrics: () => Promise<string> }> {
  const reserved = await reservePort();
  ports.push(reserved);
  const replica = startOperatorProcess({
    ...{ kubeconfig: lab.account.kubeconfig, namespace, lease: "calls", leaseDuration: "4s" },
    ...{ metricsPort: reserved.port },
  });
  replicas.push(replica);
  await replica.says("caches synced");
  const url = `http://127.0.0.1:${reserved.port}/metrics`;
  return { replica, metrics: async () => (await fetch(url)).text() };
}

/** What a replica told of calls, among the lines of its log. */
function told({ log }: OperatorProcess): ToldLine[] {
  return log
    .map((line) => JSON.parse(line) as ToldLine)
    .filter((line) => "kind" in line && line.server === server);
}

const callsTo = (extension: string, from = replicas): CallRecord[] =>
  callsOf(from.flatMap(told)).filter(({ called }) => called.number === `${trunkNumber}${extension}`);

const call = (extension: string, talk: number): Promise<void> =>
  telephony.call({ from: "carrier", to: `${trunkNumber}${extension}`, callerID: "Bob <01701234567>", talk });

const isUp = async (extension: string): Promise<boolean> => {
  const [pbx] = lab.servers;
  const { stdout } = (await pbx?.run(["asterisk", "-rx", "core show channels concise"])) ?? { stdout: "" };
  return stdout.toString().includes(`PJSIP/${extension}-`) && stdout.toString().includes("!Up!");
};

test("calls are counted and told by whoever leads: none twice, and who took over says what it can't know", async () => {
  const first = await startReplica();
  const standby = startReplica();
  await first.replica.says('"kind":"Clock"');
  // Nobody led before.
  expect(first.replica.log.filter((line) => line.includes('"NotRead"'))).toEqual([]);
  await call("105", 0.5);
  await eventually(() => callsTo("105").length > 0);
  expect(callsTo("105")).toMatchObject([
    {
      ...{ server, direction: "Inbound", disposition: "Answered", source: "Events", unknown: [] },
      caller: { number: "01701234567", e164: "+491701234567", presentation: "Shown" },
      answeredBy: { number: "105", endpoint: "PJSIP/105" },
    },
  ]);
  const labels = `namespace="${namespace}",server="pbx1"`;
  const answered = `asterisk_iac_calls_total{${labels},direction="Inbound",disposition="Answered"} 1`;
  expect(await first.metrics()).toContain(answered);

  // Killed during one call; another begins and ends before anybody watches again.
  const second = await standby;
  await call("101", 60);
  await eventually(() => isUp("101"));
  const killedAt = Date.now();
  first.replica.kill("SIGKILL");
  await call("102", 1);
  await second.replica.says('"kind":"Gap"');
  const third = startReplica();
  await telephony.hangUpAll();
  await eventually(() => callsTo("101").length > 0);
  expect(callsOf(told(second.replica))).toMatchObject([
    { source: "Part", disposition: "Answered", answeredBy: { number: "101" } },
  ]);
  const [gap] = told(second.replica).filter((line): line is ToldLine & GapLine => line.kind === "Gap");
  expect(gap).toMatchObject({ evidence: "NotRead", restarted: null });
  expect(Date.parse(gap?.from.utc ?? "")).toBeLessThanOrEqual(killedAt);
  expect(Date.parse(gap?.to.utc ?? "")).toBeGreaterThan(killedAt);
  const metrics = await second.metrics();
  expect(metrics).toContain(answered);
  expect(metrics).toMatch(new RegExp(`calls_unwatched_seconds_total\\{${labels}\\} [1-9]`));

  // Stopped during a call that ends meanwhile: it wakes when somebody else leads, and has the events of its end.
  const last = await third;
  await call("101", 60);
  await eventually(() => isUp("101"));
  second.replica.kill("SIGSTOP");
  await last.replica.says('"kind":"Gap"');
  await telephony.hangUpAll();
  await eventually(() => callsTo("101", [last.replica]).length > 0);
  second.replica.kill("SIGCONT");
  await second.replica.says("no longer leading");
  const channels = callsOf(replicas.flatMap(told)).flatMap(({ uniqueIDs }) => uniqueIDs);
  expect(new Set(channels).size).toBe(channels.length);
  expect(callsOf(replicas.flatMap(told))).toHaveLength(3);
}, 60_000);
