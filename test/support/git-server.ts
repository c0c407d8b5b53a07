import { randomBytes } from "node:crypto";
import { chmod, mkdir, mkdtemp, readdir, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll } from "@jest/globals";
import { git, gitOutput, GitClone, type FileChanges } from "./git-clone.ts";
import { startGitHTTP, startGitSSH, type GitSSH, type GitTransport } from "./git-transports.ts";

export { git, GitClone, type FileChanges } from "./git-clone.ts";

/** A bare repository of a git server, and what lets one in. */
export interface GitRepository {
  /** Of the bare repository. */
  readonly directory: string;
  /** `ssh://user@127.0.0.1:port/name.git` */
  readonly sshURL: string;
  /** `http://127.0.0.1:port/name.git`: the token is the password, with any user name. */
  readonly httpURL: string;
  readonly token: string;
  /** OpenSSH's format, not encrypted. */
  readonly privateKey: string;
  /** The text of a known_hosts file. */
  readonly knownHosts: string;
  /** A person's clone, which makes no requests. */
  clone(): Promise<GitClone>;
  /** A file of a branch (default: main) as text; undefined where it is not there. */
  read(path: string, branch?: string): Promise<string | undefined>;
  /** The commit of a branch (default: main); undefined where there is none. */
  head(branch?: string): Promise<string | undefined>;
  /** Runs a shell script in the bare repository once: when the next push has come in and has not seen the branches yet. */
  beforeNextPush(script: string): Promise<void>;
  /** Commits to main at that very time, so that the push turns out to be no fast-forward. Resolves to the commit. */
  commitBeforeNextPush(files: FileChanges): Promise<string>;
  /** Installs a hook of the server, a shell script, e.g. `pre-receive`. An empty script takes it away. */
  hook(name: string, script: string): Promise<void>;
}

/** What a client has asked for. A push of simple-git or git asks for both where it fetches first. */
export interface GitRequest {
  readonly transport: "ssh" | "http";
  readonly operation: "fetch" | "push";
  /** The repository's name. */
  readonly repository: string;
}

/** A git server on loopback, for the tests of one file or one `describe`. Up before the first test. */
export interface GitServer {
  /** The name may have slashes. */
  createRepository(name: string): Promise<GitRepository>;
  /** All that clients asked for so far, oldest first. Clones of `GitRepository` do not ask. */
  requests(): Promise<readonly GitRequest[]>;
}

interface Running {
  readonly repositories: string;
  readonly token: string;
  readonly ssh: GitSSH;
  readonly http: GitTransport;
}

/** A real git server: git's own programs behind OpenSSH's sshd and behind HTTP with a token. Gone after the last test. */
export function useGitServer(): GitServer {
  let directory = "";
  let running: Running | undefined;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "asterisk-iac-git-"));
    const repositories = join(directory, "repositories");
    await mkdir(repositories);
    const token = randomBytes(20).toString("hex");
    const [ssh, http] = await Promise.all([
      startGitSSH(directory, repositories),
      startGitHTTP(repositories, token),
    ]);
    running = { repositories, token, ssh, http };
  });
  afterAll(async () => {
    await Promise.all([running?.ssh.stop(), running?.http.stop()]);
    await rm(directory, { recursive: true, force: true });
  });
  const up = (): Running => {
    if (running === undefined) throw new Error("The git server is not up before beforeAll.");
    return running;
  };
  return {
    createRepository: (name) => createRepository(up(), name),
    requests: async () => {
      const names = await readdir(join(up().repositories, "requests")).catch(() => []);
      return names.sort().map(requestOf);
    },
  };
}

/** A request is a file: see `beforeService` in git-transports.ts. */
function requestOf(fileName: string): GitRequest {
  const [, transport, service, path = ""] = fileName.split(",");
  return {
    transport: transport as GitRequest["transport"],
    operation: service === "receive-pack" ? "push" : "fetch",
    repository: path.replaceAll("%", "/").replace(/\.git$/, ""),
  };
}

async function createRepository(
  { repositories, ssh, http, token }: Running,
  name: string,
): Promise<GitRepository> {
  const directory = join(repositories, `${name}.git`);
  await git("/", "init", "--quiet", "--bare", "--initial-branch=main", directory);
  // A waiting script is whole when it has its name.
  const beforeNextPush = async (script: string): Promise<void> => {
    await writeFile(join(directory, "before-next-push.new"), script);
    await rename(join(directory, "before-next-push.new"), join(directory, "before-next-push"));
  };
  return {
    directory,
    token,
    sshURL: `ssh://${ssh.user}@127.0.0.1:${ssh.port}/${name}.git`,
    httpURL: `http://127.0.0.1:${http.port}/${name}.git`,
    privateKey: ssh.privateKey,
    knownHosts: ssh.knownHosts,
    clone: () => GitClone.of(directory),
    read: (path, branch = "main") => gitOutput(directory, "show", `${branch}:${path}`).catch(() => undefined),
    head: (branch = "main") =>
      git(directory, "rev-parse", "--verify", `refs/heads/${branch}`).catch(() => undefined),
    beforeNextPush,
    commitBeforeNextPush: async (files) => {
      const clone = await GitClone.of(directory);
      const commit = await clone.commit(files, "Pushed in between");
      await git(directory, "fetch", "--quiet", clone.directory, "HEAD");
      await beforeNextPush(`git update-ref refs/heads/main ${commit}\n`);
      return commit;
    },
    hook: async (hook, script) => {
      const file = join(directory, "hooks", hook);
      await rm(file, { force: true });
      if (script === "") return;
      await writeFile(file, `#!/bin/sh\n${script}\n`);
      await chmod(file, 0o755);
    },
  };
}
