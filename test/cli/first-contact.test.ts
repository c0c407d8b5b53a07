import { beforeAll, describe, expect, test } from "@jest/globals";
import {
  cpSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { asteriskctl, asteriskctlJSON } from "../support/asteriskctl.ts";
import { useLab } from "../support/lab.ts";

interface ImportDocument {
  servers: [
    {
      alreadyDone: boolean;
      resumed: boolean;
      initialImport: { done: boolean; outcomes: Record<string, number> };
      files: Record<string, { outcome: string; reason?: string }>;
    },
  ];
}
interface PlanDocument {
  servers: {
    ok: boolean;
    inSync: number;
    changes: { path: string; kind: string; blocked?: string }[];
    hash: string;
  }[];
}

const lab = useLab({ count: 1 });
const manifests = (): string => join(lab.directory, "manifests.yaml");
const source = (): string => join(lab.directory, "source", "pbx1");
const live = (): string => join(lab.directory, "servers", "pbx1", "etc", "asterisk");

/** Every regular file below a directory, dot files left out, with its bytes as latin1. */
function snapshot(directory: string, below = ""): Record<string, string> {
  const files: Record<string, string> = {};
  for (const entry of readdirSync(join(directory, below), { withFileTypes: true })) {
    if (entry.name.startsWith(".")) continue;
    const path = below === "" ? entry.name : `${below}/${entry.name}`;
    if (entry.isDirectory()) Object.assign(files, snapshot(directory, path));
    else if (entry.isFile()) files[path] = readFileSync(join(directory, path), "latin1");
  }
  return files;
}

function forget(): void {
  rmSync(source(), { recursive: true, force: true });
}

describe("test", () => {
  test("connects over SSH and AMI, and says what it saw", async () => {
    const document = await asteriskctlJSON<{ servers: [Record<string, unknown>] }>([
      "-f",
      manifests(),
      "test",
    ]);
    expect(document.servers[0]).toMatchObject({
      server: "pbx1",
      ok: true,
      asteriskVersion: expect.stringMatching(/^22\./),
      configDirectory: "/etc/asterisk",
      activeChannels: 0,
    });
  });
});

describe("the initial import", () => {
  beforeAll(forget);

  test("before it, plan says that the import comes first", async () => {
    const run = await asteriskctl(["-f", manifests(), "plan"]);
    expect(run.code).toBe(1);
    expect(run.stderr).toContain("asteriskctl import pbx1");
  });

  test("takes all 100 .conf files, the AEL and the Lua file, and names the three others", async () => {
    const { servers } = await asteriskctlJSON<ImportDocument>(["-f", manifests(), "import"]);
    const taken = Object.entries(servers[0].files).filter(([, file]) => file.outcome === "Stored");
    expect(taken.filter(([path]) => path.endsWith(".conf"))).toHaveLength(100);
    expect(taken.map(([path]) => path)).toEqual(expect.arrayContaining(["extensions.ael", "extensions.lua"]));
    const outside = Object.keys(servers[0].files).filter(
      (path) => servers[0].files[path]?.outcome === "Outside",
    );
    expect(outside).toHaveLength(3);
    expect(outside).toEqual(expect.arrayContaining(["asterisk.adsi"]));
  });

  test("every byte is the server's, in a directory that only its owner reads", () => {
    const server = snapshot(live());
    const own = snapshot(source());
    expect(Object.keys(own)).toHaveLength(102);
    for (const [path, text] of Object.entries(own))
      expect(text === server[path] ? path : `${path} differs`).toBe(path);
    expect(statSync(source()).mode & 0o777).toBe(0o700);
    expect(statSync(join(source(), "manager.conf")).mode & 0o777).toBe(0o600);
  });

  test("after it the plan is empty, and nothing was written on the server", async () => {
    const run = await asteriskctl(["-f", manifests(), "plan", "--detailed-exitcode"]);
    expect(run).toMatchObject({ code: 0 });
    expect(run.stdout).toContain("102 in sync");
  });

  test("a second import does nothing", async () => {
    const before = readFileSync(join(source(), ".asterisk-iac/import.json"), "utf8");
    const times = Object.keys(snapshot(source())).map((path) => statSync(join(source(), path)).mtimeMs);
    const { servers } = await asteriskctlJSON<ImportDocument>(["-f", manifests(), "import"]);
    expect(servers[0]).toMatchObject({ alreadyDone: true });
    expect(readFileSync(join(source(), ".asterisk-iac/import.json"), "utf8")).toBe(before);
    expect(Object.keys(snapshot(source())).map((path) => statSync(join(source(), path)).mtimeMs)).toEqual(
      times,
    );
  });

  test("the record tells nothing about short secrets: its hashes are keyed", () => {
    const record = JSON.parse(readFileSync(join(source(), ".asterisk-iac/import.json"), "utf8")) as {
      files: Record<string, { hash?: string }>;
    };
    for (const { hash } of Object.values(record.files)) expect(hash).toMatch(/^hmac-sha256:[0-9a-f]{64}$/);
    expect(statSync(join(lab.directory, "secrets/asterisk-iac/record-key")).mode & 0o777).toBe(0o600);
  });

  test("a pass over the unchanged server takes at most 8 round trips", async () => {
    const { servers } = await asteriskctlJSON<{
      servers: [{ roundTrips: number; conditions: { type: string; status: string }[] }];
    }>(["-f", manifests(), "status"]);
    expect(servers[0].roundTrips).toBeLessThanOrEqual(8);
    expect(servers[0].conditions).toEqual(
      expect.arrayContaining([expect.objectContaining({ type: "Ready", status: "True" })]),
    );
  });
});

describe("what the source already has", () => {
  test("is byte-identical before and after; equal files are recorded, others wait as conflicts", async () => {
    forget();
    const existing = {
      "extensions.conf": "[mine]\r\n; \xe4\xff no final newline",
      "sip.conf": "not on the server",
      "notes.txt": "mine too",
      "deep/er.conf": "",
    };
    for (const [path, text] of Object.entries(existing)) {
      mkdirSync(dirname(join(source(), path)), { recursive: true });
      writeFileSync(join(source(), path), text, "latin1");
    }
    cpSync(join(live(), "queues.conf"), join(source(), "queues.conf"));
    symlinkSync("/etc/hostname", join(source(), "voicemail.conf"));

    const { servers } = await asteriskctlJSON<ImportDocument>(["-f", manifests(), "import"]);
    const { files } = servers[0];
    expect(files["extensions.conf"]).toMatchObject({ outcome: "Kept" });
    expect(files["queues.conf"]).toMatchObject({ outcome: "Equal" });
    expect(files["voicemail.conf"]).toMatchObject({
      outcome: "Kept",
      reason: "the source's copy is a symbolic link",
    });
    expect(files["pjsip.conf"]).toMatchObject({ outcome: "Stored" });
    const after = snapshot(source());
    for (const [path, text] of Object.entries(existing)) expect(after[path]).toBe(text);
    const kept = join(source(), ".asterisk-iac/kept/import");
    for (const path of ["extensions.conf", "voicemail.conf"]) {
      expect(readFileSync(join(kept, path)).equals(readFileSync(join(live(), path)))).toBe(true);
    }

    const plan = await asteriskctlJSON<PlanDocument>(["-f", manifests(), "plan"]);
    const kinds = Object.fromEntries(plan.servers[0]?.changes.map(({ path, kind }) => [path, kind]) ?? []);
    expect(kinds).toMatchObject({
      "extensions.conf": "Conflict",
      "deep/er.conf": "Write",
      "sip.conf": "Write",
      "voicemail.conf": "Unknown",
    });
    expect(kinds).not.toHaveProperty("notes.txt");
    expect(kinds).not.toHaveProperty("queues.conf");
  });
});

describe("an import that is killed (row 2)", () => {
  // Steps are counted by the run itself; the first 300 or so are what comes over the connections, more or less of them.
  test.each([400, 550, 700])(
    "at step %i: the next one resumes, is done only then, and leaves what was there",
    async (step) => {
      forget();
      mkdirSync(source(), { recursive: true });
      writeFileSync(join(source(), "features.conf"), "mine");
      const record = (): { state: string } =>
        JSON.parse(readFileSync(join(source(), ".asterisk-iac/import.json"), "utf8")) as { state: string };

      const hook = new URL("../support/kill-hook.ts", import.meta.url).href;
      const killed = await asteriskctl(["-f", manifests(), "import"], {
        env: { NODE_OPTIONS: `--import ${hook}`, KILL_AT: String(step), KILL_HOW: "SIGKILL" },
      });
      expect(killed.code).toBeNull();
      const stored = Object.keys(snapshot(source())).length;
      expect(stored).toBeGreaterThan(1);
      expect(stored).toBeLessThan(102);
      expect(record().state).toBe("Importing");
      const status = await asteriskctl(["-f", manifests(), "status"]);
      expect(status.stdout).toContain("Interrupted");

      const { servers } = await asteriskctlJSON<ImportDocument>(["-f", manifests(), "import"]);
      expect(servers[0]).toMatchObject({
        resumed: true,
        initialImport: { done: true, outcomes: { Stored: 101, Kept: 1, Equal: 0 } },
      });
      expect(record().state).toBe("Done");
      const server = snapshot(live());
      for (const [path, text] of Object.entries(snapshot(source()))) {
        expect(text === (path === "features.conf" ? "mine" : server[path]) ? path : `${path} differs`).toBe(
          path,
        );
      }
      expect(readdirSync(source()).filter((name) => name.startsWith("."))).toEqual([".asterisk-iac"]);
      expect(readdirSync(join(source(), ".asterisk-iac")).sort()).toEqual([
        "import.json",
        "kept",
        "server.json",
        "temporary",
      ]);
      expect(readdirSync(join(source(), ".asterisk-iac/temporary"))).toEqual([]);
    },
  );
});

describe("changes are seen and nothing is written", () => {
  beforeAll(async () => {
    forget();
    expect((await asteriskctl(["-f", manifests(), "import"])).code).toBe(0);
  });

  test("an edit in the source is a change, with its lines, secrets masked", async () => {
    const path = join(source(), "manager.conf");
    const original = readFileSync(path);
    writeFileSync(path, `${original.toString("latin1")}\n[crm]\nsecret = Tr0ub4dor\n`, "latin1");
    const run = await asteriskctl(["-f", manifests(), "plan", "--detailed-exitcode"]);
    expect(run.code).toBe(2);
    expect(run.stdout).toContain("~ manager.conf: changed on the source, written to the server");
    expect(run.stdout).toContain("+[crm]");
    expect(run.stdout).toContain("secret = ********");
    expect(run.stdout + run.stderr).not.toContain("Tr0ub4dor");
    expect(readFileSync(join(live(), "manager.conf")).equals(original)).toBe(true);
    writeFileSync(path, original);
  });

  test("an edit on the server is drift", async () => {
    const path = join(live(), "queues.conf");
    const original = readFileSync(path);
    writeFileSync(path, Buffer.concat([original, Buffer.from("; by hand\n")]));
    const { servers } = await asteriskctlJSON<PlanDocument>(["-f", manifests(), "plan"]);
    expect(servers[0]?.changes).toEqual([
      expect.objectContaining({ path: "queues.conf", kind: "Write", cause: "drift" }),
    ]);
    writeFileSync(path, original);
  });

  test("the plan's hash depends on what would be done, and on nothing else", async () => {
    const hash = async (): Promise<string | undefined> =>
      (await asteriskctlJSON<PlanDocument>(["-f", manifests(), "plan"])).servers[0]?.hash;
    const empty = await hash();
    const path = join(source(), "queues.conf");
    const original = readFileSync(path);
    writeFileSync(path, "[general]\n");
    const changed = await hash();
    expect(changed).not.toBe(empty);
    expect(await hash()).toBe(changed);
    writeFileSync(path, original);
    expect(await hash()).toBe(empty);
  });

  test("an #exec in the source is refused unless the server allows it (row 18)", async () => {
    const path = join(source(), "queues.conf");
    const original = readFileSync(path);
    writeFileSync(path, `${original.toString("latin1")}#exec /bin/true\n`, "latin1");
    const refused = await asteriskctlJSON<PlanDocument>(["-f", manifests(), "plan"]);
    expect(refused.servers[0]?.changes).toEqual([
      expect.objectContaining({ path: "queues.conf", error: expect.stringContaining("allowExec") }),
    ]);
    const allowing = join(lab.directory, "allow-exec.yaml");
    writeFileSync(
      allowing,
      readFileSync(manifests(), "utf8").replace("spec:\n", "spec:\n  allowExec: true\n"),
    );
    const allowed = await asteriskctlJSON<PlanDocument>(["-f", allowing, "plan"]);
    expect(allowed.servers[0]?.changes[0]).not.toHaveProperty("error");
    writeFileSync(path, original);
  });

  test("without an updateDirection nothing would be written, and plan says so with exit code 0", async () => {
    const path = join(source(), "queues.conf");
    const original = readFileSync(path);
    writeFileSync(path, "[general]\n");
    const undirected = join(lab.directory, "undirected.yaml");
    writeFileSync(undirected, readFileSync(manifests(), "utf8").replace(/ *updateDirection: .*\n/, ""));
    const run = await asteriskctl(["-f", undirected, "plan"]);
    expect(run.code).toBe(0);
    expect(run.stdout).toContain("no updateDirection");
    writeFileSync(path, original);
  });
});
