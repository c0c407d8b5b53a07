import { createConnection } from "node:net";
import type { Duplex } from "node:stream";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { AMIClient, type AMIOptions } from "../../../asterisk/ami/client.ts";
import { FakeAMI } from "../../support/fake-ami.ts";
import { useLab } from "../../support/lab.ts";
import { amiOf } from "../../support/lab-connections.ts";

const clients: AMIClient[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) await client.close();
});

/** What the client relies on, asked of the fake and of real servers alike. */
function contract(options: () => AMIOptions): void {
  const connect = async (over: Partial<AMIOptions> = {}) => {
    const client = await AMIClient.connect({ ...options(), ...over });
    clients.push(client);
    return client;
  };
  /** The same port as a stream, as an SSH tunnel gives it. */
  const tunnel = (): Promise<Duplex> =>
    new Promise((resolve, reject) => {
      const { transport } = options();
      if (transport.kind !== "tcp") throw new Error("the contract needs a port");
      const socket = createConnection(transport.port, transport.host, () => resolve(socket)).once(
        "error",
        reject,
      );
    });

  test("the login by challenge is accepted, and FullyBooted is seen", async () => {
    expect((await connect()).fullyBooted).toBe(true);
  });

  test("a wrong password and an unknown user are refused alike", async () => {
    const refused = { code: "AuthenticationFailed", next: "Stalled" };
    await expect(connect({ password: "wrong" })).rejects.toMatchObject(refused);
    await expect(connect({ username: "nobody" })).rejects.toMatchObject(refused);
  });

  test("through a stream everything is the same", async () => {
    const client = await connect({ transport: { kind: "stream", open: tunnel } });
    expect(client.fullyBooted).toBe(true);
    expect((await client.action("Ping")).get("Ping")).toBe("Pong");
    await expect(
      connect({ transport: { kind: "stream", open: tunnel }, password: "wrong" }),
    ).rejects.toMatchObject({ code: "AuthenticationFailed" });
  });

  test("a pipeline of fifty actions is one round trip, every answer its own", async () => {
    const client = await connect();
    const names = Array.from({ length: 50 }, (_, index) => (index % 2 === 0 ? "CoreSettings" : "CoreStatus"));
    const answers = await Promise.all(names.map((name) => client.action(name)));
    expect(answers.map((answer) => answer.get("AsteriskVersion") !== undefined)).toEqual(
      names.map((name) => name === "CoreSettings"),
    );
    expect(client.roundTrips).toBe(1);
  });

  test("a list is gathered to its end", async () => {
    const { response, events } = await (await connect()).list("CoreShowChannels");
    expect(response.get("EventList")).toBe("start");
    expect(events.map((event) => event.get("Event"))).toEqual(["CoreShowChannelsComplete"]);
  });

  test("an action without permission and an unknown one are refused, each with its reason", async () => {
    const client = await connect();
    await expect(client.action("Originate", { Channel: "x" })).rejects.toMatchObject({
      code: "PermissionDenied",
    });
    await expect(client.action("NoSuchAction")).rejects.toMatchObject({
      code: "ActionRefused",
      message: expect.stringContaining("Invalid/unknown command") as unknown,
    });
    expect((await client.send("Reload", { Module: "no_such_module" })).get("Message")).toBe("No such module");
  });

  test("an event of the system class comes, however close to the answer", async () => {
    const client = await connect();
    const event = client.waitForEvent("Reload", (each) => each.get("Module") === "manager", 10_000);
    await client.action("Reload", { Module: "manager" });
    expect((await event).get("Status")).toBe("0");
  });

  test("with the events off FullyBooted is not seen, nor waited for", async () => {
    const client = await connect({ eventMask: "off" });
    expect(client.fullyBooted).toBe(false);
  });

  test("closing is answered with a goodbye and leaves nothing open", async () => {
    const client = await connect();
    await client.close();
    await expect(client.action("Ping")).rejects.toMatchObject({ code: "ConnectionLost" });
  });
}

describe("the fake", () => {
  const fake = new FakeAMI({ packetBytes: 7 });
  let port = 0;
  beforeAll(async () => {
    port = await fake.listen();
  });
  afterAll(() => fake.close());
  contract(() => ({
    transport: { kind: "tcp", host: "127.0.0.1", port },
    username: FakeAMI.username,
    password: FakeAMI.password,
    label: "fake",
  }));
});

describe.each([22, 16] as const)("Asterisk %i", (asterisk) => {
  const lab = useLab({ asterisk });
  const server = () => {
    const [first] = lab.servers;
    if (first === undefined) throw new Error("the lab has no server");
    return first;
  };
  contract(() => amiOf(server()));

  test("a line of 1022 bytes and 126 headers are read whole; what is refused here Asterisk would drop", async () => {
    const client = await AMIClient.connect(amiOf(server()));
    clients.push(client);
    const headers = Object.fromEntries(Array.from({ length: 125 }, (_, index) => [`H${index}`, "x"]));
    const longest = { ...headers, Zz: "x".repeat(1022 - "Zz: ".length) };
    expect((await client.action("Ping", longest)).get("Ping")).toBe("Pong");
  });

  test("an account without read=system is logged in, and said not to see FullyBooted", async () => {
    await server().run([
      "sh",
      "-c",
      "printf '\\n[reporter]\\nsecret=reporter-secret\\nread=call\\nwrite=reporting\\n' >>/etc/asterisk/manager.conf; asterisk -rx 'manager reload'",
    ]);
    const account = { username: "reporter", password: "reporter-secret" };
    const client = await AMIClient.connect({ ...amiOf(server()), ...account });
    clients.push(client);
    expect(client.fullyBooted).toBe(false);
    expect((await client.action("CoreStatus")).get("CoreCurrentCalls")).toBe("0");
  });
});

describe("a real Asterisk that stops answering", () => {
  const lab = useLab({ count: 2 });
  const signal = (index: number, name: "STOP" | "CONT") =>
    lab.servers[index]?.run(["sh", "-c", `kill -${name} "$(cat /run/asterisk/asterisk.pid)"`]);

  test("it is found within the deadline of 10 s; the other server goes on meanwhile", async () => {
    const [stopped, running] = await Promise.all(
      lab.servers.map((server) => AMIClient.connect(amiOf(server))),
    );
    if (stopped === undefined || running === undefined) throw new Error("the lab has not two servers");
    clients.push(stopped, running);
    await signal(0, "STOP");
    try {
      const startedAt = performance.now();
      let answered = 0;
      const other = (async () => {
        while (stopped.isOpen) {
          await running.action("Ping");
          answered += 1;
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
      })();
      await expect(stopped.action("CoreStatus")).rejects.toMatchObject({
        code: "TimedOut",
        where: { server: "pbx1" },
      });
      const tookMs = performance.now() - startedAt;
      expect(stopped.isOpen).toBe(false);
      await other;
      // A busy machine adds to it.
      expect(tookMs).toBeLessThan(15_000);
      expect(answered).toBeGreaterThan(20);
    } finally {
      await signal(0, "CONT");
    }
  });
});
