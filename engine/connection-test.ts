import { askInstallation, askStatus } from "../asterisk/live.ts";
import { askSkew } from "./calls/clock.ts";
import type { ServerSession } from "./session.ts";

/** What a test of both connections saw. Times in milliseconds. */
export interface ConnectionTest {
  readonly host: {
    readonly address: string;
    readonly user: string;
    readonly connectMs: number;
    readonly roundTripMs: number;
  };
  readonly ami: {
    readonly address: string;
    readonly user: string;
    readonly connectMs: number;
    readonly pingMs: number;
  };
  readonly asteriskVersion: string;
  readonly amiVersion: string;
  /** The server's own local time. */
  readonly startupTime: string;
  readonly activeChannels: number;
  readonly configDirectory: string;
  /** By how much the server's clock is ahead of ours, in milliseconds; null where AMI does not say. */
  readonly clockAheadMs: number | null;
}

/** Uses both connections for real: a command on the host, a ping over AMI, and what both say of Asterisk. */
export async function testConnection({
  declaration,
  host,
  ami,
  connectMs,
}: ServerSession): Promise<ConnectionTest> {
  const { ssh, local, ami: declared } = declaration.spec;
  const [roundTripMs, pingMs] = await Promise.all([
    elapsed(() => host.run("exit 0")),
    elapsed(() => ami.action("Ping")),
  ]);
  const [status, installation, skew] = await Promise.all([
    askStatus(ami),
    askInstallation(host),
    askSkew(ami),
  ]);
  const become = ssh?.become ?? local?.become;
  const user = ssh?.user ?? (ssh === undefined ? "this machine" : "user of the credentials");
  return {
    host: {
      address: ssh === undefined ? "local" : `${ssh.host}:${ssh.port}`,
      user: become === undefined ? user : `${user}, sudo to ${become}`,
      connectMs: connectMs.host,
      roundTripMs,
    },
    ami: {
      address: `${declared.host}:${declared.port}`,
      user:
        declared.via === "Direct" ? (declared.tls === undefined ? "direct" : "direct, TLS") : "through SSH",
      connectMs: connectMs.ami,
      pingMs,
    },
    asteriskVersion: status.asteriskVersion,
    amiVersion: status.amiVersion,
    startupTime: status.startupTime,
    activeChannels: status.activeChannels,
    configDirectory: installation.configDirectory,
    clockAheadMs: skew?.aheadMs ?? null,
  };
}

async function elapsed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}
