import { randomBytes } from "node:crypto";
import { AsteriskIacError } from "../core/errors.ts";
import { briefly, runGit, runGitOrThrow } from "./run.ts";
import type { CommitSignatures } from "./signatures.ts";

/** One file of a tree. `160000` is a submodule, `120000` a symbolic link: neither is ever followed. */
export interface TreeFile {
  readonly mode: "100644" | "100755" | "120000" | "160000";
  /** Of its blob; a submodule's is a commit. */
  readonly id: string;
  /** Bytes; undefined for a submodule. */
  readonly size?: number;
}

/** Whom a commit is by. */
export interface Author {
  readonly name: string;
  readonly email: string;
}

export interface NewCommit {
  /** The commit whose tree the changes are made to; undefined: an empty tree. */
  readonly base: string | undefined;
  readonly parents: readonly string[];
  /** By path in the repository; null removes. */
  readonly changes: ReadonlyMap<string, Uint8Array | null>;
  readonly message: string;
  /** Author and committer. */
  readonly author: Author;
  /** Where only signed commits are believed. */
  readonly signatures?: CommitSignatures;
}

/** The refs that keep what was made and is not on a branch yet. */
export const madeRefs = "refs/asterisk-iac/made/";

/** Of so many commits it is remembered which directories they have. */
const mostTopTrees = 8;

const objectId = /^[0-9a-f]{40}(?:[0-9a-f]{24})?$/;

/**
 * The objects of a git directory, a bare repository or a checkout's `.git`, read and written by plumbing alone: there is
 * no work tree and no index, so nothing is checked out, and no hook, filter, submodule or link of a repository counts.
 * Rejects with `SourceUnavailable` where an object that should be there is not.
 */
export class GitObjects {
  readonly directory: string;
  /** By commit: the ids of the directories right below its root. */
  readonly #top = new Map<string, Promise<ReadonlyMap<string, string>>>();
  /** Keeps what was made last, and all before it, from being cleaned away. One of its own a process and repository. */
  readonly #made = `${madeRefs}${randomBytes(8).toString("hex")}`;

  constructor(directory: string) {
    this.directory = directory;
  }

  /** The id of the commit that a name stands for; undefined where it stands for none. */
  async resolve(revision: string): Promise<string | undefined> {
    if (revision === "" || revision.startsWith("-") || /[\0\r\n]/.test(revision)) {
      throw new AsteriskIacError(
        "InvalidArgument",
        `${JSON.stringify(revision)} is not the name of a revision`,
      );
    }
    const args = ["rev-parse", "--verify", "--quiet", "--end-of-options", `${revision}^{commit}`];
    const { exitCode, stdout } = await runGit({ directory: this.directory, args });
    const id = stdout.toString("utf8").trim();
    return exitCode === 0 && objectId.test(id) ? id : undefined;
  }

  /**
   * Every file of a commit below a path of the repository, "" for its root; the keys are paths below that. A path that
   * the commit does not have, or that is a file, has none.
   */
  async tree(commit: string, path: string): Promise<ReadonlyMap<string, TreeFile>> {
    const tree = await this.treeId(commit, path);
    if (tree === undefined) return new Map();
    const args = ["ls-tree", "-r", "-l", "-z", tree];
    const listed = (await runGitOrThrow({ directory: this.directory, args })).toString("utf8");
    const files = new Map<string, TreeFile>();
    for (const entry of listed.split("\0")) {
      const [, mode, id = "", size, name] = /^(\d{6}) \w+ ([0-9a-f]+) +(\d+|-)\t([^]+)$/.exec(entry) ?? [];
      if (name === undefined) continue;
      const file = { mode: mode as TreeFile["mode"], id };
      files.set(name, size === "-" ? file : { ...file, size: Number(size) });
    }
    return files;
  }

  /** The id of the tree at a path, "" for the root; equal ids are equal files. Undefined where there is no directory. */
  async treeId(commit: string, path: string): Promise<string | undefined> {
    if (path !== "" && !path.includes("/")) return (await this.#topTrees(commit)).get(path);
    const args = ["cat-file", "--batch-check"];
    const input = `${checkId(commit)}\n${commit}:${checkLine(path)}\n`;
    const output = (await runGitOrThrow({ directory: this.directory, args, input })).toString("utf8");
    const [itself, there] = output.split("\n").map((line) => line.split(" "));
    if (itself?.[1] !== "commit") throw this.#missing(commit);
    const [id = "", type] = there ?? [];
    return type === "tree" && objectId.test(id) ? id : undefined;
  }

  /** The directories right below the root, by name: asked once a commit, for all servers whose files are in one. */
  #topTrees(commit: string): Promise<ReadonlyMap<string, string>> {
    const known = this.#top.get(commit);
    if (known !== undefined) return known;
    const args = ["ls-tree", "-d", "-z", "--full-tree", checkId(commit)];
    const listed = runGit({ directory: this.directory, args }).then(({ exitCode, stdout, stderr }) => {
      if (exitCode !== 0) throw this.#missing(commit, stderr);
      const entries = stdout.toString("utf8").split("\0");
      return new Map(
        entries.flatMap((entry) => {
          const [, id, name] = /^040000 tree ([0-9a-f]+)\t([^]+)$/.exec(entry) ?? [];
          return id === undefined || name === undefined ? [] : [[name, id] as const];
        }),
      );
    });
    listed.catch(() => this.#top.delete(commit));
    for (const oldest of [...this.#top.keys()].slice(0, -mostTopTrees)) this.#top.delete(oldest);
    this.#top.set(commit, listed);
    return listed;
  }

  /** What lies at a path below the root: a `tree`, a `blob` (a symbolic link too), a `commit` (a submodule), or nothing. */
  async typeAt(commit: string, path: string): Promise<"tree" | "blob" | "commit" | undefined> {
    const args = ["ls-tree", "-z", "--full-tree", checkId(commit), "--", checkLine(path)];
    const listed = (await runGitOrThrow({ directory: this.directory, args })).toString("utf8");
    return /^\d{6} (tree|blob|commit) /.exec(listed)?.[1] as "tree" | "blob" | "commit" | undefined;
  }

  /** The contents of blobs by id, all in one go. */
  async blobs(ids: readonly string[]): Promise<ReadonlyMap<string, Buffer>> {
    const blobs = new Map<string, Buffer>();
    if (ids.length === 0) return blobs;
    const output = await runGitOrThrow({
      directory: this.directory,
      args: ["cat-file", "--batch"],
      input: `${[...new Set(ids)].map(checkId).join("\n")}\n`,
    });
    for (let at = 0; at < output.length;) {
      const end = output.indexOf("\n", at);
      const [id = "", type, size] = output.toString("utf8", at, end).split(" ");
      if (type !== "blob") throw this.#missing(id);
      const begin = end + 1;
      blobs.set(id, output.subarray(begin, begin + Number(size)));
      at = begin + Number(size) + 1;
    }
    return blobs;
  }

  /** Whether a commit is another or comes before it; undefined where the history that is here does not reach so far. */
  async isAncestor(older: string, newer: string): Promise<boolean | undefined> {
    if (older === newer) return true;
    const isWhole = !(await this.isShallow());
    const args = ["merge-base", "--is-ancestor", checkId(older), checkId(newer)];
    const { exitCode } = await runGit({ directory: this.directory, args });
    if (exitCode === 0) return true;
    if (exitCode === 1) return isWhole ? false : undefined;
    // One of them is not here: what is whole and does not have `older` does not descend from it.
    if ((await this.resolve(newer)) === undefined) throw this.#missing(newer);
    return isWhole ? false : undefined;
  }

  /** The newest commit that two have in common; undefined where there is none. All of their history has to be here. */
  async mergeBase(one: string, other: string): Promise<string | undefined> {
    const args = ["merge-base", checkId(one), checkId(other)];
    const { exitCode, stdout } = await runGit({ directory: this.directory, args });
    return exitCode === 0 ? checkId(stdout.toString("utf8").trim()) : undefined;
  }

  /** The addresses of those who committed what `commit` has and `without` has not. All of their history has to be here. */
  async committers(commit: string, without: string): Promise<ReadonlySet<string>> {
    const args = ["log", "--format=%ce", checkId(commit), `^${checkId(without)}`];
    const output = await runGitOrThrow({ directory: this.directory, args });
    return new Set(
      output
        .toString("utf8")
        .split("\n")
        .filter((address) => address !== ""),
    );
  }

  /** Whether some of the history is not here. */
  async isShallow(): Promise<boolean> {
    const args = ["rev-parse", "--is-shallow-repository"];
    const answer = await runGitOrThrow({ directory: this.directory, args });
    return answer.toString("utf8").trim() === "true";
  }

  /** Makes a commit and gives its id; no branch moves. */
  async commit({ base, parents, changes, message, author, signatures }: NewCommit): Promise<string> {
    const who = `${signature(author.name)} <${signature(author.email)}> ${Math.floor(Date.now() / 1000)} +0000`;
    const [first, ...others] = parents.map(checkId);
    const stream: (string | Uint8Array)[] = [`commit ${this.#made}\nmark :1\n`];
    stream.push(`author ${who}\ncommitter ${who}\n`, ...data(Buffer.from(message)));
    if (first !== undefined) stream.push(`from ${first}\n`);
    stream.push(...others.map((parent) => `merge ${parent}\n`));
    // A commit begins with the files of its first parent.
    if (base === undefined) stream.push("deleteall\n");
    else if (base !== first) stream.push(`M 040000 ${(await this.treeId(base, "")) ?? ""} \n`);
    for (const [path, bytes] of changes) {
      if (bytes === null) stream.push(`D ${quoted(path)}\n`);
      else stream.push(`M 100644 inline ${quoted(path)}\n`, ...data(bytes));
    }
    stream.push("get-mark :1\n", "done\n");
    const output = await runGitOrThrow({
      directory: this.directory,
      // Forced: the mark of what was made before moves; no branch does.
      args: ["fast-import", "--quiet", "--done", "--force"],
      input: Buffer.concat(stream.map((part) => Buffer.from(part))),
    });
    const commit = checkId(output.toString("utf8").trim());
    return signatures === undefined ? commit : signatures.sign(this.directory, commit);
  }

  #missing(id: string, why = ""): AsteriskIacError {
    const reason = why === "" ? "" : `: ${briefly(why)}`;
    return new AsteriskIacError("SourceUnavailable", `${id} is not in ${this.directory}${reason}`, {
      next: "Retry",
    });
  }
}

/** The id as it is. Throws for what is none: it could be read as an option, or as a path. */
function checkId(id: string): string {
  if (objectId.test(id)) return id;
  throw new AsteriskIacError("InvalidArgument", `${JSON.stringify(id)} is not the id of an object`);
}

/** A path as one line. Throws for what would be two. */
function checkLine(path: string): string {
  if (!/[\0\r\n]/.test(path)) return path;
  throw new AsteriskIacError("PathRefused", `the path ${JSON.stringify(path)} holds a NUL or a line break`);
}

function data(bytes: Uint8Array): (string | Uint8Array)[] {
  return [`data ${bytes.length}\n`, bytes, "\n"];
}

/** What could end a name or an address in a commit's header is left out. */
function signature(text: string): string {
  return text.replace(/[<>\x00-\x1f\x7f]/g, "");
}

function quoted(path: string): string {
  const escapes: Record<string, string> = { '"': '\\"', "\\": "\\\\", "\n": "\\n" };
  return `"${path.replace(/["\\\n]/g, (character) => escapes[character] ?? "")}"`;
}
