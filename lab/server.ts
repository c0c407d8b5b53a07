import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { open, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Writable } from "node:stream";
import { AsteriskIacError } from "../core/errors.ts";
import type { ServerSettings } from "./configuration.ts";
import { packLayer, type LayerEntry } from "./layer.ts";
import { machineCommand, machineEnvironment } from "./machine.ts";
import { hostEnvironment, runsAsRoot, unshare } from "./platform.ts";
import { isRunning, killProcess, processIdentity, runCommand, type CommandResult } from "./process.ts";
import { asteriskHasBooted, sshdGreets, waitUntilReady, type Condition } from "./readiness.ts";
import type { AsteriskVersion } from "./root-tree.ts";

/** A real Asterisk with its own sshd, in a machine of its own on this machine's loopback. */
export interface LabServer {
  /** `pbx1`, `pbx2`, … */
  readonly name: string;
  readonly asterisk: AsteriskVersion;
  readonly freepbx: boolean;
  readonly host: "127.0.0.1";
  readonly sshPort: number;
  readonly amiPort: number;
  /** The server's folder: `etc/asterisk`, `log`, `boot.log` and what the lab keeps there. */
  readonly directory: string;
  /** The live configuration directory, as this machine sees it. */
  readonly configDirectory: string;
  /** Asterisk's log directory, as this machine sees it. */
  readonly logDirectory: string;
  /** The server's process 1, as this machine numbers it. */
  readonly pid: number;
  readonly amiUsername: string;
  readonly amiPassword: string;
  /** An unencrypted ed25519 key that opens both users' accounts. */
  readonly privateKeyFile: string;
  /** The server's host key as a line of OpenSSH's known_hosts. */
  readonly knownHosts: string;
  /** The server's private host key. */
  readonly hostKeyFile: string;
  /** `owner` owns the configuration files; `admin` reaches them by `sudo -n -u asterisk`. */
  readonly users: { readonly owner: "asterisk"; readonly admin: "admin" };
  /** Runs a command in the server as root. The server must run. */
  run(command: readonly string[], options?: { readonly input?: string }): Promise<CommandResult>;
}

/** What is kept about a server beside its files, in `server.json`. Nothing secret. */
interface ServerState {
  readonly name: string;
  readonly asterisk: AsteriskVersion;
  readonly freepbx: boolean;
  readonly sshPort: number;
  readonly amiPort: number;
  /** Of process 1; see `processIdentity`. */
  readonly identity: string;
}

/** Where a server's things are, all below the lab's directory. */
export function serverPaths(labDirectory: string, name: string) {
  const directory = join(labDirectory, "servers", name);
  const sshSecret = join(labDirectory, "secrets", `${name}-ssh`);
  const amiSecret = join(labDirectory, "secrets", `${name}-ami`);
  return {
    directory,
    stateFile: join(directory, "server.json"),
    pidFile: join(directory, "pid"),
    bootLog: join(directory, "boot.log"),
    configDirectory: join(directory, "etc", "asterisk"),
    logDirectory: join(directory, "log"),
    hostKeyFile: join(directory, "ssh_host_ed25519_key"),
    privateKeyFile: join(sshSecret, "ssh-privatekey"),
    knownHostsFile: join(sshSecret, "known_hosts"),
    usernameFile: join(amiSecret, "username"),
    passwordFile: join(amiSecret, "password"),
  };
}

/** What a server is started from. Its folder and its secrets are there already. */
export interface StartOptions {
  readonly labDirectory: string;
  readonly freepbx: boolean;
  readonly rootTree: string;
  readonly settings: ServerSettings;
  readonly layer: readonly LayerEntry[];
}

/** A server that lives no longer than this process, unless it is told to. */
export interface StartedServer {
  readonly server: LabServer;
  /** Lets it live on when this process ends. */
  letStay(): Promise<void>;
  /** Ends it, with everything in it. */
  stop(): Promise<void>;
}

/**
 * Starts a server and waits until it is ready: sshd greets, the engine's account is told FullyBooted over AMI, and the
 * console knows Asterisk's own commands, which it registers last.
 */
export async function startServer(options: StartOptions): Promise<StartedServer> {
  const { labDirectory, freepbx, settings } = options;
  const { name, asterisk, sshPort, amiPort } = settings;
  const paths = serverPaths(labDirectory, name);
  const child = await spawnMachine(options, paths.bootLog);
  const lifeline = child.stdin as Writable;
  const stop = async () => {
    child.ref();
    lifeline.destroy();
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  };
  const letStay = async () => {
    await new Promise((resolve) => lifeline.end("stay\n", () => resolve(undefined)));
    lifeline.destroy();
  };
  try {
    await ready(child, name, paths.bootLog, [sshdGreets(sshPort), asteriskHasBooted(amiPort, settings.ami)]);
    const pid = Number(await readFile(paths.pidFile, "utf8"));
    const identity = (await processIdentity(pid)) ?? "";
    const state: ServerState = { name, asterisk, freepbx, sshPort, amiPort, identity };
    await writeFile(paths.stateFile, `${JSON.stringify(state, null, 2)}\n`);
    const server = await describeServer(labDirectory, state);
    await ready(child, name, paths.bootLog, [
      consoleAnswers(server),
      ...(freepbx ? [ownersAreSet(server)] : []),
    ]);
    child.unref();
    return { server, letStay, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The layer goes in by descriptor 3, so that its secrets are in no file or process list. */
async function spawnMachine(options: StartOptions, bootLog: string): Promise<ChildProcess> {
  const { name } = options.settings;
  const { directory } = serverPaths(options.labDirectory, name);
  const [file = "", ...args] = unshare("--mount", "--pid", "--uts", "--fork", "--kill-child");
  const log = await open(bootLog, "w");
  try {
    const child = spawn(file, [...args, ...machineCommand(options.rootTree, directory, name)], {
      env: hostEnvironment,
      stdio: ["pipe", log.fd, log.fd, "pipe"],
      detached: true,
    });
    await once(child, "spawn");
    // A machine that ends early closes both; its end is what is reported.
    const layer = child.stdio[3] as Writable;
    for (const pipe of [layer, child.stdin as Writable]) pipe.on("error", () => undefined);
    layer.end(await packLayer(options.layer), () => layer.destroy());
    return child;
  } finally {
    await log.close();
  }
}

function consoleAnswers({ run }: LabServer): Condition {
  return {
    complaint: "the console did not answer",
    isMet: async () => (await run(["asterisk", "-rx", "core show version"])).stdout.startsWith("Asterisk "),
  };
}

/** FreePBX sets owners and modes at every start. */
function ownersAreSet({ run }: LabServer): Condition {
  return {
    complaint: "fwconsole chown failed",
    isMet: async () => (await run(["fwconsole", "chown"])).code === 0,
  };
}

async function ready(
  child: ChildProcess,
  name: string,
  bootLog: string,
  conditions: readonly Condition[],
): Promise<void> {
  const why = await waitUntilReady(child, conditions);
  if (why === undefined) return;
  const log = (await readFile(bootLog, "utf8")).trim().split("\n").slice(-8).join("\n");
  throw new AsteriskIacError("LabFailed", `${name} did not start: ${why}. ${log}`.trimEnd(), {
    next: "Retry",
    where: { server: name },
  });
}

/** The server that a folder of a lab was made for, if it runs. */
export async function findServer(labDirectory: string, name: string): Promise<LabServer | undefined> {
  const state = await readState(labDirectory, name);
  return state !== undefined && (await isRunning(state.identity))
    ? describeServer(labDirectory, state)
    : undefined;
}

/** Ends the server that a folder of a lab was made for, and everything in it. */
export async function stopServer(labDirectory: string, name: string): Promise<void> {
  const state = await readState(labDirectory, name);
  if (state !== undefined) await killProcess(state.identity);
}

async function readState(labDirectory: string, name: string): Promise<ServerState | undefined> {
  const text = await readFile(serverPaths(labDirectory, name).stateFile, "utf8").catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as ServerState);
}

async function describeServer(labDirectory: string, state: ServerState): Promise<LabServer> {
  const { name, asterisk, freepbx, sshPort, amiPort, identity } = state;
  const paths = serverPaths(labDirectory, name);
  const pid = Number(identity.split("/")[1]);
  return {
    ...{ name, asterisk, freepbx, host: "127.0.0.1", sshPort, amiPort, pid },
    directory: paths.directory,
    configDirectory: paths.configDirectory,
    logDirectory: paths.logDirectory,
    amiUsername: await readFile(paths.usernameFile, "utf8"),
    amiPassword: await readFile(paths.passwordFile, "utf8"),
    privateKeyFile: paths.privateKeyFile,
    knownHosts: await readFile(paths.knownHostsFile, "utf8"),
    hostKeyFile: paths.hostKeyFile,
    users: { owner: "asterisk", admin: "admin" },
    run: (command, options = {}) =>
      runCommand(["nsenter", `--target=${pid}`, ...namespaces(), "--", ...command], {
        ...options,
        environment: machineEnvironment,
      }),
  };
}

/** `--root`: in a chroot the root of the mount namespace is not the machine's. */
function namespaces(): string[] {
  return [...(runsAsRoot() ? [] : ["--user"]), "--mount", "--pid", "--uts", "--root"];
}
