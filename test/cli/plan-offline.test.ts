import { beforeAll, describe, expect, test } from "@jest/globals";
import { appendFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseAllDocuments, stringify } from "yaml";
import { git } from "../support/git-clone.ts";
import { useLab } from "../support/lab.ts";
import { runProgram } from "../support/program.ts";

const lab = useLab();

/** The document of `plan` for one server, as far as tests look into it. */
interface PlanDocument {
  readonly ok: boolean;
  readonly hash: string | null;
  readonly changes: readonly { readonly kind: string; readonly path: string }[];
  readonly reloads: { readonly reloads: readonly { readonly module: string }[] } | null;
  readonly error?: { readonly code: string };
  readonly offline?: object;
}

const repository = (): string => join(lab.directory, "checkout");
const secrets = (): string => join(lab.directory, "secrets");

/** A file of the checkout; null removes it. */
function put(path: string, content: string | null): void {
  const file = join(repository(), path);
  if (content === null) return rmSync(file);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
}

function edit(path: string, change: (text: string) => string): void {
  put(path, change(readFileSync(join(repository(), path), "latin1")));
}

async function plan(options: readonly string[], withSecrets = true): Promise<PlanDocument> {
  const where = ["-f", repository(), ...(withSecrets ? ["--secrets", secrets()] : [])];
  const { stdout, stderr } = await runProgram(["--output", "json", ...where, "plan", ...options]);
  const { servers, error } = JSON.parse(stdout) as { servers?: PlanDocument[]; error?: object };
  const [document] = servers ?? [];
  if (document === undefined) throw new Error(`${JSON.stringify(error)} ${stderr}`);
  return document;
}

/** What the two ways to plan have in common; the calls that are up are among what one can't know. */
function shared(document: PlanDocument): object {
  return { ...document, offline: undefined, milliseconds: undefined, activeCalls: undefined };
}

async function commit(message: string): Promise<void> {
  await git(repository(), "add", "--all");
  await git(repository(), "commit", "--quiet", "--allow-empty", "-m", message);
}

/** Applies what the checkout declares to the server and commits it: from now on it is live. */
async function merge(message: string): Promise<void> {
  const run = await runProgram(["-f", repository(), "--secrets", secrets(), "apply", "--yes"]);
  expect(run.stderr + run.stdout).not.toContain("refused");
  expect(run.code).toBe(0);
  await commit(message);
}

beforeAll(async () => {
  const text = readFileSync(join(lab.directory, "manifests.yaml"), "utf8");
  const documents = [...parseAllDocuments(text)].map((document) => {
    const resource = document.toJS() as { spec: Record<string, unknown> };
    return stringify({ ...resource, spec: { ...resource.spec, source: { directory: "pbx1" }, prune: true } });
  });
  put("pbx1.yaml", documents.join("---\n"));
  await git(repository(), "init", "--quiet", "-b", "main");
  const imported = await runProgram(["-f", repository(), "--secrets", secrets(), "import"]);
  expect(imported.code).toBe(0);
  await commit("Import");
});

const account = (permit: string): string =>
  stringify({
    apiVersion: "asterisk-iac.dev/v1alpha1",
    kind: "AMIAccount",
    metadata: { name: "crm" },
    spec: { serverRef: { name: "pbx1" }, username: "crm", generate: true, permit: [permit], read: ["call"] },
  });

const agents = (lines: string): string =>
  stringify({
    apiVersion: "asterisk-iac.dev/v1alpha1",
    kind: "ConfFile",
    metadata: { name: "agents" },
    spec: { serverRef: { name: "pbx1" }, path: "queues.conf", sections: [{ name: "sales", lines }] },
  });

const unmanaged = "  rules: [{ files: http.conf, unmanaged: true }]\n";

/** One change of the checkout after the other; each is live before the next. */
const changes: readonly (readonly [string, () => void])[] = [
  ["nothing", () => undefined],
  [
    "queues, phones and dialplan",
    () => {
      edit("pbx1/queues.conf", (text) => `${text}\n[support]\nstrategy = rrmemory\ntimeout = 20\n`);
      edit("pbx1/pjsip.conf", (text) => `${text}\n[new-phone]\ntype = endpoint\ncontext = internal\n`);
      edit("pbx1/extensions.conf", (text) => `${text}\n[new]\nexten => 7000,1,Answer()\n`);
    },
  ],
  [
    "a new file that another includes",
    () => {
      put("pbx1/queues_more.conf", "[more]\nstrategy = ringall\n");
      edit("pbx1/queues.conf", (text) => `${text}#include queues_more.conf\n`);
    },
  ],
  [
    "its removal, with prune",
    () => {
      put("pbx1/queues_more.conf", null);
      edit("pbx1/queues.conf", (text) => text.replace("#include queues_more.conf\n", ""));
    },
  ],
  [
    "an account and a section of a file",
    () => {
      put("crm.yaml", account("127.0.0.1"));
      put("agents.yaml", agents("strategy = ringall\ntimeout = 15\n"));
    },
  ],
  [
    "both changed",
    () => {
      put("crm.yaml", account("127.0.0.2"));
      put("agents.yaml", agents("strategy = leastrecent\n"));
    },
  ],
  [
    "both gone again",
    () => {
      put("crm.yaml", null);
      put("agents.yaml", null);
    },
  ],
  [
    "a rule that leaves a file alone",
    () => edit("pbx1.yaml", (text) => text.replace("prune: true\n", `prune: true\n${unmanaged}`)),
  ],
  ["a file that a rule leaves alone", () => undefined],
  ["no such rule any more", () => edit("pbx1.yaml", (text) => text.replace(unmanaged, ""))],
  ["what was there before us", () => put("pbx1/musiconhold.conf", null)],
];

describe("where nothing drifted, the plan without the server is the plan with it", () => {
  test.each(changes)(
    "%s",
    async (name, change) => {
      change();
      const online = await plan([]);
      const offline = await plan(["--offline", "--base", "HEAD"]);
      expect(online.ok).toBe(true);
      expect(shared(offline)).toEqual(shared(online));
      expect(offline.offline).toMatchObject({ isComparable: true, limits: [] });
      const isSilent = name === "nothing" || name === "no such rule any more";
      expect(online.changes.length > 0).toBe(!isSilent);
      await merge(name);
    },
    30_000,
  );

  test("without a secret it is the same but for the hashes, and says so", async () => {
    put("crm.yaml", account("127.0.0.1"));
    edit("pbx1/queues.conf", (text) => `${text}\n[later]\nstrategy = ringall\n`);
    const online = await plan([]);
    const offline = await plan(["--offline", "--base", "HEAD"], false);
    expect(offline.hash).toBeNull();
    expect(offline.changes.map(withoutHashes)).toEqual(online.changes.map(withoutHashes));
    const rest = { changes: undefined, hash: undefined };
    expect({ ...shared(offline), ...rest }).toEqual({ ...shared(online), ...rest });
    expect(offline.offline).toMatchObject({
      isComparable: false,
      limits: [{ of: ["crm/password"] }, { what: expect.stringContaining("no hash") }],
    });
    await merge("An account and a queue");
  });
});

/** What a change says without a key. */
function withoutHashes(change: object): object {
  const { owners = [] } = change as { owners?: readonly object[] };
  const bare = owners.map((owner) => ({ ...owner, result: null }));
  return { ...change, sourceHash: null, serverHash: null, owners: bare };
}

test("what is live is where the checkout leaves the branch of its remote", async () => {
  const origin = join(lab.directory, "origin.git");
  await git("/", "init", "--quiet", "--bare", "-b", "main", origin);
  await git(repository(), "remote", "add", "origin", origin);
  await git(repository(), "push", "--quiet", "-u", "origin", "main");
  await git(repository(), "remote", "set-head", "origin", "main");
  await git(repository(), "checkout", "--quiet", "HEAD~2", "--", "pbx1/musiconhold.conf");
  await commit("Back again");
  await git(repository(), "push", "--quiet");
  await git(repository(), "checkout", "--quiet", "-b", "topic");
  edit("pbx1/queues.conf", (text) => `${text}\n[topic]\nstrategy = ringall\n`);
  await commit("A queue");
  const topic = await git(repository(), "rev-parse", "HEAD");
  const here = await plan(["--offline"]);
  expect(here.changes.map(({ path }) => path)).toEqual(["queues.conf"]);
  // The same from its objects alone, whatever is checked out.
  await git(repository(), "checkout", "--quiet", "main");
  expect(shared(await plan(["--offline", "--head", topic]))).toEqual(shared(here));
  expect((await plan(["--offline"])).changes).toEqual([]);
});

test("after an edit on the server the two differ, and the one without it had said that it can't know", async () => {
  edit("pbx1/queues.conf", (text) => `${text}\n[mine]\nstrategy = ringall\n`);
  const before = await plan(["--offline", "--base", "HEAD"]);
  const file = join(lab.servers[0]?.configDirectory ?? "", "queues.conf");
  appendFileSync(file, "\n[theirs]\nstrategy = ringall\n");
  const [online, offline] = [await plan([]), await plan(["--offline", "--base", "HEAD"])];
  expect(shared(offline)).toEqual(shared(before));
  expect(online.hash).not.toBe(offline.hash);
  expect(online.changes).toMatchObject([{ kind: "Conflict", path: "queues.conf" }]);
  const { stdout } = await runProgram(["-f", repository(), "plan", "--offline", "--base", "HEAD"]);
  expect(stdout).toContain("Not known: what was changed on the server itself, conflicts with that");
});
