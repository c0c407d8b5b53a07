import type { GitSourceSpec } from "./git-source.ts";

interface ServerInGit {
  readonly name: string;
  readonly git: GitSourceSpec;
}

/** The directory of a server's files in its repository, "" for the root. */
export function directoryInRepository(name: string, { path = name }: GitSourceSpec): string {
  return path === "." ? "" : path;
}

/** Whether the files of two servers are in one directory of a branch, or those of one in a directory of the other's. */
export function sharesDirectory(one: ServerInGit, other: ServerInGit): boolean {
  const repository = ({ git: { url, branch } }: Pick<ServerInGit, "git">): string =>
    `${url.replace(/\/*(\.git)?\/*$/, "")}#${branch}`;
  if (repository(one) !== repository(other)) return false;
  const [a, b] = [one, other].map(({ name, git }) => {
    const directory = directoryInRepository(name, git);
    return directory === "" ? "" : `${directory}/`;
  }) as [string, string];
  return a.startsWith(b) || b.startsWith(a);
}
