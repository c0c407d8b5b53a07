import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import type { Host } from "../../asterisk/host.ts";
import { COMMIT_SCRIPT, STAGE_SCRIPT } from "../../asterisk/transaction-scripts.ts";
import { AsteriskIacError } from "../../core/errors.ts";
import { openSession } from "../../engine/session.ts";
import type { KubernetesAPI } from "../../operator/runtime/index.ts";
import { outputOf } from "../support/lab.ts";
import {
  Namespace,
  conditionOf,
  readyOf,
  startOperator,
  useOperatorLab,
  waitUntil,
  type OperatorSettings,
  type RunningOperator,
} from "../support/operator.ts";
import { generationOf } from "../support/host-record.ts";
import { watchReloads } from "../support/reload-watch.ts";

const lab = useOperatorLab();
let team: Namespace;
const running: RunningOperator[] = [];

const live = (): string => readFileSync(join(lab.servers[0]?.configDirectory ?? "", "extra.conf"), "latin1");
const onPBX = (...command: string[]): Promise<string> => outputOf(lab.servers[0], ...command);
const generation = () => generationOf(lab.servers[0]);
const declare = (content: string) => team.patch("files", "extra", { spec: { content } });

async function start(settings: OperatorSettings = {}, api = lab.operatorAPI): Promise<RunningOperator> {
  const operator = await startOperator(api, { namespace: "team", ...settings });
  running.push(operator);
  return operator;
}

/** A session in which something stands between the operator and the server's scripts. */
function withScripts(
  run: (host: Host, ...script: Parameters<Host["run"]>) => ReturnType<Host["run"]>,
): typeof openSession {
  return async (...declared) => {
    const session = await openSession(...declared);
    const { host } = session;
    return {
      ...session,
      host: {
        run: (...script) => run(host, ...script),
        connectTCP: (...to) => host.connectTCP(...to),
        get roundTrips() {
          return host.roundTrips;
        },
        close: () => host.close(),
      },
    };
  };
}

beforeAll(async () => {
  team = await Namespace.create(lab, "team", lab.manifestsOf(0, "team"));
  await team.createFile("extra", { path: "extra.conf", content: "; 0\n" });
  const operator = await start();
  await team.isReady("files", "extra");
  await operator.stop();
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((operator) => operator.stop()));
});

describe("row 28: a status that somebody else changed meanwhile (409)", () => {
  test.each([
    ["is read again, and no pass fails", 2, 0],
    ["again and again, is written by a later pass", 7, 1],
  ])("%s; what was reloaded is not reloaded twice", async (_, conflicts, failed) => {
    const [server] = lab.servers;
    if (server === undefined) throw new Error("no server");
    const reloads = await watchReloads(server);
    let left = 0;
    const api: KubernetesAPI = {
      stream: (request) => lab.operatorAPI.stream(request),
      request: async (request) => {
        if (request.method === "PATCH" && request.path.endsWith("/pbx1/status") && left-- > 0)
          await team.annotate("servers", "pbx1", { "example.com/touched": String(left) });
        return lab.operatorAPI.request(request);
      },
    };
    const operator = await start({}, api);
    await team.isReady("files", "extra");
    await waitUntil(() => operator.passes > 0);
    await reloads.heard();
    left = conflicts;
    const name = `desk-${conflicts}`;
    await team.createFile(name, { path: "queues.conf", sections: [{ name, lines: "strategy = ringall\n" }] });
    await team.isReady("files", name);
    await waitUntil(() => left <= 0);
    await team.isReady("servers", "pbx1");
    expect(await reloads.heard()).toEqual(["app_queue.so"]);
    expect(await onPBX("asterisk", "-rx", `queue show ${name}`)).toContain("'ringall' strategy");
    expect(operator.errors.filter((error) => error.includes("KubernetesConflict"))).toHaveLength(failed);
    await reloads.close();
  });
});

describe("row 29: a watch that missed something (410)", () => {
  test("is listed again: a finalizer whose deletion nobody told is completed, and a server that is gone is let go", async () => {
    let isDeaf = false;
    /** What the API server no longer knows the events of. */
    let expiredBefore = 0;
    const expired = { type: "ERROR", object: { code: 410, message: "too old resource version" } };
    const hears = Promise.withResolvers<undefined>();
    const api: KubernetesAPI = {
      request: (request) => lab.operatorAPI.request(request),
      stream: async function* (request) {
        if (Number(request.query?.["resourceVersion"]) < expiredBefore) {
          yield expired;
          return;
        }
        for await (const event of lab.operatorAPI.stream(request)) {
          if (isDeaf && request.path.includes("asterisk-iac.dev")) {
            await hears.promise;
            yield expired;
            return;
          }
          yield event;
        }
      },
    };
    const operator = await start({}, api);
    await team.createAccount("missed");
    await team.createFile("missed", { path: "missed.conf", content: "; here\n", deletionPolicy: "Restore" });
    await team.isReady("accounts", "missed");
    await team.isReady("files", "missed");
    isDeaf = true;
    await team.delete("accounts", "missed");
    await team.delete("files", "missed");
    const { metadata } = await team.sees(
      "accounts",
      "missed",
      (account) => account.metadata.deletionTimestamp !== undefined,
    );
    await team.sees("files", "missed", (file) => file.metadata.deletionTimestamp !== undefined);
    expect(await onPBX("asterisk", "-rx", "manager show user missed")).toContain("username: missed");
    isDeaf = false;
    expiredBefore = Number(metadata.resourceVersion);
    hears.resolve(undefined);
    await team.isGone("accounts", "missed");
    await team.isGone("files", "missed");
    expect(await onPBX("asterisk", "-rx", "manager show user missed")).not.toContain("username: missed");
    expect(operator.errors.join()).toContain("too old resource version");
    expect(() => readFileSync(join(lab.servers[0]?.configDirectory ?? "", "missed.conf"))).toThrow();
  });
});

describe("row 30: a cache that is behind", () => {
  test.each([
    ["a ConfFile", () => declare("; new\n")],
    ["a Secret", () => team.patch("secrets", "door", { stringData: { pin: "new" } })],
  ])("of %s: what it still has is not written", async (_, change) => {
    let isDeaf = false;
    const hears = Promise.withResolvers<undefined>();
    const api: KubernetesAPI = {
      request: (request) => lab.operatorAPI.request(request),
      stream: async function* (request) {
        for await (const event of lab.operatorAPI.stream(request)) {
          if (isDeaf) await hears.promise;
          yield event;
        }
      },
    };
    if (lab.cluster.caches.secrets.get("team/door") === undefined)
      await team.createSecret("door", { pin: "old" });
    else await team.patch("secrets", "door", { stringData: { pin: "old" } });
    await declare("; @{secret:door/pin}\n");
    const operator = await start({}, api);
    await waitUntil(() => live() === "; old\n");
    await team.isReady("files", "extra");
    isDeaf = true;
    await change();
    writeFileSync(join(lab.servers[0]?.configDirectory ?? "", "extra.conf"), "; by hand\n");
    await onPBX("asterisk", "-rx", "module reload res_rtp_asterisk");
    await waitUntil(() => live() === "; old\n" || operator.errors.join().includes("ChangedMeanwhile"));
    expect(live()).toBe("; by hand\n");
    hears.resolve(undefined);
    isDeaf = false;
    // Both sides moved: what somebody wrote by hand is not lost.
    await team.annotate("servers", "pbx1", { "asterisk-iac.dev/upload-requested-at": String(Math.random()) });
    await waitUntil(() => live() === "; new\n");
  });
});

describe("row 27: an old leader that still believes in itself", () => {
  test.each([
    ["between its plan and its write", STAGE_SCRIPT, "StaleGeneration", "one"],
    // What it staged was cleared away by the new leader, who found it without an intent.
    ["between what it staged and its commit", COMMIT_SCRIPT, "Interrupted", "two"],
  ])("and was paused %s is refused on the server by the generation", async (_, at, code, content) => {
    const reached = Promise.withResolvers<undefined>();
    const wakes = Promise.withResolvers<undefined>();
    const news = `; new leader's ${content}\n`;
    // No Lease stands between the two: each leads, and looks at the declaration before its write, not after.
    const openPaused = withScripts(async (host, script, options) => {
      if (script !== at) return host.run(script, options);
      reached.resolve(undefined);
      await wakes.promise;
      return host.run(script, options);
    });
    const old = await start({ openSession: openPaused });
    await waitUntil(() => old.passes > 0);
    const before = await generation();
    await declare(`; old leader's ${content}\n`);
    await reached.promise;
    await declare(news);
    const next = await start();
    await waitUntil(() => live() === news);
    await waitUntil(() => next.passes > 0);
    const written = await generation();
    wakes.resolve(undefined);
    await waitUntil(() => old.errors.length > 0);
    expect(old.errors.at(-1)).toContain(code);
    expect([live(), written]).toEqual([news, before + 1]);
    await old.stop();
    await team.isReady("files", "extra");
    expect([live(), await generation()]).toEqual([news, before + 1]);
  });
});

/** A session whose AMI never answers to a reload, told so at once and not after 20 seconds. */
function withoutReloads(isHanging: () => boolean, onAsked: () => void): typeof openSession {
  return async (...declared) => {
    const session = await openSession(...declared);
    const send: typeof session.ami.send = async (name, ...rest) => {
      if (name !== "Reload" || !isHanging()) return session.ami.send(name, ...rest);
      onAsked();
      throw new AsteriskIacError("TimedOut", "no answer", { next: "Retry" });
    };
    const ami = new Proxy(session.ami, {
      get: (target, property) => {
        const value: unknown = property === "send" ? send : Reflect.get(target, property, target);
        return typeof value === "function" && value !== send ? (value.bind(target) as unknown) : value;
      },
    });
    return { ...session, ami };
  };
}

test("row 40: a reload that hangs is given up and told as such; it is asked for again when a person says so, and not before", async () => {
  let isHanging = true;
  let asked = 0;
  const operator = await start({
    openSession: withoutReloads(
      () => isHanging,
      () => (asked += 1),
    ),
  });
  await waitUntil(() => operator.passes > 0);
  const sections = [{ name: "ring", lines: "exten => 1,1,NoOp()\n" }];
  await team.createFile("ring", { path: "extensions.conf", sections });
  const ring = await team.sees("files", "ring", (file) => conditionOf(file, "Stalled")?.status === "True");
  expect(conditionOf(ring, "Ready")?.message).toMatch(/did not end in time.*whether it will is not known/);
  const server = await team.sees("servers", "pbx1", (object) => readyOf(object) === "NotVerified");
  expect(conditionOf(server, "Reachable")?.status).toBe("True");
  const { passes } = operator;
  await onPBX("asterisk", "-rx", "module reload res_rtp_asterisk");
  await waitUntil(() => operator.passes > passes);
  expect(readyOf(await team.sees("files", "ring", () => true))).toBe("NotVerified");
  expect(asked).toBe(1);

  isHanging = false;
  await team.annotate("servers", "pbx1", { "asterisk-iac.dev/reconcile-requested-at": "unlocked" });
  await team.isReady("files", "ring");
  expect(await onPBX("asterisk", "-rx", "dialplan show ring")).toContain("NoOp");
});

test("an account that does not work is put back, which closes AMI, and the others are not held up", async () => {
  const operator = await start({
    openSession: async (...declared) => {
      const session = await openSession(...declared);
      const error = new AsteriskIacError("AuthenticationFailed", "let in by nobody");
      return { ...session, proveLogin: () => Promise.resolve({ result: "Refused", error }) };
    },
  });
  await waitUntil(() => operator.passes > 0);
  await Promise.all([team.createAccount("locked-out"), declare("; beside an account\n")]);
  const account = await team.sees(
    "accounts",
    "locked-out",
    (object) => readyOf(object) === "NotVerified",
    30_000,
  );
  expect(conditionOf(account, "Ready")?.message).toContain("the old bytes are back");
  await team.isReady("files", "extra");
  expect(await onPBX("asterisk", "-rx", "manager show users")).not.toContain("locked-out");
});

test("row 41: Asterisk restarts between a write and its reload: it is logged in to again, and nothing that was meant is lost", async () => {
  let isDue = true;
  const operator = await start({
    openSession: withScripts(async (host, script, options) => {
      const result = await host.run(script, options);
      if (script === COMMIT_SCRIPT && isDue) {
        isDue = false;
        await onPBX("asterisk", "-rx", "core restart now");
      }
      return result;
    }),
  });
  await waitUntil(() => operator.passes > 0);
  await team.createAccount("crm");
  await declare("; through a restart\n");
  await team.isReady("files", "extra");
  const crm = await team.isReady("accounts", "crm");
  await team.isReady("servers", "pbx1");
  expect(isDue).toBe(false);
  expect(crm.status?.verified?.length).toBeGreaterThan(0);
  expect(live()).toBe("; through a restart\n");
  expect(await onPBX("asterisk", "-rx", "manager show user crm")).toContain("username: crm");
});
