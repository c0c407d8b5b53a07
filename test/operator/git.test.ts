import { createHmac } from "node:crypto";
import { chownSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { GitSources } from "../../engine/git-source.ts";
import type { APIRequest, KubernetesAPI } from "../../operator/runtime/index.ts";
import { git, useGitServer, type GitClone, type GitRepository } from "../support/git-server.ts";
import {
  Namespace,
  conditionOf,
  readyOf,
  startOperator,
  useOperatorLab,
  waitUntil,
  type RunningOperator,
} from "../support/operator.ts";
import { operatorNamespace } from "../support/operator-account.ts";
import { startOperatorProcess, type OperatorProcess } from "../support/operator-process.ts";

const lab = useOperatorLab({ count: 2 });
const server = useGitServer();
let repository: GitRepository;
let clone: GitClone;
let team: Namespace;
let operator: RunningOperator;
let cacheDirectory: string;
const requests: APIRequest[] = [];
const children: OperatorProcess[] = [];

const file = (index: number, path: string): string => join(lab.servers[index]?.configDirectory ?? "", path);
const live = (index: number, path: string): string => readFileSync(file(index, path), "latin1");
/** An edit on the PBX itself, with a reload that tells of it. */
async function edit(index: number, path: string, text: string): Promise<void> {
  const { uid, gid } = statSync(file(index, "asterisk.conf"));
  writeFileSync(file(index, path), text);
  chownSync(file(index, path), uid, gid);
  await lab.servers[index]?.run(["asterisk", "-rx", "module reload res_rtp_asterisk"]);
}

const recorded = (api: KubernetesAPI): KubernetesAPI => ({
  stream: (request) => api.stream(request),
  request: (request) => {
    requests.push(request);
    return api.request(request);
  },
});

async function start(): Promise<RunningOperator> {
  const repositories = new GitSources({ cacheDirectory });
  return startOperator(recorded(lab.operatorAPI), { namespace: "git", repositories });
}

/** `source.git` of a server; over SSH, with the key and the host key of a Secret of the namespace. */
const source = (more: object = {}) => ({
  git: { url: repository.sshURL, credentialsSecretRef: { name: "git" }, interval: "1s", ...more },
});
const subjects = async (): Promise<string[]> =>
  (await git(repository.directory, "log", "--format=%an: %s", "main")).split("\n");

beforeAll(async () => {
  cacheDirectory = await mkdtemp(join(tmpdir(), "asterisk-iac-git-cache-"));
  repository = await server.createRepository("office/pbx");
  team = await Namespace.create(lab, "git");
  await team.createSecret("git", {
    "ssh-privatekey": repository.privateKey,
    known_hosts: repository.knownHosts,
  });
  for (const [index, updateDirection] of ["ToAsterisk", "FromAsterisk"].entries())
    for (const manifest of lab.manifestsOf(index, "git", {
      ...{ updateDirection, source: source({ secrets: index === 0 ? "Secret" : "Age" }) },
    }))
      await team.create(manifest);
  operator = await start();
});
afterAll(async () => {
  await operator?.stop();
  for (const child of children) child.kill("SIGKILL");
  await rm(cacheDirectory, { recursive: true, force: true });
});

test("the first contact is one commit a server; status names it, and no secret is in it", async () => {
  for (const name of ["pbx1", "pbx2"]) {
    const { status } = await team.isReady("servers", name, 60_000);
    expect(status?.initialImport).toMatchObject({ done: true });
    expect(status?.source).toMatchObject({ branch: "main", commit: expect.stringMatching(/^[0-9a-f]{40}$/) });
  }
  const authors = (await subjects()).map((line) => line.split(":")[0]);
  expect(authors.sort()).toEqual(["asterisk-iac pbx1", "asterisk-iac pbx2"]);
  expect(await repository.read("pbx1/queues.conf")).toBe(live(0, "queues.conf"));
  const secret = /^secret ?= ?(\S+)/m.exec(live(0, "manager.conf"))?.[1] ?? "";
  expect(secret).not.toBe("");
  const grep = git(repository.directory, "grep", "-l", "-F", secret, "main");
  await expect(grep).rejects.toThrow();
  // Of pbx1 the values are in a Secret, of pbx2 in a file beside the others.
  expect((await lab.cluster.secrets.get("git", "pbx1-secrets"))?.metadata.labels).toEqual({
    "app.kubernetes.io/managed-by": "asterisk-iac",
  });
  expect(await lab.cluster.secrets.get("git", "pbx2-secrets")).toBeUndefined();
  expect((await subjects()).length).toBe(2);
  clone = await repository.clone();
});

describe("ToAsterisk", () => {
  test("what is merged is live within the interval, and status names the commit", async () => {
    const text = `${live(0, "queues.conf")}\n[support]\nstrategy = ringall\n`;
    await clone.push({ "pbx1/queues.conf": text });
    await waitUntil(() => live(0, "queues.conf") === text);
    const commit = await repository.head();
    const { status } = await team.sees(
      "servers",
      "pbx1",
      (object) => object.status?.lastApplied?.revision === commit && readyOf(object) === "True",
    );
    expect(status?.source?.commit).toBe(commit);
  });

  test("an edit on the PBX is put back, and is no commit", async () => {
    const [text, before] = [live(0, "queues.conf"), await subjects()];
    await edit(0, "queues.conf", "; by hand\n");
    await waitUntil(() => live(0, "queues.conf") === text);
    await team.isReady("servers", "pbx1");
    expect(await subjects()).toEqual(before);
  });

  test("what Asterisk would refuse is not written, and a revert is the way out", async () => {
    const text = live(0, "queues.conf");
    await clone.push({ "pbx1/queues.conf": "[no end\n" });
    await team.sees("servers", "pbx1", (object) => readyOf(object) === "ConfInvalid");
    expect(live(0, "queues.conf")).toBe(text);
    await clone.push({ "pbx1/queues.conf": text });
    await team.isReady("servers", "pbx1");
  });

  test("a value that a file refers to is live once its Secret says so", async () => {
    await team.createSecret("door", { pin: "1111" });
    await clone.push({ "pbx1/door.conf": "[door]\ncode = @{secret:door/pin}\n" });
    await waitUntil(() => tryLive(0, "door.conf").includes("1111"));
    await team.patch("secrets", "door", { stringData: { pin: "2222" } });
    await waitUntil(() => tryLive(0, "door.conf").includes("2222"));
  });

  const tryLive = (index: number, path: string): string => {
    try {
      return live(index, path);
    } catch {
      return "";
    }
  };
});

test("in step, passes ask the API server for nothing and the git server once an interval, for both servers", async () => {
  await team.isReady("servers", "pbx1");
  const from = [requests.length, (await server.requests()).length] as const;
  const since = performance.now();
  await waitUntil(async () => (await server.requests()).length >= from[1] + 3);
  const asked = (await server.requests()).length - from[1];
  expect(asked).toBeLessThanOrEqual((performance.now() - since) / 1_000 + 1.5);
  expect(requests.slice(from[0]).map(({ method, path }) => `${method} ${path}`)).toEqual([]);
});

describe("FromAsterisk", () => {
  test("an edit on the PBX is a commit, told of in an event and in status; ours does not come back", async () => {
    const before = (await subjects()).length;
    const text = `${live(1, "queues.conf")}\n[sales]\nstrategy = ringall\n`;
    await edit(1, "queues.conf", text);
    await waitUntil(async () => (await repository.read("pbx2/queues.conf")) === text);
    const commit = await repository.head();
    await team.sees("servers", "pbx2", ({ status }) => status?.source?.commit === commit);
    await waitUntil(async () => (await team.events("pbx2", /^Collected$/)).join().includes(`${commit}`));
    await team.isReady("servers", "pbx2");
    expect((await subjects()).length).toBe(before + 1);
    expect(live(1, "queues.conf")).toBe(text);
  });

  test("an edit in git too is a conflict: nothing is written", async () => {
    const before = live(1, "queues.conf");
    await team.patch("servers", "pbx2", { spec: { suspend: true } });
    await team.sees("servers", "pbx2", (object) => readyOf(object) === "Suspended");
    await clone.pull();
    await clone.push({ "pbx2/queues.conf": `${before}; in git\n` });
    writeFileSync(file(1, "queues.conf"), `${before}; on the PBX\n`);
    await team.patch("servers", "pbx2", { spec: { suspend: false } });
    const seen = await team.sees(
      "servers",
      "pbx2",
      (object) => conditionOf(object, "InSync")?.reason === "Conflict",
    );
    expect([live(1, "queues.conf"), await repository.read("pbx2/queues.conf")]).toEqual([
      `${before}; on the PBX\n`,
      `${before}; in git\n`,
    ]);
    const hash = /plan ([0-9a-f]{12})/.exec(conditionOf(seen, "InSync")?.message ?? "")?.[1];
    await team.annotate("servers", "pbx2", { "asterisk-iac.dev/take": `server@${hash}` });
    await team.isReady("servers", "pbx2");
    expect(await repository.read("pbx2/queues.conf")).toBe(`${before}; on the PBX\n`);
  });
});

test("a push that the git server refuses is told of, and done when it is asked for again", async () => {
  const text = `${live(1, "queues.conf")}; refused\n`;
  await repository.hook("pre-receive", "exit 1");
  await edit(1, "queues.conf", text);
  await team.sees("servers", "pbx2", (object) => readyOf(object) === "SourceUnavailable");
  await repository.hook("pre-receive", "");
  await team.annotate("servers", "pbx2", { "asterisk-iac.dev/reconcile-requested-at": "1" });
  await team.isReady("servers", "pbx2");
  expect(await repository.read("pbx2/queues.conf")).toBe(text);
});

test("a repository that can't be reached is told of, and the session to the PBX stays", async () => {
  const logins = async (): Promise<number> => {
    const log = (await lab.servers[0]?.run(["cat", "/var/log/sshd.log"]))?.stdout.toString() ?? "";
    return log.split("Accepted publickey").length - 1;
  };
  const before = await logins();
  expect(before).toBeGreaterThan(0);
  await team.patch("servers", "pbx1", {
    spec: { source: source({ url: "ssh://git@127.0.0.1:9/away.git" }) },
  });
  const away = await team.sees("servers", "pbx1", (object) => readyOf(object) === "SourceUnavailable");
  expect(conditionOf(away, "Reconciling")?.status).toBe("True");
  await team.patch("servers", "pbx1", { spec: { source: source({ secrets: "Secret" }) } });
  await team.isReady("servers", "pbx1");
  expect(await logins()).toBe(before);
});

test("two servers of one directory: the second is stalled", async () => {
  const [, , other] = lab.manifestsOf(0, "git", { source: source({ path: "pbx1" }) });
  await team.create({ ...other, metadata: { name: "again" } } as Parameters<Namespace["create"]>[0]);
  const again = await team.sees("servers", "again", (object) => readyOf(object) === "DuplicateServer");
  expect(conditionOf(again, "Stalled")?.message).toContain("git/pbx1");
  await team.delete("servers", "again");
});

test("a webhook that comes to the replica that stands by is live at once; one that is not signed does nothing", async () => {
  await operator.stop();
  await team.patch("servers", "pbx1", { spec: { source: source({ secrets: "Secret", interval: "1h" }) } });
  await team.patch("servers", "pbx2", { spec: { suspend: true } });
  const replica = async (): Promise<{ child: OperatorProcess; url: string }> => {
    const child = startOperatorProcess({
      ...{ kubeconfig: lab.account.kubeconfig, namespace: "git", lease: "webhook" },
      ...{ webhook: "127.0.0.1:0", gitCache: cacheDirectory },
    });
    children.push(child);
    await child.says("standing for election");
    const line = child.log.find((each) => each.includes("receiving webhooks")) ?? "{}";
    return { child, url: (JSON.parse(line) as { url: string }).url };
  };
  const one = await replica();
  await one.child.says('"leading"');
  const two = await replica();
  await team.isReady("servers", "pbx1");
  const secret = (await lab.cluster.secrets.get(operatorNamespace, "asterisk-iac"))?.data?.["webhook-secret"];
  const body = JSON.stringify({ ref: "refs/heads/main", repository: { ssh_url: repository.sshURL } });
  const signature = createHmac("sha256", Buffer.from(secret ?? "", "base64"))
    .update(body)
    .digest("hex");
  const deliver = async (signed: string): Promise<number> => {
    const headers = { "x-github-event": "push", "x-hub-signature-256": `sha256=${signed}` };
    return (await fetch(two.url, { method: "POST", headers, body })).status;
  };
  const text = `${live(0, "queues.conf")}; told of\n`;
  await clone.pull();
  await clone.push({ "pbx1/queues.conf": text });
  const before = (await server.requests()).length;
  expect(await deliver("0".repeat(64))).toBe(401);
  const told = performance.now();
  expect((await server.requests()).length).toBe(before);
  expect(await deliver(signature)).toBe(202);
  await waitUntil(() => live(0, "queues.conf") === text);
  process.stderr.write(`live ${Math.round(performance.now() - told)} ms after a webhook\n`);
  for (const { child } of [two, one]) {
    child.kill("SIGTERM");
    await child.ended;
  }
  await team.patch("servers", "pbx1", { spec: { source: source({ secrets: "Secret" }) } });
  await team.patch("servers", "pbx2", { spec: { suspend: false } });
});

test("an operator that is killed while it commits: the next one comes to the same end, one commit an edit", async () => {
  const before = (await subjects()).length;
  const rounds = 2;
  for (let round = 0; round < rounds; round++) {
    const text = `${live(1, "queues.conf")}; round ${round}\n`;
    await edit(1, "queues.conf", text);
    // By turns when the commit has arrived and is not on the branch yet, and when it is.
    const hook = round % 2 === 0 ? "pre-receive" : "post-receive";
    const seen = join(repository.directory, `pushed-${round}`);
    await repository.hook(hook, `touch ${seen}\nsleep 2`);
    const child = startOperatorProcess({
      ...{ kubeconfig: lab.account.kubeconfig, namespace: "git", lease: `git-${round}` },
      gitCache: cacheDirectory,
    });
    children.push(child);
    await waitUntil(() => statSync(seen, { throwIfNoEntry: false }) !== undefined);
    child.kill("SIGKILL");
    await child.ended;
    await repository.hook(hook, "");
    operator = await start();
    await waitUntil(async () => (await repository.read("pbx2/queues.conf")) === text);
    await team.isReady("servers", "pbx2");
    await operator.stop();
  }
  expect((await subjects()).length).toBe(before + rounds);
  expect(await git(repository.directory, "fsck", "--strict", "--no-dangling")).toBe("");
});
