import { describe, expect, test } from "@jest/globals";
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { inspect } from "node:util";
import { messageOf } from "../../core/errors.ts";
import type { GitRepository } from "../../git/repository.ts";
import { openCached as open, overSSH } from "../support/cached-repository.ts";
import { git, useGitServer, type GitRepository as Remote, type GitRequest } from "../support/git-server.ts";
import { until } from "../support/until.ts";

const server = useGitServer();
const author = { name: "asterisk-iac pbx1", email: "asterisk-iac@noreply.invalid" };

const isPushTo =
  ({ directory }: Remote) =>
  ({ repository, operation }: GitRequest): boolean =>
    operation === "push" && directory.endsWith(`/${repository}.git`);

describe("a branch that the remote does not move", () => {
  interface Prepared {
    readonly remote: Remote;
    readonly repository: GitRepository;
    readonly commit: string;
  }

  const prepare = async (name: string): Promise<Prepared> => {
    const remote = await server.createRepository(name);
    await (await remote.clone()).push({ a: "1" });
    const repository = open(remote);
    const tip = (await repository.fetch("main")) ?? "";
    const changes = new Map([["a", Buffer.from("2")]]);
    const { objects } = repository;
    const commit = await objects.commit({ base: tip, parents: [tip], changes, message: "ours", author });
    return { remote, repository, commit };
  };

  test("because its disk is full is told at once, and pushed once there is room", async () => {
    const { remote, repository, commit } = await prepare("full");
    const log = join(remote.directory, "logs/refs/heads/main");
    await git(remote.directory, "config", "core.logAllRefUpdates", "always");
    mkdirSync(dirname(log), { recursive: true });
    symlinkSync("/dev/full", log);
    await expect(repository.push(commit, "main")).rejects.toMatchObject({
      code: "SourceUnavailable",
      next: "Retry",
      message: expect.stringMatching(/has no room left on its disk: .*No space left on device/),
    });
    rmSync(log);
    expect(await repository.push(commit, "main")).toBe("Pushed");
  });

  test("because another of that name is in the way is told at once", async () => {
    const { remote, repository, commit } = await prepare("in-the-way");
    await expect(repository.push(commit, "main/pbx1")).rejects.toMatchObject({
      code: "SourceUnavailable",
      message: expect.stringMatching(/could not move the branch: .*'refs\/heads\/main' exists/),
    });
    expect((await server.requests()).filter(isPushTo(remote))).toHaveLength(1);
  });

  test("since somebody moved it, made it or removed it at that very time: planned again", async () => {
    const { remote, repository, commit } = await prepare("moved");
    // When the remote has told us the branches and has our commits.
    const meanwhile = (script: string): Promise<void> =>
      remote.hook("pre-receive", `env -u GIT_QUARANTINE_PATH git update-ref ${script}`);
    const person = await remote.clone();
    const other = await person.commit({ b: "1" });
    await person.git("push", "--quiet", "origin", "HEAD:refs/heads/other");
    await meanwhile(`refs/heads/main ${other}`);
    expect(await repository.push(commit, "main")).toBe("Rejected");
    await repository.push(commit, "ours");
    await meanwhile(`refs/heads/same ${commit}`);
    expect(await repository.push(commit, "same")).toBe("Pushed");
    await meanwhile(`refs/heads/new ${other}`);
    expect(await repository.push(commit, "new")).toBe("Rejected");
    await remote.hook("pre-receive", "");
    expect(await repository.push(commit, "gone")).toBe("Pushed");
    await meanwhile("-d refs/heads/gone");
    const { objects } = repository;
    const changes = new Map([["c", Buffer.from("")]]);
    const next = await objects.commit({ base: commit, parents: [commit], changes, message: "ours", author });
    expect(await repository.push(next, "gone")).toBe("Rejected");
  });

  test("while somebody else's push locks it waits for that; a lock that stays is told", async () => {
    const { remote, repository, commit } = await prepare("locked");
    const lock = join(remote.directory, "refs/heads/main.lock");
    writeFileSync(lock, "");
    await expect(repository.push(commit, "main")).rejects.toMatchObject({
      code: "SourceUnavailable",
      next: "Retry",
      message: expect.stringContaining("has a lock on the branch that stays"),
      hint: expect.stringContaining("killed"),
    });
    const before = (await server.requests()).filter(isPushTo(remote)).length;
    const pushed = repository.push(commit, "main");
    await until(async () => (await server.requests()).filter(isPushTo(remote)).length > before);
    rmSync(lock);
    expect(await pushed).toBe("Pushed");
  });
});

describe("what a remote says", () => {
  test.each(["ssh", "http"] as const)(
    "%s: is told without credentials, without what a terminal acts upon, and in bounds",
    async (over) => {
      const remote = await server.createRepository(`says-${over}`);
      const isSSH = over === "ssh";
      const credentials = isSSH ? overSSH(remote) : { username: "bot", password: remote.token };
      const secret = isSSH ? (remote.privateKey.split("\n")[2] ?? "-") : remote.token;
      const basic = isSSH ? secret : Buffer.from(`bot:${remote.token}`).toString("base64");
      const url = isSSH ? remote.sshURL : remote.httpURL;
      const repository = open(remote, { credentials, url });
      await repository.fetch("main");
      const said = [
        `clone https://mirror:CANARY1@git.example.org/a https://CANARY2@git.example.org ftp://a:CANARY3@b/`,
        `you are ${secret} ${basic}`,
        "\u001b[2J\u001b]0;title\u0007\u009b31m\u202eeslaf\u200b",
        // The bound is not in the middle of a secret.
        ...Array.from({ length: 40 }, (_, at) => `${"x".repeat(at)} ${secret}`),
      ];
      await remote.hook("pre-receive", `cat >&2 <<'END'\n${said.join("\n")}\nEND\nexit 1`);
      const changes = new Map([["a", Buffer.from("1")]]);
      const { objects } = repository;
      const commit = await objects.commit({
        base: undefined,
        parents: [],
        changes,
        message: "first",
        author,
      });
      const refused: unknown = await repository.push(commit, "main").catch((thrown: unknown) => thrown);
      const message = messageOf(refused);
      expect(message).toContain("clone https://********@git.example.org/a https://********@git.example.org");
      expect(message).toContain("ftp://********@b/");
      expect(message).toContain("you are ********");
      const all = `${message} ${inspect(refused)} ${JSON.stringify(refused)}`;
      const parts = [secret.slice(0, 12), basic.slice(0, 12), "CANARY"];
      for (const part of parts) expect(all).not.toContain(part);
      expect(message).not.toMatch(/[\0-\x1f\x7f-\x9f\u200b\u202e]/);
      expect(message.length).toBeLessThan(800);
    },
  );
});
