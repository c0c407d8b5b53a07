import { beforeAll, describe, expect, test } from "@jest/globals";
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { asteriskctl, whileRunning, type Run, type RunOptions } from "../support/asteriskctl.ts";
import { gitManifests } from "../support/git-lab.ts";
import type { GitClone } from "../support/git-server.ts";
import { describeGitea, useGitea, type GiteaRepository } from "../support/gitea.ts";
import { useLab, type Lab } from "../support/lab.ts";
import { until } from "../support/until.ts";

/** The lab's manifests, and a cache of its own. */
const onGit = (lab: Lab, args: readonly string[]): string[] => [
  "-f",
  join(lab.directory, "git.yaml"),
  ...args,
];
const options = (lab: Lab): RunOptions => ({ env: { XDG_CACHE_HOME: join(lab.directory, "cache") } });

const run = (lab: Lab, args: readonly string[]): Promise<Run> => asteriskctl(onGit(lab, args), options(lab));

/** Runs `watch` while `work` goes on. */
const watching = (
  lab: Lab,
  args: readonly string[],
  work: (output: () => string) => Promise<void>,
): Promise<Run> => whileRunning(onGit(lab, ["watch", ...args]), options(lab), work);

/** Beside other tests each step takes its time: Gitea runs programs of its own for each push. */
const eventually = (condition: () => boolean): Promise<void> => until(condition, 45_000);
const deadlineMs = 180_000;

describeGitea("with a real Gitea", () => {
  const gitea = useGitea();

  describe("a webhook", () => {
    const lab = useLab();
    let remote: GiteaRepository;
    let person: GitClone;

    beforeAll(async () => {
      remote = await gitea.createRepository("webhook");
      gitManifests(lab, "git.yaml", remote, { servers: { pbx1: { git: { interval: "1h" } } } });
      expect(await run(lab, ["import"])).toMatchObject({ code: 0, stderr: "" });
      person = await remote.clone();
    }, deadlineMs);

    test(
      "makes a merged change live at once; a forged one makes nothing",
      async () => {
        const watch = watching(lab, ["--interval", "1h", "--webhook", "127.0.0.1:0"], async (output) => {
          await eventually(() => output().includes("nothing to do"));
          const [, url = ""] = /receiving webhooks at (\S+)/.exec(output()) ?? [];
          const [, place = ""] = /signed with (\S+)/.exec(output()) ?? [];
          const secret = readFileSync(place, "utf8");
          expect(output()).not.toContain(secret);

          const payload = JSON.stringify({
            ref: "refs/heads/main",
            repository: { clone_url: remote.httpURL },
          });
          const forged = createHmac("sha256", `${secret}x`).update(payload).digest("hex");
          const headers = { "x-gitea-event": "push", "x-gitea-signature": forged };
          expect((await fetch(url, { method: "POST", headers, body: payload })).status).toBe(401);

          const config = { url, content_type: "json", secret };
          await remote.api("POST", "/hooks", { type: "gitea", config, events: ["push"], active: true });
          await person.git("checkout", "--quiet", "-b", "sales");
          const queues = readFileSync(join(person.directory, "pbx1/queues.conf"), "utf8");
          await person.push({ "pbx1/queues.conf": `${queues}\n[sales]\nstrategy = ringall\n` });
          await remote.api("POST", "/pulls", { head: "sales", base: "main", title: "A queue for sales" });
          await remote.merge(1);
          await eventually(() => /commit\n.*applied/.test(output()));
        });
        expect(await watch).toMatchObject({ code: 0 });
        const shown = await lab.servers[0]?.run(["asterisk", "-rx", "queue show sales"]);
        expect(shown?.stdout).toContain("sales");
      },
      deadlineMs,
    );

    test(
      "is refused where nothing listens to it",
      async () => {
        const plain = ["-f", join(lab.directory, "manifests.yaml"), "watch", "--webhook"];
        const [noSource, noAddress] = await Promise.all([
          asteriskctl([...plain, "127.0.0.1:0"]),
          asteriskctl([...plain, "9000"]),
        ]);
        expect(noSource).toMatchObject({ code: 1, stderr: expect.stringContaining("none has it") });
        expect(noAddress).toMatchObject({
          code: 1,
          stderr: expect.stringContaining("such as 127.0.0.1:9000"),
        });
      },
      deadlineMs,
    );
  });

  describe("what changes on a server laid out as FreePBX does", () => {
    const lab = useLab({ freepbx: true });
    let remote: GiteaRepository;

    /** What the GUI does when its user has changed a queue and applies it: the file is $1. */
    const changeInGUI = async (script: string): Promise<void> => {
      const file = "/var/lib/freepbx-lab/generated/queues_additional.conf";
      const ran = await lab.servers[0]?.run(["sh", "-euc", `${script}\nfwconsole reload`, "sh", file]);
      expect(ran).toMatchObject({ code: 0 });
    };
    const addQueue = (name: string) => changeInGUI(`printf '[${name}]\\nstrategy=ringall\\n' >>"$1"`);

    beforeAll(async () => {
      remote = await gitea.createRepository("freepbx");
      const git = { pullRequest: { forge: "Gitea" } };
      gitManifests(lab, "git.yaml", remote, {
        servers: { pbx1: { git, spec: { updateDirection: "FromAsterisk" } } },
      });
    });

    test(
      "is imported by a pull request",
      async () => {
        const imported = await run(lab, ["import"]);
        expect(imported).toMatchObject({ code: 0, stderr: "" });
        const [pullRequest] = await remote.pullRequests();
        expect(pullRequest).toMatchObject({ number: 1, state: "open" });
        expect(imported.stdout).toContain(`pull request 1 opened: ${pullRequest?.html_url}`);
        expect(await remote.read("pbx1/queues.conf")).toBeUndefined();
        const manager = readFileSync(join(lab.servers[0]?.configDirectory ?? "", "manager.conf"), "utf8");
        const [, secret = ""] = /^secret = ([0-9a-f]{32})$/m.exec(manager) ?? [];
        expect(secret).not.toBe("");
        const clone = await remote.clone();
        const objects = await clone.git("cat-file", "--batch-all-objects", "--batch");
        expect(objects).toContain("queues_additional.conf");
        expect(objects + JSON.stringify(pullRequest)).not.toContain(secret);
        await remote.merge(1);
        expect((await run(lab, ["plan", "--detailed-exitcode"])).code).toBe(0);
      },
      deadlineMs,
    );

    test(
      "becomes an open pull request, which the next change updates",
      async () => {
        const watched = await watching(lab, ["--interval", "1s"], async (output) => {
          await eventually(() => output().includes("nothing to do"));
          await addQueue("400");
          await eventually(() => output().includes("pull request 2 is open with this already"));
          await addQueue("401");
          await eventually(() => /pull request 2 updated[^]*pull request 2 is open with this/.test(output()));
          const [, pullRequest] = await remote.pullRequests();
          expect(pullRequest).toMatchObject({
            state: "open",
            body: expect.stringContaining("<code>queues 400&#44; 401 added</code>"),
          });
          expect(await remote.read("pbx1/queues_additional.conf", "asterisk-iac/pbx1")).toContain("[401]");
          expect(await remote.read("pbx1/queues_additional.conf")).not.toContain("[400]");
          // Two more passes: what they would have to tell was told.
          await run(lab, ["plan"]);
        });
        expect(watched.stdout.match(/pull request 2 opened/g)).toHaveLength(1);
        expect(watched.stdout.match(/pull request 2 is open with this/g)).toHaveLength(2);
      },
      deadlineMs,
    );

    test(
      "and which can be merged again after main has other bytes, once the server's are chosen",
      async () => {
        const person = await remote.clone();
        await person.push({ "pbx1/queues_additional.conf": "[400]\nstrategy=linear\n" });
        expect((await run(lab, ["apply", "--yes"])).code).toBe(3);
        // What FreePBX generates is never written: the repository's bytes can't be had by choosing them.
        expect((await run(lab, ["apply", "--yes", "--take", "source"])).stdout).not.toContain("pull request");
        expect((await remote.pullRequests())[1]).toMatchObject({ state: "open" });
        const taken = await run(lab, ["apply", "--yes", "--take", "server"]);
        expect(taken).toMatchObject({ code: 0, stdout: expect.stringContaining("pull request 2 updated") });
        expect((await remote.pullRequests())[1]?.body).toContain("\n-strategy=linear\n");
        await remote.merge(2);
        expect((await run(lab, ["plan", "--detailed-exitcode"])).code).toBe(0);
      },
      deadlineMs,
    );

    test(
      "is rejected when that is closed, until it changes again",
      async () => {
        await addQueue("402");
        expect((await run(lab, ["apply", "--yes"])).stdout).toContain("pull request 3 opened");
        await remote.close(3);
        expect((await run(lab, ["apply", "--yes"])).stdout).toContain("pull request 3");
        expect(await remote.pullRequests()).toHaveLength(3);
        await addQueue("403");
        expect((await run(lab, ["apply", "--yes"])).stdout).toContain("pull request 4 opened");
        // Taken back on the server, there is nothing to propose.
        await changeInGUI(`sed -i '/^.40[23]/,+1d' "$1"`);
        expect((await run(lab, ["apply", "--yes"])).stdout).toContain("pull request 4 closed");
        expect((await remote.pullRequests())[3]).toMatchObject({ state: "closed", merged: false });
      },
      deadlineMs,
    );
  });
});
