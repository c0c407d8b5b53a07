/**
 * Loaded into a run of the command line before anything else (`node --import`), it counts the run's steps: every call
 * that changes a file, every piece of bytes that goes out to a server (when half of it is sent) and every piece that comes
 * in, before it is heard. At step KILL_AT it does what KILL_HOW says: `SIGKILL`, or `cut`: the connection is reset.
 * KILL_REPORT is a file that gets a line `at <step> <what>` then, and `total <steps>` when the run ends by itself.
 */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { Socket } from "node:net";

type Call = (this: unknown, ...args: never[]) => unknown;
type Callback = (error?: Error | null) => void;

const at = Number(process.env["KILL_AT"]);
const isCut = process.env["KILL_HOW"] === "cut";
const report = process.env["KILL_REPORT"] ?? "/dev/null";
const { appendFileSync } = fs;
const sockets = new Set<Socket>();
let steps = 0;

process.once("exit", () => appendFileSync(report, `total ${steps}\n`));

/** Counts a step; true for the one at which the run is to end. */
function isDue(what: string): boolean {
  steps += 1;
  if (steps !== at) return false;
  appendFileSync(report, `at ${steps} ${what}\n`);
  return true;
}

function end(connections: Iterable<Socket>): void {
  if (!isCut) process.kill(process.pid, "SIGKILL");
  for (const socket of connections) socket.resetAndDestroy();
}

function countCalls(owner: object, kind: string, names: readonly string[]): void {
  const methods = owner as Record<string, Call>;
  for (const name of names) {
    const original = methods[name];
    if (original === undefined) throw new Error(`there is no ${kind}.${name}`);
    methods[name] = function (...args: never[]) {
      const [first, flags] = args as unknown[];
      const isRead = name === "open" && !writes(flags);
      if (!isRead && isDue(`${kind}.${name} ${typeof first === "string" ? first : ""}`)) end(sockets);
      return original.apply(this, args);
    };
  }
}

function writes(flags: unknown): boolean {
  return typeof flags === "number" ? (flags & 3) !== fs.constants.O_RDONLY : (flags ?? "r") !== "r";
}

const changing = [
  "mkdir",
  "rmdir",
  "rename",
  "link",
  "unlink",
  "rm",
  "chmod",
  "utimes",
  "writeFile",
  "appendFile",
];
countCalls(fs, "fs", changing);
countCalls(fs.promises, "fs.promises", [...changing, "open"]);
syncBuiltinESMExports();

const opened = await fs.promises.open(import.meta.filename);
const handles = Object.getPrototypeOf(opened) as fs.promises.FileHandle;
await opened.close();
steps = 0;
countCalls(handles, "FileHandle", ["sync", "chmod"]);
const writeWhole = handles.writeFile;
handles.writeFile = async function (data, ...rest) {
  if (isDue("FileHandle.writeFile")) end(sockets);
  const bytes = data as Uint8Array;
  // Only a process that is killed leaves half a file; a connection that is cut does not.
  if (!isCut && isDue("FileHandle.writeFile, half of it")) {
    await writeWhole.call(this, bytes.subarray(0, bytes.length / 2));
    end(sockets);
  }
  return writeWhole.call(this, data, ...rest);
};

/** What a Socket has of Writable's and Readable's inner methods. */
interface Streaming {
  _write(chunk: Buffer, encoding: BufferEncoding, done: Callback): void;
  _writev?: unknown;
  push(chunk: Buffer | null): boolean;
}

const streaming = Socket.prototype as unknown as Streaming;
const { _write: send, push } = streaming;
// Without it several pieces are sent one by one: more steps.
streaming._writev = null;
streaming._write = function (this: Socket & Streaming, chunk, encoding, done) {
  if (!isConnection(this)) return send.call(this, chunk, encoding, done);
  if (isDue(`send ${chunk.length >> 1} of ${chunk.length}`)) {
    return send.call(this, chunk.subarray(0, chunk.length >> 1), encoding, (error) => {
      end([this]);
      done(error);
    });
  }
  return send.call(this, chunk, encoding, done);
};
streaming.push = function (this: Socket & Streaming, chunk) {
  if (isConnection(this) && isDue(`receive ${chunk?.length ?? "the end"}`)) end([this]);
  return push.call(this, chunk);
};

/** Whether it leads to a server, and not to a terminal or a pipe. */
function isConnection(socket: Socket): boolean {
  if (socket.remotePort === undefined && !socket.connecting) return false;
  sockets.add(socket);
  return true;
}
