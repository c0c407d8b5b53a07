import { setTimeout as delay } from "node:timers/promises";
import { AsteriskIacError, asAsteriskIacError } from "../core/errors.ts";
import type { Revision, RevisionText } from "../core/source.ts";
import type { Author, GitObjects } from "./objects.ts";
import type { GitRepository } from "./repository.ts";
import type { CommitSignatures } from "./signatures.ts";

/** What one server has to say to a repository: one commit. */
export interface GitChange extends RevisionText {
  /** The commit that it was made from; undefined where the branch was not there. */
  readonly base: string | undefined;
  /** The server's directory in the repository, "" for the root. While nobody else changes anything in it, the change holds. */
  readonly path: string;
  /** By path in the repository; null removes. All of them lie below `path`. */
  readonly changes: ReadonlyMap<string, Uint8Array | null>;
  readonly author: Author;
  /** Where only signed commits are believed: then none but such is built upon, too. */
  readonly signatures?: CommitSignatures;
}

/** Brings changes to where others see them. */
export interface Publisher {
  /** Rejects with `ChangedMeanwhile` where the server's directory is no longer as the change was made from it. */
  publish(change: GitChange): Promise<Revision>;
  /** Takes back what waits to be reviewed, for the server has nothing to publish any more. Undefined: nothing waited. */
  withdraw?(): Promise<Revision | undefined>;
}

interface Waiting {
  readonly change: GitChange;
  readonly resolve: (revision: Revision) => void;
  readonly reject: (error: Error) => void;
}

/** So many times others may push in between. */
const mostTries = 6;

/**
 * Pushes to one branch, one push at a time: the changes of servers that come in meanwhile go together in the next one, a
 * commit each. After somebody else's push the same changes are made on top of that, where it left the server's directory
 * alone. Nothing is ever forced.
 */
export class BranchPublisher implements Publisher {
  readonly #repository: GitRepository;
  readonly #branch: string;
  readonly #waiting: Waiting[] = [];
  #isPushing = false;

  constructor(repository: GitRepository, branch: string) {
    this.#repository = repository;
    this.#branch = branch;
  }

  publish(change: GitChange): Promise<Revision> {
    const { promise, resolve, reject } = Promise.withResolvers<Revision>();
    this.#waiting.push({ change, resolve, reject });
    if (!this.#isPushing) void this.#pushAll();
    return promise;
  }

  async #pushAll(): Promise<void> {
    this.#isPushing = true;
    while (this.#waiting.length > 0) {
      const together = this.#waiting.splice(0);
      try {
        await this.#push(together);
      } catch (thrown) {
        for (const { reject } of together) reject(asAsteriskIacError(thrown, "SourceUnavailable"));
      }
    }
    this.#isPushing = false;
  }

  /** Settles every one of them, unless it throws. */
  async #push(together: readonly Waiting[]): Promise<void> {
    const { objects } = this.#repository;
    let left = together;
    for (let tries = 0; tries < mostTries; tries++) {
      const tip =
        tries === 0
          ? await this.#repository.tip(this.#branch, Infinity)
          : await this.#repository.fetch(this.#branch);
      const standing: Waiting[] = [];
      for (const waiting of left) {
        const distrust = await distrustOf(objects, waiting.change, tip);
        if (distrust !== undefined) waiting.reject(distrust);
        else if (await isUntouched(objects, waiting.change, tip)) standing.push(waiting);
        else waiting.reject(this.#changedMeanwhile(`${waiting.change.path || "the root"} has other commits`));
      }
      left = standing;
      if (left.length === 0) return;
      const made: [Waiting, string][] = [];
      let top = tip;
      for (const waiting of left) {
        const parents = top === undefined ? [] : [top];
        top = await objects.commit({ ...waiting.change, base: top, parents });
        made.push([waiting, top]);
      }
      if (top === undefined) return;
      if ((await this.#repository.push(top, this.#branch)) === "Pushed") {
        for (const [{ resolve }, commit] of made) resolve({ commit, branch: this.#branch });
        return;
      }
      // Others who push as often as we do get their turn.
      await delay(Math.random() * 100 * 2 ** tries);
    }
    for (const { reject } of left) reject(this.#changedMeanwhile("others pushed each time"));
  }

  #changedMeanwhile(why: string): AsteriskIacError {
    return new AsteriskIacError(
      "ChangedMeanwhile",
      `the branch ${this.#branch} of ${this.#repository.url} moved on while the plan was carried out: ${why}`,
      { next: "Retry", hint: "Nothing was pushed. Run the command again: it makes a new plan." },
    );
  }
}

/** Our signature on top of a commit would vouch for it. */
async function distrustOf(
  { directory }: GitObjects,
  { base, signatures }: GitChange,
  tip: string | undefined,
): Promise<AsteriskIacError | undefined> {
  if (signatures === undefined || tip === undefined || tip === base) return undefined;
  return signatures.verify(directory, tip).then(() => undefined, asAsteriskIacError);
}

/** Whether a branch has in the server's directory what the change was made from. */
export async function isUntouched(
  objects: GitObjects,
  { base, path }: GitChange,
  tip: string | undefined,
): Promise<boolean> {
  if (base === tip) return true;
  const [before, now] = await Promise.all(
    [base, tip].map((commit) => (commit === undefined ? undefined : objects.treeId(commit, path))),
  );
  return before === now;
}
