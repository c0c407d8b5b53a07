import type { AddressInfo, Socket } from "node:net";
import { connect, createServer } from "node:net";

/** A way to a server on this machine that can be cut or go silent. */
export interface Proxy {
  readonly port: number;
  /** How many connections were made through it. */
  readonly connections: number;
  /** How many are open. */
  readonly open: number;
  /** Ends every connection at once, as a crash of the other side does. */
  cut(): void;
  /** From now on nothing passes, on any connection there is, and none is ended: as a pulled cable. */
  freeze(): void;
  /** From now on nothing passes on new connections either, which are made and never answered: as a machine that hangs. */
  die(): void;
  /** Ends every connection, and lets new ones through again. */
  revive(): void;
  close(): Promise<void>;
}

/** Starts a proxy in front of a port on 127.0.0.1. */
export async function proxyTo(target: number): Promise<Proxy> {
  const sockets = new Set<Socket>();
  const frozen = new WeakSet<Socket>();
  let connections = 0;
  let isDead = false;
  const server = createServer((client) => {
    connections++;
    const upstream = connect(target, "127.0.0.1");
    if (isDead) for (const socket of [client, upstream]) frozen.add(socket);
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from);
      from.on("data", (chunk: Buffer) => frozen.has(from) || to.write(chunk));
      from.on("error", () => undefined);
      from.on("close", () => {
        sockets.delete(from);
        if (!frozen.has(from)) to.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const freeze = (): void => {
    for (const socket of sockets) frozen.add(socket);
  };
  return {
    port: (server.address() as AddressInfo).port,
    get connections() {
      return connections;
    },
    get open() {
      return sockets.size / 2;
    },
    cut,
    freeze,
    die: () => {
      isDead = true;
      freeze();
    },
    revive: () => {
      isDead = false;
      cut();
    },
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      cut();
      await closed;
    },
  };
}
