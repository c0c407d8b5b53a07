import { readdir, readFile, readlink } from "node:fs/promises";
import { connect } from "node:net";

/** The processes in the PID namespace of a process, itself included. Empty if it has ended. */
export async function processesBeside(pid: number): Promise<number[]> {
  const namespaceOf = (each: number) => readlink(`/proc/${each}/ns/pid`).catch(() => undefined);
  const namespace = await namespaceOf(pid);
  const pids = (await readdir("/proc")).map(Number).filter(Number.isInteger);
  const namespaces = await Promise.all(pids.map(namespaceOf));
  return pids.filter((_, index) => namespace !== undefined && namespaces[index] === namespace);
}

/** The mounts that any process of this machine sees below a directory. */
export async function mountsBelow(directory: string): Promise<string[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const tables = await Promise.all(
    pids.map((pid) => readFile(`/proc/${pid}/mountinfo`, "utf8").catch(() => "")),
  );
  return [...new Set(tables.join("\n").split("\n"))].filter((line) => line.includes(`${directory}/`));
}

/** Whether somebody listens on a TCP port of loopback. */
export function isListening(port: number): Promise<boolean> {
  const socket = connect({ port, host: "127.0.0.1" });
  return new Promise<boolean>((resolve) => {
    socket.once("connect", () => resolve(true));
    socket.once("error", () => resolve(false));
  }).finally(() => socket.destroy());
}
