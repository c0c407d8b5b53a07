import { setTimeout as delay } from "node:timers/promises";
import { AsteriskIacError } from "../core/errors.ts";
import { branchProblem, gitURLProblem } from "../core/resource/index.ts";
import { RepositoryCache } from "./cache.ts";
import type { Access, GitCredentials } from "./credentials.ts";
import { withAccess } from "./credentials.ts";
import { GitObjects } from "./objects.ts";
import type { Failure } from "./refusals.ts";
import { failureOf } from "./refusals.ts";
import type { GitRun } from "./run.ts";
import { runGit, runGitOrThrow } from "./run.ts";

/** A repository somewhere else. */
export interface GitRemote {
  readonly url: string;
  readonly allowPlaintext?: boolean;
  /** Asked before each look, so that a new key or token counts at once. */
  readonly credentials: () => Promise<GitCredentials>;
  /** Tells those who read with other credentials apart: they share no cache. */
  readonly reader: string;
}

export interface GitRepositoryOptions {
  /** Where all caches are. */
  readonly cacheDirectory: string;
  /** How long a fetch or a push may take. Milliseconds; default two minutes. */
  readonly deadlineMs?: number;
}

/** What is known of a branch: its tip, undefined where there is none, and when it was asked (`performance.now()`). */
interface KnownBranch {
  readonly tip: string | undefined;
  readonly at: number;
}

/** How much more of the history is fetched each time that it does not reach far enough. Commits; then all of it. */
const deepenings = ["--deepen=50", "--deepen=1000", "--unshallow"];

/** So many times a branch is found locked by somebody else's push, which takes a moment. */
const mostTriesWhileLocked = 5;

/**
 * A bare, shallow cache of a repository that is somewhere else. One object serves all who read the same repository in a
 * run, and one process at a time works with the remote. Rejects with `SourceUnavailable` where that can't be reached, does
 * not answer in time, or does not let us in.
 */
export class GitRepository {
  readonly url: string;
  readonly objects: GitObjects;
  readonly #remote: GitRemote;
  readonly #cache: RepositoryCache;
  readonly #deadlineMs: number;
  readonly #known = new Map<string, KnownBranch>();
  /** Fetches that are not begun yet, by branch: who asks meanwhile gets the same answer. */
  readonly #waiting = new Map<string, Promise<string | undefined>>();
  #last: Promise<unknown> = Promise.resolve();

  /** Throws `InvalidManifest` for a URL that git is never to see. */
  constructor(remote: GitRemote, { cacheDirectory, deadlineMs = 120_000 }: GitRepositoryOptions) {
    const problem = gitURLProblem(remote.url, remote.allowPlaintext === true);
    if (problem !== undefined)
      throw new AsteriskIacError("InvalidManifest", `the repository's url ${problem}`);
    this.url = remote.url;
    this.#remote = remote;
    this.#deadlineMs = deadlineMs;
    this.#cache = new RepositoryCache(cacheDirectory, `${remote.url}\n${remote.reader}`);
    this.objects = new GitObjects(this.#cache.repository);
  }

  /** Asks for a branch and brings what is new here; its tip, or undefined where there is no such branch. */
  fetch(branch: string): Promise<string | undefined> {
    const waiting = this.#waiting.get(branch);
    if (waiting !== undefined) return waiting;
    const fetched = this.#alone(async (access) => {
      this.#waiting.delete(branch);
      const tip = await this.#fetch(branch, access);
      this.#known.set(branch, { tip, at: performance.now() });
      return tip;
    });
    this.#waiting.set(branch, fetched);
    fetched.catch(() => this.#waiting.delete(branch));
    return fetched;
  }

  /**
   * The same where a commit can't be read. If that is still the tip, and nobody else has done so meanwhile, it is fetched
   * into a new cache; whoever reads the old one goes on.
   */
  async fetchAnew(branch: string, unreadable: string | undefined): Promise<string | undefined> {
    const seen = await this.#cache.generation();
    return this.#alone(async (access) => {
      const wasHere = (await this.objects.resolve(trackingOf(branch))) !== undefined;
      let tip = await this.#fetch(branch, access);
      if (wasHere && tip === unreadable && seen === (await this.#cache.generation()))
        tip = await this.#remake(branch, access);
      this.#known.set(branch, { tip, at: performance.now() });
      return tip;
    });
  }

  /** The tip as it was at most so long ago, in milliseconds; asked anew where nobody asked since. */
  async tip(branch: string, maxAgeMs: number): Promise<string | undefined> {
    const known = this.#known.get(branch);
    return known !== undefined && performance.now() - known.at < maxAgeMs ? known.tip : this.fetch(branch);
  }

  /**
   * Pushes a commit to a branch, which comes to be where it is not. Never forced: `Rejected` where the branch has what the
   * commit does not come after, and where somebody else's push came in between.
   */
  async push(commit: string, branch: string): Promise<"Pushed" | "Rejected"> {
    const refspec = `${commit}:${headOf(branch)}`;
    return this.#alone(async (access) => {
      for (let tries = 1; ; tries++) {
        const args = ["push", "--porcelain", "--no-verify", this.url, refspec];
        const run = await this.#run(args, access);
        const flag = /^([ =*!+-])\t[^\t]*\t/m.exec(run.stdout.toString("utf8"))?.[1];
        if (run.exitCode === 0 && flag !== undefined && " =*".includes(flag)) {
          await this.#remember(branch, commit);
          return "Pushed";
        }
        const { kind, error } = failureOf(this.url, run, access.secrets);
        if (kind === "NotOnTop") return "Rejected";
        if (kind !== "Locked" && kind !== "NotUpdated") throw error;
        // What is told is what the push said: a look that fails says nothing of it.
        const before = await this.objects.resolve(trackingOf(branch));
        const now = await this.#fetch(branch, access).catch(() => before);
        if (now !== before) return now === commit ? "Pushed" : "Rejected";
        if (kind === "NotUpdated" || tries === mostTriesWhileLocked) throw error;
        await delay(Math.random() * 100 * 2 ** tries);
      }
    });
  }

  /** Whether a commit is another or comes before it. As much of the branch's history is fetched as that needs. */
  async isAncestor(older: string, newer: string, branch: string): Promise<boolean> {
    for (const deepening of deepenings) {
      const known = await this.objects.isAncestor(older, newer);
      if (known !== undefined) return known;
      await this.#alone((access) => this.#fetch(branch, access, deepening));
    }
    // Nothing lies beyond the whole history.
    return (await this.objects.isAncestor(older, newer)) ?? false;
  }

  /** Fetches some more of a branch's history; false where all of it is here. */
  async deepen(branch: string): Promise<boolean> {
    if (!(await this.objects.isShallow())) return false;
    await this.#alone((access) => this.#fetch(branch, access, deepenings[0]));
    return true;
  }

  async #fetch(branch: string, access: Access, deepening?: string): Promise<string | undefined> {
    const before = await this.objects.resolve(trackingOf(branch));
    const depth = deepening ?? (before === undefined ? "--depth=1" : undefined);
    const failure = await this.#fetchInto(this.objects.directory, branch, access, depth);
    if (failure === undefined) {
      await this.#cache.tidy();
      return this.objects.resolve(trackingOf(branch));
    }
    if (failure.kind === "NoSuchBranch") {
      await this.#forget(branch);
      return undefined;
    }
    if (failure.kind === "Told") throw failure.error;
    // A cache that is broken is as good as none.
    const tip = await this.#remake(branch, access);
    if (deepening === undefined || tip === undefined) return tip;
    const again = await this.#fetchInto(this.objects.directory, branch, access, deepening);
    if (again !== undefined) throw again.error;
    return tip;
  }

  /** Fetches a branch into a new cache, which then takes the place of this one. Other branches are asked for anew. */
  async #remake(branch: string, access: Access): Promise<string | undefined> {
    await this.#cache.remake(async (directory) => {
      const failure = await this.#fetchInto(directory, branch, access, "--depth=1");
      if (failure !== undefined && failure.kind !== "NoSuchBranch") throw failure.error;
    });
    this.#known.clear();
    return this.objects.resolve(trackingOf(branch));
  }

  /** Why it failed; undefined where it did not. */
  async #fetchInto(
    directory: string,
    branch: string,
    access: Access,
    depth: string | undefined,
  ): Promise<Failure | undefined> {
    const how = ["--quiet", "--no-tags", "--no-write-fetch-head", ...(depth === undefined ? [] : [depth])];
    const args = ["fetch", ...how, this.url, `+${headOf(branch)}:${trackingOf(branch)}`];
    const run = await this.#run(args, access, directory);
    return run.exitCode === 0 ? undefined : failureOf(this.url, run, access.secrets);
  }

  async #remember(branch: string, tip: string): Promise<void> {
    await runGitOrThrow({ directory: this.objects.directory, args: ["update-ref", trackingOf(branch), tip] });
    this.#known.set(branch, { tip, at: performance.now() });
  }

  async #forget(branch: string): Promise<void> {
    await runGit({ directory: this.objects.directory, args: ["update-ref", "-d", trackingOf(branch)] });
  }

  #run(
    args: readonly string[],
    { env, config }: Access,
    directory = this.objects.directory,
  ): Promise<GitRun> {
    return runGit({
      directory,
      args,
      env,
      config: ["fetch.fsckObjects=true", "fetch.unpackLimit=1", "push.gpgSign=false", ...config],
      deadlineMs: this.#deadlineMs,
    });
  }

  /** One after the other, in this process and among all. */
  async #alone<T>(work: (access: Access) => Promise<T>): Promise<T> {
    const { url, credentials } = this.#remote;
    const mine = this.#last.then(() =>
      this.#cache.exclusively(async () => withAccess(url, await credentials(), this.#cache.directory, work)),
    );
    this.#last = mine.catch(() => undefined);
    return mine;
  }
}

/** The ref of a branch at the remote. Throws for a name that is none. */
function headOf(branch: string): string {
  const problem = branchProblem(branch);
  if (problem === undefined) return `refs/heads/${branch}`;
  throw new AsteriskIacError("InvalidManifest", `${JSON.stringify(branch)} ${problem}`);
}

/** Where we keep a branch's tip. */
function trackingOf(branch: string): string {
  return `refs/asterisk-iac/remote/${branch}`;
}
