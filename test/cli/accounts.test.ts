/** The example of two accounts and one partial queues.conf, on real servers: applied, verified, rotated. */
import { describe, expect, test } from "@jest/globals";
import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Run } from "../support/asteriskctl.ts";
import { asteriskctl, asteriskctlJSON } from "../support/asteriskctl.ts";
import { DeclaredReconciler } from "../support/declared.ts";
import { useLab } from "../support/lab.ts";
import { letsIn, logIn, refusedLogins } from "../support/raw-login.ts";

const example = join(import.meta.dirname, "..", "..", "examples", "accounts");

interface VerifyDocument {
  servers: {
    accounts: { name: string; ok: boolean; checks: { attribute: string; ok: boolean; live: string }[] }[];
  }[];
}

describe.each([
  ["22", {}, "manager.conf"],
  ["16", { asterisk: 16 }, "manager.conf"],
  ["the FreePBX layout", { freepbx: true }, "manager_custom.conf"],
] as const)("on %s", (name, options, file) => {
  const lab = useLab(options);
  const run = (...args: string[]): Promise<Run> =>
    asteriskctl([
      "-f",
      join(lab.directory, "manifests.yaml"),
      "-f",
      join(lab.directory, "accounts"),
      ...args,
    ]);
  const verify = (): Promise<VerifyDocument> =>
    asteriskctlJSON(["-f", join(lab.directory, "manifests.yaml"), "-f", example, "account", "verify"]);

  test("two accounts and a part of queues.conf: applied, verified, and nowhere but on the server", async () => {
    mkdirSync(join(lab.directory, "accounts"));
    for (const each of ["accounts.yaml", "queues.yaml"])
      copyFileSync(join(example, each), join(lab.directory, "accounts", each));
    const server = await DeclaredReconciler.of(lab);
    expect((await run("import")).code).toBe(0);
    const before = await server.snapshot();
    const applied = await run("apply", "--yes");
    expect([applied.code, applied.stderr]).toEqual([0, ""]);
    expect(applied.stdout).toContain("seen  a login as crm: it works");
    expect(applied.stdout).toContain(
      "a login as callboard: not proven by login, since 127.0.0.1 is not permitted",
    );
    const after = await server.snapshot();

    // Only these two were written, as their owner had them, and the source is as it was.
    const touched = [...after.server].filter(([path, { inode }]) => before.server.get(path)?.inode !== inode);
    expect(touched.map(([path]) => path)).toEqual([file, "queues.conf"]);
    for (const [path, { mode, owner }] of touched)
      expect([path, mode, owner]).toEqual([
        path,
        before.server.get(path)?.mode,
        before.server.get(path)?.owner,
      ]);
    expect(after.source).toEqual(before.source);

    const verified = await run("account", "verify");
    expect([verified.code, verified.stdout]).toEqual([
      0,
      expect.stringContaining("AMIAccount crm (crm): as declared"),
    ]);
    expect(verified.stdout).not.toContain("DIFFERS");
    const queue = await server.server.run(["asterisk", "-rx", "queue show support"]);
    expect(queue.stdout).toContain("'leastrecent' strategy");
    expect(await run("apply", "--yes")).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("nothing to do"),
    });
  }, 180_000);

  test("a hand edit is a row that differs, with what to do; the next apply corrects it", async () => {
    const server = await DeclaredReconciler.of(lab);
    const text = server.text("server", file) ?? "";
    const edited = text.replace("read = agent\n", "read = agent,command\n");
    expect(edited).not.toBe(text);
    server.put("server", file, Buffer.from(edited, "latin1"));
    await server.server.run(["asterisk", "-rx", "manager reload"]);
    const verified = await run("account", "verify", "callboard");
    expect(verified.code).toBe(1);
    expect(verified.stdout).toMatch(/DIFFERS +read +agent +agent,command\n/);
    expect(verified.stdout).toMatch(/^ {2}read: .*Reload manager/m);
    const [, callboard] = (await verify()).servers[0]?.accounts ?? [];
    expect(callboard?.checks.filter(({ ok }) => !ok)).toMatchObject([
      { attribute: "read", live: "agent,command" },
    ]);
    const plan = await run("plan");
    expect(plan.stdout).toContain("AMIAccount callboard: drift: the server moved away and is corrected");
    expect((await run("apply", "--yes")).code).toBe(0);
    expect(server.text("server", file)).toBe(text);
    expect((await run("account", "verify")).code).toBe(0);
  }, 180_000);

  test("rotated: the new secret is let in, the old one is not, and its sessions end where Asterisk can", async () => {
    const server = await DeclaredReconciler.of(lab);
    const old = server.secret(lab, "crm");
    const session = await logIn(server.server, "crm", old);
    const ended = new Promise((resolve) => session?.on("close", resolve));
    const rotated = await run("account", "rotate", "--yes", "crm");
    expect([rotated.code, rotated.stderr]).toEqual([0, ""]);
    expect(server.secret(lab, "crm")).not.toBe(old);
    expect(rotated.stdout).not.toContain(server.secret(lab, "crm"));
    if (name === "16") {
      expect(rotated.stdout).toMatch(/the session of crm from 127\.0\.0\.1 goes on/);
      session?.destroy();
    } else await ended;
    expect(await refusedLogins(server.server)).toEqual([]);
    expect(await letsIn(server.server, "crm", server.secret(lab, "crm"))).toBe(true);
    expect(await letsIn(server.server, "crm", old)).toBe(false);
    expect(await refusedLogins(server.server)).not.toEqual([]);
    expect((await run("account", "verify")).code).toBe(0);
    expect(() => readFileSync(join(lab.directory, "secrets/crm/password.pending"))).toThrow();
  }, 180_000);

  test("withdrawn with prune, the accounts and the queue go and every byte is as it was", async () => {
    const server = await DeclaredReconciler.of(lab);
    const bare = ["-f", join(lab.directory, "manifests.yaml")];
    const left = await asteriskctl([...bare, "plan"]);
    expect(left.stdout).toContain("AMIAccount crm: no longer declared, left on the server");
    await server.apply({ spec: { prune: true } });
    for (const path of [file, "queues.conf"])
      expect([path, server.text("server", path)]).toEqual([path, server.text("source", path)]);
    const users = await server.server.run(["asterisk", "-rx", "manager show users"]);
    expect(users.stdout).not.toMatch(/crm|callboard/);
  });
});
