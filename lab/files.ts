import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { stringify } from "yaml";
import { newAMICredentials, type ServerSettings } from "./configuration.ts";
import { generateKeyPair, type KeyPair } from "./keys.ts";
import type { AsteriskVersion } from "./root-tree.ts";
import { serverPaths, type LabServer } from "./server.ts";

/** What the caller decides about a server; the rest is made new for each. */
export interface NewServer {
  readonly name: string;
  readonly asterisk: AsteriskVersion;
  readonly sshPort: number;
  readonly amiPort: number;
  readonly clientKey: KeyPair;
}

/** Makes a server's host key and AMI secret, and writes what a client needs of them below `secrets/`. */
export async function prepareServer(labDirectory: string, server: NewServer): Promise<ServerSettings> {
  const { name, asterisk, sshPort, amiPort, clientKey } = server;
  const paths = serverPaths(labDirectory, name);
  const hostKey = generateKeyPair(name);
  const ami = newAMICredentials();
  await mkdir(paths.directory, { recursive: true });
  await writeSecret(paths.privateKeyFile, clientKey.privateKey);
  await writeSecret(paths.knownHostsFile, `[127.0.0.1]:${sshPort} ${hostKey.publicKey}\n`);
  await writeSecret(paths.usernameFile, ami.username);
  await writeSecret(paths.passwordFile, ami.password);
  await writeSecret(paths.hostKeyFile, hostKey.privateKey);
  return { name, asterisk, sshPort, amiPort, ami, hostKey, clientPublicKey: clientKey.publicKey };
}

async function writeSecret(file: string, content: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  await writeFile(file, content, { mode: 0o600, flag: "wx" });
}

/** Writes an AsteriskServer for each server: `admin` over SSH, AMI directly on loopback, direction ToAsterisk. */
export async function writeManifests(file: string, servers: readonly LabServer[]): Promise<void> {
  const documents = servers.map((server) => stringify(manifest(server)));
  await writeFile(file, documents.join("---\n"));
}

function manifest({ name, host, sshPort, amiPort, users }: LabServer) {
  return {
    apiVersion: "asterisk-iac.dev/v1alpha1",
    kind: "AsteriskServer",
    metadata: { name },
    spec: {
      ssh: {
        host,
        port: sshPort,
        user: users.admin,
        become: users.owner,
        credentialsSecretRef: { name: `${name}-ssh` },
      },
      ami: { host, port: amiPort, credentialsSecretRef: { name: `${name}-ami` } },
      updateDirection: "ToAsterisk",
      source: { directory: join("source", name) },
    },
  };
}
