import type { KeptFile } from "../core/source.ts";
import type { GitObjects } from "./objects.ts";
import type { GitRepository } from "./repository.ts";
import { runGitOrThrow } from "./run.ts";

/** So many commits are looked at. */
const mostCommits = 50;
/** How many digits of a commit's id name what it overwrote. */
const idLength = 12;

/** The name under which what a commit overwrote is listed and restored. */
export function keptAs(commit: string): string {
  return commit.slice(0, idLength);
}

/**
 * The bytes that the last commits of a branch overwrote or removed below a path, newest first, as far as the history is
 * here: it is fetched as far as these commits go.
 */
export async function keptInHistory(
  repository: GitRepository,
  { branch, commit, path }: { branch: string; commit: string; path: string },
): Promise<KeptFile[]> {
  const replaced = await replacedBy(repository.objects, commit, path);
  if (replaced.commits >= mostCommits || !(await repository.deepen(branch))) return replaced.files;
  return (await replacedBy(repository.objects, commit, path)).files;
}

/** The commit before the one that `id` names as `keptAs` does; undefined where there is none. */
export async function committedBefore(objects: GitObjects, id: string): Promise<string | undefined> {
  return new RegExp(`^[0-9a-f]{${idLength}}$`).test(id) ? objects.resolve(`${id}^1`) : undefined;
}

async function replacedBy(
  objects: GitObjects,
  commit: string,
  path: string,
): Promise<{ commits: number; files: KeptFile[] }> {
  const { directory } = objects;
  const format = "--format=commit %H %ct";
  const range = ["log", `--max-count=${mostCommits}`, "--first-parent", "--diff-merges=first-parent"];
  const shown = ["--raw", "-z", "--no-abbrev", "--no-renames", format, commit, "--"];
  const args = [...range, ...shown, ...(path === "" ? [] : [path])];
  const output = (await runGitOrThrow({ directory, args })).toString("utf8");
  const found: { id: string; path: string; blob: string; keptAt: Date }[] = [];
  let commits = 0;
  let current = { id: "", keptAt: new Date(0) };
  let blob: string | undefined;
  for (const part of output.split("\0").map((text) => text.replace(/^\n/, ""))) {
    const [, id, time] = /^commit ([0-9a-f]+) (\d+)/.exec(part) ?? [];
    const [, before] = /^:\d{6} \d{6} ([0-9a-f]+) [0-9a-f]+ [A-Z]$/.exec(part) ?? [];
    if (blob !== undefined) {
      // A path, whatever it looks like.
      const name = path === "" ? part : part.slice(path.length + 1);
      // Nothing was there before.
      if (!/^0+$/.test(blob) && !name.split("/").some((component) => component.startsWith(".")))
        found.push({ ...current, path: name, blob });
      blob = undefined;
    } else if (id !== undefined) {
      current = { id: keptAs(id), keptAt: new Date(Number(time) * 1000) };
      commits++;
    } else if (before !== undefined) blob = before;
  }
  const sizes = await sizesOf(
    directory,
    found.map((file) => file.blob),
  );
  return {
    commits,
    files: found.flatMap(({ blob: of, ...file }) => {
      const size = sizes.get(of);
      return size === undefined ? [] : [{ ...file, size }];
    }),
  };
}

async function sizesOf(directory: string, blobs: readonly string[]): Promise<ReadonlyMap<string, number>> {
  if (blobs.length === 0) return new Map();
  const args = ["cat-file", "--batch-check"];
  const output = await runGitOrThrow({ directory, args, input: `${blobs.join("\n")}\n` });
  return new Map(
    output
      .toString("utf8")
      .split("\n")
      .map((line) => line.split(" "))
      .flatMap(([id = "", type, size]) => (type === "blob" ? [[id, Number(size)] as const] : [])),
  );
}
