import { chownSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { GitSources } from "../../engine/git-source.ts";
import type { APIPullRequest } from "../support/forge-repository.ts";
import { describeGitea, useGitea, type GiteaRepository } from "../support/gitea.ts";
import {
  Namespace,
  conditionOf,
  readyOf,
  startOperator,
  useOperatorLab,
  waitUntil,
  type RunningOperator,
} from "../support/operator.ts";

/** Beside other tests each step takes its time: Gitea runs programs of its own for each push. */
const deadlineMs = 45_000;

describeGitea("an operator that proposes what changes on a server", () => {
  const lab = useOperatorLab();
  const gitea = useGitea();
  const branch = "asterisk-iac/pbx1";
  let remote: GiteaRepository;
  let team: Namespace;
  let operator: RunningOperator;
  let cacheDirectory: string;

  const file = (path: string): string => join(lab.servers[0]?.configDirectory ?? "", path);
  /** An edit on the PBX itself, with a reload that tells of it. */
  const append = async (path: string, text: string): Promise<void> => {
    const { uid, gid } = statSync(file("asterisk.conf"));
    writeFileSync(file(path), `${readFileSync(file(path), "latin1")}${text}`);
    chownSync(file(path), uid, gid);
    await lab.servers[0]?.run(["asterisk", "-rx", "module reload res_rtp_asterisk"]);
  };
  const pullRequest = async (number: number): Promise<APIPullRequest | undefined> =>
    (await remote.pullRequests())[number - 1];
  const proposes = (number: number, what: string): Promise<void> =>
    waitUntil(async () => (await pullRequest(number))?.body.includes(what) === true, deadlineMs);
  const waitsIn = (url: string | undefined) =>
    team.sees("servers", "pbx1", ({ status }) => status?.source?.pullRequest === url, deadlineMs);

  beforeAll(async () => {
    cacheDirectory = await mkdtemp(join(tmpdir(), "asterisk-iac-git-cache-"));
    remote = await gitea.createRepository("office");
    team = await Namespace.create(lab, "office");
    await team.createSecret("forge", { token: remote.token });
    const git = { url: remote.httpURL, credentialsSecretRef: { name: "forge" }, interval: "1s" };
    const source = { git: { ...git, pullRequest: { forge: "Gitea" } } };
    for (const manifest of lab.manifestsOf(0, "office", { updateDirection: "FromAsterisk", source }))
      await team.create(manifest);
    const repositories = new GitSources({ cacheDirectory });
    operator = await startOperator(lab.operatorAPI, { namespace: "office", repositories });
  });
  afterAll(async () => {
    await operator?.stop();
    await rm(cacheDirectory, { recursive: true, force: true });
  });

  test(
    "the import waits in a pull request, and is done when that is merged",
    async () => {
      const waiting = await team.sees("servers", "pbx1", (server) => readyOf(server) === "ImportNotDone");
      const [proposed] = await remote.pullRequests();
      expect(proposed?.title).toMatch(/^office\/pbx1: \d+ files imported from Asterisk /);
      expect(conditionOf(waiting, "Stalled")?.message).toContain(`Merge it: ${proposed?.html_url}.`);
      // A further pass compares nothing with a source that has nothing yet.
      const { passes } = operator;
      await team.annotate("servers", "pbx1", { "asterisk-iac.dev/reconcile-requested-at": "1" });
      await waitUntil(() => operator.passes > passes, deadlineMs);
      expect(await remote.pullRequests()).toEqual([proposed]);

      await remote.merge(1);
      const { status } = await team.isReady("servers", "pbx1", deadlineMs);
      expect(status?.initialImport).toMatchObject({ done: true });
      expect(status?.source).toEqual({ branch: "main", commit: await remote.head() });
      expect(await team.events("pbx1", /^(Imported|Proposed)$/)).toEqual([
        `Proposed: pull request 1, opened: ${proposed?.html_url}`,
      ]);
    },
    deadlineMs,
  );

  test(
    "an edit on the PBX opens one for reviewers, the next edit updates it, and merged it is recorded",
    async () => {
      await append("queues.conf", "\n; ``` @everyone\n[support]\nstrategy = rrmemory\n");
      await append("voicemail.conf", "\n[office]\n1234 => 8472,Ann\n");
      await proposes(2, "mailbox");
      const opened = await pullRequest(2);
      expect(opened?.body).toContain("**What changed for callers, agents and phones**");
      expect(opened?.body).toMatch(/`\+` <code>queue support added<\/code>/);
      expect(opened?.body).toMatch(
        /<details><summary>.*queues&#46;conf.*<\/summary>\n\n````diff\n[^]*\n````\n/,
      );
      expect(opened?.body).toMatch(/^\+; ``` @everyone$/m);
      expect(opened?.body).not.toContain("8472");
      const waiting = await waitsIn(opened?.html_url);
      expect(conditionOf(waiting, "Ready")).toMatchObject({ status: "False" });
      await waitUntil(async () =>
        (await team.events("pbx1", /^Proposed$/)).join().includes(`pull request 2, opened`),
      );

      await append("queues.conf", "\n[sales]\nstrategy = rrmemory\n");
      await proposes(2, "queues sales&#44; support added");
      expect(await pullRequest(2)).toMatchObject({ state: "open", html_url: opened?.html_url });
      expect(await remote.read("pbx1/queues.conf", branch)).toBe(readFileSync(file("queues.conf"), "latin1"));
      expect(await remote.read("pbx1/queues.conf")).not.toContain("[support]");

      await remote.merge(2);
      await waitsIn(undefined);
      const { status } = await team.isReady("servers", "pbx1", deadlineMs);
      expect(status?.source).toEqual({ branch: "main", commit: await remote.head() });
      expect(await remote.read("pbx1/queues.conf")).toBe(readFileSync(file("queues.conf"), "latin1"));
      expect(await remote.pullRequests()).toHaveLength(2);
    },
    deadlineMs,
  );
});
