import { spawn, type ChildProcess } from "node:child_process";
import { chmod, mkdir, mkdtemp, readdir, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { removeTrees } from "../../lab/platform.ts";
import { until } from "../../lab/process.ts";
import { mountsBelow } from "../support/processes.ts";

const rootTreeModule = new URL("../../lab/root-tree.ts", import.meta.url).href;

/** In place of mmdebstrap: makes its target's folder, notes the mirror, and is done when told to be. */
const fakeMmdebstrap = `#!/bin/sh
for target; do case $target in */sid-*) break ;; esac; done
mkdir "$target"
mkdir "$target/mounted"
mount -t tmpfs tmpfs "$target/mounted"
for mirror; do :; done
echo "$mirror" >>"$FAKE/builds"
while [ ! -e "$FAKE/finish" ]; do sleep 0.05; done
umount "$target/mounted"
[ ! -e "$FAKE/fail" ] || { echo "E: no such mirror" >&2; exit 1; }
`;

let directory = "";
let children: ChildProcess[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "asterisk-iac-lab-test-"));
  await mkdir(join(directory, "bin"));
  await writeFile(join(directory, "bin", "mmdebstrap"), fakeMmdebstrap);
  await chmod(join(directory, "bin", "mmdebstrap"), 0o755);
  children = [];
});

afterEach(async () => {
  for (const child of children) child.kill("SIGKILL");
  await removeTrees([directory]);
});

/** Asks for the tree in a process of its own, with its own cache and the mmdebstrap above. */
function askForTree() {
  const program = `
    const { rootTree } = await import(${JSON.stringify(rootTreeModule)});
    await rootTree(22, (line) => console.log(line)).then(
      (tree) => console.log("tree " + tree),
      (error) => console.log(error.code + " " + error.message),
    );`;
  const environment = {
    FAKE: directory,
    XDG_CACHE_HOME: join(directory, "cache"),
    PATH: `${join(directory, "bin")}:${process.env["PATH"]}`,
    ASTERISK_IAC_LAB_MIRROR: "copy:///mirror",
  };
  const child = spawn(process.execPath, ["--input-type=module", "--eval", program], {
    env: { ...process.env, NODE_OPTIONS: "", ...environment },
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.push(child);
  return { child, output: text(child.stdout) };
}

const builds = async () => {
  const noted = await readFile(join(directory, "builds"), "utf8").catch(() => "");
  return noted.split("\n").slice(0, -1);
};
const cached = () => readdir(join(directory, "cache", "asterisk-iac", "lab"));
const finish = () => writeFile(join(directory, "finish"), "");

test("two at once: one builds, both get the same whole tree", async () => {
  const both = [askForTree(), askForTree()];
  expect(await until(async () => (await builds()).length > 0, 30_000)).toBe(true);
  expect(await cached()).toEqual([expect.stringMatching(/^sid-[0-9a-f]{12}\.unfinished-/)]);
  await finish();
  const outputs = await Promise.all(both.map(({ output }) => output));
  const trees = outputs.map((output) => /^tree (.*)$/m.exec(output)?.[1]);
  expect(trees[0]).toMatch(/\/asterisk-iac\/lab\/sid-[0-9a-f]{12}$/);
  expect(trees[1]).toBe(trees[0]);
  expect(await builds()).toEqual(["copy:///mirror"]);
  expect(await cached()).toEqual([expect.stringMatching(/^sid-[0-9a-f]{12}$/)]);
});

test("a killed build takes its processes and mounts along, and the next one starts anew", async () => {
  const killed = askForTree();
  expect(await until(async () => (await builds()).length === 1, 30_000)).toBe(true);
  expect(await mountsBelow(directory)).not.toEqual([]);
  killed.child.kill("SIGKILL");
  expect(await until(async () => (await mountsBelow(directory)).length === 0, 10_000)).toBe(true);
  const [left] = await cached();
  expect(left).toContain(".unfinished-");
  await finish();
  expect(await askForTree().output).toMatch(/^tree /m);
  expect(await builds()).toHaveLength(2);
  expect(await cached()).toEqual([expect.stringMatching(/^sid-[0-9a-f]{12}$/)]);
});

test("a build that fails says why and leaves nothing", async () => {
  await writeFile(join(directory, "fail"), "");
  await finish();
  expect(await askForTree().output).toMatch(
    /^LabFailed mmdebstrap failed for Debian sid: .*E: no such mirror$/m,
  );
  expect(await cached()).toEqual([]);
});
