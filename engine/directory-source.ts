import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { chmod, link, lstat, mkdir, open, readFile, readdir, rename, rm } from "node:fs/promises";
import { dirname, join, sep } from "node:path";
import { lock } from "proper-lockfile";
import { AsteriskIacError, hasErrorCode, messageOf } from "../core/errors.ts";
import { checkPath } from "../core/paths.ts";
import { contentHash } from "../core/record.ts";
import type { Source, SourceFile } from "../core/source.ts";

const room = ".asterisk-iac";
const temporaries = "temporary";
const maxParallelReads = 8;
/** A lock whose holder was killed is taken over after this time without its heartbeat. */
const lockStaleMs = 5000;

/**
 * A directory as a source. Files hold a telephone system's secrets in the clear, so the directory is made 0700
 * and its files 0600. Names that begin with a dot are not part of it (`.git`, `.asterisk-iac`), and symbolic
 * links are never followed: a link in a checkout may point anywhere.
 */
export class DirectorySource implements Source {
  readonly name: string;
  readonly recordFile: string;

  constructor(directory: string) {
    this.name = directory;
    this.recordFile = join(directory, room, "import.json");
  }

  async list(): Promise<ReadonlyMap<string, SourceFile>> {
    const files = new Map<string, SourceFile>();
    const paths: string[] = [];
    await this.#walk("", paths, files);
    let next = 0;
    const reader = async (): Promise<void> => {
      for (let path = paths[next++]; path !== undefined; path = paths[next++]) {
        files.set(path, await this.#describe(path));
      }
    };
    await Promise.all(Array.from({ length: maxParallelReads }, reader));
    return files;
  }

  async #walk(below: string, paths: string[], files: Map<string, SourceFile>): Promise<void> {
    let entries;
    try {
      entries = await readdir(join(this.name, below), { withFileTypes: true });
    } catch (cause) {
      if (below === "" && hasErrorCode(cause, "ENOENT")) return;
      throw this.#unavailable(`can't list ${join(this.name, below)}`, cause);
    }
    for (const entry of entries) {
      if (entry.name.startsWith(".")) continue;
      const path = below === "" ? entry.name : `${below}/${entry.name}`;
      if (entry.isDirectory()) await this.#walk(path, paths, files);
      else if (entry.isFile()) paths.push(path);
      else
        files.set(path, { problem: entry.isSymbolicLink() ? "is a symbolic link" : "is not a regular file" });
    }
  }

  async #describe(path: string): Promise<SourceFile> {
    try {
      const bytes = await this.read(path);
      return { hash: contentHash(bytes), size: bytes.length };
    } catch (cause) {
      return { problem: `can't be read: ${messageOf(cause)}` };
    }
  }

  async read(path: string): Promise<Buffer> {
    const file = await this.#resolve(path);
    const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      return await handle.readFile();
    } finally {
      await handle.close();
    }
  }

  async create(path: string, bytes: Uint8Array): Promise<boolean> {
    const file = await this.#resolve(path, { makeDirectories: true });
    const temporary = await this.#writeTemporary(bytes);
    try {
      // link(2), not rename(2): it fails where a file of that name is, however late it came.
      await link(temporary, file);
    } catch (cause) {
      if (hasErrorCode(cause, "EEXIST")) return false;
      throw this.#unavailable(`can't create ${file}`, cause);
    } finally {
      await rm(temporary, { force: true });
    }
    await syncDirectory(dirname(file));
    return true;
  }

  async removeIfUnchanged(path: string, hash: string): Promise<boolean> {
    const file = await this.#resolve(path);
    if (contentHash(await this.read(path)) !== hash) return false;
    await rm(file);
    await syncDirectory(dirname(file));
    return true;
  }

  async keep(path: string, bytes: Uint8Array): Promise<void> {
    await this.#replace(`${room}/kept/${path}`, bytes);
  }

  async readRecord(): Promise<string | undefined> {
    try {
      return await readFile(this.recordFile, "utf8");
    } catch (cause) {
      if (hasErrorCode(cause, "ENOENT")) return undefined;
      throw this.#unavailable(`can't read ${this.recordFile}`, cause);
    }
  }

  async writeRecord(text: string): Promise<void> {
    await this.#replace(`${room}/import.json`, Buffer.from(text));
  }

  async exclusively<T>(work: () => Promise<T>): Promise<T> {
    await this.#makeDirectory(join(this.name, room));
    const lost: { cause?: Error } = {};
    const release = await lock(this.name, {
      lockfilePath: join(this.name, room, "lock"),
      stale: lockStaleMs,
      retries: { retries: 8, minTimeout: 1000, maxTimeout: 1000 },
      onCompromised: (cause) => (lost.cause = cause),
    }).catch((cause: unknown) => {
      throw new AsteriskIacError("SourceUnavailable", `another process is writing to ${this.name}`, {
        next: "Retry",
        cause,
        hint: "Wait until it is done, then run the same command again.",
      });
    });
    try {
      await rm(join(this.name, room, temporaries), { recursive: true, force: true });
      await chmod(this.name, 0o700);
      return await work();
    } finally {
      if (lost.cause === undefined) await release();
    }
  }

  async #replace(path: string, bytes: Uint8Array): Promise<void> {
    const file = await this.#resolve(path, { makeDirectories: true });
    const temporary = await this.#writeTemporary(bytes);
    await rename(temporary, file);
    await syncDirectory(dirname(file));
  }

  /** A whole file on disk, not yet in its place. All lie in one directory, so that those of a killed run are found. */
  async #writeTemporary(bytes: Uint8Array): Promise<string> {
    const directory = join(this.name, room, temporaries);
    const temporary = join(directory, randomBytes(8).toString("hex"));
    try {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      const handle = await open(temporary, "wx", 0o600);
      try {
        await handle.writeFile(bytes);
        await handle.sync();
      } finally {
        await handle.close();
      }
    } catch (cause) {
      await rm(temporary, { force: true });
      throw new AsteriskIacError("SourceUnavailable", `can't write in ${directory}: ${messageOf(cause)}`, {
        cause,
        hint: "Nothing was changed there. Make room or give write permission, then run the same command again.",
      });
    }
    return temporary;
  }

  /** The file of a path, after making sure that no component of it leads out of the directory. */
  async #resolve(path: string, options: { makeDirectories?: boolean } = {}): Promise<string> {
    checkPath(path);
    let directory = this.name;
    for (const component of dirname(path).split("/")) {
      if (component === ".") continue;
      directory += sep + component;
      if (options.makeDirectories) await this.#makeDirectory(directory);
      const status = await lstat(directory).catch((cause: unknown) => {
        throw this.#unavailable(`can't reach ${directory}`, cause);
      });
      if (!status.isDirectory()) {
        throw new AsteriskIacError(
          "PathRefused",
          `${directory} is not a directory of its own but a link or a file`,
          {
            where: { file: join(this.name, path) },
            hint: "Symbolic links in a source are never followed; replace it by a directory.",
          },
        );
      }
    }
    return join(this.name, path);
  }

  async #makeDirectory(directory: string): Promise<void> {
    try {
      await mkdir(directory, { recursive: true, mode: 0o700 });
    } catch (cause) {
      if (hasErrorCode(cause, "EEXIST")) return;
      throw this.#unavailable(`can't make the directory ${directory}`, cause);
    }
  }

  #unavailable(what: string, cause: unknown): AsteriskIacError {
    return new AsteriskIacError("SourceUnavailable", `${what}: ${messageOf(cause)}`, { cause });
  }
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
