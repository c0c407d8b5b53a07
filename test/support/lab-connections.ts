import { readFile } from "node:fs/promises";
import type { AMIOptions } from "../../asterisk/ami/client.ts";
import type { Host } from "../../asterisk/host.ts";
import { openSSH } from "../../asterisk/ssh/ssh-host.ts";
import type { LabServer } from "./lab.ts";

/** The engine's AMI account of a lab's server, over plain loopback. */
export function amiOf(server: LabServer): AMIOptions {
  return {
    transport: { kind: "tcp", host: server.host, port: server.amiPort },
    username: server.amiUsername,
    password: server.amiPassword,
    label: server.name,
  };
}

/** SSH to a lab's server: as the user that owns the files, or as the other one through `sudo -n`. */
export async function sshOf(
  server: LabServer,
  as: "owner" | "admin" | "admin without become" = "owner",
): Promise<Host> {
  return openSSH({
    label: server.name,
    host: server.host,
    port: server.sshPort,
    user: as === "owner" ? server.users.owner : server.users.admin,
    ...(as === "admin" ? { become: server.users.owner } : {}),
    credentials: { privateKey: await readFile(server.privateKeyFile) },
    knownHosts: server.knownHosts,
    hostKeyPolicy: "Pinned",
  });
}
