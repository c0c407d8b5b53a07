import { beforeEach, describe, expect, test } from "@jest/globals";
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { contentHash } from "../../core/record.ts";
import { GitBranch } from "../../git/branch.ts";
import { GitRepository } from "../../git/repository.ts";
import { GitSource } from "../../git/source.ts";
import { git, useGitServer, type GitRepository as Remote } from "../support/git-server.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { until } from "../support/until.ts";

const server = useGitServer();
let remote: Remote;
let branch: GitBranch;
let count = 0;

beforeEach(async () => {
  remote = await server.createRepository(`repository-${count++}`);
  branch = openBranch();
});

function openBranch(): GitBranch {
  const credentials = (): Promise<{ password: string }> => Promise.resolve({ password: remote.token });
  const options = { cacheDirectory: temporaryDirectory(), deadlineMs: 30_000 };
  return new GitBranch(new GitRepository({ url: remote.httpURL, reader: "", credentials }, options), "main");
}

function sourceOf(name: string, on = branch): GitSource {
  return new GitSource({
    server: name,
    branch: on,
    path: name,
    intervalMs: 60_000,
    vault: undefined,
    readSecret: () => Promise.resolve(undefined),
    isSelected: () => true,
  });
}

/** One piece of work that writes one new file. */
const writing = (source: GitSource, path: string, text: string) =>
  source.exclusively(
    async () => expect(await source.write(path, Buffer.from(text), null)).toBe(true),
    () => ({ message: `${path} written` }),
  );

const pushes = async (): Promise<number> =>
  (await server.requests()).filter(
    ({ operation, repository }) => operation === "push" && remote.directory.endsWith(`/${repository}.git`),
  ).length;

const fsck = (directory: string): Promise<string> => git(directory, "fsck", "--full", "--strict");

describe("a source in a repository", () => {
  test("what one piece of work writes is one commit, or nothing", async () => {
    const person = await remote.clone();
    await person.push({ "README.md": "of ours\n", "pbx1/old.conf": "old\n", "pbx2/a.conf": "a\n" });
    const source = sourceOf("pbx1");
    expect([...(await source.list()).keys()]).toEqual(["old.conf"]);
    await source.exclusively(async () => {
      await source.write("a.conf", Buffer.from("a"), null);
      await source.write("d/b.conf", Buffer.from("b"), null);
      await source.remove("old.conf", contentHash(Buffer.from("old\n")));
      await source.writeRecord("collected", "{}\n");
      expect(await source.readRecord("collected")).toBe("{}\n");
      expect([...(await source.list()).keys()].sort()).toEqual(["a.conf", "d/b.conf"]);
    });
    expect(await git(remote.directory, "rev-list", "--count", "main")).toBe("2");
    expect(await git(remote.directory, "ls-tree", "-r", "--name-only", "main")).toBe(
      ["README.md", "pbx1/.asterisk-iac/collected.json", "pbx1/a.conf", "pbx1/d/b.conf", "pbx2/a.conf"].join(
        "\n",
      ),
    );
    expect(source.revision).toEqual({ commit: await remote.head(), branch: "main" });
    const failing = source.exclusively(async () => {
      await source.write("c.conf", Buffer.from("c"), null);
      throw new Error("half way");
    });
    await expect(failing).rejects.toThrow("half way");
    expect([...(await source.list()).keys()].sort()).toEqual(["a.conf", "d/b.conf"]);
    await source.exclusively(() => source.write("a.conf", Buffer.from("a"), contentHash(Buffer.from("a"))));
    expect(await git(remote.directory, "rev-list", "--count", "main")).toBe("2");
    await fsck(remote.directory);
  });

  test("without a vault a reference is refused: Asterisk would take it for the password", async () => {
    const person = await remote.clone();
    await person.push({ "pbx7/a.conf": "[a]\nsecret = @{secret:pbx7-secrets/a.conf..a..secret}\n" });
    await expect(sourceOf("pbx7").list()).rejects.toMatchObject({
      code: "SecretMissing",
      message: expect.stringContaining("secrets: Plain"),
    });
  });

  test("what is not as expected is left; nothing takes the place of a directory, and no hidden name is written", async () => {
    await (await remote.clone()).push({ "pbx1/d/a.conf": "a", "pbx1/b.conf": "b" });
    const source = sourceOf("pbx1");
    const write = (path: string, expected: string | null) =>
      source.exclusively(() => source.write(path, Buffer.from("x"), expected));
    expect(await write("b.conf", null)).toBe(false);
    expect(await write("b.conf", contentHash(Buffer.from("other")))).toBe(false);
    expect(await write("d", null)).toBe(false);
    expect(await write("b.conf/x", null)).toBe(false);
    await expect(write(".git/hooks/post-checkout", null)).rejects.toMatchObject({ code: "PathRefused" });
    await expect(write("../pbx2/a.conf", null)).rejects.toMatchObject({ code: "PathRefused" });
    expect(await pushes()).toBe(0);
  });

  test("is read anew where the cache is broken, and where a branch took the place of a folder of branches", async () => {
    await (await remote.clone()).push({ "pbx1/a.conf": "a" });
    const { objects } = branch.repository;
    const tip = (await branch.repository.fetch("main")) ?? "";
    const pack = join(objects.directory, "objects/pack");
    for (const name of readdirSync(pack)) rmSync(join(pack, name));
    expect((await sourceOf("pbx1").read("a.conf")).toString()).toBe("a");
    await git(remote.directory, "branch", "release", "main");
    expect(await branch.repository.fetch("release")).toBe(tip);
    await git(remote.directory, "branch", "-D", "release");
    await git(remote.directory, "branch", "release/1", "main");
    expect(await branch.repository.fetch("release/1")).toBe(tip);
    expect(await branch.repository.fetch("release")).toBeUndefined();
  });

  test("what commits overwrote is listed and read back", async () => {
    const source = sourceOf("pbx1");
    await writing(source, "a.conf", "one");
    await source.exclusively(() =>
      source.write("a.conf", Buffer.from("two!"), contentHash(Buffer.from("one"))),
    );
    const id = source.revision?.commit.slice(0, 12) ?? "";
    await source.exclusively(() => source.keep("b.conf", Buffer.from("kept"), "import"));
    const kept = await source.listKept();
    expect(kept.map(({ id: each, path, size }) => ({ id: each, path, size }))).toEqual([
      { id, path: "a.conf", size: 3 },
      { id: "import", path: "b.conf", size: 4 },
    ]);
    expect((await source.readKept(id, "a.conf")).toString()).toBe("one");
    expect((await source.readKept("import", "b.conf")).toString()).toBe("kept");
    // Another clone has to fetch that history first.
    const fresh = sourceOf("pbx1", openBranch());
    expect((await fresh.listKept()).map((each) => each.id)).toEqual([id, "import"]);
    expect((await fresh.readKept(id, "a.conf")).toString()).toBe("one");
    await expect(fresh.readKept("HEAD", "a.conf")).rejects.toMatchObject({ code: "InvalidArgument" });
  });

  test("a file's name that looks like git's own words about a commit is a file's name", async () => {
    const clone = await remote.clone();
    const name = "commit deadbeef 1";
    await clone.push({ [name]: "one", "z.conf": "one" });
    await clone.push({ [name]: "two", "z.conf": "two" });
    const kept = await sourceOf("").listKept();
    const id = ((await branch.repository.fetch("main")) ?? "").slice(0, 12);
    expect(kept.map((each) => [each.id, each.path])).toEqual([
      [id, name],
      [id, "z.conf"],
    ]);
  });

  test("records that somebody broke are named by the list of what was kept", async () => {
    await (await remote.clone()).push({ "pbx1/.asterisk-iac/import.json": "<<<<<<< HEAD\n" });
    await expect(sourceOf("pbx1").listKept()).rejects.toMatchObject({ code: "RecordInvalid" });
  });
});

describe("pushes", () => {
  test("of many servers that finish together are gathered, a commit each", async () => {
    const sources = Array.from({ length: 12 }, (_, at) => sourceOf(`pbx${at}`));
    await Promise.all(sources.map((source) => source.refresh()));
    await Promise.all(sources.map((source, at) => writing(source, "a.conf", `${at}`)));
    expect(await pushes()).toBeLessThanOrEqual(3);
    expect(await git(remote.directory, "rev-list", "--count", "main")).toBe("12");
    const authors = await git(remote.directory, "log", "--format=%an %s", "main");
    expect(authors.split("\n").sort()[0]).toBe("asterisk-iac pbx0 a.conf written");
    await fsck(remote.directory);
    // Each knows its own commit, which is no news to it; somebody else's is.
    const woken: string[] = [];
    for (const source of sources) source.onChange(() => woken.push(source.name));
    expect(await branch.look()).toBeUndefined();
    await (await remote.clone()).push({ "pbx3/a.conf": "theirs" });
    expect(await branch.look()).toBeUndefined();
    await until(() => woken.length > 0);
    expect(woken).toEqual([sources[3]?.name]);
  });

  test("that somebody else's came before are made on top of it, where it left the server's files alone", async () => {
    const source = sourceOf("pbx1");
    await writing(source, "a.conf", "a");
    const theirs = await remote.commitBeforeNextPush({ "pbx2/b.conf": "b", "README.md": "r" });
    await writing(source, "c.conf", "c");
    expect(await git(remote.directory, "log", "--format=%s", "main")).toBe(
      "c.conf written\nPushed in between\na.conf written",
    );
    expect(await git(remote.directory, "rev-parse", "main^")).toBe(theirs);
    expect(source.revision?.commit).toBe(await remote.head());
    expect(await remote.read("pbx2/b.conf")).toBe("b");
  });

  test("are not made, and never forced, where it changed the server's files", async () => {
    const source = sourceOf("pbx1");
    await writing(source, "a.conf", "a");
    const theirs = await remote.commitBeforeNextPush({ "pbx1/a.conf": "theirs" });
    await expect(writing(source, "c.conf", "c")).rejects.toMatchObject({
      code: "ChangedMeanwhile",
      next: "Retry",
    });
    expect(await remote.head()).toBe(theirs);
    // The next look sees it.
    await source.refresh();
    expect((await source.read("a.conf")).toString()).toBe("theirs");
    await writing(source, "c.conf", "c");
    expect(await git(remote.directory, "rev-parse", "main^")).toBe(theirs);
  });

  test("of two caches at the same time all arrive", async () => {
    const others = openBranch();
    const sources = [...Array(6).keys()].map((at) => sourceOf(`pbx${at}`, at % 2 === 0 ? branch : others));
    await Promise.all(sources.map((source) => source.refresh()));
    await Promise.all(sources.map((source) => writing(source, "a.conf", source.name)));
    expect(await git(remote.directory, "rev-list", "--count", "main")).toBe("6");
    await fsck(remote.directory);
  });

  test("that the remote refuses are told, with its reason", async () => {
    await remote.hook("pre-receive", "echo 'main is protected' >&2; exit 1");
    await expect(writing(sourceOf("pbx1"), "a.conf", "a")).rejects.toMatchObject({
      code: "SourceUnavailable",
      next: "Stalled",
      message: expect.stringContaining("main is protected"),
    });
    expect(await remote.head()).toBeUndefined();
  });
});
