import { describe, expect, test } from "@jest/globals";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { asteriskctl, asteriskctlJSON } from "../support/asteriskctl.ts";
import type { Lab } from "../support/lab.ts";
import { useLab } from "../support/lab.ts";

interface ImportDocument {
  servers: [
    {
      files: Record<
        string,
        { outcome: string; reason?: string; encoding?: string; linkTarget?: string; generatedBy?: string }
      >;
    },
  ];
}
interface PlanDocument {
  servers: [{ ok: boolean; inSync: number; changes: { path: string; kind: string; blocked?: string }[] }];
}

const manifests = (lab: Lab): string => join(lab.directory, "manifests.yaml");
const live = (lab: Lab, path = ""): string => join(lab.directory, "servers/pbx1/etc/asterisk", path);
const source = (lab: Lab, path = ""): string => join(lab.directory, "source/pbx1", path);

describe("a directory full of oddities", () => {
  const lab = useLab();

  /** Puts a file into the live directory as its owner would. */
  function put(path: string, bytes: Buffer | string): void {
    writeFileSync(live(lab, path), bytes);
    const { uid, gid } = statSync(live(lab, "asterisk.conf"));
    chownSync(live(lab, path), uid, gid);
  }

  const odd: Record<string, Buffer> = {
    "empty.conf": Buffer.alloc(0),
    "latin1.conf": Buffer.from("[a]\nname = J\xfcrgen\n", "latin1"),
    "utf8.conf": Buffer.from("\ufeff[a]\nname = Jürgen\n", "utf8"),
    "crlf.conf": Buffer.from("[a]\r\nb = c\r\n"),
    "no-newline.conf": Buffer.from("[a]\nb = c"),
    "binary.conf": Buffer.from(Array.from({ length: 4096 }, (_, index) => (index * 7) % 256)),
    "deep/er/still.conf": Buffer.from("[deep]\n"),
    "with blank and ünïcode.conf": Buffer.from("[u]\n"),
    "-rf.conf": Buffer.from("[dash]\n"),
    "included.inc": Buffer.from("x = 1\n"),
    "includer.conf": Buffer.from("[i]\n#include included.inc\n"),
  };

  test("is imported byte for byte; what can't be is named with the reason", async () => {
    mkdirSync(live(lab, "deep/er"), { recursive: true });
    for (const [path, bytes] of Object.entries(odd)) put(path, bytes);
    mkdirSync(live(lab, ".git/hooks"), { recursive: true });
    put(".git/hooks/post-checkout", "#!/bin/sh\n");
    put("planting.conf", "[p]\n#include .git/hooks/post-checkout\n#include .hidden.conf\n");
    put(".hidden.conf", "");
    put("secret-of-root.conf", "x");
    chmodSync(live(lab, "secret-of-root.conf"), 0o600);
    chownSync(live(lab, "secret-of-root.conf"), 0, 0);
    mkdirSync(live(lab, "closed"), { mode: 0o700 });
    symlinkSync("/etc/hostname", live(lab, "linked.conf"));
    symlinkSync("nowhere", live(lab, "dangling.conf"));
    symlinkSync("/etc", live(lab, "linked-directory.conf"));

    const { servers } = await asteriskctlJSON<ImportDocument>(["-f", manifests(lab), "import"]);
    const { files } = servers[0];
    for (const [path, bytes] of Object.entries(odd)) {
      expect([path, files[path]?.outcome]).toEqual([path, "Stored"]);
      expect(readFileSync(source(lab, path)).equals(bytes) ? path : `${path} differs`).toBe(path);
    }
    for (const path of [".git/hooks/post-checkout", ".hidden.conf"]) {
      expect(files[path]).toMatchObject({ outcome: "Outside" });
      expect(existsSync(source(lab, path))).toBe(false);
    }
    expect(files["latin1.conf"]?.encoding).toBe("iso-8859-1");
    expect(files["utf8.conf"]?.encoding).toBe("utf-8");
    expect(files["secret-of-root.conf"]).toMatchObject({
      outcome: "Skipped",
      reason: expect.stringContaining("permission denied"),
    });
    expect(files["closed"]).toMatchObject({
      outcome: "Skipped",
      reason: expect.stringContaining("permission denied"),
    });
    expect(files["linked.conf"]).toMatchObject({ outcome: "Stored", linkTarget: "/etc/hostname" });
    expect(files["dangling.conf"]).toMatchObject({
      outcome: "Skipped",
      reason: expect.stringContaining("target does not exist"),
    });
    expect(files["linked-directory.conf"]).toMatchObject({
      outcome: "Skipped",
      reason: expect.stringContaining("directory"),
    });
  });

  test("the plan after it is empty", async () => {
    const plan = await asteriskctlJSON<PlanDocument>(["-f", manifests(lab), "plan"]);
    expect(plan.servers[0]).toMatchObject({ ok: true, changes: [] });
  });

  test("what lies in a directory that can't be listed any more is unknown, not gone", async () => {
    chmodSync(live(lab, "deep"), 0o000);
    chownSync(live(lab, "deep"), 0, 0);
    const pruning = join(lab.directory, "pruning.yaml");
    writeFileSync(
      pruning,
      readFileSync(manifests(lab), "utf8").replace(
        "updateDirection: ToAsterisk",
        "updateDirection: FromAsterisk\n  prune: true",
      ),
    );
    const plan = await asteriskctlJSON<PlanDocument>(["-f", pruning, "plan"]);
    expect(plan.servers[0].changes).toEqual([
      expect.objectContaining({ path: "deep/er/still.conf", kind: "Unknown" }),
    ]);
    chmodSync(live(lab, "deep"), 0o755);
  });

  test("a link on the server is never written through", async () => {
    writeFileSync(source(lab, "linked.conf"), "[changed]\n");
    const plan = await asteriskctlJSON<PlanDocument>(["-f", manifests(lab), "plan"]);
    expect(plan.servers[0].changes).toEqual([
      expect.objectContaining({
        path: "linked.conf",
        blocked: expect.stringContaining("symbolic link to /etc/hostname"),
      }),
    ]);
  });
});

describe("the machine itself", () => {
  const lab = useLab();

  test("a configuration directory that is a link is followed, and its real path is the identity", async () => {
    const [server] = lab.servers;
    await server?.run(["ln", "-s", "/etc/asterisk", "/srv/pbx"]);
    const linked = join(lab.directory, "linked.yaml");
    writeFileSync(
      linked,
      readFileSync(manifests(lab), "utf8").replace("spec:\n", "spec:\n  configDirectory: /srv/pbx\n"),
    );
    expect((await asteriskctl(["-f", linked, "import"])).code).toBe(0);
    const record = JSON.parse(readFileSync(source(lab, ".asterisk-iac/import.json"), "utf8")) as {
      identity: { configDirectory: string };
    };
    expect(record.identity.configDirectory).toBe("/etc/asterisk");
    expect((await asteriskctl(["-f", manifests(lab), "plan", "--detailed-exitcode"])).code).toBe(0);
  });

  test("another machine under the same name is noticed, and nothing is compared until import --again", async () => {
    const [server] = lab.servers;
    await server?.run(["sh", "-c", "echo 0123456789abcdef0123456789abcdef > /etc/machine-id"]);
    const plan = await asteriskctlJSON<{
      servers: [{ error: { code: string; next: string; hint: string } }];
    }>(["-f", manifests(lab), "plan"]);
    expect(plan.servers[0].error).toMatchObject({
      code: "IdentityChanged",
      next: "Stalled",
      hint: expect.stringContaining("import --again"),
    });
    expect((await asteriskctl(["-f", manifests(lab), "import"])).code).toBe(1);
    const status = await asteriskctl(["-f", manifests(lab), "status"]);
    expect(status.stdout).toMatch(/Stalled +True +IdentityChanged/);
    expect((await asteriskctl(["-f", manifests(lab), "import", "--again"])).code).toBe(0);
    expect((await asteriskctl(["-f", manifests(lab), "plan"])).code).toBe(0);
  });

  test("a lost record key is an error with a way out, never a silent new one", async () => {
    rmSync(join(lab.directory, "secrets/asterisk-iac"), { recursive: true });
    const run = await asteriskctl(["-f", manifests(lab), "plan"]);
    expect(run.code).toBe(1);
    expect(run.stderr).toContain("record key is not there");
    expect((await asteriskctl(["-f", manifests(lab), "import"])).code).toBe(1);
    expect((await asteriskctl(["-f", manifests(lab), "import", "--again"])).code).toBe(0);
  });

  test("`local: {}` reaches the Asterisk of this machine without SSH", async () => {
    const [server] = lab.servers;
    const bin = mkdtempSync(join(lab.directory, "bin-"));
    // This machine's `asterisk` is the lab's.
    writeFileSync(
      join(bin, "asterisk"),
      `#!/bin/sh\nexec nsenter -t ${server?.pid} --mount --pid --root --wd=/ asterisk "$@"\n`,
      { mode: 0o755 },
    );
    const local = join(lab.directory, "local.yaml");
    writeFileSync(
      local,
      `apiVersion: asterisk-iac.dev/v1alpha1
kind: AsteriskServer
metadata: { name: here }
spec:
  local: {}
  configDirectory: ${live(lab)}
  ami: { port: ${server?.amiPort}, credentialsSecretRef: { name: pbx1-ami } }
  updateDirection: ToAsterisk
`,
    );
    const env = { PATH: `${bin}:${process.env["PATH"]}` };
    const test = await asteriskctl(["-f", local, "test"], { env });
    expect(test.stdout).toContain("here  ok");
    expect((await asteriskctl(["-f", local, "import"], { env })).code).toBe(0);
    expect((await asteriskctl(["-f", local, "plan"], { env })).stdout).toContain("102 in sync");
    const reload = await asteriskctl(["-f", local, "reload", "manager", "here"], { env });
    expect(reload.stdout).toContain("manager: Reloaded");
  });
});

describe("reload and restart", () => {
  const lab = useLab();

  test("a module that does not exist fails the command", async () => {
    const run = await asteriskctl(["-f", manifests(lab), "reload", "res_nothing.so"]);
    expect(run.code).toBe(1);
    expect(run.stdout).toContain("NotFound");
  });

  test("a restart is seen by its start-up time", async () => {
    const { servers } = await asteriskctlJSON<{
      servers: [{ ok: boolean; startedBefore: string; startedAfter: string }];
    }>(["-f", manifests(lab), "restart", "--when", "now"]);
    expect(servers[0].ok).toBe(true);
    expect(servers[0].startedAfter).not.toBe(servers[0].startedBefore);
  });
});

describe("other versions and distributions", () => {
  const old = useLab({ asterisk: 16 });
  const freepbx = useLab({ freepbx: true });

  test("Asterisk 16: imported, and the plan after it is empty", async () => {
    expect((await asteriskctl(["-f", manifests(old), "import"])).code).toBe(0);
    expect((await asteriskctl(["-f", manifests(old), "plan", "--detailed-exitcode"])).code).toBe(0);
    expect((await asteriskctl(["-f", manifests(old), "test"])).stdout).toContain("16.28");
  });

  test("FreePBX: links and generated files are imported and named as such; the plan after it is empty", async () => {
    const { servers } = await asteriskctlJSON<ImportDocument>(["-f", manifests(freepbx), "import"]);
    const { files } = servers[0];
    expect(files["extensions.conf"]).toMatchObject({
      outcome: "Stored",
      linkTarget: expect.stringContaining("/modules/core/etc/"),
      generatedBy: expect.stringContaining("FreePBX"),
    });
    expect(files["extensions_additional.conf"]).toMatchObject({
      outcome: "Stored",
      generatedBy: expect.stringContaining("FreePBX"),
    });
    expect(files["extensions_custom.conf"]?.generatedBy).toBeUndefined();
    expect(Object.entries(files).filter(([, file]) => file.outcome === "Skipped")).toEqual([]);
    expect((await asteriskctl(["-f", manifests(freepbx), "plan", "--detailed-exitcode"])).code).toBe(0);
  });

  test("FreePBX: a generated file is left alone even where the source changed it, a custom one is not", async () => {
    writeFileSync(source(freepbx, "pjsip.endpoint.conf"), "[mine]\ntype=endpoint\n");
    writeFileSync(
      source(freepbx, "extensions_custom.conf"),
      "[from-internal-custom]\nexten => 1,1,Answer()\n",
    );
    const plan = await asteriskctlJSON<PlanDocument>(["-f", manifests(freepbx), "plan"]);
    expect(plan.servers[0].changes).toEqual([
      expect.not.objectContaining({ blocked: expect.anything() }),
      expect.objectContaining({ path: "pjsip.endpoint.conf", blocked: expect.stringContaining("generated") }),
    ]);
  });
});
