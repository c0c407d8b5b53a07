import { Octokit } from "@octokit/rest";
import { withMarker } from "./comment.ts";
import type { Forge, PullRequest } from "./forge.ts";
import type { Place } from "./place.ts";
import { ask, forgeFetch } from "./request.ts";

interface Answer {
  readonly number: number;
  readonly html_url: string;
  readonly state: string;
  readonly merged_at: string | null;
  readonly body: string | null;
  readonly head: { readonly sha: string };
}

/** A repository at GitHub, or at a GitHub Enterprise server. */
export function gitHub(place: Place, token: () => Promise<string>): Forge {
  const { owner, repository: repo, apiURL, name } = place;
  const octokit = new Octokit({
    baseUrl: apiURL,
    userAgent: "asterisk-iac",
    request: { fetch: forgeFetch(name, token) },
    // It would write to the console.
    log: { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined },
  });
  const { pulls, issues, users } = octokit.rest;
  return {
    async newestPullRequest({ head, base }) {
      const query = { state: "all", sort: "created", direction: "desc", per_page: 1 } as const;
      const asked = pulls.list({ owner, repo, head: `${owner}:${head}`, base, ...query });
      const [newest] = (await ask(name, "list pull requests", asked)).data;
      return newest === undefined ? undefined : pullRequestOf(newest);
    },
    async openPullRequest({ head, base }, { title, body }) {
      const asked = pulls.create({ owner, repo, head, base, title, body });
      // It says so of one that is open already, and of branches without a commit between them.
      const isNothingToDo = (status: number, said: string) =>
        status === 422 && /already exists|No commits between/.test(said) ? "nothing to do" : undefined;
      const answer = await ask(name, "open a pull request", asked, isNothingToDo);
      return answer === "nothing to do" ? undefined : pullRequestOf(answer.data);
    },
    async updatePullRequest(number, { title, body }) {
      await ask(
        name,
        `change pull request ${number}`,
        pulls.update({ owner, repo, pull_number: number, title, body }),
      );
    },
    async closePullRequest(number, text) {
      await ask(
        name,
        `close pull request ${number}`,
        pulls.update({ owner, repo, pull_number: number, state: "closed", ...text }),
      );
    },
    async comment(number, marker, text) {
      const body = withMarker(marker, text);
      // The token of an app, of a workflow for one, is nobody's: what it writes is by a bot.
      const isApp = (status: number) => (status === 403 ? "an app" : undefined);
      const own = await ask(name, "say whose the token is", users.getAuthenticated(), isApp);
      const pages = octokit.paginate(issues.listComments, {
        owner,
        repo,
        issue_number: number,
        per_page: 100,
      });
      const comments = await ask(name, `list the comments of pull request ${number}`, pages);
      // Anybody may write the marker, and change what stands in a comment of theirs afterwards.
      const there = comments.find(
        ({ body: said, user }) =>
          said?.startsWith(marker) && (own === "an app" ? user?.type === "Bot" : user?.id === own.data.id),
      );
      if (there?.body === body) return "Unchanged";
      const changed: Promise<unknown> =
        there === undefined
          ? issues.createComment({ owner, repo, issue_number: number, body })
          : issues.updateComment({ owner, repo, comment_id: there.id, body });
      await ask(name, `comment on pull request ${number}`, changed);
      return there === undefined ? "Created" : "Updated";
    },
  };
}

function pullRequestOf({ number, html_url: url, state, merged_at, body, head }: Answer): PullRequest {
  const closed = merged_at === null ? "Closed" : "Merged";
  return { number, url, state: state === "open" ? "Open" : closed, body: body ?? "", head: head.sha };
}
