import { beforeAll, describe, expect, test } from "@jest/globals";
import { appendFileSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { contextOf } from "../../cli/context.ts";
import type { Allowance } from "../../core/guard.ts";
import type { ApplyResult } from "../../engine/apply.ts";
import { applyServer } from "../../engine/apply.ts";
import { SeenServers, withPass } from "../../engine/pass.ts";
import { asteriskctl, whileRunning, type Run, type RunOptions } from "../support/asteriskctl.ts";
import { gitManifests } from "../support/git-lab.ts";
import { git, useGitServer, type GitClone, type GitRepository } from "../support/git-server.ts";
import { useLab } from "../support/lab.ts";
import { until } from "../support/until.ts";

const lab = useLab({ count: 3 });
const server = useGitServer();
let remote: GitRepository;
let person: GitClone;

const live = (name: string, path: string): string =>
  join(lab.directory, "servers", name, "etc/asterisk", path);

/** The command line, with a cache of the lab's own. */
const cache = (): Record<string, string> => ({ XDG_CACHE_HOME: join(lab.directory, "cache") });
const run = (args: readonly string[], options: RunOptions = {}): Promise<Run> =>
  asteriskctl(args, { ...options, env: { ...cache(), ...options.env } });

async function runJSON<T>(args: readonly string[]): Promise<T & { readonly code: number | null }> {
  const { code, stdout, stderr } = await run(["--output", "json", ...args]);
  if (stdout === "") throw new Error(stderr);
  return { code, ...(JSON.parse(stdout) as { servers: [T] }).servers[0] };
}

/** What `apply --yes` does, in this process. */
const apply = (name: string, ...allow: Allowance[]): Promise<ApplyResult> =>
  applyOf(manifests(), name, ...allow);

async function applyOf(file: string, name: string, ...allow: Allowance[]): Promise<ApplyResult> {
  const { servers, secrets } = await contextOf({ filename: [file], output: "json" }, [name]);
  const [declaration] = servers;
  if (declaration === undefined) throw new Error(`there is no ${name}`);
  const options = { seen: new SeenServers(), writing: true };
  return withPass(declaration, secrets, options, (pass) => applyServer(pass, { allow: new Set(allow) }));
}

/** Runs `watch` while `work` goes on. */
const watching = (args: readonly string[], work: (output: () => string) => Promise<void>): Promise<Run> =>
  whileRunning(["-f", manifests(), "watch", ...args], { env: cache() }, work);

const onAsterisk = async (at: number, command: string): Promise<string> =>
  (await lab.servers[at]?.run(["asterisk", "-rx", command]))?.stdout ?? "";

/** Beside other tests a run of the command line takes seconds. */
const deadlineMs = 60_000;

const canary = "canary-Zq7xW2rT9vLm4";
const manifests = (): string => join(lab.directory, "git.yaml");

beforeAll(async () => {
  process.env["XDG_CACHE_HOME"] = join(lab.directory, "cache");
  remote = await server.createRepository("pbx");
  person = await remote.clone();
  await person.push({ "README.md": "Our PBXs\n", "pbx1/notes.txt": "left alone\n" });
  gitManifests(lab, "git.yaml", remote, {
    over: "ssh",
    servers: { pbx1: {}, pbx2: { spec: { updateDirection: "FromAsterisk" } } },
  });
  appendFileSync(
    live("pbx1", "pjsip.conf"),
    `\n[6001]\ntype=auth\nauth_type=userpass\nusername=6001\npassword=${canary}\n`,
  );
  appendFileSync(live("pbx1", "voicemail.conf"), "\n[default]\n6001 => 8341,Anna\n");
  await Promise.all([
    onAsterisk(0, "module reload res_pjsip.so"),
    onAsterisk(0, "module reload app_voicemail.so"),
  ]);
});

describe("import", () => {
  test("is one commit, beside what the repository has; no secret is in it", async () => {
    const done = await run(["-f", manifests(), "import", "pbx1"]);
    expect(done).toMatchObject({ code: 0, stderr: "" });
    expect(await git(remote.directory, "rev-list", "--count", "main")).toBe("2");
    expect(done.stdout).toContain(`commit ${(await remote.head())?.slice(0, 12) ?? ""} on main`);
    expect(await git(remote.directory, "log", "-1", "--format=%an: %s", "main")).toMatch(
      /^asterisk-iac pbx1: pbx1: \d+ files imported from Asterisk 22/,
    );
    expect(await remote.read("README.md")).toBe("Our PBXs\n");
    expect(await remote.read("pbx1/notes.txt")).toBe("left alone\n");
    expect(await remote.read("pbx1/pjsip.conf")).toContain("password=@{secret:pbx1-secrets/");
    expect(await remote.read("pbx1/voicemail.conf")).toMatch(/6001 => @\{secret:pbx1-secrets\/[^}]*\},Anna/);
    const objects = await git(remote.directory, "cat-file", "--batch-all-objects", "--batch");
    expect(objects).not.toContain(canary);
    // As a word: the digits alone may stand in a hash.
    expect(objects).not.toMatch(/\b8341\b/);
    expect((await apply("pbx1")).plan.changes).toEqual([]);
    expect(await runJSON(["-f", manifests(), "import", "pbx1"])).toMatchObject({ alreadyDone: true });
    expect(await git(remote.directory, "rev-list", "--count", "main")).toBe("2");
  });

  test("that is killed makes its commit or none, and goes on (row 2)", async () => {
    const hook = new URL("../support/kill-hook.ts", import.meta.url).href;
    const before = await remote.head();
    // Of some 300 steps: while it reads the server, and around its push.
    for (const step of ["120", "250", "285"]) {
      const env = { NODE_OPTIONS: `--import=${hook}`, KILL_AT: step };
      const { code } = await run(["-f", manifests(), "import", "pbx2"], { env });
      const head = await remote.head();
      if (code === null && head === before) continue;
      expect(await git(remote.directory, "rev-parse", "main^")).toBe(before);
      break;
    }
    const done = await run(["-f", manifests(), "import", "pbx2"]);
    expect(done.code).toBe(0);
    expect(await git(remote.directory, "rev-parse", "main^")).toBe(before);
    await git(remote.directory, "fsck", "--full", "--strict");
  });
});

describe("ToAsterisk", () => {
  test("a change that is merged is live and verified within the repository's interval", async () => {
    await watching(["--interval", "1h", "pbx1"], async (output) => {
      await until(() => output().includes("nothing to do"), deadlineMs);
      await person.pull();
      const queues = readFileSync(join(person.directory, "pbx1/queues.conf"), "utf8");
      await person.push({ "pbx1/queues.conf": `${queues}\n[sales]\nstrategy = ringall\n` });
      await until(() => output().includes("applied"), deadlineMs);
      expect(output()).toContain(" commit\n");
    });
    expect(await onAsterisk(0, "queue show sales")).toContain("sales");
    const head = await remote.head();
    const status = await runJSON<object>(["-f", manifests(), "status", "pbx1"]);
    expect(status).toMatchObject({ revision: { source: head, applied: head } });
  });

  test("what a reference of one's own stands for is filled in, and shown nowhere", async () => {
    const phrase = "phrase-of-nobody-else";
    mkdirSync(join(lab.directory, "secrets/greeting"), { recursive: true });
    writeFileSync(join(lab.directory, "secrets/greeting/phrase"), phrase);
    await person.pull();
    const queues = readFileSync(join(person.directory, "pbx1/queues.conf"), "utf8");
    await person.push({ "pbx1/queues.conf": `${queues}announce = @{secret:greeting/phrase}\n` });
    const shown = await run(["-f", manifests(), "plan", "pbx1"]);
    expect(shown).toMatchObject({ code: 0, stdout: expect.stringContaining("announce") });
    expect(shown.stdout + JSON.stringify(await apply("pbx1"))).not.toContain(phrase);
    expect(readFileSync(live("pbx1", "queues.conf"), "utf8")).toContain(`announce = ${phrase}`);
  });

  test("what secretKeys names is in nothing that Asterisk's log says of it", async () => {
    await person.pull();
    const queues = readFileSync(join(person.directory, "pbx1/queues.conf"), "utf8");
    await person.push({ "pbx1/queues.conf": `${queues}\n[hidden]\nstrategy = strategy-of-nobody-else\n` });
    const secretKeys = [{ files: "queues.conf", key: "strategy" }];
    const servers = { pbx1: { git: { secretKeys } } };
    const file = gitManifests(lab, "secret-keys.yaml", remote, { over: "ssh", servers });
    const told = JSON.stringify(await applyOf(file, "pbx1"));
    expect(told).toContain("isn't a valid strategy for queue 'hidden'");
    expect(told).not.toContain("strategy-of-nobody-else");
    await person.push({ "pbx1/queues.conf": queues });
    await apply("pbx1");
  });

  test("an older commit is refused until it is allowed; `git revert` needs no leave", async () => {
    const before = (await remote.head()) ?? "";
    const queues = readFileSync(join(person.directory, "pbx1/queues.conf"), "utf8");
    await person.push({ "pbx1/queues.conf": queues.replace("ringall", "leastrecent") });
    expect(await apply("pbx1")).toMatchObject({ outcome: "Applied" });
    await git(remote.directory, "update-ref", "refs/heads/main", before);
    const older = await runJSON<object>(["-f", manifests(), "apply", "--yes", "pbx1"]);
    expect(older).toMatchObject({ code: 3, outcome: "Refused", refusals: [{ code: "OlderRevision" }] });
    expect(readFileSync(live("pbx1", "queues.conf"), "utf8")).toContain("leastrecent");
    const allowed = await apply("pbx1", "older-revision");
    expect(allowed).toMatchObject({ outcome: "Applied", revision: { commit: before } });
    await person.git("push", "--quiet", "origin", "HEAD");
    expect(await apply("pbx1")).toMatchObject({ outcome: "Applied" });
    await person.git("revert", "--no-edit", "HEAD");
    await person.git("push", "--quiet", "origin", "HEAD");
    expect(await apply("pbx1")).toMatchObject({ outcome: "Applied" });
    expect(readFileSync(live("pbx1", "queues.conf"), "utf8")).toContain("ringall");
  });

  test("a branch that is gone is not begun anew", async () => {
    const head = (await remote.head()) ?? "";
    await git(remote.directory, "update-ref", "-d", "refs/heads/main");
    const refused = await run(["-f", manifests(), "import", "pbx1"]);
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("Push the branch again") });
    expect(await remote.head()).toBeUndefined();
    await git(remote.directory, "update-ref", "refs/heads/main", head);
    expect(await apply("pbx1")).toMatchObject({ outcome: "NothingToDo" });
  });

  test("both sides changed: a conflict, and nothing is written on either (row 4)", async () => {
    const own = await person.push({
      "pbx1/queues.conf": `${readFileSync(join(person.directory, "pbx1/queues.conf"), "utf8")}; theirs\n`,
    });
    appendFileSync(live("pbx1", "queues.conf"), "; ours\n");
    expect(await apply("pbx1")).toMatchObject({ outcome: "Refused", refusals: [{ code: "Conflict" }] });
    expect(await remote.head()).toBe(own);
    expect(readFileSync(live("pbx1", "queues.conf"), "utf8")).toMatch(/; ours\n$/);
    const taken = await runJSON<{ sourceWrite: { keptAs: string } }>([
      ...["-f", manifests(), "apply", "--yes", "--take", "server", "pbx1"],
    ]);
    expect(taken).toMatchObject({ outcome: "Applied", sourceWrite: { revision: { branch: "main" } } });
    expect(await remote.read("pbx1/queues.conf")).toMatch(/; ours\n$/);
    // What that overwrote comes back as a commit.
    const { keptAs } = taken.sourceWrite;
    const list = await run(["-f", manifests(), "backups", "list", "pbx1"]);
    expect(list.stdout).toMatch(new RegExp(`${keptAs} +source .* queues.conf`));
    expect((await run(["-f", manifests(), "backups", "restore", "--yes", "pbx1", keptAs])).code).toBe(0);
    expect(await remote.read("pbx1/queues.conf")).toMatch(/; theirs\n$/);
    expect(await apply("pbx1")).toMatchObject({ outcome: "Applied" });
  });
});

describe("FromAsterisk", () => {
  test("a change on the server becomes a commit that says what it is, and does not come back", async () => {
    await watching(["--interval", "1s", "pbx2"], async (output) => {
      await until(() => output().includes("nothing to do"), deadlineMs);
      const before = await remote.head();
      appendFileSync(live("pbx2", "queues.conf"), "\n[support]\nstrategy = ringall\n");
      await until(async () => (await remote.head()) !== before, deadlineMs);
      await until(() => output().includes("wrote queues.conf to the source"), deadlineMs);
    });
    expect(await git(remote.directory, "log", "-1", "--format=%an%n%B", "main")).toBe(
      "asterisk-iac pbx2\npbx2: queues.conf collected from Asterisk\n\nqueues.conf:\n- queue support added\n",
    );
    const head = await remote.head();
    expect(await apply("pbx2")).toMatchObject({ outcome: "NothingToDo" });
    expect(await remote.head()).toBe(head);
  });

  test("somebody pushes in between, to another server: pushed on top (row 25)", async () => {
    appendFileSync(live("pbx2", "queues.conf"), "; one\n");
    const theirs = await remote.commitBeforeNextPush({ "pbx1/notes.txt": "changed\n" });
    expect(await apply("pbx2")).toMatchObject({ outcome: "Applied" });
    expect(await git(remote.directory, "rev-parse", "main^")).toBe(theirs);
    expect(await remote.read("pbx2/queues.conf")).toMatch(/; one\n$/);
  });

  test("the direction flips and the same file is changed while the push is under way: nothing is lost (row 3)", async () => {
    const text = await remote.read("pbx2/queues.conf");
    appendFileSync(live("pbx2", "queues.conf"), "; by hand\n");
    await person.pull();
    const theirs = await person.commit({ "pbx2/queues.conf": `${text ?? ""}; merged\n` });
    await git(remote.directory, "fetch", "--quiet", person.directory, "HEAD");
    await remote.beforeNextPush(
      `sed -i s/FromAsterisk/ToAsterisk/ ${manifests()}; git update-ref refs/heads/main ${theirs}\n`,
    );
    const done = await run(["-f", manifests(), "apply", "--yes", "pbx2"]);
    expect(done).toMatchObject({ code: 1, stderr: expect.stringContaining("moved on while") });
    expect(await remote.head()).toBe(theirs);
    expect(readFileSync(live("pbx2", "queues.conf"), "utf8")).toMatch(/; by hand\n$/);
    expect(await apply("pbx2")).toMatchObject({ outcome: "Refused", refusals: [{ code: "Conflict" }] });
  });
});

test("a clone on another, blank machine gives the same configuration, secrets included", async () => {
  const spec = (name: string): Record<string, unknown> => {
    const documents = [...parseAllDocuments(readFileSync(join(lab.directory, "manifests.yaml"), "utf8"))];
    const all = documents.map((each) => each.toJS() as { metadata: { name: string }; spec: object });
    return { ...all.find(({ metadata }) => metadata.name === name)?.spec };
  };
  const left = ["manager.conf", "asterisk.conf", "http.conf"];
  const rules = left.map((files) => ({ files, unmanaged: true }));
  const moved = {
    apiVersion: "asterisk-iac.dev/v1alpha1",
    kind: "AsteriskServer",
    metadata: { name: "pbx1" },
  };
  const source = { git: { url: remote.sshURL, credentialsSecretRef: { name: "git-ssh" } } };
  const file = join(lab.directory, "moved.yaml");
  writeFileSync(file, JSON.stringify({ ...moved, spec: { ...spec("pbx3"), rules, source } }));
  expect((await run(["-f", file, "import", "--again"])).code).toBe(0);
  const uploaded = await run(["-f", file, "upload", "--yes"]);
  if (uploaded.code !== 0) throw new Error(uploaded.stdout + uploaded.stderr);
  const names = (name: string): string[] =>
    readdirSync(live(name, "."), { recursive: true }).map(String).sort();
  expect(names("pbx3")).toEqual(names("pbx1"));
  const differing = names("pbx1").filter((path) => {
    if (!/\.(conf|ael|lua)$/.test(path)) return false;
    return !readFileSync(live("pbx1", path)).equals(readFileSync(live("pbx3", path)));
  });
  expect(differing.filter((path) => !left.includes(path))).toEqual([]);
  expect(await onAsterisk(2, "pjsip show auth 6001")).toContain(canary);
  expect(await onAsterisk(2, "voicemail show users")).toContain("Anna");
  expect(await onAsterisk(2, "queue show sales")).toContain("sales");
});
