import { afterAll, beforeEach, describe, expect, test } from "@jest/globals";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { stringify } from "yaml";
import { AgeVault } from "../../git/age-vault.ts";
import { git } from "../support/git-clone.ts";
import { pbxImport, pbxManifest, pbxServer, recordKeyBytes } from "../support/imported-repository.ts";
import { runProgram } from "../support/program.ts";

const directory = mkdtempSync(join(tmpdir(), "asterisk-iac-offline-"));
let count = 0;
let checkout = "";

afterAll(() => rmSync(directory, { recursive: true, force: true }));

function put(path: string, content: string | Uint8Array): void {
  const file = join(checkout, path);
  mkdirSync(dirname(file), { recursive: true });
  rmSync(file, { force: true });
  writeFileSync(file, content);
}

async function commit(): Promise<void> {
  await git(checkout, "add", "--all");
  await git(checkout, "commit", "--quiet", "-m", "A commit");
}

const confFile = (spec: object): string =>
  stringify({
    apiVersion: "asterisk-iac.dev/v1alpha1",
    kind: "ConfFile",
    metadata: { name: "extra" },
    spec: { serverRef: { name: "pbx" }, path: "extra.conf", ...spec },
  });

const queues = "[general]\n[sales]\nstrategy = ringall\n";
const password = "s3cret-of-alice-0815";
const pjsip = (secret: string): string => `[alice]\ntype = auth\npassword = ${secret}\n`;
const reference = "@{secret:pbx-secrets/pjsip.conf..alice..password}";

beforeEach(async () => {
  checkout = join(directory, `checkout-${count++}`);
  put("pbx.yaml", pbxManifest());
  put("pbx/queues.conf", queues);
  put("pbx/.asterisk-iac/import.json", pbxImport({ "queues.conf": queues }));
  put("pbx/.asterisk-iac/server.json", pbxServer);
  await git(checkout, "init", "--quiet", "-b", "main");
  await commit();
});

interface Planned {
  readonly error?: { readonly code: string; readonly message: string };
  readonly hash: string | null;
  readonly changes: readonly { readonly kind: string; readonly path: string; readonly difference?: object }[];
  readonly reloads: object | null;
  readonly offline: { readonly limits: readonly { readonly what: string; readonly of: readonly string[] }[] };
}

/** The only server's plan, or the error of the whole run. */
async function plan(...options: readonly string[]): Promise<Planned> {
  const global = ["--output", "json", "-f", checkout];
  const { stdout, stderr } = await runProgram([...global, "plan", "--offline", "--base", "HEAD", ...options]);
  if (stdout === "") throw new Error(stderr);
  const { servers } = JSON.parse(stdout) as { servers: [Planned] };
  return servers[0];
}

const limitsOf = ({ offline }: Planned): string[] => offline.limits.map(({ what }) => what);

describe("of what a stranger may put into a pull request", () => {
  test("a link in the source is told and not read", async () => {
    symlinkSync("/etc/passwd", join(checkout, "pbx/users.conf"));
    const planned = await plan();
    expect(planned.changes).toMatchObject([{ kind: "Unknown", path: "users.conf" }]);
    expect(JSON.stringify(planned)).not.toContain("root:");
  });

  test("a manifest, a content and a source that lead out of the checkout are refused", async () => {
    put("extra.yaml", confFile({ contentFrom: { file: "../../../../../../../../etc/passwd" } }));
    await expect(plan()).rejects.toThrow(/outside of the checkout/);
    put("link", "");
    rmSync(join(checkout, "link"));
    symlinkSync("/etc/passwd", join(checkout, "link"));
    put("extra.yaml", confFile({ contentFrom: { file: "link" } }));
    await expect(plan()).rejects.toThrow(/is a symbolic link/);
    rmSync(join(checkout, "extra.yaml"));
    symlinkSync("/etc", join(checkout, "etc"));
    put("extra.yaml", confFile({ contentFrom: { file: "etc/passwd" } }));
    await expect(plan()).rejects.toThrow(/is a symbolic link/);
    rmSync(join(checkout, "extra.yaml"));
    put("pbx.yaml", pbxManifest({ directory: "etc" }));
    expect((await plan()).error?.message).toMatch(/is a symbolic link/);
    put("pbx.yaml", pbxManifest({ directory: "/etc" }));
    await expect(plan()).rejects.toThrow(/outside of the checkout/);
    rmSync(join(checkout, "pbx.yaml"));
    symlinkSync("/etc/passwd", join(checkout, "pbx.yaml"));
    await expect(plan()).rejects.toThrow(/can't read the manifest/);
  });

  test("secrets that lie beside the manifests are not read", async () => {
    put("secrets/asterisk-iac/record-key", recordKeyBytes);
    put("pbx/queues.conf", `${queues}timeout = 5\n`);
    expect((await plan()).hash).toBeNull();
    expect((await plan("--base", "HEAD")).hash).toBeNull();
    const { stdout } = await runProgram([
      ...["--output", "json", "-f", checkout, "--secrets", join(checkout, "secrets")],
      ...["plan", "--offline", "--base", "HEAD"],
    ]);
    expect(stdout).toMatch(/"hash": "[0-9a-f]{64}"/);
  });

  test("a revision that looks like an option is none", async () => {
    await expect(plan("--base=--upload-pack=touch /tmp/x")).rejects.toThrow(/is not the name of a revision/);
    await expect(plan("--head=-x")).rejects.toThrow(/is not the name of a revision/);
    await expect(plan("--base", "nowhere")).rejects.toThrow(/is no revision here/);
  });

  test("a change of what asterisk-iac recorded is told", async () => {
    put("pbx/.asterisk-iac/import.json", pbxImport({}));
    const planned = await plan();
    expect(planned.offline.limits).toContainEqual({
      what: expect.stringContaining("decide what it may remove"),
      of: [".asterisk-iac/import.json"],
    });
  });
});

describe("secrets in git", () => {
  const source = { git: { url: "https://git.example.com/pbx.git", path: "pbx" } };
  const secrets = (): string => join(directory, "secrets");

  async function sealed(values: ReadonlyMap<string, Buffer>): Promise<Uint8Array> {
    const file = join(secrets(), "asterisk-iac/age-identity");
    let identity: string | undefined;
    const vault = new AgeVault("pbx", {
      place: file,
      read: () => Promise.resolve(identity),
      readOrCreate: async (make) => (identity ??= await make()),
    });
    const { file: bytes } = await vault.prepare(values, undefined);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, identity ?? "");
    writeFileSync(join(dirname(file), "record-key"), recordKeyBytes);
    return bytes ?? Buffer.alloc(0);
  }

  const valueOf = (secret: string): Map<string, Buffer> =>
    new Map([["pjsip.conf..alice..password", Buffer.from(secret)]]);

  async function seal(secret: string): Promise<void> {
    put("pbx/.asterisk-iac/secrets.age", await sealed(valueOf(secret)));
  }

  beforeEach(async () => {
    put("pbx.yaml", pbxManifest(source));
    put("pbx/pjsip.conf", pjsip(reference));
    put("pbx/.asterisk-iac/import.json", pbxImport({ "queues.conf": queues, "pjsip.conf": pjsip(password) }));
    await seal(password);
    await commit();
  });

  test("without the key to them a plan is made, and what can't be known of them is told", async () => {
    put("pbx/queues.conf", `${queues}timeout = 5\n`);
    const planned = await plan();
    expect(planned.changes.map(({ path }) => path)).toEqual(["queues.conf"]);
    expect(limitsOf(planned)).toEqual([
      expect.stringContaining("values are not known here"),
      expect.stringContaining("no hash"),
    ]);
  });

  test("one that a change brings in the clear is told", async () => {
    put("pbx/pjsip.conf", `${pjsip(reference)}[bob]\ntype = auth\npassword = in-the-clear-0815\n`);
    const planned = await plan();
    expect(planned.offline.limits[0]).toEqual({
      what: expect.stringContaining("brings secrets in the clear"),
      of: ["pjsip.conf"],
    });
    expect(JSON.stringify(planned)).not.toContain("in-the-clear-0815");
  });

  test("a file that does not count may hold anything, and one that counts no broken reference", async () => {
    put("pbx/README.md", "Write `@{secret:NAME}` in the place of a password.\n");
    put("pbx/queues.conf", `${queues}timeout = 5\n`);
    expect((await plan()).changes.map(({ path }) => path)).toEqual(["queues.conf"]);
    put("pbx/queues.conf", `${queues}timeout = @{secret:NAME}\n`);
    expect((await plan()).error).toMatchObject({ code: "ConfInvalid" });
  });

  test("another value is told, and which only with the key", async () => {
    await seal("another-secret-of-alice");
    const without = await plan();
    expect(without.changes).toEqual([]);
    expect(limitsOf(without)[0]).toContain("brings other values of secrets");
  });

  test("what secretKeys name is not quoted where Asterisk would refuse it, nor by conf lint with -f", async () => {
    const secretKeys = [{ files: "acl.conf", section: "office", key: "permit" }];
    put("pbx/acl.conf", "[office]\npermit = canary-0815\n");
    put("pbx.yaml", pbxManifest(source));
    expect((await plan()).changes).toMatchObject([{ error: expect.stringContaining('"canary-0815"') }]);
    put("pbx.yaml", pbxManifest({ git: { ...source.git, secretKeys } }));
    const planned = await plan();
    expect(planned.changes).toMatchObject([
      { path: "acl.conf", error: expect.stringContaining('"********"') },
    ]);
    expect(JSON.stringify(planned)).not.toContain("canary-0815");
    for (const output of ["text", "json"]) {
      const lint = ["--output", output, "-f", checkout, "conf", "lint", join(checkout, "pbx")];
      const { code, stdout } = await runProgram(lint);
      expect(code).toBe(1);
      expect(stdout).toContain("acl-invalid");
      expect(stdout).not.toContain("canary-0815");
    }
  });

  test("with the key the files are as they are on the server, and no value is shown", async () => {
    put("pbx/queues.conf", `${queues}timeout = 5\n`);
    put("pbx/pjsip.conf", `${pjsip(reference)}; ${reference}\n`);
    const { stdout } = await runProgram([
      ...["--output", "json", "-f", checkout, "--secrets", secrets(), "plan", "--offline", "--base", "HEAD"],
    ]);
    const { servers } = JSON.parse(stdout) as { servers: [Planned] };
    expect(servers[0].hash).toMatch(/^[0-9a-f]{64}$/);
    expect(servers[0].changes.map(({ path }) => path)).toEqual(["pjsip.conf", "queues.conf"]);
    expect(stdout).not.toContain(password);
    expect(stdout).toContain("; ********");
  });
});

test("where the modules were not recorded, the reloads are not known", async () => {
  rmSync(join(checkout, "pbx/.asterisk-iac/server.json"));
  await commit();
  put("pbx/queues.conf", `${queues}timeout = 5\n`);
  const planned = await plan();
  expect(planned.reloads).toBeNull();
  expect(limitsOf(planned)[0]).toContain("neither are the reloads known");
});

test("accounts are left out where manager.conf is not in the repository, and only they", async () => {
  const account = {
    apiVersion: "asterisk-iac.dev/v1alpha1",
    kind: "AMIAccount",
    metadata: { name: "crm" },
    spec: { serverRef: { name: "pbx" }, username: "crm", generate: true, permit: ["127.0.0.1"] },
  };
  put("crm.yaml", stringify(account));
  put("pbx/queues.conf", `${queues}timeout = 5\n`);
  const planned = await plan();
  expect(planned.changes.map(({ path }) => path)).toEqual(["queues.conf"]);
  expect(limitsOf(planned)[0]).toContain("AMIAccounts are left out");
});

test("a server that the base does not know can't be planned", async () => {
  put("new.yaml", pbxManifest({ directory: "new" }, "new"));
  const { stdout, code } = await runProgram([
    ...["--output", "markdown", "-f", checkout, "plan", "--offline", "--base", "HEAD"],
  ]);
  expect(code).toBe(1);
  expect(stdout).toContain("1 could not be planned");
  expect(stdout).toContain("the base has no import of new");
});
