import { AsteriskIacError } from "../core/errors.ts";
import { isHidden, pathProblem } from "../core/paths.ts";
import type { GitObjects, TreeFile } from "./objects.ts";

/** What lies beside the files of a server: the records and what was kept. */
export const room = ".asterisk-iac";

const lfsPointer = Buffer.from("version https://git-lfs.github.com/spec/");

/** A server's directory as one commit has it: read once, then in memory. */
export class GitSnapshot {
  /** Undefined where the branch is not there yet. */
  readonly commit: string | undefined;
  /** Of the server's directory; equal ids are equal files. */
  readonly treeId: string | undefined;
  readonly #objects: GitObjects;
  readonly #tree: ReadonlyMap<string, TreeFile>;
  readonly #blobs: Map<string, Buffer>;

  private constructor(
    objects: GitObjects,
    commit: string | undefined,
    treeId: string | undefined,
    { tree, blobs }: { tree: ReadonlyMap<string, TreeFile>; blobs: Map<string, Buffer> },
  ) {
    this.#objects = objects;
    this.commit = commit;
    this.treeId = treeId;
    this.#tree = tree;
    this.#blobs = blobs;
  }

  /**
   * Reads the directory `path` of a commit, "" for the root. What `before` has read already is not read again. Throws
   * `PathRefused` where something else than a directory is in the way: a file, a link, a submodule.
   */
  static async of(
    objects: GitObjects,
    commit: string | undefined,
    path: string,
    before?: GitSnapshot,
  ): Promise<GitSnapshot> {
    const treeId = commit === undefined ? undefined : await objects.treeId(commit, path);
    if (before !== undefined && before.treeId === treeId && treeId !== undefined)
      return new GitSnapshot(objects, commit, treeId, { tree: before.#tree, blobs: before.#blobs });
    if (commit === undefined || treeId === undefined) {
      if (commit !== undefined) await assertFree(objects, commit, path);
      return new GitSnapshot(objects, commit, undefined, { tree: new Map(), blobs: new Map() });
    }
    const tree = await objects.tree(commit, path);
    const needed = new Set(
      [...tree].filter(([name, file]) => isRead(name) && isRegular(file)).map(([, { id }]) => id),
    );
    const read = before === undefined ? [] : before.#blobs;
    const blobs = new Map([...read].filter(([id]) => needed.has(id)));
    const unread = [...needed].filter((id) => !blobs.has(id));
    for (const [id, bytes] of await objects.blobs(unread)) blobs.set(id, bytes);
    return new GitSnapshot(objects, commit, treeId, { tree, blobs });
  }

  /** The paths of files that are part of the source: none that begins with a dot. */
  paths(): string[] {
    return [...this.#tree.keys()].filter((path) => !isHidden(path));
  }

  /** Every path, whatever it is. */
  has(path: string): boolean {
    return this.#tree.has(path);
  }

  /** Where else in the commit a file of this path is, below another directory than ours, as paths in the repository. */
  async elsewhere(path: string): Promise<readonly string[]> {
    if (this.commit === undefined) return [];
    const all = [...(await this.#objects.tree(this.commit, "")).keys()];
    return all.filter((each) => each === path || each.endsWith(`/${path}`));
  }

  /** Why a file can't be used; undefined where it can. */
  problem(path: string): string | undefined {
    const file = this.#tree.get(path);
    if (file?.mode === "120000") return "is a symbolic link";
    if (file?.mode === "160000") return "is a submodule";
    const name = path.includes("�") ? "is not UTF-8" : pathProblem(path);
    if (name !== undefined) return `has a name that ${name}`;
    const isPointer = this.bytes(path)?.subarray(0, lfsPointer.length).equals(lfsPointer);
    return isPointer === true ? "is a pointer of Git LFS, which is not followed" : undefined;
  }

  /** The bytes of a file as git has them, if it was read with the snapshot: all but what was kept. */
  bytes(path: string): Buffer | undefined {
    const file = this.#tree.get(path);
    return file === undefined || !isRegular(file) ? undefined : this.#blobs.get(file.id);
  }

  /** The kept files: their names below `<room>/kept` and their sizes. */
  kept(): { readonly name: string; readonly size: number }[] {
    const prefix = `${room}/kept/`;
    return [...this.#tree]
      .filter(([path, file]) => path.startsWith(prefix) && isRegular(file))
      .map(([path, { size = 0 }]) => ({ name: path.slice(prefix.length), size }));
  }

  async readKept(name: string): Promise<Buffer | undefined> {
    const file = this.#tree.get(`${room}/kept/${name}`);
    return file === undefined || !isRegular(file)
      ? undefined
      : (await this.#objects.blobs([file.id])).get(file.id);
  }
}

function isRegular({ mode }: TreeFile): boolean {
  return mode === "100644" || mode === "100755";
}

/** The files themselves, and what lies right beside them. */
function isRead(path: string): boolean {
  return !isHidden(path) || (path.startsWith(`${room}/`) && !path.startsWith(`${room}/kept/`));
}

async function assertFree(objects: GitObjects, commit: string, path: string): Promise<void> {
  const parts = path.split("/");
  for (const [at] of parts.entries()) {
    const above = parts.slice(0, at + 1).join("/");
    const is = await objects.typeAt(commit, above);
    if (is === undefined) return;
    if (is === "tree") continue;
    throw new AsteriskIacError("PathRefused", `${above} is not a directory of its own in the repository`, {
      hint: "A symbolic link or a submodule is never followed. Name another source.git.path, or put a directory there.",
    });
  }
}
