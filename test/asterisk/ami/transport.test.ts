import { createConnection } from "node:net";
import { stat } from "node:fs/promises";
import { dirname } from "node:path";
import { Duplex } from "node:stream";
import { describe, expect, test } from "@jest/globals";
import { reach } from "../../../asterisk/ami/transport.ts";

/** A stream that brings these bytes, ends and is gone at once, as a server that hangs up after its last word. */
function lastWords(bytes: Buffer): Duplex {
  const stream = new Duplex({
    read() {
      this.push(bytes);
      this.push(null);
    },
    write: (_, __, done) => done(),
    allowHalfOpen: false,
  });
  return stream;
}

async function reachStream(stream: Duplex) {
  const reached = await reach(
    { kind: "stream", open: () => Promise.resolve(stream) },
    new AbortController().signal,
  );
  if (!("path" in reached.endpoint)) throw new Error("a stream is reached by a private socket");
  return { reached, path: reached.endpoint.path };
}

describe("the private socket that stands for a stream", () => {
  test("bytes that came right before the end all arrive, however slowly they are read", async () => {
    const bytes = Buffer.alloc(3_000_000, "x");
    const { path } = await reachStream(lastWords(bytes));
    const socket = createConnection(path);
    let received = 0;
    for await (const chunk of socket) {
      received += (chunk as Buffer).length;
      await new Promise(setImmediate);
    }
    expect(received).toBe(bytes.length);
  });

  test("nobody else may enter its directory, and it is gone once it is connected", async () => {
    const stream = new Duplex({ read: () => undefined, write: (_, __, done) => done() });
    const { reached, path } = await reachStream(stream);
    expect((await stat(dirname(path))).mode & 0o777).toBe(0o700);
    const socket = createConnection(path);
    for (let there = true; there;) there = await stat(dirname(path)).then(Boolean, () => false);
    reached.close();
    await new Promise((resolve) => socket.resume().once("close", resolve));
    expect(stream.destroyed).toBe(true);
  });

  test("one that nobody connects to is gone when it is closed", async () => {
    const { reached, path } = await reachStream(new Duplex({ read: () => undefined }));
    reached.close();
    for (let there = true; there;) there = await stat(dirname(path)).then(Boolean, () => false);
  });
});
