import { randomInt } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { AsteriskIacError } from "../core/errors.ts";
import { tryLock, type Lock } from "./lock.ts";

/** A TCP port that nobody listens on and that no other lab takes until `release`. */
export interface ReservedPort extends Lock {
  readonly port: number;
}

const lowest = 20_000;

/**
 * Reserves a free port on 127.0.0.1. It lies below the ports that the kernel gives to outgoing connections, so none
 * of those can take it. Hold it until its server listens: then the port itself says that it is in use.
 */
export async function reservePort(): Promise<ReservedPort> {
  const above = Math.max(lowest + 1_000, await firstOutgoingPort());
  for (let attempt = 0; attempt < 1_000; attempt++) {
    const port = randomInt(lowest, above);
    const lock = await tryLock(`port/${port}`);
    if (lock === undefined) continue;
    if (await isFree(port)) return { port, release: () => lock.release() };
    await lock.release();
  }
  throw new AsteriskIacError("LabFailed", `found no free TCP port between ${lowest} and ${above}`);
}

async function firstOutgoingPort(): Promise<number> {
  const range = await readFile("/proc/sys/net/ipv4/ip_local_port_range", "utf8");
  return Number.parseInt(range, 10);
}

/** Bound on every interface, so that a listener on any one of them is seen. */
function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", () => resolve(false));
    server.listen({ port, host: "0.0.0.0", exclusive: true }, () => server.close(() => resolve(true)));
  });
}
