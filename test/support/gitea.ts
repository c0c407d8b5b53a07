import { randomBytes, randomUUID } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe } from "@jest/globals";
import { hostEnvironment, runsAsRoot } from "../../lab/platform.ts";
import { reservePort } from "../../lab/ports.ts";
import { runCommand } from "../../lab/process.ts";
import { waitUntilReady } from "../../lab/readiness.ts";
import type { APIPullRequest, ForgeRepository } from "./forge-repository.ts";
import { GitClone } from "./git-clone.ts";
import { canBuildGitea, giteaDeadlineMs, giteaProgram, type GiteaProgram } from "./gitea/program.ts";
import { spawnTied, type TiedProcess } from "./tied-process.ts";
import { until } from "./until.ts";

/** Like `describe`, where Gitea can be built; else its tests are skipped, and say so. */
export function describeGitea(name: string, tests: () => void): void {
  const canBuild = canBuildGitea();
  if (!canBuild)
    process.stderr.write(`There is no gcc to build Gitea with: the tests "${name}" are skipped.\n`);
  (canBuild ? describe : describe.skip)(name, tests);
}

/** Somebody who can log in at Gitea. */
export interface GiteaUser {
  readonly name: string;
  /** An access token with every scope. */
  readonly token: string;
}

/** A repository of Gitea. Its owner's token and clone, whose requests go over HTTP. */
export interface GiteaRepository extends ForgeRepository {
  /** A call of the API below `/api/v1/repos/<owner>/<name>`, as the owner. Rejects with the answer if it is an error. */
  api<T>(method: string, path: string, body?: unknown): Promise<T>;
}

/** A Gitea on loopback, for the tests of one file or one `describe`. Up before the first test. */
export interface Gitea {
  /** `http://127.0.0.1:port` */
  readonly url: string;
  readonly administrator: GiteaUser;
  /** A call of the API below `/api/v1` with a token (default: the administrator's). Rejects if the answer is an error. */
  api<T>(method: string, path: string, body?: unknown, token?: string): Promise<T>;
  createUser(name: string): Promise<GiteaUser>;
  /** Default owner: the administrator. */
  createRepository(name: string, owner?: GiteaUser): Promise<GiteaRepository>;
}

interface Running {
  readonly directory: string;
  readonly url: string;
  readonly administrator: GiteaUser;
  readonly server: TiedProcess;
}

/** A real Gitea for the tests of the `describe` or file that calls it; gone too if the test process is killed. */
export function useGitea(): Gitea {
  let directory = "";
  let running: Running | undefined;
  beforeAll(async () => {
    const program = await giteaProgram();
    directory = await mkdtemp(join(tmpdir(), "asterisk-iac-gitea-"));
    running = await startGitea(program, directory);
  }, giteaDeadlineMs);
  afterAll(async () => {
    await running?.server.stop();
    await rm(directory, { recursive: true, force: true });
  });
  const up = (): Running => {
    if (running === undefined) throw new Error("Gitea is not up before beforeAll.");
    return running;
  };
  return {
    get url() {
      return up().url;
    },
    get administrator() {
      return up().administrator;
    },
    api: (method, path, body, token) => call(up(), method, path, body, token),
    createUser: (name) => createUser(up(), name),
    createRepository: (name, owner) => createRepository(up(), name, owner ?? up().administrator),
  };
}

/** Gitea refuses to run as root: then it runs as another user of a user namespace, in which root's files are that user's. */
function notRoot(command: string): string[] {
  return runsAsRoot() ? ["unshare", "--user", "--map-user=1000", "--map-group=1000", command] : [command];
}

async function startGitea({ command, staticRoot }: GiteaProgram, directory: string): Promise<Running> {
  const reserved = await reservePort();
  const url = `http://127.0.0.1:${reserved.port}`;
  const configuration = join(directory, "app.ini");
  await writeFile(configuration, settings(directory, staticRoot, reserved.port));
  // The name of the user that Gitea is to run as is compared with this one.
  const environment = { ...hostEnvironment, HOME: directory, USER: "gitea" };
  const gitea = [...notRoot(command), "--config", configuration];
  const run = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await runCommand([...gitea, ...args], { environment });
    if (code !== 0) throw new Error(`gitea ${args.join(" ")} exited ${code}: ${stdout}${stderr}`);
    return stdout;
  };
  await run("migrate");
  const account = [
    "--username",
    "administrator",
    "--email",
    "administrator@example.com",
    "--random-password",
  ];
  const rights = [
    "--admin",
    "--access-token",
    "--access-token-scopes",
    "all",
    "--must-change-password=false",
  ];
  const said = await run("admin", "user", "create", ...account, ...rights);
  const [token = ""] = /\b[0-9a-f]{40}\b/.exec(said) ?? [];
  const server = spawnTied([...gitea, "web"], { environment });
  const isUp = () =>
    fetch(`${url}/api/v1/version`).then(
      ({ ok }) => ok,
      () => false,
    );
  const why = await waitUntilReady(server.child, [{ complaint: "Gitea did not answer", isMet: isUp }]);
  await reserved.release();
  if (why !== undefined) throw new Error(`Gitea did not start: ${why}. ${server.said()}`);
  return { directory, url, administrator: { name: "administrator", token }, server };
}

/** app.ini: SQLite, no mail, no background work, webhooks to loopback. */
function settings(directory: string, staticRoot: string, port: number): string {
  return `
RUN_MODE = prod
WORK_PATH = ${directory}
[database]
DB_TYPE = sqlite3
PATH = ${join(directory, "gitea.db")}
[server]
STATIC_ROOT_PATH = ${staticRoot}
HTTP_ADDR = 127.0.0.1
HTTP_PORT = ${port}
ROOT_URL = http://127.0.0.1:${port}/
DISABLE_SSH = true
OFFLINE_MODE = true
[security]
INSTALL_LOCK = true
PASSWORD_HASH_ALGO = pbkdf2_v1
SECRET_KEY = ${randomBytes(32).toString("hex")}
[repository]
DEFAULT_BRANCH = main
[service]
DISABLE_REGISTRATION = true
[webhook]
ALLOWED_HOST_LIST = loopback
[queue]
TYPE = channel
[indexer]
ISSUE_INDEXER_TYPE = db
[cron]
ENABLED = false
[actions]
ENABLED = false
[packages]
ENABLED = false
[log]
LEVEL = Warn
`;
}

async function call<T>(
  { url, administrator }: Running,
  method: string,
  path: string,
  body?: unknown,
  token = administrator.token,
): Promise<T> {
  const answer = await fetch(`${url}/api/v1${path}`, {
    method,
    headers: { authorization: `token ${token}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  return (text === "" ? undefined : parsed(text)) as T;
}

/** Some answers, e.g. a file's bytes, are not JSON. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

async function createUser(running: Running, name: string): Promise<GiteaUser> {
  const password = randomBytes(16).toString("hex");
  const user = { username: name, email: `${name}@example.com`, password, must_change_password: false };
  await call(running, "POST", "/admin/users", user);
  const answer = await fetch(`${running.url}/api/v1/users/${name}/tokens`, {
    method: "POST",
    headers: {
      authorization: `Basic ${Buffer.from(`${name}:${password}`).toString("base64")}`,
      "content-type": "application/json",
    },
    body: JSON.stringify({ name: "test", scopes: ["all"] }),
  });
  if (!answer.ok) throw new Error(`no token for ${name}: ${answer.status} ${await answer.text()}`);
  return { name, token: ((await answer.json()) as { sha1: string }).sha1 };
}

async function createRepository(running: Running, name: string, owner: GiteaUser): Promise<GiteaRepository> {
  const { directory, url } = running;
  const made = { name, auto_init: true, default_branch: "main" };
  await call(running, "POST", `/user/repos`, made, owner.token);
  const api = <T>(method: string, path: string, body?: unknown) =>
    call<T>(running, method, `/repos/${owner.name}/${name}${path}`, body, owner.token);
  const pullRequests = async (): Promise<readonly APIPullRequest[]> => {
    const found = await api<APIPullRequest[]>("GET", "/pulls?state=all&limit=50");
    return found.sort((a, b) => a.number - b.number);
  };
  const httpURL = `${url}/${owner.name}/${name}.git`;
  return {
    kind: "Gitea",
    apiURL: `${url}/api/v1`,
    owner: owner.name,
    name,
    httpURL,
    token: owner.token,
    clone: () =>
      GitClone.of(
        httpURL.replace("//", `//${owner.name}:${owner.token}@`),
        join(directory, `${name}-${randomUUID()}`),
      ),
    api,
    pullRequests,
    comments: (number) => api("GET", `/issues/${number}/comments`),
    commentAsStranger: async (number, body) => {
      const { token } = await createUser(running, `stranger-of-${name}`);
      await call(running, "POST", `/repos/${owner.name}/${name}/issues/${number}/comments`, { body }, token);
    },
    deleteBranch: async (branch) => {
      await api("DELETE", `/branches/${encodeURIComponent(branch)}`);
      // It closes what was to be merged from it in the background.
      const isOpen = ({ head, state }: APIPullRequest) => head.label === branch && state === "open";
      await until(async () => !(await pullRequests()).some(isOpen));
    },
    merge: async (number) => {
      // It looks in the background whether a branch can be merged.
      await until(async () => (await api<{ mergeable: boolean }>("GET", `/pulls/${number}`)).mergeable);
      await api("POST", `/pulls/${number}/merge`, { Do: "merge" });
    },
    close: async (number) => {
      await api("PATCH", `/pulls/${number}`, { state: "closed" });
    },
    head: async (branch = "main") => {
      const found = await api<{ commit: { id: string } }>(
        "GET",
        `/branches/${encodeURIComponent(branch)}`,
      ).catch(() => undefined);
      return found?.commit.id;
    },
    read: async (path, branch = "main") => {
      const query = `/contents/${path}?ref=${encodeURIComponent(branch)}`;
      const found = await api<{ content: string }>("GET", query).catch(() => undefined);
      return found === undefined ? undefined : Buffer.from(found.content, "base64").toString();
    },
  };
}
