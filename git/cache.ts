import { createHash } from "node:crypto";
import { lstat, mkdir, mkdtemp, readdir, readlink, realpath, rename, rm, symlink } from "node:fs/promises";
import { homedir } from "node:os";
import { basename, join } from "node:path";
import { lock } from "proper-lockfile";
import { AsteriskIacError, hasErrorCode } from "../core/errors.ts";
import { madeRefs } from "./objects.ts";
import type { GitRun } from "./run.ts";
import { runGit, runGitOrThrow } from "./run.ts";

/** Where the caches of repositories are, unless a front has another place: `$XDG_CACHE_HOME/asterisk-iac/git`. */
export function defaultCacheDirectory(): string {
  const home = process.env["XDG_CACHE_HOME"];
  const caches = home === undefined || !home.startsWith("/") ? join(homedir(), ".cache") : home;
  return join(caches, "asterisk-iac", "git");
}

/** A lock whose holder was killed is taken over after so long without its heartbeat. Milliseconds. */
const lockStaleMs = 5000;
const lockRetries = { retries: 150, factor: 1, minTimeout: 1000, maxTimeout: 1000, randomize: true };

/** So many packs are made one, and so many loose objects; of these one folder of 256 is counted, as git does. */
const mostPacks = 60;
const looseSample = "17";
const mostLooseInSample = 27;

/** Where nobody can say whether a git that left its lock still lives, this is how long none does. Milliseconds. */
const noGitLivesMs = 600_000;

/** What bare repositories are called, the one that is read and those whose place it took. */
const repositoryPrefix = "repository";

/**
 * The folder of one repository in the cache, 0700: `current`, a link to the bare repository that is read now, and what the
 * runs that share it need. Everything in it can be fetched again.
 */
export class RepositoryCache {
  readonly directory: string;
  /** The bare repository. What began to read it goes on to the end, whatever takes its place. */
  readonly repository: string;

  /** @param name what tells this repository, and who reads it, from others */
  constructor(root: string, name: string) {
    this.directory = join(root, createHash("sha256").update(name).digest("hex").slice(0, 32));
    this.repository = join(this.directory, "current");
  }

  /**
   * Runs `work` while no other process fetches, pushes or cleans here. What a killed one left is gone by then: its
   * credentials, and git's locks, which would stay for good.
   */
  async exclusively<T>(work: () => Promise<T>): Promise<T> {
    await mkdir(this.directory, { recursive: true, mode: 0o700 });
    const lost: { cause?: Error } = {};
    const release = await lock(this.directory, {
      lockfilePath: join(this.directory, "lock"),
      stale: lockStaleMs,
      retries: lockRetries,
      onCompromised: (cause) => (lost.cause = cause),
    }).catch((cause: unknown) => {
      throw new AsteriskIacError("SourceUnavailable", `another process works in ${this.directory}`, {
        next: "Retry",
        cause,
        hint: "Wait until it is done, then run the same command again.",
      });
    });
    try {
      await this.#recover();
      await this.#makeRepository();
      return await work();
    } finally {
      if (lost.cause === undefined) await release();
    }
  }

  /** Which repository is read now: another name, another repository. Undefined where there is none yet. */
  async generation(): Promise<string | undefined> {
    return readlink(this.repository).catch(() => undefined);
  }

  /** Has `fill` fill an empty repository, then puts that in the place of the one that is here; where it fails, nothing is. */
  async remake<T>(fill: (repository: string) => Promise<T>): Promise<T> {
    const made = await this.#makeEmpty();
    const result = await fill(made);
    await this.#use(made);
    await this.#removeReplaced();
    return result;
  }

  /** Makes one pack of many, and of what we made and never pushed nothing. What fails is tried again another time. */
  async tidy(): Promise<void> {
    const objects = join(this.repository, "objects");
    const [packs, loose] = await Promise.all(
      [join(objects, "pack"), join(objects, looseSample)].map((each) => readdir(each).catch(() => [])),
    );
    const isTidy =
      (packs ?? []).filter((name) => name.endsWith(".pack")).length < mostPacks &&
      (loose ?? []).length < mostLooseInSample;
    if (isTidy) return;
    const git = (args: readonly string[], input?: Buffer): Promise<GitRun> =>
      runGit({
        directory: this.repository,
        args,
        deadlineMs: 300_000,
        ...(input === undefined ? {} : { input }),
      });
    // Runs under way keep theirs for so long all the same.
    const made = await git(["for-each-ref", "--format=delete %(refname)", madeRefs]);
    await git(["update-ref", "--stdin"], made.stdout);
    await git(["gc", "--quiet", "--prune=1.hour.ago"]);
  }

  async #makeRepository(): Promise<void> {
    if (!(await namesIn(this.repository)).includes("HEAD")) await this.#use(await this.#makeEmpty());
    await this.#removeReplaced();
  }

  async #makeEmpty(): Promise<string> {
    const made = await mkdtemp(join(this.directory, `${repositoryPrefix}-`));
    await runGitOrThrow({
      directory: made,
      args: ["init", "--quiet", "--bare", "--template=", "--initial-branch=main"],
    });
    return made;
  }

  /** Renaming a link is one step: at no time is there no repository. */
  async #use(made: string): Promise<void> {
    const next = join(this.directory, "next");
    await rm(next, { force: true });
    await symlink(basename(made), next);
    await rename(next, this.repository);
  }

  /** Removes the repositories that are read no more: whose place another took, or that were never filled. As `tidy` does. */
  async #removeReplaced(): Promise<void> {
    const current = await this.generation();
    const replaced = (await namesIn(this.directory)).filter(
      (name) => name.startsWith(repositoryPrefix) && name !== current,
    );
    for (const path of replaced.map((name) => join(this.directory, name)))
      if (await isLeft(path)) await rm(path, { recursive: true, force: true }).catch(() => undefined);
  }

  async #recover(): Promise<void> {
    const left = (await namesIn(this.directory)).filter((name) => name.startsWith("access-"));
    const locks = await this.#locks();
    if (left.length === 0 && locks.length === 0) return;
    const paths = [...left.map((name) => join(this.directory, name)), ...locks];
    if (!(await isLeft(this.repository, paths))) {
      throw new AsteriskIacError(
        "SourceUnavailable",
        `a git of an earlier run still works in ${this.repository}`,
        {
          next: "Retry",
          hint: "It ends by itself, in ten minutes at the latest; run the same command again.",
        },
      );
    }
    for (const path of paths) await rm(path, { recursive: true, force: true });
  }

  /** Git's own locks: of refs, of the shallow boundary, of the configuration. */
  async #locks(): Promise<string[]> {
    const top = (await namesIn(this.repository)).filter((name) => name.endsWith(".lock"));
    const refs = await readdir(join(this.repository, "refs"), { recursive: true }).catch(() => []);
    return [
      ...top.map((name) => join(this.repository, name)),
      ...refs.filter((name) => name.endsWith(".lock")).map((name) => join(this.repository, "refs", name)),
    ];
  }
}

async function namesIn(directory: string): Promise<string[]> {
  return readdir(directory).catch((cause: unknown) => {
    if (hasErrorCode(cause, "ENOENT")) return [];
    throw new AsteriskIacError("SourceUnavailable", `can't read ${directory}`, { cause });
  });
}

/** Whether no git works in a repository any more; where nobody can say, after how old `paths` are. */
async function isLeft(repository: string, paths: readonly string[] = [repository]): Promise<boolean> {
  const isWorkedIn = await hasProcess(repository);
  return isWorkedIn === undefined ? areOld(paths) : !isWorkedIn;
}

/** Whether a process works in a directory, as every git of ours does in its repository. Undefined where nobody can say. */
async function hasProcess(directory: string): Promise<boolean | undefined> {
  const processes = await readdir("/proc").catch(() => undefined);
  const places = processes
    ?.filter((name) => /^\d+$/.test(name))
    .map((id) => readlink(`/proc/${id}/cwd`).catch(() => ""));
  if (places === undefined) return undefined;
  const place = await realpath(directory).catch(() => directory);
  return (await Promise.all(places)).includes(place);
}

async function areOld(paths: readonly string[]): Promise<boolean> {
  const times = await Promise.all(paths.map((path) => lstat(path).catch(() => undefined)));
  return times.every((status) => status === undefined || Date.now() - status.mtimeMs > noGitLivesMs);
}
