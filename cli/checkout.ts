import { lstat, readFile } from "node:fs/promises";
import { dirname, join, relative, resolve, sep } from "node:path";
import { AsteriskIacError, hasErrorCode } from "../core/errors.ts";
import type { RepositoryFiles } from "../engine/repository-files.ts";
import { CheckoutFiles, RevisionFiles } from "../engine/repository-files.ts";
import { GitObjects } from "../git/objects.ts";
import { runGit } from "../git/run.ts";
import type { ManifestFiles } from "./manifests.ts";

/** A checkout of a git repository: its directory, and the objects of its repository. */
export interface Checkout {
  readonly root: string;
  readonly objects: GitObjects;
}

/**
 * Opens the checkout that a path lies in. No hook, filter or link of it counts. Throws `InvalidArgument` where there is none,
 * and for a revision that is not there.
 */
export async function openCheckout(path: string): Promise<Checkout> {
  for (let directory = resolve(path); ; directory = dirname(directory)) {
    const git = await gitDirectory(directory);
    if (git !== undefined) return { root: directory, objects: new GitObjects(git) };
    if (directory === dirname(directory))
      throw new AsteriskIacError(
        "InvalidArgument",
        `${resolve(path)} is not in a checkout of a git repository`,
        {
          hint: "plan --offline compares revisions: name manifests in a checkout with -f.",
        },
      );
  }
}

/** A checkout's `.git`: a directory, or of a worktree a file that names one. */
async function gitDirectory(directory: string): Promise<string | undefined> {
  const path = join(directory, ".git");
  const status = await lstat(path).catch((cause: unknown) => {
    if (hasErrorCode(cause, "ENOENT") || hasErrorCode(cause, "ENOTDIR")) return undefined;
    throw cause;
  });
  if (status?.isDirectory() === true) return path;
  if (status?.isFile() !== true) return undefined;
  const [, target] = /^gitdir: (.+)$/m.exec(await readFile(path, "utf8")) ?? [];
  return target === undefined ? undefined : resolve(directory, target);
}

/** What is planned: a revision, or without one the files as they lie in the checkout. */
export async function headOf(
  { root, objects }: Checkout,
  head: string | undefined,
): Promise<RepositoryFiles> {
  return head === undefined
    ? new CheckoutFiles(root)
    : new RevisionFiles(objects, await commitOf(objects, head, "--head"));
}

/** What counts as live: a revision, or without one the commit at which the head leaves the remote's branch. */
export async function baseOf(
  { objects }: Checkout,
  { base, head, branch }: { base: string | undefined; head: string | undefined; branch: string | undefined },
): Promise<RevisionFiles> {
  const commit =
    base === undefined
      ? await mergeBase(objects, await commitOf(objects, head ?? "HEAD", "--head"), branch)
      : await commitOf(objects, base, "--base");
  return new RevisionFiles(objects, commit);
}

async function commitOf(objects: GitObjects, revision: string, option: string): Promise<string> {
  const commit = await objects.resolve(revision);
  if (commit !== undefined) return commit;
  throw new AsteriskIacError(
    "InvalidArgument",
    `${option}: ${JSON.stringify(revision)} is no revision here`,
    {
      hint: "Fetch it first; a shallow clone has only the last commits.",
    },
  );
}

/** Where a commit leaves the branch of its remote. */
async function mergeBase(objects: GitObjects, commit: string, branch: string | undefined): Promise<string> {
  const name = `origin/${branch ?? "HEAD"}`;
  const target = await objects.resolve(`refs/remotes/${name}`);
  const hint = "Name what is live with --base REVISION, or fetch it: git fetch origin.";
  if (target === undefined)
    throw new AsteriskIacError("InvalidArgument", `${name} is not here, so nothing tells what is live`, {
      hint,
    });
  const args = ["merge-base", commit, target];
  const { exitCode, stdout } = await runGit({ directory: objects.directory, args });
  const found = await objects.resolve(exitCode === 0 ? stdout.toString("utf8").trim() : "HEAD");
  if (exitCode === 0 && found !== undefined) return found;
  throw new AsteriskIacError(
    "InvalidArgument",
    `the history that is here has no commit before both ${name} and the head`,
    {
      hint: "Fetch more of it (git fetch --unshallow), or name what is live with --base REVISION.",
    },
  );
}

/** A path of this machine as one from a checkout's root; empty for the root. Throws `PathRefused` for one outside. */
export function inCheckout(root: string, path: string): string {
  const inside = relative(root, resolve(path));
  if (inside !== ".." && !inside.startsWith(`..${sep}`)) return inside.split(sep).join("/");
  throw new AsteriskIacError("PathRefused", `${resolve(path)} is outside of the checkout ${root}`, {
    hint: "plan --offline reads nothing else.",
  });
}

/** Manifests out of a state of a checkout. `mayLack`: one that is not there has nothing in it. */
export function manifestsIn(
  root: string,
  files: RepositoryFiles,
  { mayLack }: { mayLack: boolean },
): ManifestFiles {
  return {
    entries: async (path) => {
      const inside = inCheckout(root, path);
      const below = await files.list(inside);
      if (below.size > 0) return [...below.keys()].filter((name) => !name.includes("/"));
      if (
        inside !== "" &&
        (await files.list(parent(inside))).has(inside.slice(parent(inside).length).replace(/^\//, ""))
      )
        return undefined;
      if (mayLack) return [];
      throw new AsteriskIacError(
        "InvalidArgument",
        `${inside === "" ? root : inside} is not in ${files.name}`,
      );
    },
    read: async (path) => {
      const inside = inCheckout(root, path);
      return (await files.read([inside])).get(inside) ?? Buffer.alloc(0);
    },
  };
}

function parent(path: string): string {
  const directory = dirname(path);
  return directory === "." ? "" : directory;
}
