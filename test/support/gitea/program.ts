import { createHash } from "node:crypto";
import { accessSync } from "node:fs";
import { cp, mkdir, readFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { cached } from "../../../lab/cache.ts";
import { goCommand, runTiedGo } from "../../../lab/kubernetes/go.ts";
import { hostEnvironment } from "../../../lab/platform.ts";
import { runCommand } from "../../../lab/process.ts";

/** Longer than the build takes on a busy machine. */
export const giteaDeadlineMs = 45 * 60_000;

/** What Gitea is built from asks for this one. */
const goRelease = "1.26.8";

/** A Gitea that was built, and the folder of its templates, options and public files. */
export interface GiteaProgram {
  readonly command: string;
  readonly staticRoot: string;
}

/** Whether Gitea can be built here: its SQLite is written in C. Go is had where it lacks. */
export function canBuildGitea(): boolean {
  const folders = (hostEnvironment["PATH"] ?? "").split(delimiter);
  return folders.some((folder) => {
    try {
      accessSync(join(folder, "gcc"));
      return true;
    } catch {
      return false;
    }
  });
}

/**
 * Gitea, built with Go from the modules that go.mod beside this file names, and kept in the lab's cache. Built without
 * optimization and debugging data, which takes a third of the time: four minutes of processor time.
 */
export async function giteaProgram(): Promise<GiteaProgram> {
  const recipe = await readFile(join(import.meta.dirname, "go.mod"), "utf8");
  const version = /code\.gitea\.io\/gitea (v\S+)/.exec(recipe)?.[1] ?? "";
  const hash = createHash("sha256").update(JSON.stringify([recipe, process.arch, buildFlags(version)]));
  const onProgress = (line: string): void => void process.stderr.write(`${line}\n`);
  const make = (folder: string) => build(folder, version, onProgress);
  const folder = await cached(`gitea-${hash.digest("hex").slice(0, 12)}`, make, onProgress);
  return { command: join(folder, "gitea"), staticRoot: folder };
}

function buildFlags(version: string): string[] {
  return [
    ...["-mod=readonly", "-buildvcs=false", "-trimpath", "-tags", "sqlite sqlite_unlock_notify"],
    ...["-gcflags=all=-N -l -dwarf=false", "-ldflags", `-s -w -X main.Version=${version.slice(1)}`],
  ];
}

async function build(folder: string, version: string, onProgress: (line: string) => void): Promise<void> {
  const go = await goCommand(onProgress, goRelease);
  onProgress("building Gitea with Go: once, some minutes");
  const args = ["build", "-C", import.meta.dirname, ...buildFlags(version)];
  await mkdir(folder);
  await runTiedGo(go, [...args, "-o", join(folder, "gitea"), "code.gitea.io/gitea"], onProgress, {
    CGO_ENABLED: "1",
    CGO_CFLAGS: "-O1",
  });
  const list = [
    "list",
    "-C",
    import.meta.dirname,
    "-mod=readonly",
    "-m",
    "-f",
    "{{.Dir}}",
    "code.gitea.io/gitea",
  ];
  const environment = { ...hostEnvironment, GOFLAGS: "", GOWORK: "off", GOTOOLCHAIN: "local" };
  const listed = await runCommand([go, ...list], { environment });
  // The modules' own folder may be emptied, and the build stays.
  for (const name of ["templates", "options", "public"])
    await cp(join(listed.stdout.trim(), name), join(folder, name), { recursive: true, mode: 0 });
}
