import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { once } from "node:events";

/** A way to a port of loopback on which is counted what goes by. */
export interface CountingProxy {
  readonly port: number;
  /** Connections so far. */
  connections: number;
  /** Pieces of bytes that went to the server so far. */
  pieces: number;
  /** Called before each piece goes on. */
  onPiece: (() => void) | undefined;
  close(): Promise<void>;
}

export async function countingProxy(to: number): Promise<CountingProxy> {
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    proxy.connections += 1;
    const far = connect({ port: to, host: "127.0.0.1" });
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket);
      socket.on("error", () => other.destroy()).on("close", () => other.destroy());
    }
    near.on("data", (bytes) => {
      proxy.pieces += 1;
      proxy.onPiece?.();
      far.write(bytes);
    });
    far.pipe(near);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const proxy: CountingProxy = {
    port: (server.address() as AddressInfo).port,
    connections: 0,
    pieces: 0,
    onPiece: undefined,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
  return proxy;
}
