import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { gitURLProblem } from "../../core/resource/index.ts";
import { GitRepository } from "../../git/repository.ts";
import { GitSnapshot } from "../../git/snapshot.ts";
import { openCached as open, overHTTP, overSSH } from "../support/cached-repository.ts";
import { git, useGitServer } from "../support/git-server.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const server = useGitServer();
const author = { name: "asterisk-iac pbx1", email: "asterisk-iac@noreply.invalid" };

/** Everything below a directory that is a file, as text. */
function allText(directory: string): string {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), "latin1"))
    .join("\n");
}

describe("over SSH with a pinned host key, and over HTTP with a token", () => {
  test.each(["ssh", "http"] as const)("%s: fetches, commits, pushes", async (over) => {
    const remote = await server.createRepository(`both-${over}`);
    const credentials = over === "ssh" ? overSSH(remote) : overHTTP(remote);
    const cacheDirectory = temporaryDirectory();
    const url = over === "ssh" ? remote.sshURL : remote.httpURL;
    const repository = open(remote, { credentials, url, cacheDirectory });
    expect(await repository.fetch("main")).toBeUndefined();
    const first = await repository.objects.commit({
      base: undefined,
      parents: [],
      changes: new Map([["pbx1/a.conf", Buffer.from("[a]\n\0\xff")]]),
      message: "first",
      author,
    });
    expect(await repository.push(first, "main")).toBe("Pushed");
    expect(await remote.head()).toBe(first);
    const person = await remote.clone();
    const second = await person.push({ "pbx1/b/c.conf": "c" });
    expect(await repository.fetch("main")).toBe(second);
    const tree = await repository.objects.tree(second, "pbx1");
    expect([...tree.keys()]).toEqual(["a.conf", "b/c.conf"]);
    const blobs = await repository.objects.blobs([...tree.values()].map(({ id }) => id));
    expect([...blobs.values()].map(String)).toEqual([Buffer.from("[a]\n\0\xff").toString(), "c"]);
    await git(repository.objects.directory, "fsck", "--full", "--strict");
    // Neither the token nor the key stays anywhere.
    const secret = over === "ssh" ? (remote.privateKey.split("\n")[2] ?? "-") : remote.token;
    expect(allText(cacheDirectory)).not.toContain(secret);
  });

  test("a host key that is not the pinned one, a token that is not right: told, nothing cached, nothing told of the secret", async () => {
    const remote = await server.createRepository("refused");
    const knownHosts = remote.knownHosts.replace(
      /AAAA\S+/,
      "AAAAC3NzaC1lZDI1NTE5AAAAIMeO1OXQIzLAoOMyTU5tG7PuqnGqYZGHvNKT8A8VRRRs",
    );
    const stranger = open(remote, { url: remote.sshURL, credentials: { ...overSSH(remote), knownHosts } });
    await expect(stranger.fetch("main")).rejects.toMatchObject({
      code: "SourceUnavailable",
      next: "Stalled",
      message: expect.stringContaining("host key"),
    });
    const wrong = open(remote, { credentials: { password: "not-the-token" } });
    await expect(wrong.fetch("main")).rejects.toMatchObject({
      next: "Stalled",
      message: expect.stringMatching(/does not let us in(?!.*not-the-token)/),
    });
    const nobody = open(remote, { credentials: {} });
    await expect(nobody.fetch("main")).rejects.toMatchObject({ next: "Stalled" });
  });

  test("a remote that never answers is given up in time", async () => {
    const heard: Socket[] = [];
    const silent = createServer((socket) => heard.push(socket.on("error", () => undefined)));
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}/a.git`;
    const remote = await server.createRepository("silent");
    const repository = open(remote, { url, deadlineMs: 500 });
    const began = performance.now();
    await expect(repository.fetch("main")).rejects.toMatchObject({ next: "Retry" });
    expect(performance.now() - began).toBeLessThan(20_000);
    for (const socket of heard) socket.destroy();
    silent.close();
  });
});

describe("what git is never given", () => {
  const bad = [
    "ext::sh -c id",
    "--upload-pack=id",
    "-u",
    "file:///a",
    "/a",
    "ssh://-oProxyCommand=id/a",
    "a@b:-x",
  ];
  test.each(bad)("the url %s is refused before git is started", (url) => {
    expect(
      () =>
        new GitRepository(
          { url, reader: "", credentials: () => Promise.reject(new Error("asked")) },
          { cacheDirectory: "/nowhere" },
        ),
    ).toThrow("the repository's url");
  });

  test("no url that is let through has a blank, a control character, an option or a transport helper", () => {
    const part = fc.constantFrom(
      "https://",
      "ssh://",
      "http://",
      "ext::",
      "git@",
      "-",
      ":",
      "/",
      "a",
      ".",
      "\n",
      " ",
      "@",
      "%",
      "::",
      "--x",
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
        const url = parts.join("");
        if (gitURLProblem(url, true) !== undefined) return;
        expect(url).not.toMatch(
          /[\0-\x20\x7f]|^-|^[a-z]+::|^[^/]*:\/\/-|^[^/:]*(@-|:-)|^[^/]*@[^/]*:.*:\/\//,
        );
        expect(url).toMatch(/^(https?|ssh):\/\/|^[^/:]+@[^/:]+:/);
      }),
      { numRuns: 3000 },
    );
  });

  test.each(["-b", "--force", "a..b", "a b", "main:refs/heads/x", "+main", "a.lock"])(
    "the branch %s is refused",
    async (branch) => {
      const remote = await server.createRepository("branches");
      await expect(open(remote).fetch(branch)).rejects.toMatchObject({ code: "InvalidManifest" });
    },
  );

  test("a repository with hooks, filters, submodules and links: nothing is run or followed", async () => {
    const remote = await server.createRepository("hostile");
    const person = await remote.clone();
    const proof = join(temporaryDirectory(), "ran");
    const hook = `#!/bin/sh\ntouch ${proof}\n`;
    await person.commit({
      ".gitattributes": "* filter=evil diff=evil merge=evil\n",
      ".gitmodules": `[submodule "a"]\n\tpath = a\n\turl = ${remote.directory}\n\tupdate = none\n`,
      ".lfsconfig": `[lfs]\n\turl = ${remote.httpURL}\n`,
      "pbx1/a.conf": "[a]\n",
      "pbx1/lfs.conf": "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
      "pbx1/.git-hooks/post-checkout": hook,
    });
    const head = await person.git("rev-parse", "HEAD");
    await person.git("update-index", "--add", "--cacheinfo", `160000,${head},pbx1/module`);
    const target = await git(person.directory, "hash-object", "-w", join(person.directory, ".gitattributes"));
    await person.git("update-index", "--add", "--cacheinfo", `120000,${target},pbx1/link.conf`);
    await person.git("update-index", "--add", "--cacheinfo", `120000,${target},linked`);
    await person.git("commit", "--quiet", "-m", "hostile");
    await person.git("push", "--quiet", "origin", "HEAD");
    const repository = open(remote);
    const tip = (await repository.fetch("main")) ?? "";
    writeFileSync(join(repository.objects.directory, "post-fetch"), hook);
    // What would lie in the cache's own hooks is not run either.
    const hooks = join(repository.objects.directory, "hooks");
    await git("/", "init", "--quiet", "--bare", repository.objects.directory);
    for (const name of ["pre-push", "reference-transaction", "post-update", "pre-auto-gc"]) {
      writeFileSync(join(hooks, name), hook);
      chmodSync(join(hooks, name), 0o755);
    }
    const snapshot = await GitSnapshot.of(repository.objects, tip, "pbx1");
    expect(snapshot.paths()).toEqual(["a.conf", "lfs.conf", "link.conf", "module"]);
    expect(snapshot.paths().map((path) => snapshot.problem(path))).toEqual([
      undefined,
      "is a pointer of Git LFS, which is not followed",
      "is a symbolic link",
      "is a submodule",
    ]);
    await expect(GitSnapshot.of(repository.objects, tip, "linked/a")).rejects.toMatchObject({
      code: "PathRefused",
    });
    const commit = await repository.objects.commit({
      base: tip,
      parents: [tip],
      changes: new Map([["pbx1/a.conf", Buffer.from("[b]\n")]]),
      message: "ours",
      author,
    });
    expect(await repository.push(commit, "main")).toBe("Pushed");
    await repository.fetch("main");
    expect(existsSync(proof)).toBe(false);
    expect(await remote.read("pbx1/a.conf")).toBe("[b]\n");
  });
});

describe("a cache", () => {
  test("with locks of a git that was killed is used again once that is dead", async () => {
    const remote = await server.createRepository("locks");
    const person = await remote.clone();
    await person.push({ a: "1" });
    const repository = open(remote);
    await repository.fetch("main");
    const { directory } = repository.objects;
    const locks = ["index.lock", "shallow.lock", "packed-refs.lock", "refs/asterisk-iac/remote/main.lock"];
    for (const lock of locks) writeFileSync(join(directory, lock), "");
    writeFileSync(join(directory, "is-still-the-same"), "");
    const tip = await person.push({ a: "2" });
    expect(await repository.fetch("main")).toBe(tip);
    expect(locks.filter((lock) => existsSync(join(directory, lock)))).toEqual([]);
    expect(existsSync(join(directory, "is-still-the-same"))).toBe(true);
  });

  test("that is broken is made anew", async () => {
    const remote = await server.createRepository("broken");
    const person = await remote.clone();
    await person.push({ a: "1" });
    const repository = open(remote);
    const tip = (await repository.fetch("main")) ?? "";
    rmSync(join(repository.objects.directory, "objects"), { recursive: true });
    expect(await repository.fetch("main")).toBe(tip);
    expect([...(await repository.objects.tree(tip, "")).keys()]).toEqual(["a"]);
  });

  test("is read to the end while it is made anew, here and by other runs", async () => {
    const remote = await server.createRepository("anew");
    const files = Object.fromEntries(Array.from({ length: 20 }, (_, at) => [`${at}.conf`, `[${at}]\n`]));
    await (await remote.clone()).push(files);
    const cacheDirectory = temporaryDirectory();
    // Another object shares the folder with it, and nothing else, as another process does.
    const [repository, other] = [open(remote, { cacheDirectory }), open(remote, { cacheDirectory })];
    const tip = (await repository.fetch("main")) ?? "";
    let isDone = false;
    const readAll = async ({ objects }: GitRepository): Promise<number> => {
      let reads = 0;
      for (; !isDone; reads++) {
        const ids = [...(await objects.tree(tip, "")).values()].map(({ id }) => id);
        if ((await objects.blobs(ids)).size !== 20) throw new Error("some are not there");
      }
      return reads;
    };
    const readers = [readAll(repository), readAll(other)];
    const caches = new Set<string>();
    for (let count = 0; count < 3; count++) {
      expect(await repository.fetchAnew("main", tip)).toBe(tip);
      caches.add(realpathSync(repository.objects.directory));
    }
    isDone = true;
    for (const reads of await Promise.all(readers)) expect(reads).toBeGreaterThan(0);
    expect(caches.size).toBe(3);
  });

  test("whose place another took goes away with the last git that reads it", async () => {
    const remote = await server.createRepository("replaced");
    await (await remote.clone()).push({ a: "1" });
    const repository = open(remote);
    const tip = (await repository.fetch("main")) ?? "";
    const link = repository.objects.directory;
    const old = realpathSync(link);
    const reader = spawn("git", ["cat-file", "--batch-check"], { cwd: link, env: { GIT_DIR: "." } });
    await once(reader, "spawn");
    await repository.fetchAnew("main", tip);
    expect(realpathSync(link)).not.toBe(old);
    const answer = once(reader.stdout, "data");
    reader.stdin.end(`${tip}\n`);
    expect(String(await answer)).toMatch(`${tip} commit`);
    await once(reader, "close");
    await repository.fetch("main");
    expect(existsSync(old)).toBe(false);
    expect(readdirSync(join(link, ".."))).toHaveLength(2);
  });

  test("that can't be made anew stays as it is; one that somebody else made is not made again", async () => {
    const remote = await server.createRepository("kept");
    const person = await remote.clone();
    await person.push({ a: "1" });
    const cacheDirectory = temporaryDirectory();
    const repository = open(remote, { cacheDirectory });
    const tip = (await repository.fetch("main")) ?? "";
    const link = repository.objects.directory;
    const first = realpathSync(link);
    const wrong = open(remote, { cacheDirectory, credentials: { password: "wrong" } });
    await expect(wrong.fetchAnew("main", tip)).rejects.toMatchObject({ next: "Stalled" });
    expect([...(await repository.objects.tree(tip, "")).keys()]).toEqual(["a"]);
    expect(realpathSync(link)).toBe(first);
    const many = Array.from({ length: 5 }, () => repository.fetchAnew("main", tip));
    expect(new Set(await Promise.all(many))).toEqual(new Set([tip]));
    const second = realpathSync(link);
    expect(second).not.toBe(first);
    // A tip that the new one does not have yet, and one that moved on, are fetched into what is there.
    const release = await person.git("push", "--quiet", "origin", "HEAD:refs/heads/release").then(() => tip);
    expect(await repository.fetchAnew("release", release)).toBe(release);
    const moved = await person.push({ a: "2" });
    expect(await repository.fetchAnew("main", tip)).toBe(moved);
    expect(realpathSync(link)).toBe(second);
  });

  test("is shallow, and reaches back as far as a question needs", async () => {
    const remote = await server.createRepository("deep");
    const person = await remote.clone();
    const commits: string[] = [];
    for (let count = 0; count < 70; count++) commits.push(await person.commit({ a: `${count}` }));
    await person.git("push", "--quiet", "origin", "HEAD");
    const repository = open(remote);
    const tip = (await repository.fetch("main")) ?? "";
    expect(await git(repository.objects.directory, "rev-list", "--count", tip)).toBe("1");
    expect(await repository.objects.isAncestor(commits[60] ?? "", tip)).toBeUndefined();
    expect(await repository.isAncestor(commits[60] ?? "", tip, "main")).toBe(true);
    expect(await repository.isAncestor(commits[2] ?? "", tip, "main")).toBe(true);
    expect(await repository.isAncestor(tip, commits[2] ?? "", "main")).toBe(false);
    expect(await repository.isAncestor("0".repeat(40), tip, "main")).toBe(false);
  });

  test("several who ask at the same time ask the remote once", async () => {
    const remote = await server.createRepository("asked");
    await (await remote.clone()).push({ a: "1" });
    const repository = open(remote);
    const before = (await server.requests()).length;
    const tips = await Promise.all(Array.from({ length: 20 }, () => repository.fetch("main")));
    expect(new Set(tips).size).toBe(1);
    expect((await server.requests()).length - before).toBe(1);
    await Promise.all([delay(0), repository.tip("main", 60_000), repository.tip("main", 60_000)]);
    expect((await server.requests()).length - before).toBe(1);
  });
});
