import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll } from "@jest/globals";
import type { APIPullRequest, ForgeRepository } from "./forge-repository.ts";
import { git, type GitRepository, type GitServer } from "./git-server.ts";

/** An answer that the fake gives in place of its own, once. */
export interface CannedAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

/**
 * GitHub's REST API for pull requests and their comments, as far as it is asked here, on loopback: the same requests and
 * answers, on real repositories of a git server. What it does is held against a real Gitea by the tests of both.
 */
export interface FakeGitHub {
  createRepository(name: string): Promise<FakeGitHubRepository>;
  /** The next request is answered with this; undefined: never answered. */
  answerNext(answer: CannedAnswer | undefined): void;
  /** Each request so far, as `METHOD /path?query`. */
  readonly requests: readonly string[];
}

export interface FakeGitHubRepository extends ForgeRepository, Pick<GitRepository, "beforeNextPush"> {
  reopen(number: number): Promise<void>;
  /** Merges it as one new commit that does not know its branch. */
  squash(number: number): Promise<void>;
}

interface StoredPullRequest {
  readonly number: number;
  readonly head: string;
  readonly base: string;
  title: string;
  body: string;
  isOpen: boolean;
  mergedAt: string | null;
  /** The last commit of its branch, as long as it is open. */
  sha: string;
  readonly comments: StoredComment[];
}

interface StoredComment {
  readonly id: number;
  body: string;
  readonly user: { readonly id: number; readonly type: "Bot" | "User" };
}

interface Stored {
  readonly repository: GitRepository;
  readonly pullRequests: StoredPullRequest[];
}

class Refusal extends Error {
  readonly status: number;
  readonly answer: unknown;

  constructor(status: number, message: string, errors?: readonly unknown[]) {
    super(message);
    this.status = status;
    const documentation_url = "https://docs.github.com/rest";
    this.answer = {
      message,
      ...(errors === undefined ? {} : { errors }),
      documentation_url,
      status: String(status),
    };
  }
}

const owner = "telephony";

/** The tokens are those of workflows: what they write is by a bot, who can't ask who it is. */
const bot = { id: 1, type: "Bot" } as const;
const stranger = { id: 2, type: "User" } as const;

/** A fake for the tests of the `describe` or file that calls it. */
export function useFakeGitHub(server: GitServer): FakeGitHub {
  const repositories = new Map<string, Stored>();
  const requests: string[] = [];
  const canned: (CannedAnswer | undefined)[] = [];
  const http = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    void answer(repositories, canned, request, response);
  });
  const apiURL = (): string => `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  beforeAll(async () => {
    http.listen(0, "127.0.0.1");
    await once(http, "listening");
  });
  afterAll(() => {
    http.closeAllConnections();
    http.close();
  });
  return {
    requests,
    answerNext: (next) => void canned.push(next),
    createRepository: async (name) => {
      const repository = await server.createRepository(`${owner}/${name}`);
      await (await repository.clone()).push({ "README.md": `# ${name}\n` });
      const stored: Stored = { repository, pullRequests: [] };
      repositories.set(`/repos/${owner}/${name}`, stored);
      return repositoryOf(name, stored, apiURL());
    },
  };
}

/** What people do with it on the web pages. */
function repositoryOf(
  name: string,
  { repository, pullRequests }: Stored,
  apiURL: string,
): FakeGitHubRepository {
  const find = (number: number): StoredPullRequest => {
    const found = pullRequests.find((each) => each.number === number);
    if (found === undefined) throw new Error(`There is no pull request ${number}.`);
    return found;
  };
  const all = async (): Promise<APIPullRequest[]> => {
    await closeWithoutBranch({ repository, pullRequests });
    return pullRequests.map((each) => ({ ...shown(each), merged: each.mergedAt !== null }));
  };
  return {
    kind: "GitHub",
    apiURL,
    owner,
    name,
    httpURL: repository.httpURL,
    token: repository.token,
    clone: () => repository.clone(),
    head: (branch) => repository.head(branch),
    read: (path, branch) => repository.read(path, branch),
    pullRequests: all,
    comments: async (number) => Promise.resolve(find(number).comments),
    commentAsStranger: async (number, body) => {
      await Promise.resolve(addComment(pullRequests, find(number), { body, user: stranger }));
    },
    close: async (number) => {
      await all();
      find(number).isOpen = false;
    },
    deleteBranch: async (branch) =>
      void (await git(repository.directory, "update-ref", "-d", `refs/heads/${branch}`)),
    reopen: async (number) => {
      find(number).isOpen = true;
      await all();
    },
    merge: (number) => mergeBy(number, ["merge", "--quiet", "--no-ff"]),
    squash: (number) => mergeBy(number, ["merge", "--quiet", "--squash"]),
    beforeNextPush: (script) => repository.beforeNextPush(script),
  };

  async function mergeBy(number: number, command: readonly string[]): Promise<void> {
    await all();
    const pullRequest = find(number);
    const clone = await repository.clone();
    await clone.git(...command, `origin/${pullRequest.head}`);
    await clone.push({}, `Merge pull request ${number}`);
    Object.assign(pullRequest, { isOpen: false, mergedAt: new Date().toISOString() });
  }
}

/** A pull request follows its branch, and is closed with it. */
async function closeWithoutBranch({ repository, pullRequests }: Stored): Promise<void> {
  for (const pullRequest of pullRequests.filter(({ isOpen }) => isOpen)) {
    const sha = await repository.head(pullRequest.head);
    pullRequest.isOpen = sha !== undefined;
    pullRequest.sha = sha ?? pullRequest.sha;
  }
}

function shown({ number, head, title, body, isOpen, mergedAt, sha, base }: StoredPullRequest) {
  const html_url = `https://github.example/${owner}/pull/${number}`;
  const state = isOpen ? ("open" as const) : ("closed" as const);
  return {
    number,
    html_url,
    state,
    merged_at: mergedAt,
    title,
    body,
    head: { label: `${owner}:${head}`, ref: head, sha },
    base: { ref: base },
  };
}

async function answer(
  repositories: ReadonlyMap<string, Stored>,
  canned: (CannedAnswer | undefined)[],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const send = (status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): void =>
    void response
      .writeHead(status, { "content-type": "application/json; charset=utf-8", ...headers })
      .end(JSON.stringify(body));
  if (canned.length > 0) {
    const next = canned.shift();
    if (next !== undefined) send(next.status, next.body ?? {}, next.headers);
    return;
  }
  try {
    const body = await bodyOf(request);
    const url = new URL(request.url ?? "/", "http://127.0.0.1");
    const [, path = "", rest = ""] = /^(\/repos\/[^/]+\/[^/]+)(.*)$/.exec(url.pathname) ?? [];
    if (url.pathname === "/user") throw new Refusal(403, "Resource not accessible by integration");
    const stored = repositories.get(path);
    const isKnown = request.headers.authorization === `Bearer ${stored?.repository.token}`;
    if (request.headers.authorization === undefined || stored === undefined)
      throw new Refusal(404, "Not Found");
    if (!isKnown) throw new Refusal(401, "Bad credentials");
    await closeWithoutBranch(stored);
    const [status, answered] = await route(stored, `${request.method} ${rest}`, url.searchParams, body);
    send(status, answered);
  } catch (thrown) {
    if (thrown instanceof Refusal) send(thrown.status, thrown.answer);
    else send(500, { message: String(thrown) });
  }
}

async function bodyOf(request: IncomingMessage): Promise<Record<string, string>> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  return text === "" ? {} : (JSON.parse(text) as Record<string, string>);
}

async function route(
  stored: Stored,
  what: string,
  query: URLSearchParams,
  body: Record<string, string>,
): Promise<readonly [status: number, answer: unknown]> {
  const [, method, kind, number, under = ""] =
    /^(\w+) \/(pulls|issues|issues\/comments)(?:\/(\d+))?(\/comments)?$/.exec(what) ?? [];
  const pullRequest = stored.pullRequests.find((each) => each.number === Number(number));
  switch (`${method} ${kind}${number === undefined ? "" : "/N"}${under}`) {
    case "GET pulls":
      return [200, list(stored, query)];
    case "POST pulls":
      return [201, shown(await open(stored, body))];
    case "PATCH pulls/N":
      return [200, shown(change(found(pullRequest), body))];
    case "GET issues/N/comments":
      return [200, page(found(pullRequest).comments, query)];
    case "POST issues/N/comments": {
      const comment = { body: body["body"] ?? "", user: bot };
      return [201, addComment(stored.pullRequests, found(pullRequest), comment)];
    }
    case "PATCH issues/comments/N": {
      const all = stored.pullRequests.flatMap(({ comments }) => comments);
      return [200, Object.assign(found(all.find(({ id }) => id === Number(number))), { body: body["body"] })];
    }
    default:
      throw new Refusal(404, "Not Found");
  }
}

function addComment(
  all: readonly StoredPullRequest[],
  { comments }: StoredPullRequest,
  said: Omit<StoredComment, "id">,
): StoredComment {
  const comment = { id: all.flatMap((each) => each.comments).length + 1, ...said };
  comments.push(comment);
  return comment;
}

function change(pullRequest: StoredPullRequest, asked: Record<string, string>): StoredPullRequest {
  const { title = pullRequest.title, body = pullRequest.body, state } = asked;
  const isOpen = state === undefined ? pullRequest.isOpen : state === "open";
  return Object.assign(pullRequest, { title, body, isOpen });
}

function found<T>(thing: T | undefined): T {
  if (thing === undefined) throw new Refusal(404, "Not Found");
  return thing;
}

/** Newest first where `sort=created&direction=desc`; `head` is `owner:branch`. */
function list({ pullRequests }: Stored, query: URLSearchParams) {
  const [state, head, base] = ["state", "head", "base"].map((name) => query.get(name));
  const matching = pullRequests.filter(
    (each) =>
      (state === "all" || each.isOpen === ((state ?? "open") === "open")) &&
      (head === null || head === `${owner}:${each.head}`) &&
      (base === null || base === each.base),
  );
  if (query.get("direction") !== "asc") matching.reverse();
  return page(matching, query).map(shown);
}

function page<T>(all: readonly T[], query: URLSearchParams): T[] {
  const [size, number] = [Number(query.get("per_page") ?? 30), Number(query.get("page") ?? 1)];
  return all.slice(size * (number - 1), size * number);
}

async function open(
  { repository, pullRequests }: Stored,
  asked: Record<string, string>,
): Promise<StoredPullRequest> {
  const { head = "", base = "", title = "", body = "" } = asked;
  const sha = await repository.head(head);
  const refuse = (error: unknown) => new Refusal(422, "Validation Failed", [error]);
  const wrong = { resource: "PullRequest", code: "custom" };
  if (sha === undefined) throw refuse({ resource: "PullRequest", field: "head", code: "invalid" });
  if (pullRequests.some((each) => each.isOpen && each.head === head && each.base === base))
    throw refuse({ ...wrong, message: `A pull request already exists for ${owner}:${head}.` });
  const between = await git(repository.directory, "rev-list", "--count", `${base}..${head}`);
  if (between === "0") throw refuse({ ...wrong, message: `No commits between ${base} and ${head}` });
  const number = pullRequests.length + 1;
  const opened = { number, head, base, title, body, isOpen: true, mergedAt: null, sha, comments: [] };
  pullRequests.push(opened);
  return opened;
}
