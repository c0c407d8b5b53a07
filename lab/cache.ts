import { createHash, randomUUID } from "node:crypto";
import { access, mkdir, readdir, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { AsteriskIacError } from "../core/errors.ts";
import { tryLock, type Lock } from "./lock.ts";
import type { Progress } from "./platform.ts";
import { until } from "./process.ts";

/** Longer than the slowest thing that is made takes on a busy machine. */
const deadlineMs = 45 * 60_000;

/**
 * The path of something in the lab's cache, made if it is not there yet. `make` is given another path to make it at;
 * it appears under its name when it is whole. Of two callers at once one makes it and the other waits. The name says
 * what it was made from, as it is never made again.
 */
export async function cached(
  name: string,
  make: (unfinished: string) => Promise<void>,
  onProgress: Progress,
): Promise<string> {
  const cache = join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "asterisk-iac", "lab");
  const path = join(cache, name);
  if (await exists(path)) return path;
  await mkdir(cache, { recursive: true });
  const lock = await waitForLock(path, onProgress);
  try {
    if (await exists(path)) return path;
    await removeUnfinished(cache, name);
    const unfinished = join(cache, `${name}${mark}${randomUUID()}`);
    await make(unfinished);
    await rename(unfinished, path);
    return path;
  } finally {
    await removeUnfinished(cache, name);
    await lock.release();
  }
}

const mark = ".unfinished-";

async function removeUnfinished(cache: string, name: string): Promise<void> {
  const unfinished = (await readdir(cache)).filter((each) => each.startsWith(`${name}${mark}`));
  await Promise.all(unfinished.map((each) => rm(join(cache, each), { recursive: true, force: true })));
}

async function waitForLock(path: string, onProgress: Progress): Promise<Lock> {
  const name = `cache/${createHash("sha256").update(path).digest("hex")}`;
  let lock = await tryLock(name);
  if (lock !== undefined) return lock;
  onProgress(`another lab is making ${path}; waiting for it`);
  await until(async () => (lock = await tryLock(name)) !== undefined, deadlineMs, 200);
  if (lock !== undefined) return lock;
  throw new AsteriskIacError(
    "LabFailed",
    `another process has been making ${path} for ${deadlineMs / 60_000} minutes`,
    { hint: "End that process and try again." },
  );
}

/** Whether a file or folder is there. */
export async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
