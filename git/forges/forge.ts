/** What can be told of a pull request. `Closed`: without having been merged. */
export interface PullRequest {
  readonly number: number;
  /** Of its page. */
  readonly url: string;
  readonly state: "Open" | "Merged" | "Closed";
  readonly body: string;
  /** The commit that its branch has, or had last. */
  readonly head: string;
}

/** What a pull request says: one line, and Markdown. */
export interface PullRequestText {
  readonly title: string;
  readonly body: string;
}

/** From which branch of a repository to which other. */
export interface Branches {
  readonly head: string;
  readonly base: string;
}

/**
 * One repository at a forge. Each call rejects with `SourceUnavailable`: `Waiting` with `retryAfterMs` when the forge
 * asks for a pause, `Retry` when it can't be reached or has a fault of its own, else `Stalled`. No token is in an error.
 */
export interface Forge {
  /** The newest pull request between two branches of this repository itself, in whatever state; undefined: none ever. */
  newestPullRequest(branches: Branches): Promise<PullRequest | undefined>;
  /** Opens one. Undefined where one is open already, or where the branches have nothing to merge. */
  openPullRequest(branches: Branches, text: PullRequestText): Promise<PullRequest | undefined>;
  /** Gives one another text. */
  updatePullRequest(number: number, text: PullRequestText): Promise<void>;
  /** Closes one unmerged, with another text. */
  closePullRequest(number: number, text: PullRequestText): Promise<void>;
  /**
   * Sees to it that there is one comment of the token's owner that begins with `marker`, a line that readers don't see
   * (`<!-- asterisk-iac-plan -->`), and that it goes on with `text`, Markdown. Comments of others are left alone.
   */
  comment(number: number, marker: string, text: string): Promise<"Created" | "Updated" | "Unchanged">;
}

/** The forges that are known. */
export type ForgeKind = "GitHub" | "Gitea";

/** Where a repository is at a forge. */
export interface ForgeOptions {
  readonly kind: ForgeKind;
  /** The repository's URL as git has it: its path gives owner and name, its host the API where no `apiURL` does. */
  readonly repositoryURL: string;
  /** Of the API, e.g. `https://git.example.com/api/v1`. */
  readonly apiURL?: string;
  /** Asked before each call, so that a new one counts at once. */
  readonly token: () => Promise<string>;
}
