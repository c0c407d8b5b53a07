import { mkdir, readdir, rmdir, writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { AsteriskIacError } from "../core/errors.ts";
import { machineEntries, shippedEntries } from "./configuration.ts";
import { prepareServer, writeManifests } from "./files.ts";
import { freepbxEntries } from "./freepbx.ts";
import { generateKeyPair, type KeyPair } from "./keys.ts";
import { exists } from "./cache.ts";
import { alone } from "./lock.ts";
import { preparePlatform, removeTrees, type Progress } from "./platform.ts";
import { reservePort } from "./ports.ts";
import { rootTree, type AsteriskVersion } from "./root-tree.ts";
import { findServer, startServer, stopServer, type LabServer, type StartedServer } from "./server.ts";

export type { Progress } from "./platform.ts";
export type { AsteriskVersion } from "./root-tree.ts";
export type { LabServer } from "./server.ts";

export interface LabUpOptions {
  readonly directory: string;
  /** How many servers; default 1. */
  readonly count?: number;
  /** Default 22. */
  readonly asterisk?: AsteriskVersion;
  /** Lays the configuration directory out as FreePBX does; default false. */
  readonly freepbx?: boolean;
  /** Whether the servers end with this process, however it ends; default false: they run until `labDown`. */
  readonly tiedToParent?: boolean;
  readonly onProgress?: Progress;
}

/** Real servers on loopback, and the directory that holds everything of them. */
export interface Lab {
  readonly directory: string;
  readonly servers: readonly LabServer[];
}

/**
 * Brings up real Asterisk servers pbx1 … pbxN and writes into the directory: `servers/`, `secrets/`, an empty `source/`
 * and, last of all, `manifests.yaml`. If the same lab runs there already it is left as it is; what a killed `labUp`
 * left there is replaced. Until all servers are up, they end with this process.
 *
 * Rejects with `LabFailed`: another lab runs there, the directory holds such files of somebody else, a tool lacks, the
 * packages can't be had, a server does not start.
 */
export async function labUp(options: LabUpOptions): Promise<Lab> {
  await mkdir(options.directory, { recursive: true });
  return alone("directory", options.directory, async (directory) => {
    await refuseForeignFiles(directory);
    const running = await labServers(directory);
    if (running.length > 0 && (await exists(manifestsFile(directory)))) {
      refuseOtherLab(directory, running, options);
      return { directory, servers: running };
    }
    await clear(directory);
    const started = await startAll(directory, options);
    if (!options.tiedToParent) await Promise.all(started.map((each) => each.letStay()));
    const servers = started.map((each) => each.server);
    await writeManifests(manifestsFile(directory), servers);
    return { directory, servers };
  });
}

/**
 * Ends the servers of a lab and removes what `labUp` wrote: manifests.yaml, the servers' secrets and servers/. What
 * stays: source/ and whatever else is in the directory. A directory without a lab is no error.
 */
export async function labDown({ directory }: { readonly directory: string }): Promise<void> {
  if (!(await exists(directory))) return;
  await alone("directory", directory, async (real) => {
    await refuseForeignFiles(real);
    await clear(real);
  });
}

/** The servers of a lab that run now, in the order of their numbers. */
export async function labServers(directory: string): Promise<LabServer[]> {
  const names = await serverNames(directory);
  const servers = await Promise.all(names.map((name) => findServer(resolve(directory), name)));
  return servers.filter((server) => server !== undefined);
}

function manifestsFile(directory: string): string {
  return join(directory, "manifests.yaml");
}

/** Says whose `servers/` is: without it the lab removes nothing. */
function markerFile(directory: string): string {
  return join(directory, "servers", "made-by-asteriskctl-lab");
}

async function refuseForeignFiles(directory: string): Promise<void> {
  if (await exists(markerFile(directory))) return;
  // Other secrets may be there: what was made of them while a lab ran (a record key) outlives it.
  const secrets = await readdir(join(directory, "secrets")).catch(() => []);
  const ours = secrets.filter((name) => /^pbx\d+-(ssh|ami)$/.test(name)).map((name) => `secrets/${name}`);
  for (const name of ["servers", "manifests.yaml", ...ours]) {
    if (!(await exists(join(directory, name)))) continue;
    throw new AsteriskIacError("LabFailed", `${directory} holds ${name}, which no lab made`, {
      hint: "Give the lab a directory of its own with --dir.",
    });
  }
}

function refuseOtherLab(directory: string, running: readonly LabServer[], options: LabUpOptions): void {
  const { count = 1, asterisk = 22, freepbx = false } = options;
  const same = running.every((server) => server.asterisk === asterisk && server.freepbx === freepbx);
  if (same && running.length === count) return;
  throw new AsteriskIacError("LabFailed", `another lab runs in ${directory}: ${describe(running)}`, {
    hint: `Stop it first: asteriskctl lab down --dir ${directory}`,
  });
}

function describe(running: readonly LabServer[]): string {
  return running
    .map((server) => `${server.name} (Asterisk ${server.asterisk}${server.freepbx ? ", FreePBX" : ""})`)
    .join(", ");
}

/** Ends and removes whatever a lab, whole or not, left in its directory, but the source. */
async function clear(directory: string): Promise<void> {
  const names = await serverNames(directory);
  await Promise.all(names.map((name) => stopServer(directory, name)));
  const secrets = names
    .flatMap((name) => [`${name}-ssh`, `${name}-ami`])
    .map((name) => join(directory, "secrets", name));
  await removeTrees([manifestsFile(directory), ...secrets]);
  await rmdir(join(directory, "secrets")).catch(() => undefined);
  await removeTrees([join(directory, "servers")]);
}

async function serverNames(directory: string): Promise<string[]> {
  const names = await readdir(join(directory, "servers")).catch(() => []);
  const numbers = names.flatMap((name) => /^pbx(\d+)$/.exec(name)?.[1] ?? []).map(Number);
  return numbers.sort((a, b) => a - b).map((number) => `pbx${number}`);
}

async function startAll(directory: string, options: LabUpOptions): Promise<StartedServer[]> {
  const { count = 1, asterisk = 22, freepbx = false, onProgress = () => undefined } = options;
  await preparePlatform(onProgress);
  const tree = await rootTree(asterisk, onProgress);
  // FreePBX's files can be read by everyone; on this machine that ends here.
  await mkdir(join(directory, "servers"), { mode: 0o700 });
  await writeFile(markerFile(directory), "Made by asteriskctl lab up, removed by asteriskctl lab down.\n");
  await mkdir(join(directory, "source"), { recursive: true });
  const clientKey = generateKeyPair("asterisk-iac lab");
  const names = Array.from({ length: count }, (_, index) => `pbx${index + 1}`);
  const started: StartedServer[] = [];
  try {
    await eachOf(names, async (name) => {
      const each = await startOne({ directory, name, asterisk, freepbx, rootTree: tree, clientKey });
      started.push(each);
      onProgress(`${name} is up: ssh port ${each.server.sshPort}, AMI port ${each.server.amiPort}`);
    });
  } catch (error) {
    await Promise.all(started.map((each) => each.stop()));
    await clear(directory);
    throw error;
  }
  return started.sort((a, b) => names.indexOf(a.server.name) - names.indexOf(b.server.name));
}

interface NewServer {
  readonly directory: string;
  readonly name: string;
  readonly asterisk: AsteriskVersion;
  readonly freepbx: boolean;
  readonly rootTree: string;
  readonly clientKey: KeyPair;
}

async function startOne({ directory, freepbx, rootTree, ...server }: NewServer): Promise<StartedServer> {
  const ssh = await reservePort();
  const ami = await reservePort();
  try {
    const settings = await prepareServer(directory, { ...server, sshPort: ssh.port, amiPort: ami.port });
    const configuration = freepbx ? freepbxEntries : shippedEntries;
    const layer = [...machineEntries(settings), ...(await configuration(rootTree, settings))];
    return await startServer({ labDirectory: directory, freepbx, rootTree, settings, layer });
  } finally {
    await Promise.all([ssh.release(), ami.release()]);
  }
}

/** Works on all items, a few at a time; after a failure no other is begun, and those under way are waited for. */
async function eachOf(items: readonly string[], work: (item: string) => Promise<void>): Promise<void> {
  const waiting = [...items];
  const worker = async () => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item);
  };
  const workers = Array.from({ length: 2 * availableParallelism() }, () =>
    worker().catch((error: unknown) => {
      waiting.length = 0;
      throw error;
    }),
  );
  const failed = (await Promise.allSettled(workers)).find((outcome) => outcome.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}
