import { once } from "node:events";
import { createServer } from "node:net";
import { expect, test } from "@jest/globals";
import { tryLock } from "../../lab/lock.ts";
import { reservePort } from "../../lab/ports.ts";

test("a lock is held once, and free again after its release", async () => {
  const held = await tryLock("test/lock");
  expect(held).toBeDefined();
  expect(await tryLock("test/lock")).toBeUndefined();
  await held?.release();
  const again = await tryLock("test/lock");
  expect(again).toBeDefined();
  await again?.release();
});

test("a reserved port is bound by nobody, kept from other labs, and below the outgoing ports", async () => {
  const reserved = await reservePort();
  try {
    expect(reserved.port).toBeGreaterThanOrEqual(20_000);
    expect(reserved.port).toBeLessThan(32_768);
    expect(await tryLock(`port/${reserved.port}`)).toBeUndefined();
    const server = createServer().listen(reserved.port, "127.0.0.1");
    await once(server, "listening");
    server.close();
  } finally {
    await reserved.release();
  }
});
