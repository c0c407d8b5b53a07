import { giteaApi, type PullRequest as Answer } from "gitea-js";
import { withMarker } from "./comment.ts";
import type { Branches, Forge, PullRequest } from "./forge.ts";
import type { Place } from "./place.ts";
import { ask, forgeFetch } from "./request.ts";

/** As many as Gitea gives at once by default; a server can be set to give less. */
const pageSize = 50;

/** A repository at a Gitea, or at a Forgejo, which has the same API. */
export function gitea(place: Place, token: () => Promise<string>): Forge {
  const { owner, repository: repo, apiURL, name } = place;
  const api = giteaApi(apiURL.replace(/\/api\/v1$/, ""), { customFetch: forgeFetch(name, token) });
  return {
    async newestPullRequest(branches) {
      if (!(await isThereAny(branches))) return undefined;
      // The API gives them by branch only in no certain order; the list begins with the newest.
      for (let page = 1; ; page++) {
        const asked = api.repos.repoListPullRequests(owner, repo, { state: "all", limit: pageSize, page });
        const { data } = await ask(name, "list pull requests", asked);
        const found = data.find((each) => isBetween(each, branches));
        if (found !== undefined) return pullRequestOf(found);
        if (data.length === 0) return undefined;
      }
    },
    async openPullRequest({ head, base }, text) {
      const asked = api.repos.repoCreatePullRequest(owner, repo, { head, base, ...text });
      const isThere = (status: number) => (status === 409 ? "nothing to do" : undefined);
      const answer = await ask(name, "open a pull request", asked, isThere);
      return answer === "nothing to do" ? undefined : pullRequestOf(answer.data);
    },
    async updatePullRequest(number, text) {
      await ask(
        name,
        `change pull request ${number}`,
        api.repos.repoEditPullRequest(owner, repo, number, text),
      );
    },
    async closePullRequest(number, text) {
      await ask(
        name,
        `close pull request ${number}`,
        api.repos.repoEditPullRequest(owner, repo, number, { state: "closed", ...text }),
      );
    },
    async comment(number, marker, text) {
      const body = withMarker(marker, text);
      const who = api.user.userGetCurrent();
      const { id: own } = (await ask(name, "say whose the token is (read:user)", who)).data;
      const asked = api.repos.issueGetComments(owner, repo, number);
      const { data } = await ask(name, `list the comments of pull request ${number}`, asked);
      // Anybody may write the marker, and change what stands in a comment of theirs afterwards.
      const there = data.find((each) => each.body?.startsWith(marker) && each.user?.id === own);
      if (there?.body === body) return "Unchanged";
      const changed =
        there?.id === undefined
          ? api.repos.issueCreateComment(owner, repo, number, { body })
          : api.repos.issueEditComment(owner, repo, there.id, { body });
      await ask(name, `comment on pull request ${number}`, changed);
      return there === undefined ? "Created" : "Updated";
    },
  };

  async function isThereAny({ head, base }: Branches): Promise<boolean> {
    const [from, to] = [encodeURIComponent(head), encodeURIComponent(base)];
    const asked = api.repos.repoGetPullRequestByBaseHead(owner, repo, to, from);
    const isNone = (status: number) => (status === 404 ? "none" : undefined);
    return (await ask(name, "look for pull requests", asked, isNone)) !== "none";
  }
}

/** Of this very repository: a fork can have branches of the same name. `label` outlives the branch, `ref` does not. */
function isBetween(pullRequest: Answer, { head, base }: Branches): boolean {
  const { head: from, base: to } = pullRequest;
  return from?.label === head && to?.ref === base && from.repo_id === to.repo_id;
}

function pullRequestOf(answer: Answer): PullRequest {
  const { number = 0, html_url: url = "", state, merged, body = "", head } = answer;
  const closed = merged === true ? "Merged" : "Closed";
  return { number, url, state: state === "open" ? "Open" : closed, body, head: head?.sha ?? "" };
}
