import type { ForgeKind } from "../../git/forges/forge.ts";
import type { GitClone } from "./git-clone.ts";

/** A pull request as the APIs of GitHub and Gitea both say it: the fields that tests look at. */
export interface APIPullRequest {
  readonly number: number;
  readonly html_url: string;
  readonly state: "open" | "closed";
  readonly merged: boolean;
  readonly title: string;
  readonly body: string;
  /** `label` is the branch, for GitHub with its owner in front; `ref` may change when that is deleted. */
  readonly head: { readonly label: string; readonly ref: string; readonly sha: string };
}

/** A comment as both say it. */
export interface APIComment {
  readonly id: number;
  readonly body: string;
}

/** A repository of a forge, with a branch main that holds a README.md, and what people do with it there. */
export interface ForgeRepository {
  readonly kind: ForgeKind;
  readonly apiURL: string;
  readonly owner: string;
  readonly name: string;
  /** `http://127.0.0.1:port/owner/name.git`: the token is the password, with any user name. */
  readonly httpURL: string;
  readonly token: string;
  /** A person's clone. */
  clone(): Promise<GitClone>;
  /** All, oldest first. */
  pullRequests(): Promise<readonly APIPullRequest[]>;
  /** Those of a pull request, oldest first. */
  comments(number: number): Promise<readonly APIComment[]>;
  /** As somebody else than the token's owner. */
  commentAsStranger(number: number, body: string): Promise<void>;
  /** With a merge commit. */
  merge(number: number): Promise<void>;
  close(number: number): Promise<void>;
  deleteBranch(branch: string): Promise<void>;
  /** The commit of a branch (default: main); undefined where there is none. */
  head(branch?: string): Promise<string | undefined>;
  /** A file of a branch (default: main) as text; undefined where it is not there. */
  read(path: string, branch?: string): Promise<string | undefined>;
}
