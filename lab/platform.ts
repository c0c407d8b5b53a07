import { access } from "node:fs/promises";
import { delimiter } from "node:path";
import { AsteriskIacError } from "../core/errors.ts";
import { runCommand } from "./process.ts";

/** Says in one line what the lab is doing now; for people. */
export type Progress = (message: string) => void;

/** Some tools live in directories that are not on every user's PATH. */
export const hostEnvironment: NodeJS.ProcessEnv = {
  ...process.env,
  PATH: [process.env["PATH"], "/usr/local/sbin", "/usr/sbin", "/sbin"].filter(Boolean).join(delimiter),
  LC_ALL: "C.UTF-8",
};

/** Whether the lab runs as root; otherwise it works in a user namespace. */
export function runsAsRoot(): boolean {
  return process.geteuid?.() === 0;
}

/**
 * The ids of `asterisk`, the owner of the configuration files, in every root tree. Fixed, because without root this
 * very id stands for the user who runs the lab, so that the files of a server belong to that user on this machine.
 */
export const asteriskId = 538;

/**
 * The start of a command that makes a process root of new namespaces, given as options of unshare(1). Without root a
 * user namespace is made too: `asterisk` in it is the user, every other id comes from /etc/subuid and /etc/subgid.
 */
export function unshare(...namespaces: string[]): string[] {
  const userNamespace = [
    "--user",
    ...[`--map-user=${asteriskId}`, `--map-group=${asteriskId}`, "--map-users=auto", "--map-groups=auto"],
    ...["--setuid=0", "--setgid=0"],
  ];
  if (runsAsRoot()) return namespaces.length === 0 ? [] : ["unshare", ...namespaces];
  return ["unshare", ...userNamespace, ...namespaces];
}

/** Removes files and folders whose owners may be ids of a server. What is not there is well. */
export async function removeTrees(paths: readonly string[]): Promise<void> {
  const { code, stderr } = await runCommand([...unshare(), "rm", "-rf", "--", ...paths], {
    environment: hostEnvironment,
  });
  if (code !== 0)
    throw new AsteriskIacError("LabFailed", `can't remove ${paths.join(", ")}: ${stderr.trim()}`);
}

interface Need {
  readonly file: string;
  readonly debianPackage: string;
}

function needs(): Need[] {
  const command = (name: string, debianPackage: string) => ({ file: name, debianPackage });
  return [
    command("mmdebstrap", "mmdebstrap"),
    command("/usr/share/keyrings/debian-archive-keyring.gpg", "debian-archive-keyring"),
    ...["unshare", "nsenter", "flock", "pivot_root"].map((name) => command(name, "util-linux")),
    command("mount", "mount"),
    command("hostname", "hostname"),
    command("tar", "tar"),
    ...(runsAsRoot() ? [] : [command("newuidmap", "uidmap")]),
  ];
}

/**
 * Sees to it that the tools of the lab are on this machine: as root, or where `sudo -n` gives root, it installs the
 * Debian packages that lack, and says so; else `LabFailed` names the command to run.
 */
export async function preparePlatform(onProgress: Progress): Promise<void> {
  const missing = await missingPackages();
  if (missing.length > 0) {
    const administrator = await administratorPrefix();
    const install = ["apt-get", "install", "--yes", "--no-install-recommends", ...missing];
    const asked = `sudo apt-get update && sudo ${install.join(" ")}`;
    if (administrator === undefined) {
      throw new AsteriskIacError(
        "LabFailed",
        `the lab needs ${missing.join(", ")}, not found on this machine`,
        {
          hint: `Run: ${asked}`,
        },
      );
    }
    onProgress(`installing ${missing.join(", ")} with apt-get`);
    await installPackages([...administrator, "env", "DEBIAN_FRONTEND=noninteractive"], install, asked);
  }
  await requireNamespaces();
}

async function missingPackages(): Promise<string[]> {
  const found = await Promise.all(
    needs().map(async (need) => ({ ...need, there: await isThere(need.file) })),
  );
  return [...new Set(found.filter((need) => !need.there).map((need) => need.debianPackage))];
}

async function isThere(file: string): Promise<boolean> {
  const folders = file.startsWith("/") ? [""] : (hostEnvironment["PATH"] ?? "").split(delimiter);
  const tries = folders.map((folder) => access(folder === "" ? file : `${folder}/${file}`));
  return (await Promise.allSettled(tries)).some((outcome) => outcome.status === "fulfilled");
}

async function administratorPrefix(): Promise<string[] | undefined> {
  if (!(await isThere("apt-get"))) return undefined;
  if (runsAsRoot()) return [];
  if (!(await isThere("sudo"))) return undefined;
  return (await runCommand(["sudo", "-n", "true"])).code === 0 ? ["sudo", "-n"] : undefined;
}

async function installPackages(
  prefix: readonly string[],
  install: readonly string[],
  asked: string,
): Promise<void> {
  for (const command of [["apt-get", "update", "--quiet"], install]) {
    const { code, stderr } = await runCommand([...prefix, ...command], { environment: hostEnvironment });
    if (code === 0) continue;
    throw new AsteriskIacError("LabFailed", `${command.join(" ")} failed: ${stderr.trim()}`, {
      hint: `Run: ${asked}`,
    });
  }
}

async function requireNamespaces(): Promise<void> {
  const { code, stderr } = await runCommand([...unshare("--mount", "--uts"), "true"], {
    environment: hostEnvironment,
  });
  if (code === 0) return;
  throw new AsteriskIacError("LabFailed", `this user can't make namespaces here: ${stderr.trim()}`, {
    hint: runsAsRoot()
      ? "In a container, give it the capability SYS_ADMIN (docker run --privileged)."
      : "Run it as root; or allow unprivileged user namespaces, give the user 65536 ids in /etc/subuid and " +
        "/etc/subgid (usermod --add-subuids), and use util-linux 2.38 or later.",
  });
}
