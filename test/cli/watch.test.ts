import { beforeAll, describe, expect, test } from "@jest/globals";
import { appendFileSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { asteriskctl, asteriskctlJSON, whileRunning, type Run } from "../support/asteriskctl.ts";
import { useLab } from "../support/lab.ts";
import { until } from "../support/until.ts";

const lab = useLab();
const manifests = (): string => join(lab.directory, "manifests.yaml");
const source = (path: string): string => join(lab.directory, "source/pbx1", path);
const live = (path: string): string => join(lab.directory, "servers/pbx1/etc/asterisk", path);
const same = (path: string): boolean => readFileSync(source(path)).equals(readFileSync(live(path)));

beforeAll(async () => {
  expect((await asteriskctl(["-f", manifests(), "import"])).code).toBe(0);
});

test("an interval that no timer takes is refused", async () => {
  const { code, stderr } = await asteriskctl(["-f", manifests(), "watch", "--interval", "1000h"]);
  expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining("to a day") });
});

/** Runs `watch` while `work` goes on. */
const watching = (args: readonly string[], work: (output: () => string) => Promise<void>): Promise<Run> =>
  whileRunning(["-f", manifests(), "watch", ...args], {}, work);

describe("watch", () => {
  test("applies what changes in the source, corrects what changes on the server, and ends with SIGTERM", async () => {
    const run = await watching(["--interval", "1s"], async (output) => {
      await until(() => output().includes("nothing to do"));
      appendFileSync(source("queues.conf"), "\n[sales]\nstrategy = ringall\n");
      await until(() => same("queues.conf") && output().includes("app_queue"));
      appendFileSync(live("queues.conf"), "; by hand\n");
      await until(() => same("queues.conf"));
    });
    expect(run.code).toBe(0);
    const shown = await lab.servers[0]?.run(["asterisk", "-rx", "queue show sales"]);
    expect(shown?.stdout).toContain("sales");
  });

  test("acts when Asterisk has started, long before the interval", async () => {
    await watching(["--interval", "1h"], async (output) => {
      await until(() => output().includes("nothing to do"));
      appendFileSync(source("queues.conf"), "\n[support]\nstrategy = ringall\n");
      await lab.servers[0]?.run(["asterisk", "-rx", "core restart now"]);
      await until(() => same("queues.conf"));
      await until(() => output().includes("FullyBooted"));
    });
  });

  test("a conflict is told once and left alone", async () => {
    const before = readFileSync(live("queues.conf"));
    const own = readFileSync(source("queues.conf"));
    appendFileSync(source("queues.conf"), "; one\n");
    appendFileSync(live("queues.conf"), "; two\n");
    const run = await watching(["--interval", "1s"], async (output) => {
      await until(() => output().includes("both sides moved"));
      const { mtimeMs } = statSync(live("queues.conf"));
      // Two more passes: what they would have to tell was told.
      const { servers } = await asteriskctlJSON<{ servers: { changes: object[] }[] }>([
        "-f",
        manifests(),
        "plan",
      ]);
      expect(servers[0]?.changes).toEqual([expect.objectContaining({ kind: "Conflict" })]);
      await asteriskctl(["-f", manifests(), "plan"]);
      expect(statSync(live("queues.conf")).mtimeMs).toBe(mtimeMs);
    });
    expect(run.stdout.match(/both sides moved/g)).toHaveLength(1);
    writeFileSync(live("queues.conf"), before);
    writeFileSync(source("queues.conf"), own);
  });
});

describe("backups", () => {
  test("what was overwritten on the server is listed, put back, reloaded and seen", async () => {
    const before = readFileSync(live("queues.conf"));
    writeFileSync(source("queues.conf"), "[general]\n[only]\nstrategy = ringall\n");
    expect((await asteriskctl(["-f", manifests(), "apply", "--yes"])).code).toBe(0);
    expect(same("queues.conf")).toBe(true);

    const { servers } = await asteriskctlJSON<{
      servers: { backups: { id: string; side: string; files: { path: string }[] }[] }[];
    }>(["-f", manifests(), "backups", "list"]);
    const newest = servers[0]?.backups.find(({ side }) => side === "server");
    expect(newest?.files).toEqual([expect.objectContaining({ path: "queues.conf", size: before.length })]);
    const run = await asteriskctl([
      "-f",
      manifests(),
      "backups",
      "restore",
      "--yes",
      "pbx1",
      newest?.id ?? "",
      "queues.conf",
    ]);
    expect(run).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("put back on the server: queues.conf"),
    });
    expect(readFileSync(live("queues.conf")).equals(before)).toBe(true);
    expect((await lab.servers[0]?.run(["asterisk", "-rx", "queue show only"]))?.stdout).toContain(
      "No such queue",
    );
    // The source was not touched, so the next plan shows what it would write again.
    expect((await asteriskctl(["-f", manifests(), "plan", "--detailed-exitcode"])).code).toBe(2);
  });

  test("what was overwritten in the source is put back there", async () => {
    const own = readFileSync(source("queues.conf"));
    expect((await asteriskctl(["-f", manifests(), "download", "--yes", "--file", "queues.conf"])).code).toBe(
      0,
    );
    expect(same("queues.conf")).toBe(true);
    const { servers } = await asteriskctlJSON<{ servers: { backups: { id: string; side: string }[] }[] }>([
      "-f",
      manifests(),
      "backups",
      "list",
    ]);
    const newest = servers[0]?.backups.find(({ side }) => side === "source");
    expect(
      (await asteriskctl(["-f", manifests(), "backups", "restore", "--yes", "pbx1", newest?.id ?? ""])).code,
    ).toBe(0);
    expect(readFileSync(source("queues.conf")).equals(own)).toBe(true);
  });

  test("an id or a file that is not there is an error, and nothing changes", async () => {
    expect(
      (
        await asteriskctl([
          "-f",
          manifests(),
          "backups",
          "restore",
          "--yes",
          "pbx1",
          "00000099-0123456789abcdef",
        ])
      ).stderr,
    ).toContain("nothing is kept");
    expect((await asteriskctl(["-f", manifests(), "backups", "restore", "pbx1", "x"])).stderr).toContain(
      "no terminal",
    );
  });
});
