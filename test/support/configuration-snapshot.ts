import { createHash } from "node:crypto";
import { lstat, readdir, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";

/** Everything below a directory, by path: kind, mode, owner, and the bytes' hash or the link's target. */
export async function snapshot(directory: string): Promise<Record<string, string>> {
  const paths = (await readdir(directory, { recursive: true })).sort();
  const entries = await Promise.all(
    paths.map(async (path) => {
      const file = join(directory, path);
      const stats = await lstat(file);
      const content = stats.isSymbolicLink()
        ? await readlink(file)
        : stats.isDirectory()
          ? "directory"
          : createHash("sha256")
              .update(await readFile(file))
              .digest("hex");
      return [path, `${stats.mode.toString(8)} ${stats.uid}:${stats.gid} ${content}`] as const;
    }),
  );
  return Object.fromEntries(entries);
}
