import type { ObservedFile } from "../core/observed.ts";
import { comparePaths } from "../core/record.ts";
import { AsteriskIacError } from "../core/errors.ts";
import type { Distribution } from "./distribution.ts";
import { nameProblem, pathFromBytes } from "./path-bytes.ts";

/** A server's configuration directory, as it was at one moment. */
export interface Listing {
  /** The directory with every symbolic link resolved. */
  readonly realPath: string;
  /** The directory that was asked for is itself a symbolic link. */
  readonly isLink: boolean;
  /** See machine-id(5); undefined where the machine has none. */
  readonly machineId: string | undefined;
  /** Everything below the directory, sorted by path; directories too. */
  readonly files: readonly ObservedFile[];
  readonly distribution: Distribution;
}

/** What was seen that tells who writes the files, beside their names and links. */
export interface Evidence {
  /** Files and directories of a distribution that are there; `manager.conf` where it includes what FreePBX's does. */
  readonly found: readonly string[];
  /** By path: a text in the file that names its generator. */
  readonly markers: ReadonlyMap<string, string>;
  /** The lines of /proc/self/mountinfo. */
  readonly mounts: readonly string[];
}

/** What the script printed, read. `unread` are files that were readable but have no hash: they changed or failed. */
export interface ParsedListing extends Omit<Listing, "distribution"> {
  readonly evidence: Evidence;
  readonly unread: readonly string[];
}

/** How far into a file its marker may stand. */
const MARKER_WITHIN = 1024;

interface Entry {
  readonly readable: boolean;
  readonly type: string;
  readonly realType: string;
  readonly mode: string;
  readonly owner: string;
  readonly size: number;
  readonly target: string;
  readonly path: string;
}

/**
 * Reads what LISTING_SCRIPT printed. Rejects with `PathRefused` where there is no such directory, `PermissionDenied`,
 * `ListingEmpty`, and `ListingIncomplete` unless the end is there and its count is the number of entries.
 */
export function parseListing(output: Buffer, configDirectory: string): ParsedListing {
  const fields = new Fields(output, () => incomplete(configDirectory, "it was cut off"));
  const entries: Entry[] = [];
  const hashes = new Map<string, string>();
  const linked = new Map<string, number>();
  const found: string[] = [];
  const markers = new Map<string, string>();
  let root: { isLink: boolean; realPath: string } | undefined;
  let machineId: string | undefined;
  let mounts: readonly string[] = [];
  let walked: string | undefined;
  let count: number | undefined;
  const below = (absolute: string): string =>
    absolute.slice((root?.realPath ?? "").replace(/\/$/, "").length + 1);

  for (let word = fields.next(); word !== undefined && count === undefined; word = fields.next()) {
    if (word === "failed") throw noDirectory(fields.need(), configDirectory);
    else if (word === "root") root = { isLink: fields.need() === "yes", realPath: fields.need() };
    else if (word === "machine") machineId = fields.need().trim();
    else if (word === "evidence") found.push(fields.need());
    else if (word === "mounts") mounts = fields.need().split("\n");
    else if (word === "entry") entries.push(readEntry(fields));
    else if (word === "walked") walked = fields.need();
    else if (word === "hashes")
      for (const [path, hash] of readHashes(fields.need())) hashes.set(below(path), hash);
    else if (word === "markers")
      for (const [path, marker] of readMarkers(fields.need())) markers.set(below(path), marker);
    else if (word === "hash") put(hashes, fields.need(), below(fields.need()));
    else if (word === "marker") put(markers, fields.need(), below(fields.need()));
    else if (word === "linked") put(linked, Number(fields.need()), below(fields.need()));
    else if (word === "end") count = Number(fields.need());
    else throw incomplete(configDirectory, `there is an unknown record ${JSON.stringify(word.slice(0, 40))}`);
  }
  if (root === undefined) throw incomplete(configDirectory, "nothing was printed");
  if (count === undefined) throw incomplete(configDirectory, "its end is missing");
  if (walked !== "0") throw incomplete(configDirectory, `find ended with code ${walked ?? "none"}`);
  if (count !== entries.length)
    throw incomplete(configDirectory, `${entries.length} entries were printed and ${count} counted`);
  const files = entries
    .map((entry) => observed(entry, hashes.get(entry.path), linked.get(entry.path)))
    .sort((a, b) => comparePaths(a.path, b.path));
  if (files.every((file) => file.kind === "directory" && file.problem === undefined))
    throw new AsteriskIacError("ListingEmpty", `There is no file in ${root.realPath}.`, {
      where: { file: root.realPath },
      hint: "Is the volume mounted, and is this the directory that Asterisk uses (asterisk -rx 'core show settings')?",
    });
  const unread = files.filter((file) => file.problem === UNREAD).map((file) => file.path);
  return { ...root, machineId, files, evidence: { found, markers, mounts }, unread };
}

const KINDS: Readonly<Record<string, ObservedFile["kind"]>> = { f: "file", d: "directory", l: "link" };
const UNREAD = "it could not be read";

function observed(entry: Entry, hash: string | undefined, linkedSize: number | undefined): ObservedFile {
  const { path, mode, owner, target } = entry;
  const kind = KINDS[entry.type] ?? "other";
  const problem = problemOf(entry, hash);
  return {
    path,
    kind,
    size: linkedSize ?? entry.size,
    mode: mode.padStart(4, "0"),
    owner,
    ...(kind === "link" ? { linkTarget: target } : {}),
    ...(hash !== undefined && problem === undefined ? { hash } : {}),
    ...(problem === undefined ? {} : { problem }),
  };
}

function problemOf({ path, type, realType, readable }: Entry, hash: string | undefined): string | undefined {
  if (type === "d") return readable ? undefined : "it can't be entered or listed (permission denied)";
  if (realType === "N") return "its target does not exist";
  if (realType === "L") return "it is a link to itself, round about";
  if (type === "l" && realType === "d") return "it leads to a directory; linked directories are not followed";
  if (realType !== "f") return "it is neither a file nor a directory";
  if (!readable) return "it can't be read (permission denied)";
  return nameProblem(path) ?? (hash === undefined ? UNREAD : undefined);
}

function readEntry(fields: Fields): Entry {
  return {
    readable: fields.need() === "yes",
    type: fields.need(),
    realType: fields.need(),
    mode: fields.need(),
    owner: fields.need(),
    size: Number(fields.need()),
    target: fields.need(),
    path: fields.need(),
  };
}

/** Lines of GNU's sha256sum: a line that begins with a backslash has its name's special characters escaped. */
function* readHashes(text: string): Iterable<[string, string]> {
  for (const line of text.split("\n")) {
    const [, escaped, hash, name] = /^(\\?)([0-9a-f]{64}) [ *](.*)$/s.exec(line) ?? [];
    if (hash === undefined || name === undefined) continue;
    const special: Record<string, string> = { "\\\\": "\\", "\\n": "\n", "\\r": "\r" };
    yield [escaped === "" ? name : name.replaceAll(/\\[\\nr]/g, (pair) => special[pair] ?? pair), hash];
  }
}

/** Lines of grep: path, offset in bytes, text. */
function* readMarkers(text: string): Iterable<[string, string]> {
  for (const line of text.split("\n")) {
    const [, path, offset, marker] = /^(.*?):(\d+):(.*)$/.exec(line) ?? [];
    if (path !== undefined && marker !== undefined && Number(offset) < MARKER_WITHIN) yield [path, marker];
  }
}

function put<T>(map: Map<string, T>, value: T, path: string): void {
  map.set(path, value);
}

/** Fields that end with NUL. */
class Fields {
  readonly #bytes: Buffer;
  readonly #cut: () => AsteriskIacError;
  #at = 0;

  constructor(bytes: Buffer, cut: () => AsteriskIacError) {
    this.#bytes = bytes;
    this.#cut = cut;
  }

  /** The next field; undefined at the end, and for a field without its NUL. */
  next(): string | undefined {
    const end = this.#bytes.indexOf(0, this.#at);
    if (end === -1) return undefined;
    const field = pathFromBytes(this.#bytes.subarray(this.#at, end));
    this.#at = end + 1;
    return field;
  }

  need(): string {
    const field = this.next();
    if (field === undefined) throw this.#cut();
    return field;
  }
}

function incomplete(configDirectory: string, why: string): AsteriskIacError {
  return new AsteriskIacError(
    "ListingIncomplete",
    `The listing of ${configDirectory} is not whole: ${why}.`,
    {
      next: "Retry",
      hint: "Nothing was concluded from it. Is something changing the directory all the time?",
    },
  );
}

function noDirectory(reason: string, configDirectory: string): AsteriskIacError {
  const where = { file: configDirectory };
  if (reason === "denied")
    return new AsteriskIacError("PermissionDenied", `The user may not list ${configDirectory}.`, {
      where,
      hint: "Set `become` to the user that owns the files.",
    });
  const why = reason === "file" ? "is not a directory" : "does not exist, or the user can't reach it";
  return new AsteriskIacError("PathRefused", `The configuration directory ${configDirectory} ${why}.`, {
    where,
    hint: "Check configDirectory; without it, Asterisk is asked. `become` may be needed to reach it.",
  });
}
