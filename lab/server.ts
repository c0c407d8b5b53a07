import { spawn, type ChildProcess } from "node:child_process";
import { open, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Writable } from "node:stream";
import { AsteriskIacError } from "../core/errors.ts";
import type { ServerSettings } from "./configuration.ts";
import { packLayer, type LayerEntry } from "./layer.ts";
import { machineCommand, machineEnvironment } from "./machine.ts";
import { hostEnvironment, runsAsRoot, unshare } from "./platform.ts";
import { isRunning, killProcess, processIdentity, runCommand, type CommandResult } from "./process.ts";
import { waitForAsterisk, waitForSSHD } from "./readiness.ts";
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
  readonly asterisk: AsteriskVersion;
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

const startDeadlineMs = 60_000;

/** Starts a server and waits until it is ready: sshd greets, and the engine's account is told FullyBooted over AMI. */
export async function startServer(options: StartOptions): Promise<StartedServer> {
  const { labDirectory, asterisk, freepbx, settings } = options;
  const { name, sshPort, amiPort, ami } = settings;
  const paths = serverPaths(labDirectory, name);
  const child = await spawnMachine(options, paths.bootLog);
  const lifeline = child.stdin as Writable;
  const ended = new Promise<undefined>((resolve) => child.once("exit", () => resolve(undefined)));
  const stop = async () => {
    lifeline.destroy();
    await ended;
  };
  try {
    const ready = Promise.all([
      waitForSSHD(sshPort, startDeadlineMs),
      waitForAsterisk(amiPort, ami, startDeadlineMs),
    ]);
    const answers = await Promise.race([ready, ended]);
    if (!answers?.every(Boolean)) throw await notReady(name, answers, paths.bootLog);
    const pid = Number(await readFile(paths.pidFile, "utf8"));
    const identity = (await processIdentity(pid)) ?? "";
    const state: ServerState = { name, asterisk, freepbx, sshPort, amiPort, identity };
    await writeFile(paths.stateFile, `${JSON.stringify(state, null, 2)}\n`);
    const letStay = async () => {
      await new Promise((resolve) => lifeline.end("stay\n", () => resolve(undefined)));
      lifeline.destroy();
    };
    child.unref();
    return { server: await describeServer(labDirectory, state), letStay, stop };
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
    const started = new Promise((resolve, reject) => child.once("spawn", resolve).once("error", reject));
    await started;
    // A machine that ends early closes both; its end is what is reported.
    const layer = child.stdio[3] as Writable;
    for (const pipe of [layer, child.stdin as Writable]) pipe.on("error", () => undefined);
    layer.end(await packLayer(options.layer), () => layer.destroy());
    return child;
  } finally {
    await log.close();
  }
}

async function notReady(
  name: string,
  answers: boolean[] | undefined,
  bootLog: string,
): Promise<AsteriskIacError> {
  const why =
    answers === undefined
      ? "its machine ended"
      : `no answer from ${answers[0] ? "Asterisk" : "sshd"} in ${startDeadlineMs / 1000} s`;
  const log = (await readFile(bootLog, "utf8")).trim().split("\n").slice(-8).join("\n");
  return new AsteriskIacError("LabFailed", `${name} did not start: ${why}. ${log}`, {
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
        environment: { ...hostEnvironment, ...machineEnvironment },
      }),
  };
}

function namespaces(): string[] {
  return [...(runsAsRoot() ? [] : ["--user"]), "--mount", "--pid", "--uts"];
}
