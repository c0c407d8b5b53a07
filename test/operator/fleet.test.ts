import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { outputOf } from "../support/lab.ts";
import {
  Namespace,
  conditionOf,
  startOperator,
  useOperatorLab,
  waitUntil,
  type Manifest,
  type RunningOperator,
} from "../support/operator.ts";
import { proxyTo, type Proxy } from "./runtime/tcp-proxy.ts";

const count = 10;
const lab = useOperatorLab({ count });
const all = Array.from({ length: count }, (_, index) => index);
/** 30 % of them. */
const dead = all.slice(-3);
const others = all.slice(0, -3);

const ways: Proxy[] = [];
let team: Namespace;
let operator: RunningOperator;
/** What was declared last for every server. */
let declared = "; 0\n";

const nameOf = (index: number): string => lab.servers[index]?.name ?? "";
const file = (index: number): string => join(lab.servers[index]?.configDirectory ?? "", "fleet.conf");
const onPBX = (index: number, ...command: string[]): Promise<string> =>
  outputOf(lab.servers[index], ...command);

/** A server as it is reached through its proxy; AMI goes through SSH. */
function through(index: number): Manifest[] {
  const port = lab.servers[index]?.sshPort ?? 0;
  const way = ways[index]?.port ?? 0;
  const text = JSON.stringify(lab.manifestsOf(index, "fleet"));
  return JSON.parse(
    text.replaceAll(`]:${port}`, `]:${way}`).replaceAll(`"port":${port}`, `"port":${way}`),
  ) as Manifest[];
}

/** Changes the file of every server; resolves to the seconds after which each of `waitedFor` had it and said so. */
async function change(content: string, waitedFor: readonly number[]): Promise<number> {
  const started = performance.now();
  declared = content;
  await Promise.all(all.map((index) => team.patch("files", nameOf(index), { spec: { content } })));
  await Promise.all(waitedFor.map((index) => team.isReady("files", nameOf(index))));
  expect(waitedFor.map((index) => readFileSync(file(index), "latin1"))).toEqual(waitedFor.map(() => content));
  return (performance.now() - started) / 1_000;
}

const isReachable = (index: number, status: "True" | "False") =>
  team.sees("servers", nameOf(index), (server) => conditionOf(server, "Reachable")?.status === status);

beforeAll(async () => {
  for (const { sshPort } of lab.servers) ways.push(await proxyTo(sshPort));
  team = await Namespace.create(lab, "fleet", all.flatMap(through));
  for (const index of all)
    await team.createFile(nameOf(index), { path: "fleet.conf", content: declared }, nameOf(index));
  operator = await startOperator(lab.operatorAPI, { namespace: "fleet" });
  await Promise.all(all.map((index) => team.isReady("files", nameOf(index), 150_000)));
});
afterAll(async () => {
  await operator?.stop();
  await Promise.all(ways.map((way) => way.close()));
});

test("rows 37 and 38: servers that go silent are told of within their deadline, and the others are as quick as ever", async () => {
  const usual = [await change("; 1\n", others), await change("; 2\n", others)];
  const silentAt = performance.now();
  for (const index of dead) ways[index]?.die();
  const told = dead.map(async (index) => {
    await isReachable(index, "False");
    return (performance.now() - silentAt) / 1_000;
  });
  const beside: number[] = [];
  const isAsQuick = (): boolean => Math.min(...beside) < 1.2 * Math.max(...usual);
  // More rounds than one for the noise of a machine that does other things, too.
  for (let round = 3; round <= 7 && !isAsQuick(); round++) beside.push(await change(`; ${round}\n`, others));
  const deadlines = await Promise.all(told);
  process.stderr.write(
    `seconds: ${usual.join()}; with the dead: ${beside.join()}; told: ${deadlines.join()}\n`,
  );
  expect({ usual, beside, isAsQuick: isAsQuick() }).toMatchObject({ isAsQuick: true });
  // Ten seconds, and the pass that tells it, on a machine that does other things, too.
  expect(Math.max(...deadlines)).toBeLessThan(20);
  for (const index of dead) expect(readFileSync(file(index), "latin1")).toBe("; 2\n");
});

test("what was declared meanwhile is live once they are back", async () => {
  for (const index of dead) ways[index]?.revive();
  await Promise.all(dead.map((index) => team.isReady("files", nameOf(index))));
  expect(dead.map((index) => readFileSync(file(index), "latin1"))).toEqual(dead.map(() => declared));
});

test("row 39: when all are cut off at once they come back by themselves, not all at once, and sshd drops none", async () => {
  const cameBack: number[] = [];
  for (let round = 0; round < 3; round++) {
    const before = ways.map(({ connections }) => connections);
    const cutAt = performance.now();
    for (const way of ways) way.cut();
    await Promise.all(
      ways.map(async (way, index) => {
        await waitUntil(() => way.connections > (before[index] ?? 0));
        cameBack.push(performance.now() - cutAt);
      }),
    );
    await Promise.all(all.map((index) => isReachable(index, "True")));
    for (const [index, { connections }] of ways.entries())
      expect(connections - (before[index] ?? 0)).toBeLessThan(5);
  }
  expect(Math.max(...cameBack) - Math.min(...cameBack)).toBeGreaterThan(300);
  const logs = await Promise.all(all.map((index) => onPBX(index, "cat", "/var/log/sshd.log")));
  expect(logs.every((log) => log.includes("Accepted publickey"))).toBe(true);
  expect(logs.filter((log) => /MaxStartups|drop connection/.test(log))).toEqual([]);
  // Through the new sessions a reload on a server is heard.
  writeFileSync(file(0), "; by hand\n");
  await onPBX(0, "asterisk", "-rx", "module reload res_rtp_asterisk");
  await waitUntil(() => readFileSync(file(0), "latin1") === declared, 20_000);
});
