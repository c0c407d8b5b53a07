import { spawn } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { mkdir, readdir, rename } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { AsteriskIacError } from "../core/errors.ts";
import { exists } from "./cache.ts";
import { tryLock } from "./lock.ts";
import { asteriskId, hostEnvironment, removeTrees, unshare, type Progress } from "./platform.ts";
import { runCommand, until } from "./process.ts";

/** The Asterisk versions that a lab can run. */
export type AsteriskVersion = 22 | 16;

/** The Debian release that has each version. */
const suites: Record<AsteriskVersion, string> = { 22: "sid", 16: "bullseye" };

/** `mount` brings umount, by which a server lets go of this machine's files. */
const packages = ["asterisk", "openssh-server", "sudo", "mount", "hostname"];

/** Makes the owner of the files before Asterisk's package would: under an id that the lab knows beforehand. */
const makeAsteriskUser = `
echo 'asterisk:x:${asteriskId}:${asteriskId}:Asterisk PBX daemon:/var/lib/asterisk:/bin/sh' >>"$1/etc/passwd"
echo 'asterisk:x:${asteriskId}:' >>"$1/etc/group"
echo 'asterisk:*:1::::::' >>"$1/etc/shadow"`;

/** Makes the user who reaches the files only through `sudo -n -u asterisk`. */
const makeAdminUser = `
chroot "$1" useradd --create-home --shell /bin/bash --password '*' admin
echo 'admin ALL=(asterisk) NOPASSWD: ALL' >"$1/etc/sudoers.d/admin"
chmod 0440 "$1/etc/sudoers.d/admin"`;

const options = [
  "--mode=root",
  "--variant=apt",
  `--include=${packages.join(",")}`,
  // A mirror's signed list of packages may be stale, an old release's always is.
  '--aptopt=Acquire::Check-Valid-Until "false"',
  `--essential-hook=${makeAsteriskUser}`,
  `--customize-hook=${makeAdminUser}`,
];

/** Runs its arguments as a command; everything is killed when standard input ends, which it does with the caller. */
const tiedToCaller = `exec 3<&0; (cat <&3 >/dev/null; kill -KILL -1) & "$@" </dev/null`;

/**
 * The folder of the root tree (`/` of a machine) with that Asterisk, made with mmdebstrap if it is not in the cache
 * yet. The cache is `$XDG_CACHE_HOME/asterisk-iac/lab` (~/.cache by default), one folder for each release and
 * recipe. A tree appears there when it is whole; of two callers at once one builds and the other waits.
 */
export function rootTree(version: AsteriskVersion, onProgress: Progress): Promise<string> {
  return debianTree(suites[version], options, onProgress);
}

/** The same of any release and recipe: a folder that mmdebstrap makes once with these options. */
export async function debianTree(
  suite: string,
  options: readonly string[],
  onProgress: Progress,
): Promise<string> {
  const recipe = createHash("sha256")
    .update(JSON.stringify([suite, options]))
    .digest("hex")
    .slice(0, 12);
  const cache = join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "asterisk-iac", "lab");
  const tree = join(cache, `${suite}-${recipe}`);
  if (await exists(tree)) return tree;
  await mkdir(cache, { recursive: true });
  const lock = await waitForLock(tree, onProgress);
  try {
    if (await exists(tree)) return tree;
    await removeUnfinished(tree);
    await build(suite, options, tree, onProgress);
  } finally {
    await lock.release();
  }
  return tree;
}

async function waitForLock(tree: string, onProgress: Progress) {
  const name = `tree/${createHash("sha256").update(tree).digest("hex")}`;
  let lock = await tryLock(name);
  if (lock !== undefined) return lock;
  onProgress("another lab is making the root tree; waiting for it");
  const takeLock = async () => (lock = await tryLock(name)) !== undefined;
  await until(takeLock, 600_000, 200);
  if (lock !== undefined) return lock;
  throw new AsteriskIacError("LabFailed", `another process has been making ${tree} for ten minutes`, {
    hint: "End that process and try again.",
  });
}

/** What a killed build left. */
async function removeUnfinished(tree: string): Promise<void> {
  const cache = dirname(tree);
  const leftovers = (await readdir(cache)).map((name) => join(cache, name));
  const unfinished = leftovers.filter((path) => path.startsWith(`${tree}.unfinished-`));
  if (unfinished.length > 0) await removeTrees(unfinished);
}

async function build(
  suite: string,
  options: readonly string[],
  tree: string,
  onProgress: Progress,
): Promise<void> {
  const unfinished = `${tree}.unfinished-${randomUUID()}`;
  onProgress(`making a root tree of Debian ${suite}: once, about half a minute`);
  const command = ["mmdebstrap", ...options, suite, unfinished, ...(await mirror())];
  const log: string[] = [];
  const code = await runTied(command, (line) => {
    log.push(line);
    if (line.startsWith("I: ") && !line.includes("-hook")) onProgress(`${suite}: ${line.slice(3)}`);
  });
  if (code !== 0) {
    await removeTrees([unfinished]);
    throw new AsteriskIacError(
      "LabFailed",
      `mmdebstrap failed for Debian ${suite}: ${log.slice(-8).join("\n")}`,
      {
        next: "Retry",
        hint: "ASTERISK_IAC_LAB_MIRROR names another Debian mirror.",
      },
    );
  }
  await rename(unfinished, tree);
}

/** As root of namespaces of its own: whatever mmdebstrap starts or mounts is gone when it ends or is killed. */
function runTied(command: readonly string[], onLine: (line: string) => void): Promise<number> {
  const [file = "", ...args] = unshare("--mount", "--pid", "--fork", "--kill-child");
  return new Promise((resolve, reject) => {
    const child = spawn(file, [...args, "sh", "-c", tiedToCaller, "sh", ...command], {
      env: hostEnvironment,
      stdio: ["pipe", "ignore", "pipe"],
    });
    createInterface(child.stderr).on("line", onLine);
    child.on("error", reject);
    child.on("close", (code) => resolve(code ?? 1));
  });
}

/** The mirror to take packages from, if it is not mmdebstrap's own choice: the one this machine's apt uses. */
async function mirror(): Promise<string[]> {
  const chosen = process.env["ASTERISK_IAC_LAB_MIRROR"];
  if (chosen) return [chosen];
  const asked = ["apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)"];
  const { stdout } = await runCommand(asked, { environment: hostEnvironment });
  const own = stdout.split("\n").find((line) => line.startsWith("Debian|Debian|"));
  return own === undefined ? [] : [own.slice("Debian|Debian|".length)];
}
