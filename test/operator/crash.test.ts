import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { Host } from "../../asterisk/host.ts";
import { AsteriskIacError } from "../../core/errors.ts";
import { openSession } from "../../engine/session.ts";
import type { KubernetesAPI } from "../../operator/runtime/index.ts";
import { generationOf } from "../support/host-record.ts";
import { outputOf } from "../support/lab.ts";
import {
  Namespace,
  conditionOf,
  startOperator,
  useOperatorLab,
  waitUntil,
  type RunningOperator,
} from "../support/operator.ts";
import { Lifeline } from "../support/operator-lifeline.ts";
import { startOperatorProcess, type OperatorProcess } from "../support/operator-process.ts";

const lab = useOperatorLab({ count: 2 });

const live = (index: number, path: string): string => {
  try {
    return readFileSync(join(lab.servers[index]?.configDirectory ?? "", path), "latin1");
  } catch {
    return "nothing";
  }
};
const onPBX = (index: number, ...command: string[]): Promise<string> =>
  outputOf(lab.servers[index], ...command);
const partBytes = 30_000;
/** Of the steps each so many-th is one to stop at; an odd number stops before and after them by turns. */
const stride = Number(process.env["STOP_STRIDE"] ?? 5);
/** For the stops of one scenario; more of them take longer. */
const stopsDeadlineMs = 720_000 / stride;

describe("an operator that stops at any call of the API and any script on the server", () => {
  test(
    "while it imports: the next one imports, whole, and nothing of the server is written",
    async () => {
      let total: number;
      for (let at = 1; ; at += stride) {
        const name = `import-${at}`;
        const team = await Namespace.create(lab, name, lab.manifestsOf(0, name));
        const lifeline = new Lifeline(at);
        const first = await startOperator(lifeline.api(lab.operatorAPI), {
          ...{ namespace: name, importPartBytes: partBytes, openSession: lifeline.openSession },
        });
        await waitUntil(() => lifeline.isCut || first.passes > 0);
        await first.stop();
        const next = await startOperator(lab.operatorAPI, { namespace: name, importPartBytes: partBytes });
        const server = await team.isReady("servers", "pbx1");
        await next.stop();
        expect(server.status?.initialImport).toMatchObject({ done: true, files: expect.any(Number) });
        expect([at, await generationOf(lab.servers[0])]).toEqual([at, 0]);
        total = lifeline.steps.length;
        if (!lifeline.isCut) break;
      }
      process.stderr.write(`steps of an import: ${total}\n`);
      expect(total).toBeGreaterThan(15);
    },
    stopsDeadlineMs,
  );

  test(
    "while it writes: the next one comes to the same end, and what was asked for is not done twice",
    async () => {
      const team = await Namespace.create(lab, "sieve", lab.manifestsOf(0, "sieve"));
      const run = async (lifeline: Lifeline): Promise<RunningOperator> =>
        startOperator(lifeline.api(lab.operatorAPI), {
          namespace: "sieve",
          openSession: lifeline.openSession,
        });
      await team.createFile("a", { path: "a.conf", content: "; 0\n" });
      let operator = await run(new Lifeline(0));
      await team.isReady("files", "a");
      await operator.stop();
      const steps = new Set<string>();
      let total: number;
      for (let at = 1, isComing = true; ; at += stride, isComing = !isComing) {
        // Each round has its own content, and an account that comes or goes by turns.
        const content = `; ${at}\n`;
        await team.patch("files", "a", { spec: { content } });
        if (isComing) await team.createAccount("crm");
        else await team.delete("accounts", "crm");
        await team.annotate("servers", "pbx1", { "asterisk-iac.dev/reload-requested-at": String(at) });
        const lifeline = new Lifeline(at);
        operator = await run(lifeline);
        await waitUntil(() => lifeline.isCut || operator.passes > 1);
        await operator.stop();
        expect(live(0, "a.conf")).toMatch(/^; \d+\n$/);
        steps.add(lifeline.steps.at(-1) ?? "");
        operator = await run(new Lifeline(0));
        await team.isReady("files", "a");
        if (isComing) await team.isReady("accounts", "crm");
        else await team.isGone("accounts", "crm");
        await team.sees(
          "servers",
          "pbx1",
          (server) =>
            server.status?.handledRequests?.reload === String(at) &&
            conditionOf(server, "Ready")?.status === "True",
        );
        await operator.stop();
        expect([at, live(0, "a.conf")]).toEqual([at, content]);
        expect((await onPBX(0, "asterisk", "-rx", "manager show user crm")).includes("username: crm")).toBe(
          isComing,
        );
        total = lifeline.steps.length;
        if (!lifeline.isCut) break;
      }
      process.stderr.write(`steps of a change: ${total}, ended at ${[...steps].length} kinds of them\n`);
      expect(total).toBeGreaterThan(20);
    },
    stopsDeadlineMs,
  );
});

test("a request whose pass fails after it was noted is told of, and not done later", async () => {
  const team = await Namespace.create(lab, "asked", lab.manifestsOf(1, "asked", { suspend: true }));
  await team.annotate("servers", "pbx2", { "asterisk-iac.dev/allow": "take-over" });
  let isNoted = false;
  let failures = 0;
  const api: KubernetesAPI = {
    stream: (request) => lab.operatorAPI.stream(request),
    request: (request) => {
      if (request.path.endsWith("/status") && JSON.stringify(request.body).includes('"reload":"once"'))
        isNoted = true;
      return lab.operatorAPI.request(request);
    },
  };
  const operator = await startOperator(api, {
    namespace: "asked",
    openSession: async (...declared) => {
      const session = await openSession(...declared);
      const { host } = session;
      const run: Host["run"] = (script, options) => {
        if (!isNoted || failures++ > 0) return host.run(script, options);
        throw new AsteriskIacError("ConnectionLost", "the connection was lost", { next: "Retry" });
      };
      const connectTCP: Host["connectTCP"] = (...to) => host.connectTCP(...to);
      return { ...session, host: { run, connectTCP, roundTrips: 0, close: () => host.close() } };
    },
  });
  await team.annotate("servers", "pbx2", { "asterisk-iac.dev/reload-requested-at": "once" });
  await team.patch("servers", "pbx2", { spec: { suspend: false } });
  await waitUntil(() => failures > 1);
  await team.isReady("servers", "pbx2");
  await operator.stop();
  const events = await team.events("pbx2");
  expect(events.filter((event) => /^(Reloaded|RequestFailed)/.test(event))).toEqual([
    "RequestFailed: reload: the connection was lost",
  ]);
  await team.patch("servers", "pbx2", { spec: { suspend: true } });
});

describe("an operator that is killed", () => {
  let team: Namespace;
  let child: OperatorProcess | undefined;
  let leases = 0;
  const children: OperatorProcess[] = [];
  const start = (lease: string, killAt?: number): OperatorProcess => {
    child = startOperatorProcess({
      ...{ kubeconfig: lab.account.kubeconfig, namespace: "killed", lease },
      ...(killAt === undefined ? {} : { killAt }),
    });
    children.push(child);
    return child;
  };
  afterAll(() => {
    for (const each of children) each.kill("SIGKILL");
  });

  beforeAll(async () => {
    team = await Namespace.create(lab, "killed", lab.manifestsOf(1, "killed"));
    await team.createFile("a", { path: "a.conf", content: "; 0\n" }, "pbx2");
    await start(`kills-${leases++}`).says('"leading"');
    await team.isReady("files", "a");
    child?.kill("SIGTERM");
    await child?.ended;
  });

  test("by SIGKILL, 20 times at counted points: no torn file, no lost import, no second restart", async () => {
    const imported = (await team.isReady("servers", "pbx2")).status?.initialImport;
    // Asterisk begins its log anew at each start.
    const starts = async (): Promise<number> =>
      Number(await onPBX(1, "sh", "-c", "grep -c 'built by' /var/log/asterisk/messages.log"));
    const before = await starts();
    let kills = 0;
    let restarts = 0;
    let rounds = 0;
    while (kills < 20) {
      const round = ++rounds;
      await team.patch("files", "a", { spec: { content: `; ${round}\n` } });
      if (round % 7 === 0) {
        await team.annotate("servers", "pbx2", { "asterisk-iac.dev/restart-requested-at": `${round}/now` });
        restarts += 1;
      }
      // Early and late ones by turns: while it starts, reads, writes, restarts Asterisk, tells of it.
      start(`kills-${leases++}`, 280 + ((round * 53) % 300));
      const done = team.isReady("files", "a").then(
        () => "done",
        () => "not done",
      );
      const end = await Promise.race([child?.ended, done]);
      if (end === "SIGKILL") kills += 1;
      else child?.kill("SIGKILL");
      await child?.ended;
      expect(live(1, "a.conf")).toMatch(/^; \d+\n$/);
    }
    start(`kills-${leases++}`);
    await team.isReady("files", "a");
    await team.annotate("servers", "pbx2", { "asterisk-iac.dev/restart-requested-at": "last/now" });
    const already = await starts();
    await waitUntil(async () => (await starts()) > already);
    child?.kill("SIGKILL");
    await child?.ended;
    start(`kills-${leases++}`);
    await child?.says('"leading"');
    await team.annotate("servers", "pbx2", { "asterisk-iac.dev/reconcile-requested-at": "last" });
    await team.sees("servers", "pbx2", ({ status }) => status?.handledRequests?.reconcile === "last");
    const server = await team.isReady("servers", "pbx2");
    child?.kill("SIGTERM");
    await child?.ended;
    expect(await starts()).toBe(already + 1);
    expect(live(1, "a.conf")).toBe(`; ${rounds}\n`);
    expect(server.status?.initialImport).toEqual(imported);
    const times = already - before;
    process.stderr.write(`${kills} kills, ${restarts} restarts asked for, ${times} seen\n`);
    expect(times).toBeLessThanOrEqual(restarts);
  }, 240_000);

  test("while it leads: the other replica writes within 5 s; one that was paused does not write when it wakes", async () => {
    const took: number[] = [];
    let leader = start("replicas");
    await leader.says('"leading"');
    await team.isReady("files", "a");
    // More rounds than one only on a machine that is busy with other things.
    do {
      const other = start("replicas");
      await other.says("standing for election");
      leader.kill("SIGKILL");
      const killedAt = performance.now();
      const content = `; ${took.length}\n`;
      await team.patch("files", "a", { spec: { content } });
      await waitUntil(() => live(1, "a.conf") === content);
      took.push(performance.now() - killedAt);
      leader = other;
    } while (Math.min(...took) >= 5_000 && took.length < 3);
    process.stderr.write(`the other replica wrote after ${took.map(Math.round).join()} ms\n`);
    expect(Math.min(...took)).toBeLessThan(5_000);

    const three = start("replicas");
    await three.says("standing for election");
    // Half way in its work, as near as it can be hit.
    await team.patch("files", "a", { spec: { content: "; paused\n" } });
    await new Promise((resolve) => setTimeout(resolve, 150));
    leader.kill("SIGSTOP");
    await three.says('"leading"');
    await team.patch("files", "a", { spec: { content: "; three\n" } });
    await team.isReady("files", "a");
    const generation = await generationOf(lab.servers[1]);
    leader.kill("SIGCONT");
    await leader.says("no longer leading");
    expect([live(1, "a.conf"), await generationOf(lab.servers[1])]).toEqual(["; three\n", generation]);
    for (const each of [leader, three]) {
      each.kill("SIGTERM");
      await each.ended;
    }
  });
});
