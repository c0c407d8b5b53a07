import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { once } from "node:events";
import { createServer } from "node:net";
import { ConsoleConnection } from "../../../asterisk/console/connection.ts";
import { openControlSocket } from "../../../asterisk/console/socket.ts";
import type { SocketHost } from "../../../asterisk/host.ts";
import { openSSH } from "../../../asterisk/ssh/ssh-host.ts";
import { labLogin, onlyServer, rejection, startSSHD } from "../../support/host-sshd.ts";
import { useLab } from "../../support/lab.ts";

const lab = useLab();
const server = () => onlyServer(lab);
const hosts: SocketHost[] = [];
const open = async (
  user: string,
  more: object = {},
  other?: Parameters<typeof labLogin>[2],
): Promise<SocketHost> => {
  const host = await openSSH({ ...(await labLogin(server(), user, other)), ...more });
  hosts.push(host);
  return host;
};
afterAll(() => Promise.all(hosts.map((host) => host.close())));

describe.each<[string, string, object]>([
  ["through sshd, as the user that owns the socket", "asterisk", {}],
  ["through a shell, as another user with become", "admin", { become: "asterisk" }],
])("%s", (_, user, more) => {
  let host: SocketHost;
  beforeAll(async () => {
    host = await open(user, more);
  });

  test("the banner, answers one after the other, and none of the log among them", async () => {
    const connection = await ConsoleConnection.open(await openControlSocket(host));
    expect(connection.banner).toMatchObject({ hostName: "pbx1" });
    expect(connection.banner.asteriskVersion).toMatch(/^22\./);
    const [version, nothing, reload, channels] = await Promise.all(
      ["core show version", "nonsense", "dialplan reload", "core show channels count"].map((command) =>
        connection.command(command),
      ),
    );
    expect(version?.output.toString()).toMatch(/^Asterisk 22\.[^\n]*\n$/);
    expect(nothing?.output.toString()).toMatch(/^No such command 'nonsense'/);
    expect(reload?.output.toString()).toBe("Dialplan reloaded.\n");
    expect(channels?.output.toString()).toMatch(/^0 active channels\n/);
    connection.close();
    await connection.closed;
    expect(await rejection(connection.command("core show version"))).toMatchObject({
      code: "ConnectionLost",
    });
  });

  test("a long answer is whole, and is cut where that was asked for", async () => {
    const connection = await ConsoleConnection.open(await openControlSocket(host));
    const whole = await connection.command("core show functions");
    expect(whole.omitted).toBe(0);
    expect(whole.output.toString()).toMatch(/\d+ custom functions installed/);
    const cut = await connection.command("core show functions", { maxBytes: 100 });
    expect(cut.output.length).toBe(100);
    expect(cut.omitted).toBe(whole.output.length - 100);
    connection.close();
  });

  test("the live log", async () => {
    const connection = await ConsoleConnection.open(await openControlSocket(host));
    const lines: string[] = [];
    connection.follow(3, ({ level, text }) => lines.push(`${level} ${text}`));
    // Nothing answers to it, so the first of these may come before Asterisk has unmuted it.
    while (lines.length === 0) await server().run(["asterisk", "-rx", "core show uptime"]);
    expect(lines[0]).toMatch(/^3 {5}-- Remote UNIX connection( disconnected)?$/);
    connection.close();
  });
});

test("an account that may open no shell is enough", async () => {
  const sshd = await startSSHD(server(), [
    "ForceCommand /bin/false",
    "PermitTTY no",
    "AllowTcpForwarding local",
  ]);
  const host = await open("asterisk", {}, { sshd });
  const connection = await ConsoleConnection.open(await openControlSocket(host));
  expect((await connection.command("core show version")).output.toString()).toMatch(/^Asterisk 22/);
  connection.close();
});

test("a user who may not use the socket, and an sshd that forbids it: what to do is said", async () => {
  const sshd = await startSSHD(server(), ["AllowStreamLocalForwarding no"]);
  for (const host of [await open("admin"), await open("asterisk", {}, { sshd })]) {
    const error = await rejection(openControlSocket(host));
    expect(error).toMatchObject({ code: "Unreachable" });
    expect(error.hint).toMatch(/astctlgroup.*become.*AllowStreamLocalForwarding/);
  }
});

describe("what is no Asterisk, and one that says nothing", () => {
  const answering = async (bytes: string | undefined) => {
    const listener = createServer((socket) => {
      if (bytes !== undefined) socket.write(bytes);
    }).listen(0, "127.0.0.1");
    await once(listener, "listening");
    const host = await open("asterisk");
    const stream = await host.connectTCP("127.0.0.1", (listener.address() as { port: number }).port);
    return { stream, listener };
  };

  test.each([
    ["No more connections allowed\n", "UnexpectedAnswer", /128/],
    ["SSH-2.0-OpenSSH\r\n", "UnexpectedAnswer", /no Asterisk/],
    ["x".repeat(5000), "UnexpectedAnswer", /no Asterisk/],
  ])("%j", async (bytes, code, message) => {
    const { stream, listener } = await answering(bytes);
    const error = await rejection(ConsoleConnection.open(stream));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    listener.close();
  });

  test("a command that is not answered gives the connection up after its deadline", async () => {
    const { stream, listener } = await answering("pbx/1/22.0.0\n");
    const connection = await ConsoleConnection.open(stream);
    const error = await rejection(connection.command("core show version", { timeoutMs: 50 }));
    expect(error).toMatchObject({ code: "TimedOut" });
    await connection.closed;
    listener.close();
  });
});
