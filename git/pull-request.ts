import { AsteriskIacError, asAsteriskIacError } from "../core/errors.ts";
import type { PendingReview, Revision } from "../core/source.ts";
import { changeDigest, holdsSame } from "./change-digest.ts";
import type { Forge, PullRequest } from "./forges/forge.ts";
import type { GitChange, Publisher } from "./publisher.ts";
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

/**
 * Publishes one server's changes as one pull request, which is kept up to date while it is open. Its branch is never pushed
 * by force: a new change comes after what the branch has, with the same files as the base branch but for the server's. What
 * others commit to it stays in its history until they are merged, and gives way to the server's next change. Merged, the
 * change comes back with the base branch; closed unmerged it is rejected, and only another one is proposed.
 */
export class PullRequestPublisher implements Publisher {
  readonly #options: PullRequestPublisherOptions;
  readonly #head: string;
  /** So that a server in sync costs no request in each pass. */
  #isNoneOpen = false;

  constructor(options: PullRequestPublisherOptions) {
    this.#options = options;
    this.#head = `asterisk-iac/${options.server}`;
  }

  /** Rejects as `GitRepository` and `Forge` do, and with `ChangedMeanwhile` where others change the same branch each time. */
  async publish(change: GitChange): Promise<Revision> {
    const { repository, direct } = this.#options;
    if (change.base === undefined) return direct.publish(change);
    const digest = await changeDigest(repository.objects, change);
    for (let tries = 0; tries < mostTries; tries++) {
      const revision = await this.#try(change, change.base, digest);
      if (revision !== undefined) return revision;
    }
    throw new AsteriskIacError(
      "ChangedMeanwhile",
      `the branch ${this.#head} of ${repository.url} or its pull request was changed by others each time`,
      { next: "Retry", hint: "Nothing was lost. Run the command again." },
    );
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
        const withdrawn = { change: noChange, rejected: mark.rejected };
        const title = `${server}: nothing changed any more`;
        const summary = `Withdrawn: the files of \`${server}\` are as \`${branch}\` has them again.\n`;
        await forge.closePullRequest(newest.number, pullRequestText(server, withdrawn, { title, summary }));
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
    const { server, forge, branch } = this.#options;
    const branches = { head: this.#head, base: branch };
    this.#isNoneOpen = false;
    const newest = await forge.newestPullRequest(branches);
    const mark = newest === undefined ? undefined : markOf(newest.body);
    if (newest?.state === "Open" && mark?.change === digest) return this.#revision(newest, "Unchanged");
    const rejected = rejectedOf(newest, mark);
    if (newest?.state === "Closed" && rejected.includes(digest)) return this.#revision(newest, "Rejected");

    const commit = await this.#push(change, base);
    if (commit === undefined) return undefined;
    const text = pullRequestText(server, { change: digest, rejected }, textOf(change));
    if (newest?.state === "Open") {
      await forge.updatePullRequest(newest.number, text);
      return this.#revision({ ...newest, head: commit }, "Updated");
    }
    const opened = await forge.openPullRequest(branches, text);
    return opened === undefined ? undefined : this.#revision({ ...opened, head: commit }, "Opened");
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

  #revision({ number, url, head }: PullRequest, outcome: PendingReview["outcome"]): Revision {
    return { branch: this.#head, commit: head, pullRequest: { url, number, outcome } };
  }
}

/** The digests of changes that are not wanted: what was closed unmerged, and what was so before that. */
function rejectedOf(newest: PullRequest | undefined, mark: PullRequestMark | undefined): readonly string[] {
  if (mark === undefined || newest?.state === "Merged") return [];
  return newest?.state === "Closed" ? [...new Set([mark.change, ...mark.rejected])] : mark.rejected;
}

/** The first line of a commit's message, and what the front says of the change, or else the message's other lines. */
function textOf({ message, summary }: GitChange): { title: string; summary: string } {
  const [title = "", ...lines] = message.trim().split("\n");
  return { title, summary: summary ?? asCode(lines.join("\n").trim()) };
}

/** Text that is no Markdown, shown as it is. */
function asCode(text: string): string {
  const ticks = [...text.matchAll(/`+/g)].map(([run]) => run.length);
  const fence = "`".repeat(Math.max(3, ...ticks.map((length) => length + 1)));
  return text === "" ? "" : `${fence}text\n${text}\n${fence}\n`;
}
