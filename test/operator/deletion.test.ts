import { chownSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "@jest/globals";
import { AsteriskIacError } from "../../core/errors.ts";
import { openSession, type ServerSession } from "../../engine/session.ts";
import type { KubernetesAPI } from "../../operator/runtime/index.ts";
import { snapshot } from "../support/configuration-snapshot.ts";
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
import { logIn } from "../support/raw-login.ts";

const lab = useOperatorLab();
let operator: RunningOperator | undefined;
let team: Namespace;
let namespaces = 0;
/** The server can't be reached: sessions are cut and none can be opened. */
let isDown = false;
const sessions = new Set<ServerSession>();

const directory = (): string => lab.servers[0]?.configDirectory ?? "";
const live = (path: string): string => readFileSync(join(directory(), path), "latin1");
const onPBX = (...command: string[]): Promise<string> => outputOf(lab.servers[0], ...command);
const kept = (): string => `kept-${namespaces}.conf`;

async function start(settings: OperatorSettings = {}, api = lab.operatorAPI): Promise<void> {
  operator = await startOperator(api, {
    namespace: team.name,
    openSession: async (...declared) => {
      if (isDown) throw new AsteriskIacError("Unreachable", "the server is down", { next: "Retry" });
      const session = await openSession(...declared);
      sessions.add(session);
      return session;
    },
    ...settings,
  });
}

async function goDown(): Promise<void> {
  isDown = true;
  for (const session of sessions) await session.close();
  sessions.clear();
  await team.annotate("servers", "pbx1", { "asterisk-iac.dev/reconcile-requested-at": "down" });
  await team.sees("servers", "pbx1", (server) => conditionOf(server, "Reachable")?.status === "False");
}

/** A namespace of its own for each test, with pbx1 and what belongs to it: an account and two files. */
async function begin(settings: OperatorSettings = {}, api = lab.operatorAPI): Promise<void> {
  const name = `team-${++namespaces}`;
  team = await Namespace.create(lab, name, lab.manifestsOf(0, name));
  await team.annotate("servers", "pbx1", { "asterisk-iac.dev/allow": "take-over" });
  await team.createAccount("crm");
  await team.createFile("kept", { path: kept(), content: "; kept\n" });
  await team.createFile("restored", { path: "extra.conf", deletionPolicy: "Restore", content: "; ours\n" });
  await start(settings, api);
  await team.isReady("accounts", "crm");
  await team.isReady("files", "kept");
  await team.isReady("files", "restored");
  expect([live(kept()), live("extra.conf")]).toEqual(["; kept\n", "; ours\n"]);
}

afterEach(async () => {
  isDown = false;
  await operator?.stop();
  sessions.clear();
});

const accountFile = async (): Promise<string> => (await team.isReady("accounts", "crm")).status?.file ?? "";

describe("with the server up", () => {
  test("an account's keys and sessions go; of a ConfFile what its policy says", async () => {
    const { uid, gid } = statSync(join(directory(), "asterisk.conf"));
    writeFileSync(join(directory(), "extra.conf"), "; before us\n");
    chownSync(join(directory(), "extra.conf"), uid, gid);
    await begin();
    const file = await accountFile();
    const secrets = await lab.kubernetes.get<{ data: Record<string, string> }>([
      "-n",
      team.name,
      "secret",
      "crm",
    ]);
    const [password = ""] = Object.values(secrets.data);
    const [server] = lab.servers;
    if (server === undefined) throw new Error("no server");
    const login = await logIn(server, "crm", Buffer.from(password, "base64").toString());
    const isOut = new Promise((resolve) => login?.once("close", resolve));
    expect(login).toBeDefined();
    await team.delete("accounts", "crm");
    await team.delete("files", "kept");
    await team.delete("files", "restored");
    for (const [kind, name] of [
      ["accounts", "crm"],
      ["files", "kept"],
      ["files", "restored"],
    ] as const)
      await team.isGone(kind, name);
    await isOut;
    expect(await onPBX("asterisk", "-rx", "manager show user crm")).not.toContain("username: crm");
    expect(live(file)).not.toContain("[crm]");
    expect([live(kept()), live("extra.conf")]).toEqual(["; kept\n", "; before us\n"]);
    expect(readyOf(await team.isReady("servers", "pbx1"))).toBe("True");
  });

  test("what was deleted while no operator ran goes when one does", async () => {
    await begin();
    const file = await accountFile();
    await operator?.stop();
    await team.delete("accounts", "crm");
    await team.delete("files", "kept");
    await start();
    await team.isGone("accounts", "crm");
    await team.isGone("files", "kept");
    expect(live(file)).not.toContain("[crm]");
    expect(live(kept())).toBe("; kept\n");
  });
});

describe("with the server down", () => {
  test("the finalizer holds until it is back; `orphan` lets go at once", async () => {
    await begin();
    const file = await accountFile();
    await goDown();
    await team.delete("accounts", "crm");
    await team.delete("files", "restored");
    await team.annotate("files", "restored", { "asterisk-iac.dev/on-delete": "orphan" });
    await team.isGone("files", "restored");
    await team.sees("accounts", "crm", ({ metadata }) => metadata.deletionTimestamp !== undefined);
    expect(live(file)).toContain("[crm]");
    isDown = false;
    await team.isGone("accounts", "crm");
    expect(live(file)).not.toContain("[crm]");
    expect(live("extra.conf")).toBe("; ours\n");
    expect((await team.events("restored")).join()).toMatch(/Released: .*orphan/);
  });

  test("no longer than the deletion timeout, and an event says what stayed", async () => {
    await begin({ deletionTimeoutMs: 2_000 });
    const file = await accountFile();
    await goDown();
    await team.delete("accounts", "crm");
    await team.isGone("accounts", "crm");
    expect(live(file)).toContain("[crm]");
    await waitUntil(async () =>
      /Released: it could not be taken out/.test((await team.events("crm")).join()),
    );
  });
});

describe("what is only let go", () => {
  test("all that belongs to a server whose resource is gone", async () => {
    await begin();
    const before = await snapshot(directory());
    await team.delete("servers", "pbx1");
    await team.isGone("servers", "pbx1");
    await team.sees("accounts", "crm", (account) => readyOf(account) === "ServerNotFound");
    await team.delete("accounts", "crm");
    await team.delete("files", "restored");
    await team.isGone("accounts", "crm");
    await team.isGone("files", "restored");
    expect(await snapshot(directory())).toEqual(before);
  });

  test("all that belongs to a suspended server, and what is deleted together with it", async () => {
    await begin();
    const before = await snapshot(directory());
    await team.patch("servers", "pbx1", { spec: { suspend: true } });
    await team.delete("accounts", "crm");
    await team.isGone("accounts", "crm");
    await team.patch("servers", "pbx1", { spec: { suspend: false } });
    await team.isReady("files", "kept");
    await Promise.all([team.delete("servers", "pbx1"), team.delete("files", "kept")]);
    await team.isGone("files", "kept");
    expect(await snapshot(directory())).toEqual(before);
  });

  test("everything of a namespace that is deleted: every live file stays as it is", async () => {
    await begin();
    const before = await snapshot(directory());
    await lab.kubernetes.kubectl(["delete", "namespace", team.name, "--timeout=60s"]);
    await team.isGone("files", "restored");
    expect(await snapshot(directory())).toEqual(before);
  });
});

describe("a cache that is behind", () => {
  test("leads to no write of what is no longer declared", async () => {
    let frozen: { readonly over: Promise<undefined>; readonly end: () => void } | undefined;
    const late: KubernetesAPI = {
      request: (request) => lab.operatorAPI.request(request),
      stream: async function* (request) {
        for await (const event of lab.operatorAPI.stream(request)) {
          if (frozen !== undefined && request.path.includes("asterisk-iac.dev")) await frozen.over;
          yield event;
        }
      },
    };
    await begin({}, late);
    const { promise, resolve } = Promise.withResolvers<undefined>();
    frozen = { over: promise, end: () => resolve(undefined) };
    await team.patch("files", "restored", { spec: { content: "; newer\n" } });
    writeFileSync(join(directory(), "extra.conf"), "; by hand\n");
    const errors = operator?.errors.length ?? 0;
    await onPBX("asterisk", "-rx", "module reload res_rtp_asterisk");
    await waitUntil(() => (operator?.errors.length ?? 0) > errors);
    expect(operator?.errors.at(-1)).toContain("ChangedMeanwhile");
    expect(live("extra.conf")).toBe("; by hand\n");
    frozen.end();
    frozen = undefined;
    await team.sees("servers", "pbx1", (server) => conditionOf(server, "InSync")?.reason === "Conflict");
  });
});
