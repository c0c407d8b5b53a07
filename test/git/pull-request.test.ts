import { beforeEach, describe, expect, test } from "@jest/globals";
import { BranchPublisher, type GitChange } from "../../git/publisher.ts";
import { openForge } from "../../git/forges/open.ts";
import { PullRequestPublisher } from "../../git/pull-request.ts";
import { GitRepository } from "../../git/repository.ts";
import { useFakeGitHub, type FakeGitHubRepository } from "../support/fake-github.ts";
import { git, useGitServer } from "../support/git-server.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const server = useGitServer();
const gitHub = useFakeGitHub(server);
const branch = "asterisk-iac/pbx1";

let count = 0;
let remote: FakeGitHubRepository;
let repository: GitRepository;
let publisher: PullRequestPublisher;

beforeEach(async () => {
  remote = await gitHub.createRepository(`pbx-${++count}`);
  ({ repository, publisher } = open());
});

/** As another run, on another machine, has it. */
function open(at = remote) {
  const { httpURL: url, token } = at;
  const repository = new GitRepository(
    { url, reader: "", credentials: () => Promise.resolve({ password: token }) },
    { cacheDirectory: temporaryDirectory() },
  );
  const forge = openForge({
    kind: at.kind,
    apiURL: at.apiURL,
    repositoryURL: url,
    token: () => Promise.resolve(token),
  });
  const direct = new BranchPublisher(repository, "main");
  return {
    repository,
    publisher: new PullRequestPublisher({ server: "pbx1", repository, branch: "main", forge, direct }),
  };
}

/** What a pass that sees `files` on the server publishes, as the branch main is now. */
async function changeTo(
  files: Readonly<Record<string, string | null>>,
  { beside = {}, ...more }: Partial<GitChange> & { beside?: Readonly<Record<string, string>> } = {},
): Promise<GitChange> {
  const all = [
    ...Object.entries(files),
    ...Object.entries(beside).map(([name, text]) => [`.asterisk-iac/${name}`, text] as const),
  ];
  return {
    base: await repository.fetch("main"),
    path: "pbx1",
    changes: new Map(all.map(([path, text]) => [`pbx1/${path}`, text === null ? null : Buffer.from(text)])),
    message: "pbx1: queues.conf changed on the server\n\nqueues.conf: [support]",
    author: { name: "asterisk-iac pbx1", email: "asterisk-iac@example.com" },
    ...more,
  };
}

async function publish(...args: Parameters<typeof changeTo>) {
  return publisher.publish(await changeTo(...args));
}

const collected = (hash: string) => ({
  "collected.json": JSON.stringify({ version: 1, files: { "queues.conf": { hash, generation: 3 } } }),
});

/** Fetches and pushes over the network so far. */
async function transfers(operation: "fetch" | "push"): Promise<number> {
  const asked = await server.requests();
  return asked.filter((each) => each.operation === operation && each.repository.endsWith(`/${remote.name}`))
    .length;
}

describe("while it is open", () => {
  test("a change becomes one pull request, and the same change nothing more", async () => {
    const opened = await publish({ "queues.conf": "[support]\n" });
    expect(opened).toMatchObject({ branch, pullRequest: { number: 1, outcome: "Opened" } });
    expect(opened.commit).toBe(await remote.head(branch));
    expect(await remote.read("pbx1/queues.conf", branch)).toBe("[support]\n");
    expect(await remote.read("pbx1/queues.conf")).toBeUndefined();
    const [pullRequest] = await remote.pullRequests();
    expect(pullRequest?.title).toBe("pbx1: queues.conf changed on the server");
    expect(pullRequest?.body).toContain("```text\nqueues.conf: [support]\n```");

    const before = { asked: gitHub.requests.length, pushes: await transfers("push") };
    const again = await publish({ "queues.conf": "[support]\n" });
    expect(again).toEqual({ ...opened, pullRequest: { ...opened.pullRequest, outcome: "Unchanged" } });
    expect({ asked: gitHub.requests.length - 1, pushes: await transfers("push") }).toEqual(before);
  });

  test("another change is a commit on top, with its own text", async () => {
    const opened = await publish({ "queues.conf": "[support]\n" });
    const updated = await publish(
      { "queues.conf": "[support]\nstrategy=linear\n" },
      { message: "pbx1: strategy", review: "Calls go to agents **one after the other**." },
    );
    expect(updated.pullRequest).toEqual({ ...opened.pullRequest, outcome: "Updated" });
    const clone = await remote.clone();
    expect(await clone.git("log", "--format=%s", `origin/${branch}`, "^origin/main")).toBe(
      "pbx1: strategy\npbx1: queues.conf changed on the server",
    );
    expect(await remote.pullRequests()).toMatchObject([
      { title: "pbx1: strategy", body: expect.stringContaining("**one after the other**") },
    ]);
  });

  test("main that moved is merged in with the next change, never by force", async () => {
    await publish({ "queues.conf": "1\n" });
    const main = await (await remote.clone()).push({ "pbx2/queues.conf": "another's\n" });
    const { commit } = await publish({ "queues.conf": "2\n" });
    const clone = await remote.clone();
    expect((await clone.git("rev-list", "--parents", "-1", commit)).split(" ")).toHaveLength(3);
    expect(await clone.git("diff", "--name-only", main, commit)).toBe("pbx1/queues.conf");
    expect(await clone.git("merge-base", main, commit)).toBe(main);
  });

  test("what differs from pass to pass beside the files is no change, a secret behind a reference is", async () => {
    const files = { "queues.conf": "secret = @{secret:pbx1-secrets/a}\n" };
    await publish(files, {
      beside: { ...collected("one"), "kept/1/queues.conf": "old", "secrets.age": "x" },
    });
    const same = await publish(files, {
      beside: { ...collected("one"), "kept/2/queues.conf": "old", "secrets.age": "y" },
    });
    expect(same.pullRequest?.outcome).toBe("Unchanged");
    const other = await publish(files, { beside: { ...collected("two"), "secrets.age": "z" } });
    expect(other.pullRequest?.outcome).toBe("Updated");
    expect(await remote.read("pbx1/.asterisk-iac/secrets.age", branch)).toBe("z");
  });

  test("a file that is gone from the server is removed, and nothing else", async () => {
    await (await remote.clone()).push({ "pbx1/a.conf": "a", "pbx1/b.conf": "b" });
    await publish({ "a.conf": null });
    expect(await remote.read("pbx1/a.conf", branch)).toBeUndefined();
    expect(await remote.read("pbx1/b.conf", branch)).toBe("b");
  });

  test("the text is written anew where somebody took its mark away, and nothing is pushed", async () => {
    await publish({ "queues.conf": "1\n" });
    const forge = openForge({
      ...remote,
      repositoryURL: remote.httpURL,
      token: () => Promise.resolve(remote.token),
    });
    await forge.updatePullRequest(1, { title: "mine", body: "mine" });
    const pushes = await transfers("push");
    expect((await publish({ "queues.conf": "1\n" })).pullRequest?.outcome).toBe("Updated");
    expect(await transfers("push")).toBe(pushes);
    expect((await publish({ "queues.conf": "1\n" })).pullRequest?.outcome).toBe("Unchanged");
  });

  test("a text that is too long is cut", async () => {
    const message = `pbx1: ${"x".repeat(300)}\n\n${`${"line ".repeat(40)}\n`.repeat(30_000)}`;
    await publish({ "queues.conf": "1\n" }, { message });
    const [pullRequest] = await remote.pullRequests();
    expect(pullRequest?.title).toHaveLength(200);
    expect(pullRequest?.body.length).toBeLessThanOrEqual(60_000);
    expect(pullRequest?.body).toMatch(/\n```\n\n\*\*\d+ more lines are left out here: .*\*\*\n$/);
  });

  test("no name in a title or a message mentions anybody, or closes an issue", async () => {
    const message = "pbx1: @all closes #1.conf collected\n\n- ```\n- [@all] added, closes #1";
    await publish({ "queues.conf": "1\n" }, { message });
    const [pullRequest] = await remote.pullRequests();
    expect(pullRequest?.title).toBe("pbx1: @\u2060all closes #\u20601.conf collected");
    expect(pullRequest?.body).toContain("\n````text\n- ```\n- [@all] added, closes #1\n````\n");
  });
});

describe("while it is open, main moves", () => {
  test("elsewhere: it stays as it is", async () => {
    const opened = await publish({ "queues.conf": "1\n" });
    await (await remote.clone()).push({ "pbx2/queues.conf": "another's\n" });
    const before = { fetches: await transfers("fetch"), pushes: await transfers("push") };
    expect((await publish({ "queues.conf": "1\n" })).pullRequest?.outcome).toBe("Unchanged");
    // That of main itself.
    const after = { fetches: (await transfers("fetch")) - 1, pushes: await transfers("push") };
    expect(after).toEqual(before);
    expect(await remote.head(branch)).toBe(opened.commit);
  });

  test("in the same file: it is brought together with that, and can be merged", async () => {
    await publish({ "queues.conf": "1\n" });
    const main = await (await remote.clone()).push({ "pbx1/queues.conf": "by hand\n" });
    // Another run, whose cache has nothing of the history yet.
    const change = await changeTo({ "queues.conf": "1\n" }, { review: "What it is now." });
    const other = open();
    await other.repository.fetch("main");
    const updated = await other.publisher.publish(change);
    expect(updated.pullRequest).toMatchObject({ number: 1, outcome: "Updated" });
    const [pullRequest] = await remote.pullRequests();
    expect(pullRequest?.body).toContain("What it is now.");
    const clone = await remote.clone();
    expect(await clone.git("merge-base", main, updated.commit)).toBe(main);
    expect(await clone.git("diff", main, updated.commit)).toContain("-by hand\n+1");
    const pushes = await transfers("push");
    expect((await publish({ "queues.conf": "1\n" })).pullRequest?.outcome).toBe("Unchanged");
    expect(await transfers("push")).toBe(pushes);
    await clone.merge(branch);
    expect(await remote.read("pbx1/queues.conf")).toBe("1\n");
  });

  test("and somebody committed to its branch: both are left to them", async () => {
    await publish({ "queues.conf": "1\n" });
    const person = await remote.clone();
    await person.git("checkout", "--quiet", branch);
    const theirs = await person.push({ "pbx1/queues.conf": "1 ; theirs\n" });
    await (await remote.clone()).push({ "pbx1/other.conf": "by hand\n" });
    const first = await publish({ "queues.conf": "1\n" });
    expect(first.pullRequest).toMatchObject({ number: 1, outcome: "Behind" });
    const fetches = await transfers("fetch");
    expect(await publish({ "queues.conf": "1\n" })).toEqual(first);
    // What was found is not looked for again: the one fetch is that of main.
    expect(await transfers("fetch")).toBe(fetches + 1);
    expect(await remote.head(branch)).toBe(theirs);
    await person.git("fetch", "--quiet");
    await person.merge("main");
    expect((await publish({ "queues.conf": "1\n" })).pullRequest?.outcome).toBe("Unchanged");
    expect(await remote.read("pbx1/queues.conf", branch)).toBe("1 ; theirs\n");
  });
});

describe("once it is decided", () => {
  test("closed unmerged, it is opened again for new bytes only", async () => {
    const opened = await publish({ "queues.conf": "1\n" });
    await remote.close(1);
    const rejected = await publish({ "queues.conf": "1\n" });
    expect(rejected).toEqual({ ...opened, pullRequest: { ...opened.pullRequest, outcome: "Rejected" } });
    const other = await publish({ "queues.conf": "2\n" });
    expect(other.pullRequest).toMatchObject({ number: 2, outcome: "Opened" });
    await remote.close(2);
    expect((await publish({ "queues.conf": "2\n" })).pullRequest).toMatchObject({
      number: 2,
      outcome: "Rejected",
    });
    // The first change was rejected before, and is no news.
    expect((await publish({ "queues.conf": "1\n" })).pullRequest).toMatchObject({
      number: 2,
      outcome: "Rejected",
    });
    expect(await remote.pullRequests()).toHaveLength(2);
  });

  test("opened again by a person, it goes on", async () => {
    const opened = await publish({ "queues.conf": "1\n" });
    await remote.close(1);
    await remote.reopen(1);
    expect((await publish({ "queues.conf": "1\n" })).commit).toBe(opened.commit);
    expect((await publish({ "queues.conf": "2\n" })).pullRequest).toMatchObject({
      number: 1,
      outcome: "Updated",
    });
  });

  test("taken back on the server, it is closed, and opened again when that comes back", async () => {
    await publish({ "queues.conf": "1\n" });
    const withdrawn = await publisher.withdraw();
    expect(withdrawn?.pullRequest).toMatchObject({ number: 1, outcome: "Withdrawn" });
    expect(await remote.pullRequests()).toMatchObject([
      { state: "closed", merged: false, body: expect.stringContaining("as `main` has them again") },
    ]);
    const asked = gitHub.requests.length;
    expect(await publisher.withdraw()).toBeUndefined();
    expect(gitHub.requests).toHaveLength(asked);
    const again = await publish({ "queues.conf": "1\n" });
    expect(again.pullRequest).toMatchObject({ number: 2, outcome: "Opened" });
    await remote.close(2);
    expect(await publisher.withdraw()).toBeUndefined();
    expect((await publish({ "queues.conf": "1\n" })).pullRequest?.outcome).toBe("Rejected");
  });

  test("a forge that does not answer keeps nobody from finding that nothing is to be done", async () => {
    await publish({ "queues.conf": "1\n" });
    gitHub.answerNext({ status: 502 });
    expect(await publisher.withdraw()).toBeUndefined();
    expect((await publisher.withdraw())?.pullRequest?.outcome).toBe("Withdrawn");
  });

  test.each(["with a merge commit", "squashed"])(
    "merged %s, the next change opens another one",
    async (how) => {
      await publish({ "queues.conf": "1\n" });
      if (how === "squashed") await remote.squash(1);
      else await remote.merge(1);
      expect(await remote.read("pbx1/queues.conf")).toBe("1\n");
      const next = await publish({ "queues.conf": "2\n" });
      expect(next.pullRequest).toMatchObject({ number: 2, outcome: "Opened" });
      const clone = await remote.clone();
      expect(await clone.git("diff", "origin/main", next.commit)).toContain("-1\n+2");
    },
  );

  test("a branch that was deleted is made again for new bytes", async () => {
    await publish({ "queues.conf": "1\n" });
    await remote.deleteBranch(branch);
    expect((await publish({ "queues.conf": "1\n" })).pullRequest?.outcome).toBe("Rejected");
    const next = await publish({ "queues.conf": "2\n" });
    expect(next.pullRequest).toMatchObject({ number: 2, outcome: "Opened" });
    expect(await remote.read("pbx1/queues.conf", branch)).toBe("2\n");
  });
});

describe("when something goes wrong in between", () => {
  test("a run that ended between the push and the request is taken up by another", async () => {
    const change = await changeTo({ "queues.conf": "1\n" }, { beside: { "secrets.age": "x" } });
    gitHub.answerNext({ status: 200, body: [] });
    gitHub.answerNext({ status: 502 });
    await expect(publisher.publish(change)).rejects.toMatchObject({
      code: "SourceUnavailable",
      next: "Retry",
    });
    const pushed = await remote.head(branch);
    const other = open();
    await other.repository.fetch("main");
    const later = await changeTo({ "queues.conf": "1\n" }, { beside: { "secrets.age": "y" } });
    const opened = await other.publisher.publish(later);
    expect(opened).toMatchObject({ commit: pushed, pullRequest: { number: 1, outcome: "Opened" } });
  });

  test("what was merged while the plan was carried out is not proposed once more", async () => {
    const change = await changeTo({ "queues.conf": "1\n" });
    await publisher.publish(change);
    await remote.squash(1);
    await expect(publisher.publish(change)).rejects.toMatchObject({
      code: "ChangedMeanwhile",
      next: "Retry",
    });
    expect(await remote.pullRequests()).toHaveLength(1);
  });

  test("what somebody else pushes to the branch meanwhile stays in its history", async () => {
    await publish({ "queues.conf": "1\n" });
    const clone = await remote.clone();
    await clone.git("checkout", "--quiet", branch);
    const theirs = await clone.commit({ "pbx1/queues.conf": "theirs\n" });
    await remote.beforeNextPush(
      `git fetch --quiet ${clone.directory} HEAD && git update-ref refs/heads/${branch} ${theirs}`,
    );
    const updated = await publish({ "queues.conf": "2\n" });
    expect(updated.pullRequest?.outcome).toBe("Updated");
    expect(
      await clone.git("fetch", "--quiet").then(() => clone.git("merge-base", theirs, updated.commit)),
    ).toBe(theirs);
    expect(await remote.read("pbx1/queues.conf", branch)).toBe("2\n");
  });

  test("the first commit of an empty repository goes to its branch", async () => {
    const empty = await server.createRepository("empty/pbx");
    const at = { ...remote, httpURL: empty.httpURL };
    const change = { ...(await changeTo({ "queues.conf": "1\n" })), base: undefined };
    const revision = await open(at).publisher.publish(change);
    expect(revision).toEqual({ branch: "main", commit: await empty.head() });
    expect(await git(empty.directory, "show", "main:pbx1/queues.conf")).toBe("1");
  });
});
