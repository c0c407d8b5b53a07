import { realpath } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { AsteriskIacError } from "../core/errors.ts";

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

/** Runs work on the real path of a lab's directory, if nobody else does work of that kind there: two would undo each other's. */
export async function alone<Result>(
  kind: string,
  directory: string,
  work: (real: string) => Promise<Result>,
): Promise<Result> {
  const real = await realpath(directory);
  const lock = await tryLock(`${kind}/${real}`);
  if (lock === undefined) {
    throw new AsteriskIacError("LabFailed", `another lab up or lab down is at work in ${real}`, {
      next: "Retry",
    });
  }
  try {
    return await work(real);
  } finally {
    await lock.release();
  }
}
