import { constants } from "node:fs";
import { lstat, open, readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { AsteriskIacError, hasErrorCode, messageOf } from "../core/errors.ts";
import { checkPath } from "../core/paths.ts";
import type { GitObjects } from "../git/objects.ts";
import type { TreeFile } from "../git/objects.ts";
import { runGit } from "../git/run.ts";

/** What stands at a path: a file that can be read, or what it is instead. */
export type Entry = "file" | { readonly problem: string };

/**
 * The files of a repository, as a revision has them or as they lie in a checkout. Paths are from its root, with `/`; the
 * empty path is the root. Nothing of a repository is run, and no link in it is followed.
 */
export interface RepositoryFiles {
  /** What messages call it. */
  readonly name: string;
  /** All below a path, by path below it; a directory that is not there has nothing. */
  list(below: string): Promise<ReadonlyMap<string, Entry>>;
  /** The contents of files. Throws `SourceUnavailable` for what is not there, and `PathRefused` for what is no file. */
  read(paths: readonly string[]): Promise<ReadonlyMap<string, Buffer>>;
  /** What a path held before it was removed, where that is known. */
  removed?(path: string): Promise<Buffer | undefined>;
}

const isLink = { problem: "is a symbolic link" };
const isOther = { problem: "is not a regular file" };

/** The files of a commit, out of the repository's objects: nothing is checked out. */
export class RevisionFiles implements RepositoryFiles {
  readonly name: string;
  readonly #objects: GitObjects;
  readonly #commit: string;
  #tree: Promise<ReadonlyMap<string, TreeFile>> | undefined;

  /** @param commit its whole id */
  constructor(objects: GitObjects, commit: string) {
    this.name = commit.slice(0, 12);
    this.#objects = objects;
    this.#commit = commit;
  }

  async list(below: string): Promise<ReadonlyMap<string, Entry>> {
    const prefix = below === "" ? "" : `${below}/`;
    const entries = new Map<string, Entry>();
    for (const [path, { mode }] of await this.#files())
      if (path.startsWith(prefix)) entries.set(path.slice(prefix.length), entryOf(mode));
    return entries;
  }

  async read(paths: readonly string[]): Promise<ReadonlyMap<string, Buffer>> {
    const files = await this.#files();
    const wanted = paths.map((path) => {
      const file = files.get(path);
      const entry = file === undefined ? undefined : entryOf(file.mode);
      if (file === undefined || entry === undefined) throw missing(path, this.name);
      if (entry !== "file") throw refused(path, this.name, entry.problem);
      return [path, file.id] as const;
    });
    const blobs = await this.#objects.blobs(wanted.map(([, id]) => id));
    return new Map(wanted.map(([path, id]) => [path, blobs.get(id) ?? Buffer.alloc(0)]));
  }

  /** As far as the history that is here reaches. */
  async removed(path: string): Promise<Buffer | undefined> {
    const { directory } = this.#objects;
    // Paths that look like patterns are taken as they are.
    const args = ["--literal-pathspecs", "log", "-1", "--diff-filter=D", "--no-renames", "--format=%H"];
    const { stdout } = await runGit({ directory, args: [...args, this.#commit, "--", path] });
    const last = await this.#objects.resolve(`${stdout.toString("utf8").trim() || this.#commit}^`);
    if (last === undefined || stdout.length === 0) return undefined;
    const before = new RevisionFiles(this.#objects, last);
    return (await before.list("")).get(path) === "file" ? (await before.read([path])).get(path) : undefined;
  }

  #files(): Promise<ReadonlyMap<string, TreeFile>> {
    return (this.#tree ??= this.#objects.tree(this.#commit, ""));
  }
}

function entryOf(mode: TreeFile["mode"]): Entry {
  if (mode === "120000") return isLink;
  return mode === "160000" ? { problem: "is a submodule" } : "file";
}

/** The files of a checkout as they lie there, what is not committed too. */
export class CheckoutFiles implements RepositoryFiles {
  readonly name: string;
  /** By path: who asks again sees the same moment, and the directories are not walked again. */
  readonly #lists = new Map<string, Promise<ReadonlyMap<string, Entry>>>();

  /** @param root the checkout's directory, without links in it */
  constructor(root: string) {
    this.name = root;
  }

  list(below: string): Promise<ReadonlyMap<string, Entry>> {
    const listed = this.#lists.get(below) ?? this.#list(below);
    this.#lists.set(below, listed);
    return listed;
  }

  async #list(below: string): Promise<ReadonlyMap<string, Entry>> {
    const entries = new Map<string, Entry>();
    if (await this.#isDirectory(below)) await this.#walk(below, "", entries);
    return entries;
  }

  async #walk(below: string, inner: string, entries: Map<string, Entry>): Promise<void> {
    const directory = join(this.name, below, inner);
    for (const entry of await readdir(directory, { withFileTypes: true })) {
      if (entry.name === ".git") continue;
      const path = inner === "" ? entry.name : `${inner}/${entry.name}`;
      if (entry.isDirectory()) await this.#walk(below, path, entries);
      else entries.set(path, entry.isFile() ? "file" : entry.isSymbolicLink() ? isLink : isOther);
    }
  }

  async read(paths: readonly string[]): Promise<ReadonlyMap<string, Buffer>> {
    const contents = new Map<string, Buffer>();
    for (const path of paths) contents.set(path, await this.#readOne(path));
    return contents;
  }

  async #readOne(path: string): Promise<Buffer> {
    checkPath(path);
    const directory = dirname(path);
    if (!(await this.#isDirectory(directory === "." ? "" : directory))) throw missing(path, this.name);
    try {
      const handle = await open(
        join(this.name, path),
        constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
      );
      try {
        if (!(await handle.stat()).isFile()) throw refused(path, this.name, isOther.problem);
        return await handle.readFile();
      } finally {
        await handle.close();
      }
    } catch (cause) {
      if (cause instanceof AsteriskIacError) throw cause;
      if (hasErrorCode(cause, "ENOENT")) throw missing(path, this.name);
      if (hasErrorCode(cause, "ELOOP")) throw refused(path, this.name, isLink.problem);
      throw new AsteriskIacError("SourceUnavailable", `can't read ${path}: ${messageOf(cause)}`, { cause });
    }
  }

  /** Whether a path is a directory, and all above it are. A link among them is refused: it may lead anywhere. */
  async #isDirectory(path: string): Promise<boolean> {
    if (path === "") return true;
    checkPath(path);
    let directory = this.name;
    for (const component of path.split("/")) {
      directory = join(directory, component);
      const status = await lstat(directory).catch((cause: unknown) => {
        if (hasErrorCode(cause, "ENOENT") || hasErrorCode(cause, "ENOTDIR")) return undefined;
        throw cause;
      });
      if (status?.isSymbolicLink() === true) throw refused(path, this.name, isLink.problem);
      if (status?.isDirectory() !== true) return false;
    }
    return true;
  }
}

function missing(path: string, name: string): AsteriskIacError {
  return new AsteriskIacError("SourceUnavailable", `${path} is not in ${name}`);
}

function refused(path: string, name: string, problem: string): AsteriskIacError {
  return new AsteriskIacError("PathRefused", `${path} in ${name} ${problem}`, {
    hint: "Links in a repository are never followed; replace it by a regular file.",
  });
}
