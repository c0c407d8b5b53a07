import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { chmod, link, lstat, mkdir, open, readFile, readdir, rename, rm } from "node:fs/promises";
import { dirname, join, relative, sep } from "node:path";
import { lock } from "proper-lockfile";
import { AsteriskIacError, hasErrorCode, messageOf } from "../core/errors.ts";
import { checkPath, isHidden } from "../core/paths.ts";
import { comparePaths, contentHash } from "../core/record.ts";
import type { KeptFile, RecordName, Source, SourceFile } from "../core/source.ts";

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

  constructor(directory: string) {
    this.name = directory;
  }

  holds(): boolean {
    return true;
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

  async write(path: string, bytes: Uint8Array, expected: string | null, keepAs: string): Promise<boolean> {
    refuseHidden(path);
    const file = await this.#resolve(path, { makeDirectories: true });
    if (expected !== null && !(await this.#keepCurrent(path, file, expected, keepAs))) return false;
    const temporary = await this.#writeTemporary(bytes);
    try {
      // link(2), not rename(2), for a new file: it fails where one of that name is, however late it came.
      if (expected === null) await link(temporary, file);
      else await rename(temporary, file);
    } catch (cause) {
      if (hasErrorCode(cause, "EEXIST")) return false;
      throw this.#unavailable(`can't write ${file}`, cause);
    } finally {
      await rm(temporary, { force: true });
    }
    await syncDirectory(dirname(file));
    return true;
  }

  async remove(path: string, expected: string, keepAs: string): Promise<boolean> {
    refuseHidden(path);
    const file = await this.#resolve(path);
    if (!(await this.#keepCurrent(path, file, expected, keepAs))) return false;
    await rm(file);
    await syncDirectory(dirname(file));
    return true;
  }

  /**
   * Gives what is there a second name among the kept files, and looks at it under that name: an editor that writes in
   * place meanwhile changes the kept bytes, too, so its work is not lost either.
   */
  async #keepCurrent(path: string, file: string, expected: string, keepAs: string): Promise<boolean> {
    const keptPath = `${room}/kept/${keepAs}/${path}`;
    const kept = await this.#resolve(keptPath, { makeDirectories: true });
    try {
      await rm(kept, { force: true });
      await link(file, kept);
    } catch (cause) {
      if (hasErrorCode(cause, "ENOENT")) return false;
      throw this.#unavailable(`can't keep ${file}`, cause);
    }
    await syncDirectory(dirname(kept));
    if (contentHash(await this.read(keptPath)) === expected) return true;
    await rm(kept);
    return false;
  }

  async keep(path: string, bytes: Uint8Array, keepAs: string): Promise<void> {
    await this.#replace(`${room}/kept/${keepAs}/${path}`, bytes);
  }

  async listKept(): Promise<readonly KeptFile[]> {
    const directory = join(this.name, room, "kept");
    const entries = await readdir(directory, { recursive: true, withFileTypes: true }).catch(
      (cause: unknown) => {
        if (hasErrorCode(cause, "ENOENT")) return [];
        throw this.#unavailable(`can't list ${directory}`, cause);
      },
    );
    const files = entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
    const kept = await Promise.all(
      files.map(async (file): Promise<KeptFile> => {
        const [id = "", ...path] = relative(directory, file).split(sep);
        // ctime: when the bytes got this name. Their mtime is that of the last edit.
        const { size, ctime } = await lstat(file);
        return { id, path: path.join("/"), size, keptAt: ctime };
      }),
    );
    return kept.sort((a, b) => b.keptAt.getTime() - a.keptAt.getTime() || comparePaths(a.path, b.path));
  }

  async readKept(id: string, path: string): Promise<Buffer> {
    return this.read(`${room}/kept/${id}/${path}`);
  }

  recordFile(name: RecordName): string {
    return join(this.name, room, `${name}.json`);
  }

  async readRecord(name: RecordName): Promise<string | undefined> {
    try {
      return await readFile(this.recordFile(name), "utf8");
    } catch (cause) {
      if (hasErrorCode(cause, "ENOENT")) return undefined;
      throw this.#unavailable(`can't read ${this.recordFile(name)}`, cause);
    }
  }

  async writeRecord(name: RecordName, text: string): Promise<void> {
    await this.#replace(`${room}/${name}.json`, Buffer.from(text));
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

/** The names come from a server: `.git/hooks/post-checkout` among them would be run by the next git. */
function refuseHidden(path: string): void {
  if (!isHidden(path)) return;
  throw new AsteriskIacError(
    "PathRefused",
    `the path ${JSON.stringify(path)} has a name that begins with a dot`,
    {
      hint: "Such files are not part of a source.",
    },
  );
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
