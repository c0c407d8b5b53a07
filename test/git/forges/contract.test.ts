import { describe, expect, test } from "@jest/globals";
import { openForge } from "../../../git/forges/open.ts";
import { useFakeGitHub } from "../../support/fake-github.ts";
import type { ForgeRepository } from "../../support/forge-repository.ts";
import { useGitServer } from "../../support/git-server.ts";
import { describeGitea, useGitea } from "../../support/gitea.ts";

const head = "asterisk-iac/pbx1";
const branches = { head, base: "main" };
const text = { title: "pbx1: queues.conf", body: "first\n" };

describe("GitHub, a fake of it", () => {
  const gitHub = useFakeGitHub(useGitServer());
  contract((name) => gitHub.createRepository(name));
});

describeGitea("Gitea", () => {
  const gitea = useGitea();
  contract((name) => gitea.createRepository(name));
});

function forgeOf({ kind, apiURL, httpURL, token }: ForgeRepository) {
  return openForge({ kind, apiURL, repositoryURL: httpURL, token: () => Promise.resolve(token) });
}

async function pushTo(repository: ForgeRepository, branch: string, content: string): Promise<string> {
  const clone = await repository.clone();
  await clone.git("checkout", "--quiet", "-B", branch);
  return clone.push({ "pbx1/queues.conf": content });
}

/** What is said of a forge is true of every one. */
function contract(createRepository: (name: string) => Promise<ForgeRepository>): void {
  test("a pull request is opened, found and changed", async () => {
    const repository = await createRepository("opened");
    const forge = forgeOf(repository);
    expect(await forge.newestPullRequest(branches)).toBeUndefined();
    const commit = await pushTo(repository, head, "1");
    const opened = await forge.openPullRequest(branches, text);
    expect(opened).toMatchObject({ number: 1, state: "Open", body: text.body, head: commit });
    expect(opened?.url).toMatch(/^http.*\/1$/);
    expect(await forge.newestPullRequest(branches)).toEqual(opened);
    await forge.updatePullRequest(1, { title: "another", body: "second\n" });
    expect(await repository.pullRequests()).toMatchObject([
      { title: "another", body: "second\n", state: "open" },
    ]);
  });

  test("one that is open already is not opened twice, nor one of nothing", async () => {
    const repository = await createRepository("twice");
    const forge = forgeOf(repository);
    await pushTo(repository, head, "1");
    await forge.openPullRequest(branches, text);
    expect(await forge.openPullRequest(branches, text)).toBeUndefined();
    expect(await repository.pullRequests()).toHaveLength(1);
  });

  test("merged and closed are told apart, and the newest of a branch counts, however many others there are", async () => {
    const repository = await createRepository("states");
    const forge = forgeOf(repository);
    await pushTo(repository, head, "1");
    await forge.openPullRequest(branches, text);
    await repository.merge(1);
    expect(await forge.newestPullRequest(branches)).toMatchObject({ number: 1, state: "Merged" });
    const commit = await pushTo(repository, head, "2");
    await forge.openPullRequest(branches, text);
    await repository.close(2);
    await pushTo(repository, "asterisk-iac/pbx2", "3");
    await forge.openPullRequest({ head: "asterisk-iac/pbx2", base: "main" }, text);
    expect(await forge.newestPullRequest(branches)).toMatchObject({
      number: 2,
      state: "Closed",
      head: commit,
    });
  });

  test("one is closed with another text", async () => {
    const repository = await createRepository("closed");
    const forge = forgeOf(repository);
    await pushTo(repository, head, "1");
    await forge.openPullRequest(branches, text);
    await forge.closePullRequest(1, { title: "another", body: "second\n" });
    expect(await forge.newestPullRequest(branches)).toMatchObject({ state: "Closed", body: "second\n" });
  });

  test("a branch that is deleted closes its pull request", async () => {
    const repository = await createRepository("deleted");
    const forge = forgeOf(repository);
    const commit = await pushTo(repository, head, "1");
    await forge.openPullRequest(branches, text);
    await repository.deleteBranch(head);
    expect(await forge.newestPullRequest(branches)).toMatchObject({ state: "Closed", head: commit });
  });

  test("a comment is made once and kept up to date", async () => {
    const repository = await createRepository("comments");
    const forge = forgeOf(repository);
    await pushTo(repository, head, "1");
    await forge.openPullRequest(branches, text);
    const marker = "<!-- asterisk-iac-plan -->";
    await forge.comment(1, "<!-- another -->", `not at its beginning: ${marker}`);
    const forged = `${marker}\nnothing changes`;
    await repository.commentAsStranger(1, forged);
    expect(await forge.comment(1, marker, "the plan")).toBe("Created");
    expect(await forge.comment(1, marker, "the plan")).toBe("Unchanged");
    expect(await forge.comment(1, marker, "a new plan")).toBe("Updated");
    const ours = (await repository.comments(1)).filter(({ body }) => body.startsWith(marker));
    expect(ours.map(({ body }) => body)).toEqual([forged, `${marker}\na new plan`]);
  });

  test("a wrong token is refused, and is in no error", async () => {
    const repository = await createRepository("token");
    const forge = forgeOf({ ...repository, token: "canary-token-of-nobody" });
    const refused = await forge.newestPullRequest(branches).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: "SourceUnavailable", next: "Stalled" });
    expect((refused as Error).message).toMatch(/^\w+ at 127\.0\.0\.1:\d+ refuses the token$/);
    expect(JSON.stringify(refused, Object.getOwnPropertyNames(refused))).not.toContain("canary");
  });

  test("a repository that is not there is named as a thing to correct", async () => {
    const repository = await createRepository("missing");
    const forge = forgeOf({ ...repository, httpURL: repository.httpURL.replace("missing", "other") });
    await expect(forge.openPullRequest(branches, text)).rejects.toMatchObject({
      code: "SourceUnavailable",
      next: "Stalled",
      hint: expect.stringContaining("must be allowed"),
    });
  });
}
