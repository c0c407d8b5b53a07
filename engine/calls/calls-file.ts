import type { FileHandle } from "node:fs/promises";
import { open } from "node:fs/promises";
import { lock } from "proper-lockfile";
import { AsteriskIacError } from "../../core/errors.ts";
import type { ToldLine } from "./lines.ts";
import type { Position } from "./position.ts";

/** What is read of the end of the file: more lines than a minute of calls has. Bytes. */
const tailBytes = 16 * 1024 * 1024;
/** Lines that are older than the newest by more are not needed to know what was told. Milliseconds. */
const knownMs = 120_000;

/** What is read of a line. */
interface WrittenLine {
  readonly kind: string;
  readonly server: string;
  readonly uniqueIDs?: readonly string[];
  readonly recordedAt: string;
}

/**
 * A file of JSON lines that grows, and that says by itself how far the calls of each server were told: a watch that was
 * killed goes on from there. A line that was cut short is taken off. Every line is on the disk before `append` resolves.
 */
export class CallsFile {
  readonly #handle: FileHandle;
  readonly #lock: Lock;
  readonly #positions: ReadonlyMap<string, Position>;

  /** Throws `WriteInProgress` where another watch writes to it. */
  static async open(path: string): Promise<CallsFile> {
    const handle = await open(path, "a+", 0o600);
    try {
      const lost: { cause?: Error } = {};
      const unlock = await lock(path, {
        stale: 5_000,
        // The lock of a process that was killed is waited out.
        retries: { retries: 12, factor: 1, minTimeout: 500 },
        onCompromised: (cause) => (lost.cause = cause),
      }).catch((cause: unknown) => {
        throw new AsteriskIacError("WriteInProgress", `another process writes calls to ${path}`, {
          hint: "Let it, or give this one a file of its own.",
          cause,
        });
      });
      return new CallsFile(handle, { unlock, lost }, positionsOf(await repairedTail(handle)));
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  private constructor(handle: FileHandle, held: Lock, positions: ReadonlyMap<string, Position>) {
    this.#handle = handle;
    this.#lock = held;
    this.#positions = positions;
  }

  /** Where the watch of a server goes on; undefined: it was never watched. */
  position(server: string): Position | undefined {
    return this.#positions.get(server);
  }

  /** Rejects with `WriteInProgress` where the lock was lost: this process was stopped for a while, another may write. */
  async append(line: ToldLine): Promise<void> {
    const { cause } = this.#lock.lost;
    if (cause !== undefined) {
      throw new AsteriskIacError("WriteInProgress", "the lock on the file of calls was lost", {
        hint: "This process stood still for seconds, and another may have taken the file over. Start it again.",
        cause,
      });
    }
    await this.#handle.appendFile(`${JSON.stringify(line)}\n`);
    await this.#handle.datasync();
  }

  async close(): Promise<void> {
    await this.#handle.close();
    if (this.#lock.lost.cause === undefined) await this.#lock.unlock();
  }
}

interface Lock {
  readonly unlock: () => Promise<void>;
  readonly lost: { readonly cause?: Error };
}

/** The file's last whole lines. What stands behind them, of a write that was cut short, is removed. */
async function repairedTail(handle: FileHandle): Promise<WrittenLine[]> {
  const { size } = await handle.stat();
  const from = Math.max(0, size - tailBytes);
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(size - from), 0, size - from, from);
  const end = buffer.subarray(0, bytesRead).lastIndexOf(0x0a) + 1;
  const whole = buffer
    .subarray(0, end)
    .toString("utf8")
    .split("\n")
    .slice(from > 0 ? 1 : 0);
  const lines = whole.filter((line) => line !== "").map(parseLine);
  const torn = buffer.subarray(end, bytesRead).toString("utf8");
  // Nothing is taken off a file that is not ours.
  if (torn !== "" && !lineStart.startsWith(torn.slice(0, lineStart.length))) throw noCalls(torn);
  if (torn !== "") await handle.truncate(from + end);
  return lines;
}

/** How every line begins. */
const lineStart = '{"kind":"';

function positionsOf(lines: readonly WrittenLine[]): Map<string, Position> {
  const newest = new Map<string, { at: number; oldest: number; uniqueIDs: string[] }>();
  for (const { server, recordedAt, uniqueIDs = [] } of lines.toReversed()) {
    const at = Date.parse(recordedAt);
    const known = newest.get(server);
    if (known === undefined) newest.set(server, { at, oldest: at, uniqueIDs: [...uniqueIDs] });
    else {
      known.oldest = at;
      if (known.at - at <= knownMs) known.uniqueIDs.push(...uniqueIDs);
    }
  }
  return new Map(
    [...newest].map(([server, { at, oldest, uniqueIDs }]) => [
      server,
      // The first line is told a moment after its watch began.
      { since: at * 1000, watchedFrom: oldest * 1000 - 1_000_000, uniqueIDs },
    ]),
  );
}

function parseLine(line: string): WrittenLine {
  try {
    const written = JSON.parse(line) as WrittenLine;
    if (typeof written.server === "string" && !Number.isNaN(Date.parse(written.recordedAt))) return written;
  } catch {
    // Told below.
  }
  throw noCalls(line);
}

function noCalls(line: string): AsteriskIacError {
  return new AsteriskIacError("RecordInvalid", `this is no file of calls: ${line.slice(0, 60)}`, {
    hint: "Name a file that asteriskctl calls wrote, or a new one. Nothing was changed in this one.",
  });
}
