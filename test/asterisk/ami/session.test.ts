import { afterEach, describe, expect, test } from "@jest/globals";
import { AMISession, type SessionOptions } from "../../../asterisk/ami/session.ts";
import { FakeAMI, type FakeAMIOptions } from "../../support/fake-ami.ts";
import { until } from "../../support/until.ts";

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
});

async function start(fakeOptions?: FakeAMIOptions, options: Partial<SessionOptions> = {}) {
  const fake = new FakeAMI(fakeOptions);
  const port = await fake.listen();
  open.push(fake);
  const session = await AMISession.open({
    transport: { kind: "tcp", host: "127.0.0.1", port },
    username: FakeAMI.username,
    password: FakeAMI.password,
    label: "pbx1",
    backoff: { firstMs: 20, mostMs: 50 },
    ...options,
  });
  open.push(session);
  const told: string[] = [];
  session.onLost((reason) => told.push(`lost ${reason.code}`));
  session.onRestored(() => told.push("restored"));
  return { fake, session, port, told };
}

const names = (fake: FakeAMI) => fake.actions.map((action) => action.get("action"));
const count = (fake: FakeAMI, name: string) => names(fake).filter((each) => each === name).length;

/** Resolves when the session has noticed the loss that the fake is about to cause. */
const loss = (session: AMISession) => new Promise<void>((resolve) => session.onLost(() => resolve()));

describe("a session over a connection that breaks", () => {
  test("it connects anew, logs in again, and goes on; each loss and return is told once", async () => {
    const { fake, session, told } = await start();
    for (let round = 0; round < 3; round += 1) {
      const lost = loss(session);
      fake.dropConnections();
      await lost;
      expect(session.isConnected).toBe(false);
      await session.restored(5_000);
      expect(session.isConnected).toBe(true);
      await session.action("Ping");
    }
    expect(told).toEqual(Array.from({ length: 3 }, () => ["lost ConnectionLost", "restored"]).flat());
    expect(count(fake, "Login")).toBe(4);
    expect(session.roundTrips).toBe(3);
  });

  test("an action in flight is rejected and never sent again", async () => {
    const silent = (action: ReadonlyMap<string, string>) =>
      action.get("action") === "Reload" ? "" : undefined;
    const { fake, session } = await start({ answer: silent });
    const reloading = expect(session.send("Reload")).rejects.toMatchObject({ code: "ConnectionLost" });
    await session.action("Ping");
    fake.dropConnections();
    await reloading;
    await session.restored(5_000);
    await session.action("Ping");
    expect(count(fake, "Reload")).toBe(1);
  });

  test("an action between the loss and the return is rejected at once, sent to nobody", async () => {
    const { fake, session } = await start();
    const lost = loss(session);
    fake.dropConnections();
    await lost;
    await expect(session.action("CoreStatus")).rejects.toMatchObject({ code: "ConnectionLost" });
    await session.restored(5_000);
    expect(count(fake, "CoreStatus")).toBe(0);
  });

  test("listeners outlive the loss", async () => {
    const { fake, session } = await start();
    const seen: (string | undefined)[] = [];
    session.on("Greeting", (event) => seen.push(event.get("Text")));
    const lost = loss(session);
    fake.send("Event: Greeting\r\nText: before\r\n\r\n");
    await session.action("Ping");
    fake.dropConnections();
    await lost;
    await session.restored(5_000);
    fake.send("Event: Greeting\r\nText: after\r\n\r\n");
    await session.action("Ping");
    expect(seen).toEqual(["before", "after"]);
  });

  test("a server that is away is tried again until it is back, on the same port", async () => {
    const { fake, session, port } = await start();
    const lost = loss(session);
    await fake.close();
    await lost;
    await expect(session.restored(150)).rejects.toMatchObject({ code: "TimedOut" });
    const second = new FakeAMI();
    open.push(second);
    await second.listen(port);
    await session.restored(5_000);
    await expect(session.action("Ping")).resolves.toMatchObject({ kind: "Response" });
  });

  test("a login that is refused on the way back ends the session: one try, not a ban", async () => {
    let refuse = false;
    const { fake, session } = await start({
      answer: (action) =>
        refuse && action.get("action") === "Login"
          ? `Response: Error\r\nActionID: ${action.get("actionid")}\r\nMessage: Authentication failed\r\n\r\n`
          : undefined,
    });
    const lost = loss(session);
    refuse = true;
    fake.dropConnections();
    await lost;
    await expect(session.restored(5_000)).rejects.toMatchObject({ code: "AuthenticationFailed" });
    await expect(session.restored(5_000)).rejects.toMatchObject({ code: "AuthenticationFailed" });
    expect(count(fake, "Login")).toBe(2);
  });

  test("closing stops the tries; nobody is told of a loss", async () => {
    const { fake, session, told } = await start();
    await session.close();
    expect(told).toEqual([]);
    await expect(session.restored(100)).rejects.toMatchObject({ code: "ConnectionLost" });
    await expect(session.action("Ping")).rejects.toMatchObject({ code: "ConnectionLost" });
    await until(() => fake.connections === 0);
    expect(count(fake, "Login")).toBe(1);
  });

  test("closing while it is away leaves no connection behind", async () => {
    const { fake, session } = await start({}, { backoff: { firstMs: 60_000, mostMs: 60_000 } });
    const lost = loss(session);
    fake.dropConnections();
    await lost;
    const waiting = expect(session.restored(60_000)).rejects.toMatchObject({ code: "ConnectionLost" });
    await session.close();
    await waiting;
    expect(fake.connections).toBe(0);
  });

  test("the first contact is tried once only", async () => {
    await expect(start({}, { password: "wrong" })).rejects.toMatchObject({ code: "AuthenticationFailed" });
  });
});
