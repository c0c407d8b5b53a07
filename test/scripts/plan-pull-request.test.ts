/** The script for CI against a real Gitea, and what the files around it promise. */
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import { runCommand } from "../../lab/process.ts";
import type { GitClone } from "../support/git-clone.ts";
import type { GiteaRepository } from "../support/gitea.ts";
import { describeGitea, useGitea } from "../support/gitea.ts";
import { pbxImport, pbxManifest, pbxServer } from "../support/imported-repository.ts";

const repositoryRoot = join(import.meta.dirname, "..", "..");
const script = join(repositoryRoot, "scripts/plan-pull-request.sh");
const queues = "[general]\n[sales]\nstrategy = ringall\n";

interface Step {
  readonly uses?: string;
  readonly run?: string;
  readonly with?: Readonly<Record<string, unknown>>;
}

const action = parse(readFileSync(join(repositoryRoot, "action.yml"), "utf8")) as {
  runs: { using: string; steps: Step[] };
};
const workflow = parse(
  readFileSync(join(repositoryRoot, "examples/git/.github/workflows/plan.yml"), "utf8"),
) as { on: object; permissions: object; jobs: { plan: { steps: Step[] } } };
const steps = [...action.runs.steps, ...workflow.jobs.plan.steps];

test("every action is pinned to a commit, and nothing is put into a shell's text", () => {
  for (const { uses, run = "" } of steps) {
    if (uses !== undefined) expect(uses).toMatch(/@[0-9a-f]{40}$/);
    expect(run).not.toContain("${{");
  }
});

test("the workflow runs what its own branch has, may only comment, and checks nothing of the pull request out", () => {
  expect(Object.keys(workflow.on)).toEqual(["pull_request_target"]);
  expect(workflow.permissions).toEqual({ contents: "read", "pull-requests": "write" });
  const checkouts = steps.filter(({ uses }) => uses?.startsWith("actions/checkout@"));
  expect(checkouts).toHaveLength(1);
  expect(Object.keys(checkouts[0]?.with ?? {})).toEqual(["fetch-depth"]);
});

describeGitea("a pull request at a real Gitea", () => {
  const gitea = useGitea();
  const room = mkdtempSync(join(tmpdir(), "asterisk-iac-ci-"));
  let repository: GiteaRepository;
  let topic: GitClone;
  let checkout: GitClone;

  beforeAll(async () => {
    repository = await gitea.createRepository("pbx");
    const desk = await repository.clone();
    await desk.push({
      "manifests/pbx.yaml": pbxManifest({ directory: "../pbx" }),
      "pbx/queues.conf": queues,
      "pbx/.asterisk-iac/import.json": pbxImport({ "queues.conf": queues }),
      "pbx/.asterisk-iac/server.json": pbxServer,
    });
    topic = desk;
    await topic.git("checkout", "--quiet", "-b", "topic");
    checkout = await repository.clone();
    // It writes down what environment each command gets, then runs it.
    writeFileSync(
      join(room, "asteriskctl"),
      `#!/bin/sh\nenv >"${room}/environment-$(echo "$*" | grep -o 'plan\\|comment' | head -1)"\n` +
        `exec "${process.execPath}" --disable-warning=ExperimentalWarning "${repositoryRoot}/cli/main.ts" "$@"\n`,
    );
    chmodSync(join(room, "asteriskctl"), 0o755);
  });

  afterAll(() => rmSync(room, { recursive: true, force: true }));

  async function run(number: string, more: Readonly<Record<string, string>> = {}) {
    return runCommand(["sh", "-c", `cd "$CHECKOUT" && exec sh "${script}"`], {
      environment: {
        PATH: process.env["PATH"] ?? "",
        HOME: room,
        CHECKOUT: checkout.directory,
        ASTERISKCTL: join(room, "asteriskctl"),
        MANIFESTS: "manifests",
        PULL_REQUEST: number,
        BASE_BRANCH: "main",
        FORGE: "Gitea",
        REPOSITORY: `${gitea.url}/administrator/pbx`,
        ASTERISKCTL_FORGE_TOKEN: gitea.administrator.token,
        ...more,
      },
    });
  }

  interface Comment {
    readonly body: string;
  }
  const comments = (number: number): Promise<Comment[]> =>
    repository.api<Comment[]>("GET", `/issues/${number}/comments`);

  test("is commented once, and the comment is kept up to date", async () => {
    await topic.push({ "pbx/queues.conf": `${queues}timeout = 17\n` });
    await repository.api("POST", "/pulls", { head: "topic", base: "main", title: "A queue" });
    const first = await run("1");
    expect(first).toMatchObject({ code: 0 });
    const [comment] = await comments(1);
    expect(comment?.body).toContain("1 of 1 server would change");
    expect(comment?.body).toContain("+timeout = 17");
    const commit = await topic.push({ "pbx/queues.conf": `${queues}timeout = 18\n` });
    expect(await run("1")).toMatchObject({ code: 0 });
    const after = await comments(1);
    expect(after).toHaveLength(1);
    expect(after[0]?.body).toContain("+timeout = 18");
    expect(after[0]?.body).toContain(`Planned of ${commit.slice(0, 12)} without the server`);
    expect(after[0]?.body).not.toContain("timeout = 17");
  });

  test("is not checked out, and whoever reads it has no token", async () => {
    expect(await checkout.git("rev-parse", "--abbrev-ref", "HEAD")).toBe("main");
    expect(await checkout.git("status", "--porcelain")).toBe("");
    expect(readFileSync(join(room, "environment-comment"), "utf8")).toContain(gitea.administrator.token);
    expect(readFileSync(join(room, "environment-plan"), "utf8")).not.toContain(gitea.administrator.token);
  });

  test("that can't be planned says why, and the run fails", async () => {
    await topic.push({
      "manifests/pbx.yaml": "apiVersion: asterisk-iac.dev/v1alpha1\nkind: AsteriskServer\nspec: '`@all`'\n",
      "pbx/$(touch pwned)`touch pwned`.conf": "[general]\n",
    });
    expect(await run("1")).toMatchObject({ code: 1 });
    const [comment] = await comments(1);
    expect(comment?.body).toContain("the plan could not be made");
    expect(await checkout.git("status", "--porcelain")).toBe("");
  });

  test("of a fork is planned and commented all the same", async () => {
    const stranger = await gitea.createUser("stranger");
    await gitea.api("POST", "/repos/administrator/pbx/forks", {}, stranger.token);
    const change = { branch: "main", new_branch: "mine", message: "A queue", content: "", sha: "" };
    const path = "/repos/stranger/pbx/contents/pbx/queues.conf";
    const { sha } = await gitea.api<{ sha: string }>("GET", path, undefined, stranger.token);
    const content = Buffer.from(`${queues}timeout = 19\n`).toString("base64");
    await gitea.api("PUT", path, { ...change, content, sha }, stranger.token);
    const { number } = await gitea.api<{ number: number }>(
      "POST",
      "/repos/administrator/pbx/pulls",
      { head: "stranger:mine", base: "main", title: "From a fork" },
      stranger.token,
    );
    expect(await run(String(number))).toMatchObject({ code: 0 });
    expect((await comments(number))[0]?.body).toContain("+timeout = 19");
  });

  test("without the history before it is told to fetch that", async () => {
    const shallow = join(room, "shallow");
    const url = `file://${checkout.directory}`;
    await runCommand(["git", "clone", "--quiet", "--depth=1", "--branch=main", url, shallow], {});
    await runCommand(["git", "-C", shallow, "checkout", "--quiet", "--orphan", "unrelated"], {});
    const made = [
      "-c",
      "user.name=a",
      "-c",
      "user.email=a@example.com",
      "commit",
      "--quiet",
      "-m",
      "Unrelated",
    ];
    await runCommand(["git", "-C", shallow, ...made], {});
    await runCommand(["git", "-C", shallow, "push", "--quiet", "origin", "HEAD:refs/pull/9/head"], {});
    expect(await run("9", { CHECKOUT: shallow })).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("no commit before both main and the pull request"),
    });
  });

  test("with a number that is none is refused before anything runs", async () => {
    expect(await run("1; touch pwned")).toMatchObject({ code: 1, stderr: "PULL_REQUEST is not a number\n" });
  });
});
