import { glob, readFile } from "node:fs/promises";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { AMISession } from "../../asterisk/ami/session.ts";
import type { Host } from "../../asterisk/host.ts";
import { askStatus } from "../../asterisk/live.ts";
import { ownClasses } from "../../asterisk/manager-classes.ts";
import { askReload } from "../../asterisk/reload.ts";
import { useLab, type LabServer } from "../support/lab.ts";
import { amiOf, sshOf } from "../support/lab-connections.ts";

/** Every action that the engine sends, with what a user of it sees refused. Logins and pings need no class. */
const actions: Readonly<Record<string, (ami: AMISession) => Promise<unknown>>> = {
  CoreSettings: (ami) => ami.action("CoreSettings"),
  CoreStatus: (ami) => ami.action("CoreStatus"),
  CoreShowChannels: (ami) => ami.list("CoreShowChannels"),
  Reload: (ami) => askReload(ami, "logger", 10_000),
  PJSIPShowEndpoints: (ami) => ami.list("PJSIPShowEndpoints"),
  PJSIPShowAors: (ami) => ami.list("PJSIPShowAors"),
  Ping: (ami) => ami.action("Ping"),
};
const withoutClass = ["Challenge", "Login", "Logoff", "Ping"];

const accounts: Readonly<Record<string, { read: string; write: string }>> = {
  own: { read: ownClasses.read.join(","), write: ownClasses.write.join(",") },
  unread: { read: "none", write: ownClasses.write.join(",") },
  unwritten: { read: ownClasses.read.join(","), write: "none" },
  reporter: { read: "system", write: "reporting" },
  configurer: { read: "system", write: "config,reporting" },
};

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0)) await each.close();
});

describe.each([22, 16] as const)("the classes of the engine's own account, on Asterisk %i", (asterisk) => {
  const lab = useLab({ asterisk });
  let server: LabServer;
  let host: Host;
  beforeAll(async () => {
    server = lab.servers[0] as LabServer;
    const sections = Object.entries(accounts).map(
      ([name, { read, write }]) =>
        `\n[${name}]\nsecret=secret-of-${name}\ndeny=0.0.0.0/0\ndeny=::/0\npermit=127.0.0.1\nread=${read}\nwrite=${write}\n`,
    );
    await server.run(["sh", "-c", "cat >>/etc/asterisk/manager.conf"], { input: sections.join("") });
    await server.run(["sh", "-c", "cat >>/etc/asterisk/pjsip.conf"], {
      input: "\n[100]\ntype=endpoint\n[100]\ntype=aor\n",
    });
    await server.run(["asterisk", "-rx", "manager reload"]);
    await server.run(["asterisk", "-rx", "pjsip reload"]);
  });
  beforeEach(async () => {
    host = await sshOf(server);
    open.push(host);
  });

  async function logIn(username: string): Promise<AMISession> {
    const session = await AMISession.open({
      ...amiOf(server),
      username,
      password: `secret-of-${username}`,
      deadlines: { fullyBootedMs: 1_000 },
    });
    open.push(session);
    return session;
  }

  /** The actions that Asterisk denies to the account, judged by its answers. */
  async function denied(session: AMISession): Promise<string[]> {
    const refused: string[] = [];
    for (const [name, send] of Object.entries(actions)) {
      const code = await send(session).then(
        () => undefined,
        (error: unknown) => (error as { code?: string }).code,
      );
      if (code === "PermissionDenied") refused.push(name);
      else expect([name, code]).toEqual([name, undefined]);
    }
    return refused;
  }

  test("none is missing: every action is allowed, every event comes", async () => {
    const session = await logIn("own");
    expect(session.fullyBooted).toBe(true);
    expect(await denied(session)).toEqual([]);
    expect((await askReload(session, "logger", 10_000)).evidence).toContainEqual({
      source: "Reload event",
      observed: true,
      saw: expect.stringContaining("status 0") as unknown,
    });
    expect((await askStatus(session)).asteriskVersion).toContain(`${asterisk}.`);
  });

  test("none is too many: without write=system, actions are denied", async () => {
    expect(ownClasses.write).toEqual(["system"]);
    expect(await denied(await logIn("unwritten"))).toEqual(
      Object.keys(actions).filter((name) => !withoutClass.includes(name)),
    );
  });

  test("none is too many: without read=system, the events are missing", async () => {
    expect(ownClasses.read).toEqual(["system"]);
    const session = await logIn("unread");
    expect(session.fullyBooted).toBe(false);
    expect(await denied(session)).toEqual([]);
    expect((await askReload(session, "logger", 10_000)).evidence).toContainEqual({
      source: "Reload event",
      observed: false,
      saw: "this AMI account has no read=system",
    });
  });

  test("no other classes would do: reporting can't reload, config can't list endpoints", async () => {
    expect(await denied(await logIn("reporter"))).toEqual(["Reload", "PJSIPShowEndpoints", "PJSIPShowAors"]);
    expect(await denied(await logIn("configurer"))).toEqual(["PJSIPShowEndpoints", "PJSIPShowAors"]);
  });
});

test("every action in the source is in the tests here and in the docs, and no other", async () => {
  const found = new Set<string>();
  for (const folder of ["asterisk", "engine", "cli"]) {
    for await (const path of glob(`${folder}/**/*.ts`)) {
      // Calls are read by an account of their own.
      if (path.startsWith("engine/calls/")) continue;
      const text = await readFile(path, "utf8");
      for (const [, name] of text.matchAll(/\.(?:action|send|list)\(\s*"([A-Z]\w+)"/g)) {
        if (name !== undefined) found.add(name);
      }
      if (path.startsWith("asterisk/probes/")) {
        for (const [, name] of text.matchAll(/"([A-Z][A-Za-z]*Show[A-Z]\w+)"/g)) {
          if (name !== undefined) found.add(name);
        }
      }
    }
  }
  const text = await readFile("docs/ami-classes.md", "utf8");
  const [, table = ""] = /^## Actions$([\s\S]*?)^## /m.exec(text) ?? [];
  const documented = [...table.matchAll(/^\| ([A-Z]\w+) +\|/gm)].map(([, name]) => name);
  const tested = new Set([...Object.keys(actions), ...withoutClass]);
  // Login and idle pings are sent by name elsewhere: asterisk/ami/login.ts, connection.ts.
  expect([...found].filter((name) => !tested.has(name))).toEqual([]);
  expect([...documented].sort()).toEqual([...tested].sort());
  expect(found).toEqual(tested);
});
