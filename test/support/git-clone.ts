import { randomUUID } from "node:crypto";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { runCommand } from "../../lab/process.ts";
import { gitEnvironment } from "./git-transports.ts";

/** The files of a commit by their path in the repository; null removes one. */
export type FileChanges = Readonly<Record<string, string | Uint8Array | null>>;

/** Runs git in a folder, as somebody who has not configured it. Resolves to its output without the newline at the end. */
export async function git(directory: string, ...args: readonly string[]): Promise<string> {
  return (await gitOutput(directory, ...args)).replace(/\n$/, "");
}

/** The same with the whole output. Rejects with what git says if it fails. */
export async function gitOutput(directory: string, ...args: readonly string[]): Promise<string> {
  const person = ["-c", "user.name=Person", "-c", "user.email=person@example.com"];
  const run = await runCommand(["git", ...person, "-C", directory, ...args], { environment: gitEnvironment });
  if (run.code !== 0) throw new Error(`git ${args.join(" ")} exited ${run.code}: ${run.stderr.trim()}`);
  return run.stdout;
}

/** A person's clone: what somebody at a desk does with a repository. */
export class GitClone {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  /** Clones a URL or path (which makes no request that is counted), by default to a folder beside that path. */
  static async of(repository: string, directory = `${repository}-${randomUUID()}`): Promise<GitClone> {
    await git("/", "clone", "--quiet", repository, directory);
    return new GitClone(directory);
  }

  git(...args: readonly string[]): Promise<string> {
    return git(this.directory, ...args);
  }

  /** Commits changes to the branch that is checked out and resolves to the commit. */
  async commit(files: FileChanges, message = "An edit"): Promise<string> {
    for (const [path, content] of Object.entries(files)) {
      const file = join(this.directory, path);
      await mkdir(dirname(file), { recursive: true });
      if (content === null) await rm(file);
      else await writeFile(file, content);
    }
    await this.git("add", "--all");
    await this.git("commit", "--quiet", "--allow-empty", "-m", message);
    return this.git("rev-parse", "HEAD");
  }

  /** The same, pushed: never by force. */
  async push(files: FileChanges, message?: string): Promise<string> {
    const commit = await this.commit(files, message);
    await this.git("push", "--quiet", "origin", "HEAD");
    return commit;
  }

  /** Brings the branch that is checked out up to date. */
  async pull(): Promise<void> {
    await this.git("pull", "--quiet", "--no-rebase");
  }

  /** Merges a branch of the server into the one that is checked out, with a merge commit, and pushes. */
  async merge(branch: string): Promise<string> {
    await this.pull();
    await this.git("merge", "--quiet", "--no-ff", "-m", `Merge ${branch}`, `origin/${branch}`);
    await this.git("push", "--quiet", "origin", "HEAD");
    return this.git("rev-parse", "HEAD");
  }
}
