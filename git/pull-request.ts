import { AsteriskIacError, asAsteriskIacError } from "../core/errors.ts";
import type { PendingReview, Revision } from "../core/source.ts";
import { changeDigest, holdsSame } from "./change-digest.ts";
import type { Forge, PullRequest } from "./forges/forge.ts";
import type { GitChange, Publisher } from "./publisher.ts";
import { isUntouched } from "./publisher.ts";
import type { PullRequestMark } from "./pull-request-text.ts";
import { markOf, pullRequestText } from "./pull-request-text.ts";
import type { GitRepository } from "./repository.ts";

export interface PullRequestPublisherOptions {
  /** The AsteriskServer's name: it has a branch of its own, `asterisk-iac/<server>`. */
  readonly server: string;
  readonly repository: GitRepository;
  /** The branch that the server's files are read from, and are to be merged into. */
  readonly branch: string;
  readonly forge: Forge;
  /** For the first commit of a repository: with nothing to compare it with there is nothing to review. */
  readonly direct: Publisher;
}

/** So many times others may push to the branch, or open its pull request, in between. */
const mostTries = 4;

/** Stands in the place of a change's digest, where a pull request proposes none. */
const noChange = "0".repeat(64);

/** Stands in the place of a tree, where the base branch has no directory of the server yet. */
const noTree = "none";

/**
 * Publishes one server's changes as one pull request, which is kept up to date while it is open. Its branch is never pushed
 * by force: a new change comes after what the branch has, with the same files as the base branch but for the server's. What
 * others commit to it stays in its history until they are merged, and gives way to the server's next change. Where the base
 * branch moves in the server's directory, the branch is brought together with it, unless others committed to it: they may have
 * done so, or are about to. Merged, the change comes back with the base branch; closed unmerged it is rejected, and only
 * another one is proposed.
 */
export class PullRequestPublisher implements Publisher {
  readonly #options: PullRequestPublisherOptions;
  readonly #head: string;
  /** So that a server in sync costs no request in each pass. */
  #isNoneOpen = false;
  /** What was found of an open pull request, by the commits that were compared. */
  #standing: { readonly of: string; readonly outcome: "Unchanged" | "Behind" } | undefined;

  constructor(options: PullRequestPublisherOptions) {
    this.#options = options;
    this.#head = `asterisk-iac/${options.server}`;
  }

  /**
   * Rejects as `GitRepository` and `Forge` do, and with `ChangedMeanwhile` where others change the same branch each time, or
   * changed the base branch in the server's directory: they may just have merged this very change.
   */
  async publish(change: GitChange): Promise<Revision> {
    const { repository, direct } = this.#options;
    if (change.base === undefined) return direct.publish(change);
    const digest = await changeDigest(repository.objects, change);
    for (let tries = 0; tries < mostTries; tries++) {
      const revision = await this.#try(change, change.base, digest);
      if (revision !== undefined) return revision;
    }
    throw this.#changedMeanwhile(`${this.#head}, or its pull request, was changed by others each time`);
  }

  /**
   * Closes the pull request, where the server's files came to be as the base branch has them. That is no rejection: the same
   * change is proposed again. A forge that does not answer is asked again the next time.
   */
  async withdraw(): Promise<Revision | undefined> {
    const { server, forge, branch } = this.#options;
    if (this.#isNoneOpen) return undefined;
    try {
      const newest = await forge.newestPullRequest({ head: this.#head, base: branch });
      const mark = newest?.state === "Open" ? markOf(newest.body) : undefined;
      if (newest !== undefined && mark !== undefined) {
        const withdrawn = { ...mark, change: noChange };
        const message = `${server}: nothing changed any more`;
        const review = `Withdrawn: the files of \`${server}\` are as \`${branch}\` has them again.\n`;
        await forge.closePullRequest(newest.number, pullRequestText(server, withdrawn, { message, review }));
      }
      this.#isNoneOpen = true;
      return newest === undefined || mark === undefined ? undefined : this.#revision(newest, "Withdrawn");
    } catch (thrown) {
      if (asAsteriskIacError(thrown).code === "SourceUnavailable") return undefined;
      throw thrown;
    }
  }

  /** Undefined where somebody else was faster. */
  async #try(change: GitChange, base: string, digest: string): Promise<Revision | undefined> {
    const { server, forge, branch, repository } = this.#options;
    const branches = { head: this.#head, base: branch };
    this.#isNoneOpen = false;
    const newest = await forge.newestPullRequest(branches);
    const mark = newest === undefined ? undefined : markOf(newest.body);
    const tree = (await repository.objects.treeId(base, change.path)) ?? noTree;
    if (newest?.state === "Open" && mark?.change === digest) {
      const outcome = mark.base === tree ? "Unchanged" : await this.#outcomeOf(newest, change, base);
      if (outcome !== undefined) return this.#revision(newest, outcome);
    }
    const rejected = rejectedOf(newest, mark);
    if (newest?.state === "Closed" && rejected.includes(digest)) return this.#revision(newest, "Rejected");

    if (!(await isUntouched(repository.objects, change, await repository.fetch(branch))))
      throw this.#changedMeanwhile(`${branch} has other commits in ${change.path || "the root"}`);
    const commit = await this.#push(change, base);
    if (commit === undefined) return undefined;
    const text = pullRequestText(server, { change: digest, base: tree, rejected }, change);
    if (newest?.state === "Open") {
      await forge.updatePullRequest(newest.number, text);
      return this.#revision({ ...newest, head: commit }, "Updated");
    }
    const opened = await forge.openPullRequest(branches, text);
    return opened === undefined ? undefined : this.#revision({ ...opened, head: commit }, "Opened");
  }

  /**
   * What is to be said of an open pull request that has this very change, when the base branch has moved in the server's
   * directory; undefined where its branch is to be brought together with that.
   */
  async #outcomeOf(
    { head: known }: PullRequest,
    { path, author }: GitChange,
    base: string,
  ): Promise<"Unchanged" | "Behind" | undefined> {
    const of = `${base} ${known}`;
    if (this.#standing?.of === of) return this.#standing.outcome;
    const { repository } = this.#options;
    const head = await repository.fetch(this.#head);
    if (head === undefined) return undefined;
    const outcome = (await this.#holds(base, head, path))
      ? "Unchanged"
      : (await isByOthers(repository, { head, base, email: author.email }))
        ? "Behind"
        : undefined;
    if (outcome !== undefined) this.#standing = { of, outcome };
    return outcome;
  }

  /** Whether a branch has what the base branch has of the server, were it because somebody merged it. */
  async #holds(base: string, head: string, path: string): Promise<boolean> {
    const { repository, branch } = this.#options;
    const { objects } = repository;
    if (await repository.isAncestor(base, head, this.#head)) return true;
    // Asked for what it fetches: of two branches that have parted, all of the history.
    await repository.isAncestor(head, base, branch);
    const fork = await objects.mergeBase(base, head);
    return fork !== undefined && (await objects.treeId(fork, path)) === (await objects.treeId(base, path));
  }

  /** Brings the change to the branch, where it is not there yet. Undefined where the branch moved meanwhile. */
  async #push(change: GitChange, base: string): Promise<string | undefined> {
    const { repository } = this.#options;
    const { objects } = repository;
    const head = await repository.fetch(this.#head);
    const isOnBase = head !== undefined && (await repository.isAncestor(base, head, this.#head));
    const parents = [...(head === undefined ? [] : [head]), ...(isOnBase ? [] : [base])];
    const commit = await objects.commit({ ...change, base, parents });
    if (isOnBase && (await holdsSame(objects, head, commit, change))) return head;
    return (await repository.push(commit, this.#head)) === "Pushed" ? commit : undefined;
  }

  #changedMeanwhile(why: string): AsteriskIacError {
    return new AsteriskIacError(
      "ChangedMeanwhile",
      `${this.#options.repository.url} moved on while the plan was carried out: ${why}`,
      { next: "Retry", hint: "Nothing was lost. Run the command again: it makes a new plan." },
    );
  }

  #revision({ number, url, head }: PullRequest, outcome: PendingReview["outcome"]): Revision {
    return { branch: this.#head, commit: head, pullRequest: { url, number, outcome } };
  }
}

/** The digests of changes that are not wanted: what was closed unmerged, and what was so before that. */
function rejectedOf(newest: PullRequest | undefined, mark: PullRequestMark | undefined): readonly string[] {
  if (mark === undefined || newest?.state === "Merged") return [];
  return newest?.state === "Closed" ? [...new Set([mark.change, ...mark.rejected])] : mark.rejected;
}

/** Whether anybody else committed to a branch since it left another. */
async function isByOthers(
  { objects }: GitRepository,
  { head, base, email }: { readonly head: string; readonly base: string; readonly email: string },
): Promise<boolean> {
  const committers = await objects.committers(head, base);
  return [...committers].some((address) => address !== email);
}
