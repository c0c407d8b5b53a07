/** asterisk-iac's own account, declared: rotated, killed in the middle, shut out; and what else is refused. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Run } from "../support/asteriskctl.ts";
import { asteriskctl } from "../support/asteriskctl.ts";
import { DeclaredReconciler } from "../support/declared.ts";
import { useLab } from "../support/lab.ts";
import { letsIn, logIn, refusedLogins } from "../support/raw-login.ts";

const lab = useLab();
const hook = new URL("../support/kill-rotation.ts", import.meta.url).href;
const own = "pbx1-ami";
let server: DeclaredReconciler;

/** A manifest with our own account, whose secret is the one that the server's credentials name, and another. */
function manifest(permit: string): string {
  const account = (name: string, username: string, classes: string, address: string): object => ({
    apiVersion: "asterisk-iac.dev/v1alpha1",
    kind: "AMIAccount",
    metadata: { name },
    spec: {
      serverRef: { name: "pbx1" },
      username,
      generate: true,
      ...{ read: [classes], write: [classes], permit: [address], privilegedReason: "reloads" },
    },
  });
  const file = join(lab.directory, `accounts-${permit}.yaml`);
  const documents = [
    account(own, "asterisk-iac", "system", permit),
    account("crm", "crm", "call", "127.0.0.1"),
  ];
  writeFileSync(file, documents.map((each) => JSON.stringify(each)).join("\n---\n"));
  return file;
}

const run = (args: readonly string[], env: Record<string, string> = {}, permit = "127.0.0.1"): Promise<Run> =>
  asteriskctl(["-f", join(lab.directory, "manifests.yaml"), "-f", manifest(permit), ...args], { env });
const secretsOf = (name: string): { now: string; next: string | undefined } => ({
  now: server.secret(lab, name),
  next: existsSync(join(lab.directory, "secrets", name, "password.pending"))
    ? server.secret(lab, name, "password.pending")
    : undefined,
});
const live = (username: string, secret: string): Promise<boolean> => letsIn(server.server, username, secret);

beforeAll(async () => {
  server = await DeclaredReconciler.of(lab);
  await server.import();
  const refused = await run(["apply", "--yes"]);
  expect([refused.code, refused.stdout]).toEqual([
    3,
    expect.stringContaining("both sides moved: manager.conf"),
  ]);
  expect(await run(["apply", "--yes", "--take", "source"])).toMatchObject({ code: 0, stderr: "" });
}, 600_000);

afterAll(async () => {
  expect(await refusedLogins(server.server)).toEqual([]);
});

test("our own account rotates under the session that rotates it, and the next command goes on", async () => {
  const before = secretsOf(own).now;
  const other = await logIn(server.server, "asterisk-iac", before);
  const ended = new Promise((resolve) => other?.on("close", resolve));
  const rotated = await run(["account", "rotate", "--yes", own]);
  expect([rotated.code, rotated.stderr]).toEqual([0, ""]);
  await ended;
  expect(secretsOf(own)).toEqual({ now: expect.not.stringContaining(before), next: undefined });
  expect(await live("asterisk-iac", secretsOf(own).now)).toBe(true);
  for (const args of [["test"], ["plan", "--detailed-exitcode"], ["account", "verify"]])
    expect([args, (await run(args)).code]).toEqual([args, 0]);
});

describe("killed", () => {
  // Which of the two secrets the live Asterisk has then.
  test.each([
    ["stored", "now"],
    ["reload", "now"],
    ["told", undefined],
    ["promote", "next"],
    ["promoted", "next"],
  ] as const)(
    "when it was %s, one of two secrets works, and the next run ends it",
    async (when, works) => {
      const env = { KILL_WHEN: when, NODE_OPTIONS: `--import ${hook}` };
      const killed = await run(["account", "rotate", "--yes", own, "crm"], env);
      expect(killed.code).toBeNull();
      const [ours, theirs] = [secretsOf(own), secretsOf("crm")];
      expect(ours.next ?? theirs.next).toBeDefined();
      if (works !== undefined) {
        for (const [username, { now, next = now }] of [
          ["asterisk-iac", ours],
          ["crm", theirs],
        ] as const)
          expect([username, await live(username, works === "now" ? now : next)]).toEqual([username, true]);
      }
      // A command that only reads finds the way in, too.
      expect((await run(["status"])).code).toBe(0);
      expect(await run(["apply", "--yes"])).toMatchObject({ code: 0, stderr: "" });
      for (const [name, username, then] of [
        [own, "asterisk-iac", ours],
        ["crm", "crm", theirs],
      ] as const) {
        const after = secretsOf(name);
        expect(after).toEqual({ now: then.next ?? after.now, next: undefined });
        expect(await live(username, after.now)).toBe(true);
      }
      expect((await run(["account", "verify"])).code).toBe(0);
      expect((await run(["plan", "--detailed-exitcode"])).code).toBe(0);
      expect(await refusedLogins(server.server)).toEqual([]);
    },
    180_000,
  );
});

test("an edit that would shut us out is undone: the file, and what Asterisk has of it", async () => {
  const before = server.bytes("server", "manager.conf");
  const applied = await run(["apply", "--yes"], {}, "10.0.0.1");
  expect(applied.code).toBe(1);
  expect(applied.stdout + applied.stderr).toMatch(/put back|restored|rolled back/i);
  expect(server.bytes("server", "manager.conf")).toEqual(before);
  expect(await live("asterisk-iac", secretsOf(own).now)).toBe(true);
  expect((await run(["plan", "--detailed-exitcode"])).code).toBe(0);
});

test("where an account on the server has a setvar, nothing that would reload manager is written", async () => {
  const before = server.bytes("server", "manager.conf") ?? Buffer.alloc(0);
  const shipped = server.bytes("source", "manager.conf") ?? Buffer.alloc(0);
  for (const side of ["server", "source"] as const) {
    const text = side === "server" ? before : shipped;
    const dialer = "[dialer]\nsecret = Eelahz9ohchoo4oo\nsetvar = A=1\n\n";
    server.put(side, "manager.conf", Buffer.concat([Buffer.from(dialer), text]));
  }
  const then = await server.snapshot();
  const withSetvar = await run(["apply", "--yes"], {}, "127.0.0.2");
  expect(withSetvar.code).not.toBe(0);
  expect(withSetvar.stdout + withSetvar.stderr).toContain("The account [dialer] has a setvar.");
  expect(await server.snapshot()).toEqual(then);
  server.put("server", "manager.conf", before);
  server.put("source", "manager.conf", shipped);
});
