import { afterEach, describe, expect, test } from "@jest/globals";
import { AMIClient, type AMIOptions } from "../../../asterisk/ami/client.ts";
import { FakeAMI, type FakeAMIOptions } from "../../support/fake-ami.ts";
import { until } from "../../support/until.ts";

/** jest types its matchers as themselves, not as what they stand for. */
const stringContaining = (text: string): unknown => expect.stringContaining(text);

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
});

async function startFake(options?: FakeAMIOptions) {
  const fake = new FakeAMI(options);
  const port = await fake.listen();
  open.push(fake);
  return { fake, transport: { kind: "tcp", host: "127.0.0.1", port } as const };
}

async function connect(
  transport: AMIOptions["transport"],
  options: Partial<AMIOptions> = {},
): Promise<AMIClient> {
  const { username, password } = FakeAMI;
  const client = await AMIClient.connect({ transport, username, password, label: "pbx1", ...options });
  open.push(client);
  return client;
}

const answers = (text: (id: string) => string, name: string): FakeAMIOptions => ({
  answer: (action) => (action.get("action") === name ? text(action.get("actionid") ?? "") : undefined),
});

describe("what the wire carries", () => {
  test("neither the password nor a plain Secret is ever sent; the class filter is", async () => {
    const { fake, transport } = await startFake();
    await connect(transport);
    const [challenge, login] = fake.actions;
    expect(challenge?.get("authtype")).toBe("MD5");
    expect(login?.get("events")).toBe("system");
    expect(login?.has("secret")).toBe(false);
    expect(JSON.stringify(fake.actions.map((each) => [...each]))).not.toContain(FakeAMI.password);
  });

  test("a value with CRLF is refused before the socket: nothing of it arrives", async () => {
    const { fake, transport } = await startFake();
    const client = await connect(transport);
    const before = fake.actions.length;
    const smuggled = client.action("GetConfig", { Filename: "a.conf\r\n\r\nAction: Reload" });
    await expect(smuggled).rejects.toMatchObject({ code: "InvalidArgument" });
    await client.action("Ping");
    expect(fake.actions.slice(before).map((each) => each.get("action"))).toEqual(["Ping"]);
  });

  test("every ActionID is new and none can be guessed from another connection's", async () => {
    const { fake, transport } = await startFake();
    await Promise.all([connect(transport), connect(transport)]);
    const ids = fake.actions.map((action) => action.get("actionid"));
    expect(new Set(ids).size).toBe(ids.length);
    expect(new Set(ids.map((id) => id?.slice(0, 12))).size).toBe(2);
  });

  test("actions sent together make one round trip, those sent after an answer another", async () => {
    const { transport } = await startFake();
    const client = await connect(transport);
    expect(client.roundTrips).toBe(0);
    await Promise.all([client.action("Ping"), client.action("CoreStatus"), client.list("CoreShowChannels")]);
    expect(client.roundTrips).toBe(1);
    await client.action("Ping");
    expect(client.roundTrips).toBe(2);
  });

  test("a login that is refused is tried exactly once", async () => {
    const { fake, transport } = await startFake();
    await expect(connect(transport, { password: "wrong" })).rejects.toMatchObject({
      code: "AuthenticationFailed",
      next: "Stalled",
      hint: stringContaining("fail2ban"),
    });
    expect(fake.actions.filter((action) => action.get("action") === "Login")).toHaveLength(1);
  });

  test("packets of one byte change nothing", async () => {
    const { transport } = await startFake({ packetBytes: 1 });
    const client = await connect(transport);
    expect(client.fullyBooted).toBe(true);
    expect((await client.list("CoreShowChannels")).events).toHaveLength(1);
  });
});

describe("deadlines and losses", () => {
  test("an action that is not answered is rejected at its deadline; the connection lives if others are", async () => {
    const { fake, transport } = await startFake(answers(() => "", "CoreStatus"));
    const client = await connect(transport);
    const chatter = setInterval(() => fake.send("Event: Noise\r\n\r\n"), 20);
    try {
      await expect(client.action("CoreStatus", {}, 200)).rejects.toMatchObject({
        code: "TimedOut",
        next: "Retry",
        message: stringContaining("CoreStatus"),
      });
      await expect(client.action("Ping")).resolves.toMatchObject({ kind: "Response" });
    } finally {
      clearInterval(chatter);
    }
  });

  test("an answer that comes after the deadline is nobody's", async () => {
    let late = "";
    const { fake, transport } = await startFake(
      answers((id) => {
        late = `Response: Success\r\nActionID: ${id}\r\nLate: yes\r\n\r\n`;
        return "Event: Noise\r\n\r\n";
      }, "CoreStatus"),
    );
    const client = await connect(transport);
    await expect(client.action("CoreStatus", {}, 100)).rejects.toMatchObject({ code: "TimedOut" });
    fake.send(late);
    expect((await client.action("Ping")).get("Late")).toBeUndefined();
  });

  test("everything that waits is rejected when the connection breaks, and what is asked later too", async () => {
    const { fake, transport } = await startFake(answers(() => "", "CoreStatus"));
    const client = await connect(transport);
    const waiting = [
      client.action("CoreStatus"),
      client.list("CoreStatus"),
      client.waitForEvent("Reload", () => true, 10_000),
    ];
    const settled = Promise.allSettled(waiting);
    await client.action("Ping");
    fake.dropConnections();
    for (const each of await settled) {
      expect(each).toMatchObject({
        status: "rejected",
        reason: { code: "ConnectionLost", where: { server: "pbx1" } },
      });
    }
    await expect(client.action("Ping")).rejects.toMatchObject({ code: "ConnectionLost" });
    await expect(client.waitForEvent("X", () => true, 1_000)).rejects.toMatchObject({
      code: "ConnectionLost",
    });
    expect(client.isOpen).toBe(false);
  });

  test("close rejects what waits, logs off, and leaves no connection", async () => {
    const { fake, transport } = await startFake(answers(() => "", "CoreStatus"));
    const client = await connect(transport);
    const waiting = expect(client.action("CoreStatus")).rejects.toMatchObject({ code: "ConnectionLost" });
    await client.close();
    await waiting;
    expect(fake.actions.at(-1)?.get("action")).toBe("Logoff");
    await client.close();
    await expect(client.lost).resolves.toMatchObject({ code: "ConnectionLost" });
  });

  test("a half-open connection is found by an action within 10 s, and everything else waiting is let go", async () => {
    const { fake, transport } = await startFake();
    const client = await connect(transport, { deadlines: { actionMs: 300, idlePingMs: 0, silenceMs: 300 } });
    fake.fallSilent();
    const other = expect(client.waitForEvent("Reload", () => true, 9_000)).rejects.toMatchObject({
      code: "ConnectionLost",
    });
    await expect(client.action("CoreStatus")).rejects.toMatchObject({ code: "TimedOut" });
    await other;
    expect(client.isOpen).toBe(false);
  });

  test("a short deadline kills no connection that is only slow", async () => {
    const { fake, transport } = await startFake(answers(() => "", "CoreStatus"));
    const client = await connect(transport, { deadlines: { idlePingMs: 0 } });
    await expect(client.action("CoreStatus", {}, 50)).rejects.toMatchObject({ code: "TimedOut" });
    await until(() => fake.actions.at(-1)?.get("action") === "Ping");
    expect(client.isOpen).toBe(true);
  });

  test("an idle half-open connection is found within 10 s of the next idle ping", async () => {
    const { fake, transport } = await startFake();
    const client = await connect(transport, { deadlines: { idlePingMs: 200, silenceMs: 500 } });
    fake.fallSilent();
    const startedAt = performance.now();
    await expect(client.lost).resolves.toMatchObject({ code: "ConnectionLost", next: "Retry" });
    expect(performance.now() - startedAt).toBeLessThan(15_000);
  });

  test("a half-open connection does not hide behind a long action", async () => {
    const { fake, transport } = await startFake();
    const client = await connect(transport, { deadlines: { idlePingMs: 0 } });
    fake.fallSilent();
    const startedAt = performance.now();
    await expect(client.send("Reload", {}, 60_000)).rejects.toMatchObject({ code: "ConnectionLost" });
    expect(performance.now() - startedAt).toBeLessThan(15_000);
  });

  test("idle pings keep an idle connection, and count as no round trip", async () => {
    const { fake, transport } = await startFake();
    const client = await connect(transport, { deadlines: { idlePingMs: 50 } });
    const pings = () => fake.actions.filter((action) => action.get("action") === "Ping").length;
    const before = pings();
    await until(() => pings() >= before + 3);
    expect(client.isOpen).toBe(true);
    expect(client.roundTrips).toBe(0);
  });

  test("no banner within the deadline", async () => {
    const { fake, transport } = await startFake({ banner: "" });
    await expect(connect(transport, { deadlines: { connectMs: 200 } })).rejects.toMatchObject({
      code: "TimedOut",
      message: stringContaining(`127.0.0.1:${transport.port}`),
    });
    await until(() => fake.connections === 0);
  });

  test("a port where nothing listens", async () => {
    const { fake, transport } = await startFake();
    await fake.close();
    await expect(connect(transport)).rejects.toMatchObject({ code: "Unreachable", next: "Retry" });
  });

  test("a connection that is closed without a banner says what that can mean", async () => {
    const { fake, transport } = await startFake({ banner: "" });
    const refused = expect(connect(transport)).rejects.toMatchObject({
      code: "Unreachable",
      hint: stringContaining("authlimit"),
    });
    await until(() => fake.connections > 0);
    fake.dropConnections();
    await refused;
  });

  test("the stream of a tunnel that can't be opened: its own error comes through", async () => {
    const transport = {
      kind: "stream",
      open: () => Promise.reject(new Error("administratively prohibited")),
    } as const;
    await expect(connect(transport)).rejects.toMatchObject({
      code: "Unreachable",
      message: "administratively prohibited",
    });
  });

  test("the stream of a tunnel that hangs is given up at the deadline, and closed if it opens after all", async () => {
    const { PassThrough } = await import("node:stream");
    const late = Promise.withResolvers<InstanceType<typeof PassThrough>>();
    const transport = { kind: "stream", open: () => late.promise } as const;
    await expect(connect(transport, { deadlines: { connectMs: 100 } })).rejects.toMatchObject({
      code: "TimedOut",
    });
    const stream = new PassThrough();
    late.resolve(stream);
    await late.promise;
    await new Promise(setImmediate);
    expect(stream.destroyed).toBe(true);
  });
});

describe("hostile and broken answers", () => {
  test("a peer that is no AMI never sees the user name", async () => {
    const { fake, transport } = await startFake({ banner: "SSH-2.0-OpenSSH_9.2\r\n" });
    await expect(connect(transport)).rejects.toMatchObject({ code: "UnexpectedAnswer" });
    expect(fake.actions).toEqual([]);
  });

  test("garbage after the login ends nothing but is answered by nothing either", async () => {
    const { fake, transport } = await startFake();
    const client = await connect(transport);
    fake.send(Buffer.from("\0\xff\r\n\r\n: \r\n\r\nResponse\r\n\r\nActionID: x\r\n\r\n\r\n\r\n", "latin1"));
    await expect(client.action("Ping")).resolves.toMatchObject({ kind: "Response" });
  });

  test("a message without an end is cut off at the limit", async () => {
    const { fake, transport } = await startFake();
    const client = await connect(transport, { limits: { messageBytes: 100_000 } });
    fake.send("Event: X\r\nName: ".padEnd(200_000, "x"));
    await expect(client.lost).resolves.toMatchObject({ code: "UnexpectedAnswer" });
  });

  test("a list without an end is cut off at the limit", async () => {
    const endless = (id: string) =>
      `Response: Success\r\nActionID: ${id}\r\nEventList: start\r\n\r\n` +
      `Event: Item\r\nActionID: ${id}\r\nName: ${"x".repeat(90)}\r\n\r\n`.repeat(1_000);
    const { transport } = await startFake(answers(endless, "CoreShowChannels"));
    const client = await connect(transport, { limits: { listBytes: 50_000 } });
    await expect(client.list("CoreShowChannels")).rejects.toMatchObject({
      code: "UnexpectedAnswer",
      message: stringContaining("CoreShowChannels"),
    });
  });

  test("a list that Asterisk cancels is an error, not a part", async () => {
    const cancelled = (id: string) =>
      `Response: Success\r\nActionID: ${id}\r\nEventList: start\r\n\r\nEvent: Item\r\nActionID: ${id}\r\n\r\n` +
      `Event: ItemsComplete\r\nActionID: ${id}\r\nEventList: cancelled\r\n\r\n`;
    const { transport } = await startFake(answers(cancelled, "CoreShowChannels"));
    const client = await connect(transport);
    await expect(client.list("CoreShowChannels")).rejects.toMatchObject({ code: "ListingIncomplete" });
  });

  test("an event with another's ActionID is in no list", async () => {
    const mixed = (id: string) =>
      `Response: Success\r\nActionID: ${id}\r\nEventList: start\r\n\r\nEvent: Item\r\nActionID: other\r\n\r\n` +
      `Event: Done\r\nActionID: ${id}\r\nEventList: Complete\r\n\r\n`;
    const { transport } = await startFake(answers(mixed, "CoreShowChannels"));
    const client = await connect(transport);
    const { events } = await client.list("CoreShowChannels");
    expect(events.map((event) => event.get("Event"))).toEqual(["Done"]);
  });

  test("a flood of events: a slow reader loses the oldest, counted; actions are answered meanwhile", async () => {
    const { fake, transport } = await startFake();
    const client = await connect(transport);
    const queue = client.events("Flood", 10);
    for (let block = 0; block < 50; block += 1) {
      const events = Array.from(
        { length: 1_000 },
        (_, i) => `Event: Flood\r\nNumber: ${block * 1_000 + i}\r\n\r\n`,
      );
      fake.send(events.join(""));
    }
    await client.action("Ping");
    expect(queue.dropped).toBe(49_990);
    const numbers: (string | undefined)[] = [];
    for await (const event of queue) {
      numbers.push(event.get("Number"));
      if (numbers.length === 10) break;
    }
    expect(numbers).toEqual(Array.from({ length: 10 }, (_, i) => String(49_990 + i)));
  });

  test("a reader of events is let go when the connection is lost", async () => {
    const { fake, transport } = await startFake();
    const client = await connect(transport);
    const queue = client.events("*");
    fake.send("Event: Last\r\n\r\n");
    await client.action("Ping");
    fake.dropConnections();
    const seen: (string | undefined)[] = [];
    for await (const event of queue) seen.push(event.get("Event"));
    expect(seen).toEqual(["Last"]);
  });

  test("FullyBooted that comes late is waited for; one that must come and does not is an error", async () => {
    const accepted = (id: string) =>
      `Response: Success\r\nActionID: ${id}\r\nMessage: Authentication accepted\r\n\r\n`;
    const { fake, transport } = await startFake(answers(accepted, "Login"));
    const booting = connect(transport, { readsSystem: true });
    await until(() => fake.actions.some((action) => action.get("action") === "Ping"));
    fake.send("Event: FullyBooted\r\nStatus: Fully Booted\r\n\r\n");
    expect((await booting).fullyBooted).toBe(true);
    await expect(
      connect(transport, { readsSystem: true, deadlines: { fullyBootedMs: 100 } }),
    ).rejects.toMatchObject({
      code: "TimedOut",
      message: stringContaining("fully booted"),
    });
    expect((await connect(transport, { readsSystem: false })).fullyBooted).toBe(false);
  });

  test("an Asterisk that shuts down refuses the login for now, not for good", async () => {
    const refuse = (id: string) =>
      `Response: Error\r\nActionID: ${id}\r\nMessage: Asterisk is shutting down\r\n\r\n`;
    const { transport } = await startFake(answers(refuse, "Challenge"));
    await expect(connect(transport)).rejects.toMatchObject({ code: "Unreachable", next: "Retry" });
  });
});
