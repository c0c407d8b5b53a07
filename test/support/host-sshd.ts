import { createServer, connect } from "node:net";
import type { Server, Socket } from "node:net";
import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { reservePort } from "../../lab/ports.ts";
import type { SSHOptions } from "../../asterisk/ssh/ssh-host.ts";
import type { Lab, LabServer } from "./lab.ts";

/** One more real sshd in a lab server, with a configuration of its own. It ends with the server. */
export interface ExtraSSHD {
  readonly port: number;
  /** What it has logged so far, with every step of a login (LogLevel DEBUG2). */
  log(): Promise<string>;
  /** The public half of one of its host keys, as `type base64`. */
  hostKey(type: "ed25519" | "rsa" | "ecdsa"): Promise<string>;
}

/** Starts an sshd with host keys of three types; `lines` of sshd_config come first, so they win. */
export async function startSSHD(server: LabServer, lines: readonly string[] = []): Promise<ExtraSSHD> {
  const reserved = await reservePort();
  const { port } = reserved;
  const directory = `/run/sshd-${port}`;
  const configuration = [
    ...lines,
    `Port ${port}`,
    "ListenAddress 127.0.0.1",
    ...["ed25519", "rsa", "ecdsa"].map((type) => `HostKey ${directory}/${type}`),
    "AuthorizedKeysFile /etc/ssh/authorized_keys",
    "UsePAM no",
    "UseDNS no",
    "LogLevel DEBUG2",
    `PidFile ${directory}/pid`,
  ];
  const script = `
    mkdir -p "$1" && cat >"$1/config" &&
    for type in ed25519 rsa ecdsa; do ssh-keygen -q -t "$type" -N '' -f "$1/$type" || exit 1; done &&
    /usr/sbin/sshd -f "$1/config" -E "$1/log"`;
  const started = await server.run(["sh", "-c", script, "sh", directory], {
    input: `${configuration.join("\n")}\n`,
  });
  if (started.code !== 0 || !(await greets(port, 20_000)))
    throw new Error(`sshd did not start: ${started.stdout}${started.stderr}`);
  await reserved.release();
  const read = async (file: string): Promise<string> =>
    (await server.run(["cat", `${directory}/${file}`])).stdout.toString();
  return {
    port,
    log: () => read("log"),
    hostKey: async (type) => (await read(`${type}.pub`)).split(" ").slice(0, 2).join(" "),
  };
}

/** Waits until something greets on a port; false after the deadline. */
async function greets(port: number, deadlineMs: number): Promise<boolean> {
  const deadline = performance.now() + deadlineMs;
  while (performance.now() < deadline) {
    const socket = connect({ port, host: "127.0.0.1" });
    const heard = await new Promise<boolean>((resolve) => {
      socket
        .once("data", () => resolve(true))
        .once("error", () => resolve(false))
        .once("close", () => resolve(false));
    });
    socket.destroy();
    if (heard) return true;
    await delay(20);
  }
  return false;
}

/** The server of a lab that has one. */
export function onlyServer(lab: Lab): LabServer {
  const [server] = lab.servers;
  if (server === undefined) throw new Error("The lab is not up.");
  return server;
}

/** Options to log in to a lab server, or to another sshd in it, by the lab's key. */
export async function labLogin(
  server: LabServer,
  user: string,
  other?: { sshd: ExtraSSHD; hostKey?: "ed25519" | "rsa" | "ecdsa" },
): Promise<SSHOptions> {
  const port = other?.sshd.port ?? server.sshPort;
  return {
    host: server.host,
    port,
    user,
    label: server.name,
    credentials: { privateKey: await readFile(server.privateKeyFile) },
    knownHosts:
      other === undefined
        ? server.knownHosts
        : `[${server.host}]:${port} ${await other.sshd.hostKey(other.hostKey ?? "ed25519")}\n`,
    hostKeyPolicy: "Pinned",
  };
}

/** A TCP proxy that can fall silent: it keeps its connections open and passes nothing on any more. */
export async function startProxy(
  port: number,
): Promise<{ port: number; fallSilent(): void; close(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((client) => {
    const upstream = connect({ host: "127.0.0.1", port });
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from);
      from.on("error", () => to.destroy());
      from.on("close", () => to.destroy());
      from.pipe(to);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as { port: number }).port,
    fallSilent: () => sockets.forEach((socket) => socket.unpipe().pause()),
    close: () => {
      sockets.forEach((socket) => socket.destroy());
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

/** The error that a promise rejects with; fails if it resolves. */
export async function rejection(
  promise: Promise<unknown>,
): Promise<{ code: string; message: string; hint?: string }> {
  try {
    await promise;
  } catch (error) {
    return error as { code: string; message: string; hint?: string };
  }
  throw new Error("It did not reject.");
}
