import { spawn } from "node:child_process";
import { chmod, mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { AsteriskIacError } from "../../core/errors.ts";
import { hostEnvironment, type Progress } from "../platform.ts";
import { runCommand } from "../process.ts";
import { cached } from "../cache.ts";

/** The release that builds where this machine's own is older than go.mod asks for, or lacks. */
const oldest = "1.24.13";

/**
 * The command `go` of a toolchain that is new enough: this machine's, Debian's, or `release` (`1.24.13`) from the Go
 * module proxy.
 */
export async function goCommand(onProgress: Progress, release = oldest): Promise<string> {
  const go = (await minorVersion("go")) === undefined ? await debianGo(onProgress) : "go";
  const isNewEnough = ((await minorVersion(go)) ?? 0) >= Number(release.split(".")[1]);
  return isNewEnough ? go : newerGo(go, release, onProgress);
}

/** The 24 of Go 1.24.13; undefined if there is no such command. */
async function minorVersion(go: string): Promise<number | undefined> {
  const version = /go1\.(\d+)/.exec((await runGo(go, ["env", "GOVERSION"]))?.stdout ?? "");
  return version === null ? undefined : Number(version[1]);
}

async function runGo(go: string, args: readonly string[]) {
  return runCommand([go, ...args], { environment: goEnvironment }).catch(() => undefined);
}

/** What a user set for builds of their own does not reach ours; where modules come from and are kept does. */
const goEnvironment: NodeJS.ProcessEnv = {
  ...hostEnvironment,
  // Without C no compiler is needed but Go's, and the binaries run wherever the kernel does.
  CGO_ENABLED: "0",
  ...{ GOFLAGS: "", GOWORK: "off", GOROOT: "", GOOS: "", GOARCH: "" },
  GOTOOLCHAIN: "local",
};

/** Go's releases are modules too, which an old Go can download and verify, though not switch to. */
async function newerGo(downloader: string, release: string, onProgress: Progress): Promise<string> {
  onProgress(`downloading Go ${release}`);
  const architecture = process.arch === "x64" ? "amd64" : process.arch;
  const module = `golang.org/toolchain@v0.0.1-go${release}.linux-${architecture}`;
  const answer = await runGo(downloader, ["mod", "download", "-json", module]);
  const { Dir: root, Error: reason } = JSON.parse(answer?.stdout || "{}") as { Dir?: string; Error?: string };
  if (root === undefined) {
    throw new AsteriskIacError(
      "LabFailed",
      `Go ${release} can't be had: ${reason ?? answer?.stderr.trim() ?? `${downloader} does not run`}`,
      { next: "Retry", hint: `Install Go ${release} or later, or set KUBEBUILDER_ASSETS.` },
    );
  }
  // A module's files are not executable, and its folders can't be changed; modes of files can.
  const folders = [join(root, "bin"), ...(await toolFolders(root))];
  for (const folder of folders)
    for (const file of await readdir(folder)) await chmod(join(folder, file), 0o555);
  return join(root, "bin", "go");
}

async function toolFolders(root: string): Promise<string[]> {
  const tools = join(root, "pkg", "tool");
  return (await readdir(tools)).map((folder) => join(tools, folder));
}

/** Debian's Go, unpacked into the cache: nothing is installed, and no administrator is needed. */
async function debianGo(onProgress: Progress): Promise<string> {
  const folder = await cached(
    "debian-go",
    (unfinished) => unpackDebianGo(unfinished, onProgress),
    onProgress,
  );
  const [version = ""] = await readdir(join(folder, "usr", "lib"));
  return join(folder, "usr", "lib", version, "bin", "go");
}

/** $1 is the folder to unpack into. apt's lists are kept apart: this machine's may lack, or be those of a user. */
const unpackScript = `
set -eu
mkdir -p "$1/apt/lists/partial" "$1/apt/cache/archives/partial"
cd "$1/apt"
set -- -o Dir::State::lists="$PWD/lists" -o Dir::Cache="$PWD/cache" -o APT::Sandbox::User=root
apt-get "$@" --quiet update
go=$(apt-cache "$@" depends golang-go | sed -n 's/^ *Depends: \\(golang-[0-9.]*-go\\)$/\\1/p')
apt-get "$@" --quiet download "$go" "\${go%-go}-src"
for package in *.deb; do dpkg-deb -x "$package" ..; done
cd ..
rm -rf apt
`;

async function unpackDebianGo(folder: string, onProgress: Progress): Promise<void> {
  onProgress("unpacking Go from Debian's packages");
  await mkdir(folder, { recursive: true });
  const unpacked = await runCommand(["sh", "-c", unpackScript, "sh", folder], {
    environment: hostEnvironment,
  });
  if (unpacked.code === 0) return;
  throw new AsteriskIacError(
    "LabFailed",
    `Go is not on this machine and can't be had from Debian's packages: ${unpacked.stderr.trim()}`,
    { next: "Retry", hint: `Install Go ${oldest} or later, or set KUBEBUILDER_ASSETS.` },
  );
}

/**
 * Runs its arguments as a command in a process group of its own, which is killed when standard input ends, which it
 * does with the caller. A build that was killed goes on, the next time, from what it left in Go's cache.
 */
const tiedToCaller = `exec 3<&0; (cat <&3; kill -KILL 0) >/dev/null 2>&1 & "$@" </dev/null 3<&-`;

/**
 * Runs `go` with less claim to the processors than anything else. Rejects with the end of what it said. `environment`
 * is put over what Go is given otherwise.
 */
export function runTiedGo(
  go: string,
  args: readonly string[],
  onLine: Progress,
  environment: NodeJS.ProcessEnv = {},
): Promise<void> {
  const said: string[] = [];
  return new Promise((resolve, reject) => {
    const command = ["-c", tiedToCaller, "sh", "nice", "-n", "19", go, ...args];
    const child = spawn("sh", command, {
      env: { ...goEnvironment, ...environment },
      stdio: ["pipe", "ignore", "pipe"],
      detached: true,
    });
    createInterface(child.stderr).on("line", (line) => {
      said.push(line);
      onLine(line);
    });
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) return resolve();
      const message = `go ${args.join(" ")} failed: ${said.slice(-8).join("\n")}`;
      reject(new AsteriskIacError("LabFailed", message, { next: "Retry" }));
    });
  });
}
