import { createServer, type Server } from "node:net";

/** A name held by this process; released by hand or, whatever kills the process, by the kernel. */
export interface Lock {
  release(): Promise<void>;
}

/**
 * Takes a name on this machine, or answers undefined if another process, or this one, holds it. The lock is a
 * listening socket in Linux' abstract namespace: it leaves no file, and its scope is that of TCP ports.
 */
export function tryLock(name: string): Promise<Lock | undefined> {
  const server = createServer((socket) => socket.destroy());
  // A forgotten lock must not keep the process alive.
  server.unref();
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") resolve(undefined);
      else reject(error);
    });
    server.listen(`\0asterisk-iac-lab/${name}`, () => {
      resolve({ release: () => closed(server) });
    });
  });
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
