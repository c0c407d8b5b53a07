import { expect, test } from "@jest/globals";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { reach } from "../../../asterisk/ami/transport.ts";

test("the first connection removes what killed processes left, and nothing of processes that run", async () => {
  const dead = spawnSync("true").pid;
  const hour = 3_600_000;
  const directories = (
    [
      [`asterisk-iac-ami-${dead}-killed`, hour],
      [`asterisk-iac-ami-${dead}-fresh`, 0],
      [`asterisk-iac-ami-${process.pid}-ours`, hour],
      [`asterisk-iac-other-${dead}-killed`, hour],
    ] as const
  ).map(([name, age]) => {
    const directory = join(tmpdir(), name);
    mkdirSync(directory);
    writeFileSync(join(directory, "ami"), "");
    const then = new Date(Date.now() - age);
    utimesSync(directory, then, then);
    return directory;
  });
  try {
    const open = () => Promise.resolve(new PassThrough());
    const reached = await reach({ kind: "stream", open }, new AbortController().signal);
    reached.close();
    expect(directories.map((directory) => existsSync(directory))).toEqual([false, true, true, true]);
  } finally {
    for (const directory of directories) rmSync(directory, { recursive: true, force: true });
  }
});
