import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { AMISession } from "../../asterisk/ami/session.ts";
import type { Host } from "../../asterisk/host.ts";
import { askStatus } from "../../asterisk/live.ts";
import { restart } from "../../asterisk/restart.ts";
import { FakeAMI } from "../support/fake-ami.ts";
import { useLab, type LabServer } from "../support/lab.ts";
import { amiOf, sshOf } from "../support/lab-connections.ts";
import { until } from "../support/until.ts";

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0)) await each.close();
});

describe.each([22, 16] as const)("restarting a live Asterisk %i", (asterisk) => {
  const lab = useLab({ asterisk });
  let server: LabServer;
  let session: AMISession;
  let host: Host;
  beforeEach(async () => {
    const [first] = lab.servers;
    if (first === undefined) throw new Error("the lab has no server");
    server = first;
    session = await AMISession.open({ ...amiOf(server), backoff: { firstMs: 50, mostMs: 200 } });
    host = await sshOf(server);
    open.push(session, host);
  });

  const cli = async (command: string) => (await server.run(["asterisk", "-rx", command])).stdout;

  /** One call that lasts so many seconds. Resolves when it is up. */
  async function call(seconds = 600): Promise<void> {
    await server.run([
      "sh",
      "-c",
      `grep -q lab-call /etc/asterisk/extensions.conf ||
       printf '\\n[lab-call]\\nexten => _X!,1,Answer()\\nsame => n,Wait(\${EXTEN})\\n' >>/etc/asterisk/extensions.conf
       grep -q lab-caller /etc/asterisk/manager.conf ||
       printf '\\n[lab-caller]\\nsecret=lab\\nread=call\\nwrite=originate\\n' >>/etc/asterisk/manager.conf
       asterisk -rx 'dialplan reload'; asterisk -rx 'manager reload'`,
    ]);
    const caller = await AMISession.open({
      ...amiOf(server),
      username: "lab-caller",
      password: "lab",
      readsSystem: false,
    });
    open.push(caller);
    const exten = String(seconds);
    const where = { Channel: `Local/${exten}@lab-call`, Context: "lab-call", Exten: exten, Priority: "1" };
    await caller.action("Originate", where);
    expect((await askStatus(session)).activeChannels).toBeGreaterThan(0);
  }

  test.each(["now", "gracefully", "convenient"] as const)("%s: a new start-up time, seen", async (when) => {
    const before = await askStatus(session);
    const result = await restart({ session, host }, when);
    expect(result.startedBefore).toBe(before.startupTime);
    expect(result.startedAfter).not.toBe(before.startupTime);
    expect((await askStatus(session)).startupTime).toBe(result.startedAfter);
    expect(result.evidence.map(({ source, observed }) => [source, observed])).toEqual([
      ["AMI connection", true],
      ["FullyBooted", true],
      ["CoreStartupTime", true],
    ]);
    expect(await cli("core show version")).toContain(`Asterisk ${asterisk}.`);
  });

  test("now, with a call up: it is hung up", async () => {
    await call();
    await restart({ session, host }, "now");
    expect((await askStatus(session)).activeChannels).toBe(0);
  });

  test("convenient, with a call up: waits, says for what and how to call it off, and can be called off", async () => {
    await call();
    await expect(restart({ session, host }, "convenient", { deadlineMs: 3_000 })).rejects.toMatchObject({
      code: "TimedOut",
      next: "Waiting",
      message: expect.stringMatching(/a moment without calls \([1-9]\d* are up\)/) as unknown,
      hint: expect.stringContaining("core abort shutdown") as unknown,
      where: { server: "pbx1" },
    });
    await cli("core abort shutdown");
    await cli("channel request hangup all");
    expect(await cli("core show version")).toContain(`Asterisk ${asterisk}.`);
  });

  test("gracefully, with a call up: restarts when the call ends", async () => {
    await call(3);
    const result = await restart({ session, host }, "gracefully");
    expect(result.startedAfter).not.toBe(result.startedBefore);
    expect(result.tookMs).toBeGreaterThan(1_000);
  });

  test("gracefully, with a call that does not end: says how many were up, and that it is still asked for", async () => {
    await call();
    await expect(restart({ session, host }, "gracefully", { deadlineMs: 3_000 })).rejects.toMatchObject({
      code: "TimedOut",
      next: "Waiting",
      message: expect.stringMatching(/takes no new calls .*\([1-9]\d* were up/) as unknown,
    });
    // Meanwhile Asterisk takes no AMI login, which is no reason to give up.
    await expect(AMISession.open(amiOf(server))).rejects.toMatchObject({
      code: "Unreachable",
      next: "Retry",
    });
    const lost = new Promise<void>((resolve) => session.onLost(() => resolve()));
    await cli("core restart now");
    await lost;
    await session.restored(60_000);
    expect((await askStatus(session)).activeChannels).toBe(0);
  });

  test("a session that loses its server tells so, comes back by itself, and waited for FullyBooted", async () => {
    const told: string[] = [];
    session.onLost(() => told.push("lost"));
    session.onRestored(() => told.push(`restored, fully booted: ${session.fullyBooted}`));
    const lost = new Promise<void>((resolve) => session.onLost(() => resolve()));
    const reading = expect(session.waitForEvent("NoSuchEvent", () => true, 60_000)).rejects.toMatchObject({
      code: "ConnectionLost",
    });
    await server.run(["asterisk", "-rx", "core restart now"]);
    await lost;
    await reading;
    await session.restored(60_000);
    expect(told).toEqual(["lost", "restored, fully booted: true"]);
    expect((await askStatus(session)).asteriskVersion).toContain(`${asterisk}.`);
  });

  test("a command that Asterisk denies the user is refused at once, and nothing is lost", async () => {
    await server.run([
      "sh",
      "-c",
      "printf '[general]\\ndefault_perm=permit\\n[asterisk]\\ndeny=core restart now\\n' >/etc/asterisk/cli_permissions.conf; asterisk -rx 'cli reload permissions'",
    ]);
    await expect(restart({ session, host }, "now")).rejects.toMatchObject({
      code: "PermissionDenied",
      hint: expect.stringContaining("cli_permissions.conf") as unknown,
    });
    expect(session.isConnected).toBe(true);
    await server.run([
      "sh",
      "-c",
      ">/etc/asterisk/cli_permissions.conf; asterisk -rx 'cli reload permissions'",
    ]);
  });
});

test("a connection that only breaks is no restart: it goes on waiting for a new start-up time", async () => {
  let startup = "03:04:05";
  const fake = new FakeAMI({
    answer: (action) =>
      action.get("action") === "CoreStatus"
        ? `Response: Success\r\nActionID: ${action.get("actionid")}\r\nCoreStartupDate: 2026-01-02\r\n` +
          `CoreStartupTime: ${startup}\r\nCoreReloadDate: x\r\nCoreReloadTime: x\r\nCoreCurrentCalls: 0\r\n\r\n`
        : undefined,
  });
  open.push(fake);
  const session = await AMISession.open({
    transport: { kind: "tcp", host: "127.0.0.1", port: await fake.listen() },
    username: FakeAMI.username,
    password: FakeAMI.password,
    label: "pbx1",
    backoff: { firstMs: 10, mostMs: 10 },
  });
  open.unshift(session);
  const commands: string[] = [];
  const host: Host = {
    roundTrips: 0,
    run: (_, { args = [] } = {}) => {
      const [nonce, ...ran] = args;
      commands.push(...ran);
      return Promise.resolve({
        code: 0,
        stdout: Buffer.from(`${nonce} begin\n\n${nonce} end 0 x\n`),
        stderr: "",
      });
    },
    connectTCP: () => Promise.reject(new Error("no TCP")),
    close: () => Promise.resolve(),
  };
  let done = false;
  const restarting = restart({ session, host }, "now").finally(() => (done = true));
  const statusAsked = () => fake.actions.filter((action) => action.get("action") === "CoreStatus").length;
  // Given, then: the command has run, and each return to an Asterisk that did not restart was looked at.
  await until(() => commands.includes("core restart now"));
  for (let blip = 0; blip < 2; blip += 1) {
    const asked = statusAsked();
    fake.dropConnections();
    await until(() => statusAsked() > asked && session.isConnected);
    await session.action("Ping");
    expect(done).toBe(false);
  }
  startup = "03:04:06";
  fake.dropConnections();
  expect(await restarting).toMatchObject({
    startedBefore: "2026-01-02 03:04:05",
    startedAfter: "2026-01-02 03:04:06",
  });
});
