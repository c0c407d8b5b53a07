import { randomBytes } from "node:crypto";
import { AsteriskIacError } from "../core/errors.ts";
import type { ObservedFile } from "../core/observed.ts";
import { contentHash } from "../core/record.ts";
import { recogniseDistribution } from "./distribution.ts";
import type { Host } from "./host.ts";
import { parseListing } from "./listing.ts";
import type { Listing, ParsedListing } from "./listing.ts";
import { LISTING_SCRIPT, READ_APART_SCRIPT, READ_JOINED_SCRIPT } from "./listing-script.ts";
import { pathToBytes } from "./path-bytes.ts";

export type { Listing } from "./listing.ts";

/** The largest file that is read. Larger ones are named, never cut. */
export const MAX_FILE_BYTES = 128 * 1024 * 1024;

/** As much as is asked for in one round trip, unless one file alone is larger. */
const MAX_BATCH_BYTES = 256 * 1024 * 1024;

/** A directory that changes while it is listed, or a file while it is read, gets this many chances. */
const ATTEMPTS = 3;

/** The slowest line that is put up with, in bytes a millisecond. */
const SLOWEST = 64;

/**
 * Lists a configuration directory with the hash of every file: one round trip, more only if it changes meanwhile.
 * Directories that are links are not followed below the root; linked files are read. What can't be read is listed with
 * its `problem`. Rejects with `PathRefused`, `PermissionDenied`, `ListingEmpty` or `ListingIncomplete`.
 */
export async function observeFiles(
  host: Host,
  { configDirectory }: { configDirectory: string },
): Promise<Listing> {
  for (let attempt = 1; ; attempt++) {
    try {
      const { parsed, stderr } = await listOnce(host, configDirectory);
      if (parsed.unread.length === 0 || attempt === ATTEMPTS) return describe(parsed, stderr);
    } catch (error) {
      const isIncomplete = error instanceof AsteriskIacError && error.code === "ListingIncomplete";
      if (!isIncomplete || attempt === ATTEMPTS) throw error;
    }
  }
}

async function listOnce(
  host: Host,
  configDirectory: string,
): Promise<{ parsed: ParsedListing; stderr: string }> {
  const { stdout, stderr } = await host.run(LISTING_SCRIPT, { args: [configDirectory], timeoutMs: 60_000 });
  return { parsed: parseListing(stdout, configDirectory), stderr };
}

function describe(
  { realPath, isLink, machineId, files, evidence, unread }: ParsedListing,
  stderr: string,
): Listing {
  const distribution = recogniseDistribution(files, realPath, evidence);
  const failed = new Set(unread);
  return {
    realPath,
    isLink,
    machineId,
    distribution,
    files: files.map((file): ObservedFile => {
      const reason = failed.has(file.path) ? reasonOf(`${realPath}/${file.path}`, stderr) : undefined;
      const tooLarge =
        file.size > MAX_FILE_BYTES && file.problem === undefined ? tooLargeProblem(file.size) : undefined;
      const problem = reason ?? tooLarge;
      return problem === undefined ? file : { ...file, problem };
    }),
  };
}

/** What sha256sum said of a file that it could not read. */
function reasonOf(file: string, stderr: string): string | undefined {
  const line = stderr.split("\n").find((text) => text.includes(`${file}: `) || text.includes(`${file}': `));
  return line === undefined
    ? undefined
    : `it could not be read (${line.slice(line.lastIndexOf(": ") + 2).trim()})`;
}

function tooLargeProblem(size: number): string {
  return `it has ${size} bytes, more than the limit of ${MAX_FILE_BYTES}`;
}

export interface ReadOptions {
  /**
   * Takes a file that changed after the listing as it is now: called with its new entry, to which the content belongs.
   * Without it, such a file is an error.
   */
  readonly onChanged?: (file: ObservedFile) => void;
}

/**
 * The contents of some files of a listing, byte for byte, each checked against its hash. One round trip for up to
 * 256 MiB, unless files change meanwhile. Rejects with `FileTooLarge`, `PathRefused` (a path with a problem) or
 * `ListingIncomplete` (a file that changed or went away).
 */
export async function readFiles(
  host: Host,
  listing: Listing,
  paths: readonly string[],
  { onChanged }: ReadOptions = {},
): Promise<Map<string, Buffer>> {
  const contents = new Map<string, Buffer>();
  const read = async (files: readonly ObservedFile[], how: typeof readJoined): Promise<ObservedFile[]> => {
    for (const batch of batches(files)) {
      for (const [index, bytes] of (await how(host, listing.realPath, batch)).entries()) {
        const file = batch[index] as ObservedFile;
        if (bytes !== undefined && contentHash(bytes) === file.hash) contents.set(file.path, bytes);
      }
    }
    return files.filter(({ path }) => !contents.has(path));
  };

  let left = await read(readable(listing, paths), readJoined);
  if (left.length > 0) left = await read(left, readApart);
  for (let attempt = 1; left.length > 0; attempt++) {
    const names = left.map(({ path }) => path);
    if (onChanged === undefined || attempt > ATTEMPTS) throw changed(listing, names);
    const now = readable(await observeFiles(host, { configDirectory: listing.realPath }), names);
    left = await read(now, readApart);
    now.filter(({ path }) => contents.has(path)).forEach(onChanged);
  }
  return contents;
}

/** The entries of paths, each of which must be one that can be read. */
function readable(listing: Listing, paths: readonly string[]): ObservedFile[] {
  const entries = new Map(listing.files.map((file) => [file.path, file]));
  return [...new Set(paths)].map((path) => {
    const file = entries.get(path);
    const where = { file: `${listing.realPath}/${path}` };
    if (file === undefined)
      throw new AsteriskIacError("ListingIncomplete", `${path} is not there, or not any more.`, {
        where,
        next: "Retry",
      });
    if (file.size > MAX_FILE_BYTES)
      throw new AsteriskIacError("FileTooLarge", `${path} can't be read: ${tooLargeProblem(file.size)}.`, {
        where,
        hint: "Leave it out of `files`, or declare a rule for it with unmanaged: true.",
      });
    if (file.hash === undefined)
      throw new AsteriskIacError(
        "PathRefused",
        `${path} can't be read: ${file.problem ?? "it is a directory"}.`,
        {
          where,
        },
      );
    return file;
  });
}

function* batches(files: readonly ObservedFile[]): Iterable<ObservedFile[]> {
  let batch: ObservedFile[] = [];
  let size = 0;
  for (const file of files) {
    if (batch.length > 0 && size + file.size > MAX_BATCH_BYTES) {
      yield batch;
      batch = [];
      size = 0;
    }
    batch.push(file);
    size += file.size;
  }
  if (batch.length > 0) yield batch;
}

/** All files one after the other, told apart by the sizes that were listed: wrong after one that changed. */
async function readJoined(
  host: Host,
  realPath: string,
  batch: readonly ObservedFile[],
): Promise<(Buffer | undefined)[]> {
  const size = totalSize(batch);
  const { stdout } = await host.run(READ_JOINED_SCRIPT, { args: [String(size)], ...input(realPath, batch) });
  let at = 0;
  return batch.map((file) => stdout.subarray(at, (at += file.size)));
}

/** Each file between marks, whatever its size is by now; undefined for one that could not be read. */
async function readApart(
  host: Host,
  realPath: string,
  batch: readonly ObservedFile[],
): Promise<(Buffer | undefined)[]> {
  const marker = randomBytes(16).toString("hex");
  const args = [marker, String(MAX_FILE_BYTES + 1)];
  const { stdout } = await host.run(READ_APART_SCRIPT, { args, ...input(realPath, batch) });
  let at = 0;
  return batch.map(() => {
    const end = stdout.indexOf(`\n${marker} `, at);
    if (end === -1) return undefined;
    const bytes = stdout.subarray(at, end);
    const lineEnd = stdout.indexOf("\n", end + 1);
    const code = stdout.toString("latin1", end + marker.length + 2, lineEnd);
    at = lineEnd + 1;
    return code === "0" ? bytes : undefined;
  });
}

/** The files' names as standard input, never as shell text, and the time to read them in. */
function input(realPath: string, batch: readonly ObservedFile[]): { stdin: Buffer; timeoutMs: number } {
  const names = batch.map((file) => pathToBytes(`${realPath}/${file.path}\0`));
  return { stdin: Buffer.concat(names), timeoutMs: 30_000 + totalSize(batch) / SLOWEST };
}

function totalSize(files: readonly ObservedFile[]): number {
  return files.reduce((sum, file) => sum + file.size, 0);
}

function changed(listing: Listing, paths: readonly string[]): AsteriskIacError {
  const shown = `${paths.slice(0, 5).join(", ")}${paths.length > 5 ? ", …" : ""}`;
  return new AsteriskIacError(
    "ListingIncomplete",
    `Files of ${listing.realPath} changed between being listed and being read: ${shown}.`,
    { next: "Retry", hint: "Another program is writing them; try again when it is done." },
  );
}
