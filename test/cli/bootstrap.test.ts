import { afterAll, beforeEach, describe, expect, test } from "@jest/globals";
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import type { Run, RunOptions } from "../support/asteriskctl.ts";
import { asteriskctl } from "../support/asteriskctl.ts";
import type { Lab, LabServer } from "../support/lab.ts";
import { useLab } from "../support/lab.ts";

/** All that any run printed, and every manifest that one left: no password may be in it. */
const printed: string[] = [];
const passwords = new Set<string>();

async function run(lab: Lab, args: readonly string[], options: RunOptions = {}): Promise<Run> {
  const result = await asteriskctl(args, { ...options, env: { SSH_AUTH_SOCK: "", ...options.env } });
  printed.push(result.stdout, result.stderr);
  for (const file of everyFile(lab.directory)) {
    if (file.endsWith(".yaml")) printed.push(readFileSync(file, "utf8"));
    if (file.endsWith("-ami/password")) passwords.add(readFileSync(file, "utf8"));
  }
  return result;
}

function everyFile(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) return entry.name === "servers" ? [] : everyFile(path);
    return [path];
  });
}

function serverOf(lab: Lab): LabServer {
  const [server] = lab.servers;
  if (server === undefined) throw new Error("the lab has no server");
  return server;
}

const manifest = (lab: Lab): string => join(lab.directory, "manifests.yaml");
const live = (lab: Lab, path: string): string => join(serverOf(lab).configDirectory, path);
const record = "/var/spool/asterisk/asterisk-iac/record";

/** What the lab wrote into its manifest and manager.conf, before anything was tried on it. */
interface Pristine {
  readonly manifest: string;
  readonly files: ReadonlyMap<string, string>;
}
const pristine = new Map<string, Pristine>();

/** The server as somebody has it who has set up nothing: no account of ours, no secret, no record, and AMI as said. */
async function unprepared(lab: Lab, edit: (managerConf: string) => string, custom = ""): Promise<void> {
  const server = serverOf(lab);
  const known = pristine.get(lab.directory) ?? {
    manifest: readFileSync(manifest(lab), "utf8"),
    files: new Map(
      ["manager.conf", "manager_custom.conf"]
        .filter((path) => existsSync(live(lab, path)))
        .map((path) => [path, readFileSync(live(lab, path), "utf8")]),
    ),
  };
  pristine.set(lab.directory, known);
  writeFileSync(manifest(lab), known.manifest);
  const [whole = ""] = (known.files.get("manager.conf") ?? "").split("[asterisk-iac]");
  writeFileSync(live(lab, "manager.conf"), edit(whole));
  if (known.files.has("manager_custom.conf")) writeFileSync(live(lab, "manager_custom.conf"), custom);
  rmSync(join(lab.directory, "secrets/pbx1-ami"), { recursive: true, force: true });
  rmSync(join(lab.directory, "new"), { recursive: true, force: true });
  rmSync(join(lab.directory, "source"), { recursive: true, force: true });
  await server.run(["rm", "-rf", "/var/spool/asterisk/asterisk-iac"]);
  await reloadManager(lab);
}

async function reloadManager(lab: Lab): Promise<void> {
  await serverOf(lab).run(["asterisk", "-rx", "manager reload"]);
}

const withAMIOff = (text: string): string =>
  text.replace("enabled = yes", "enabled = no").replace(/^bindaddr.*$/m, "bindaddr = 0.0.0.0 ; as shipped");

async function settingsOf(lab: Lab): Promise<string> {
  return (await serverOf(lab).run(["asterisk", "-rx", "manager show settings"])).stdout.toString();
}

/** Every file of the configuration directory with its bytes' hash, mode and owner. */
async function snapshot(lab: Lab): Promise<Map<string, string>> {
  const script =
    "cd /etc/asterisk; find . -type f -exec sha256sum {} +; find . ! -type d -printf '%m %u:%g %p -> %l\\n'";
  const { stdout } = await serverOf(lab).run(["sh", "-c", script]);
  const lines = new Map<string, string>();
  for (const line of stdout.toString().split("\n")) {
    const path = /\.\/\S+/.exec(line)?.[0];
    if (path !== undefined) lines.set(path, `${lines.get(path) ?? ""}${line}\n`);
  }
  return lines;
}

function changedPaths(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): string[] {
  return [...new Set([...before.keys(), ...after.keys()])].filter(
    (path) => before.get(path) !== after.get(path),
  );
}

/** All that bootstrap may write on this side. */
function ownSide(lab: Lab): Record<string, string> {
  return Object.fromEntries(
    everyFile(lab.directory)
      .filter((file) => !file.includes("/.") && !file.includes("/source/"))
      .map((file) => {
        const { mtimeMs, mode, ino } = statSync(file);
        return [
          file,
          `${createHash("sha256").update(readFileSync(file)).digest("hex")} ${mtimeMs} ${mode} ${ino}`,
        ];
      }),
  );
}

describe.each([22, 16] as const)("on a plain Asterisk %i with AMI off", (asterisk) => {
  const lab = useLab({ asterisk });
  beforeEach(() => unprepared(lab, withAMIOff));

  test("bootstrap makes AMI work for the server itself; test, import and apply follow", async () => {
    expect(await settingsOf(lab)).toMatch(/Manager \(AMI\): +No/);
    const before = await snapshot(lab);
    const first = await run(lab, ["-f", manifest(lab), "bootstrap", "pbx1"]);
    expect(first).toMatchObject({ code: 0, stderr: "" });
    expect(changedPaths(before, await snapshot(lab))).toEqual(["./manager.conf"]);
    expect(await settingsOf(lab)).toMatch(new RegExp(`TCP Bindaddress: +127.0.0.1:${serverOf(lab).amiPort}`));
    expect(readFileSync(live(lab, "manager.conf"), "utf8")).toContain("bindaddr = 127.0.0.1 ; as shipped");
    for (const args of [
      ["test"],
      ["import"],
      ["plan", "--detailed-exitcode"],
      ["apply", "--yes"],
      ["account", "verify"],
    ]) {
      const result = await run(lab, ["-f", manifest(lab), ...args]);
      expect(`${args.join(" ")}: ${result.code} ${result.stderr}`).toBe(`${args.join(" ")}: 0 `);
    }
    const [password = ""] = passwords;
    expect(readFileSync(join(lab.directory, "source/pbx1/manager.conf"), "utf8")).not.toContain(password);
  });

  test("run twice, it changes nothing on either side and says so", async () => {
    await run(lab, ["-f", manifest(lab), "bootstrap", "pbx1"]);
    const [server, own] = [await snapshot(lab), ownSide(lab)];
    const recordBefore = (await serverOf(lab).run(["cat", record])).stdout.toString();
    const second = await run(lab, ["-f", manifest(lab), "bootstrap", "pbx1"]);
    expect(second.code).toBe(0);
    expect(second.stdout).toContain("was bootstrapped already; nothing changed");
    expect(changedPaths(server, await snapshot(lab))).toEqual([]);
    expect(ownSide(lab)).toEqual(own);
    expect((await serverOf(lab).run(["cat", record])).stdout.toString()).toBe(recordBefore);
  });
});

describe("on a plain Asterisk", () => {
  const lab = useLab();
  const bootstrap = (...more: string[]): Promise<Run> =>
    run(lab, ["-f", manifest(lab), "bootstrap", "pbx1", ...more]);

  test("a run that was killed anywhere is finished by the next", async () => {
    const hook = new URL("../support/kill-hook.ts", import.meta.url).href;
    // Of some 350 steps: while it asks the server, and while it writes.
    for (const step of ["200", "270", "310", "335"]) {
      await unprepared(lab, withAMIOff);
      const env = { NODE_OPTIONS: `--import=${hook}`, KILL_AT: step };
      expect((await run(lab, ["-f", manifest(lab), "bootstrap", "pbx1"], { env })).code).toBeNull();
      const finished = await bootstrap();
      expect(`${step}: ${finished.code} ${finished.stderr}`).toBe(`${step}: 0 `);
      expect((await bootstrap()).stdout).toContain("nothing changed");
      expect((await run(lab, ["-f", manifest(lab), "test"])).code).toBe(0);
      const documents = parseAllDocuments(readFileSync(manifest(lab), "utf8"));
      expect(documents).toHaveLength(2);
    }
  });

  test("a secret that was stored is written, and a manifest that was not is", async () => {
    await unprepared(lab, withAMIOff);
    const folder = join(lab.directory, "secrets/pbx1-ami");
    mkdirSync(folder, { mode: 0o700 });
    writeFileSync(join(folder, "password"), "kF4b0c2XrW8yQm17eZtLdH3a", { mode: 0o600 });
    expect((await bootstrap()).code).toBe(0);
    expect(readFileSync(live(lab, "manager.conf"), "utf8")).toContain("secret = kF4b0c2XrW8yQm17eZtLdH3a\n");
    const declared = readFileSync(manifest(lab), "utf8");
    writeFileSync(manifest(lab), pristine.get(lab.directory)?.manifest ?? "");
    const again = await bootstrap();
    expect(again.stdout).toContain("no file was written");
    expect(readFileSync(manifest(lab), "utf8")).toBe(declared);
  });

  test("a write that Asterisk never read is reloaded, not written again", async () => {
    await unprepared(lab, withAMIOff);
    const off = readFileSync(live(lab, "manager.conf"));
    await bootstrap();
    const on = readFileSync(live(lab, "manager.conf"));
    writeFileSync(live(lab, "manager.conf"), off);
    await reloadManager(lab);
    writeFileSync(live(lab, "manager.conf"), on);
    await serverOf(lab).run(["sed", "-i", 's/"verified": true/"verified": false/', record]);
    const again = await bootstrap();
    expect(again).toMatchObject({ code: 0 });
    expect(again.stdout).toContain("no file was written");
    const { stdout } = await serverOf(lab).run(["cat", record]);
    expect(JSON.parse(stdout.toString())).toMatchObject({ generation: 1, verified: true });
    expect((await run(lab, ["-f", manifest(lab), "test"])).code).toBe(0);
  });

  test("what does not come to work is undone, and the reason is told", async () => {
    const { sshPort, amiPort } = serverOf(lab);
    // sshd has the port already: nothing but live Asterisk knows that.
    await unprepared(lab, (text) => withAMIOff(text).replace(`port = ${amiPort}`, `port = ${sshPort}`));
    const text = readFileSync(manifest(lab), "utf8").replace(`port: ${amiPort}`, `port: ${sshPort}`);
    writeFileSync(manifest(lab), text);
    const before = await snapshot(lab);
    const failed = await bootstrap();
    expect(failed.code).toBe(1);
    expect(failed.stderr).toContain("the login did not work");
    expect(failed.stderr).toContain("The old files are back");
    expect(changedPaths(before, await snapshot(lab))).toEqual([]);
    expect(await settingsOf(lab)).toMatch(/Manager \(AMI\): +No/);
    expect(readFileSync(manifest(lab), "utf8")).toBe(text);
  });

  test.each([
    ["a --; that silences the rest", (text: string) => `${text}\n--;\n`, "can't be written"],
    [
      "a second section of the account",
      (text: string) => `${text}\n[asterisk-iac]\nread=all\n[asterisk-iac]\nread=all\n`,
      "with another secret",
    ],
    [
      "somebody else's account of that name",
      (text: string) => `${text}\n[asterisk-iac]\nsecret = theirs-and-not-ours\n`,
      "with another secret than ours",
    ],
    ["an account with setvar", (text: string) => `${text}\n[asterisk-iac]\nsetvar = A=1\n`, "setvar"],
    [
      "an include that is missing",
      (text: string) => `${text}\n#include nothing-there.conf\n`,
      "Asterisk refuses manager.conf",
    ],
  ])("%s is refused before anything is written", async (_, edit, message) => {
    await unprepared(lab, withAMIOff);
    writeFileSync(live(lab, "manager.conf"), edit(readFileSync(live(lab, "manager.conf"), "utf8")));
    const [before, text] = [await snapshot(lab), readFileSync(manifest(lab), "utf8")];
    const refused = await bootstrap();
    expect(refused.stderr).toContain(message);
    expect(refused.code).toBe(1);
    expect(changedPaths(before, await snapshot(lab))).toEqual([]);
    expect(readFileSync(manifest(lab), "utf8")).toBe(text);
    expect((await serverOf(lab).run(["test", "-e", record])).code).toBe(1);
  });

  test("a listener on all interfaces is named and stays", async () => {
    await unprepared(lab, (text) => text.replace(/^bindaddr.*$/m, "bindaddr = 0.0.0.0"));
    const result = await bootstrap();
    expect(result.code).toBe(0);
    expect(result.stdout).toContain("warning: AMI listens on all interfaces without TLS");
    expect(readFileSync(live(lab, "manager.conf"), "utf8")).toContain("bindaddr = 0.0.0.0");
  });

  test("what another manager applied is left to it, until --allow take-over", async () => {
    await unprepared(lab, withAMIOff);
    await bootstrap();
    rmSync(join(lab.directory, "secrets/asterisk-iac"), { recursive: true });
    rmSync(join(lab.directory, "secrets/pbx1-ami"), { recursive: true });
    writeFileSync(manifest(lab), pristine.get(lab.directory)?.manifest ?? "");
    const before = await snapshot(lab);
    const refused = await bootstrap();
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("--allow take-over");
    expect(changedPaths(before, await snapshot(lab))).toEqual([]);
    expect(await bootstrap("--allow", "take-over")).toMatchObject({ code: 0 });
    expect((await run(lab, ["-f", manifest(lab), "test"])).code).toBe(0);
  });

  test("the manifest keeps its comments, order and mode, and a rule goes in front", async () => {
    await unprepared(lab, withAMIOff);
    const text = `# ours\n${(pristine.get(lab.directory)?.manifest ?? "").replace(
      "updateDirection: ToAsterisk",
      "updateDirection: FromAsterisk # they click\n  rules:\n    # first\n    - files: 'x.conf'\n      unmanaged: true",
    )}`;
    writeFileSync(manifest(lab), text);
    chmodSync(manifest(lab), 0o604);
    expect(await bootstrap()).toMatchObject({ code: 0 });
    const now = readFileSync(manifest(lab), "utf8");
    const rule = '    - {files: "manager.conf", updateDirection: ToAsterisk}\n';
    expect(now).toContain(`${rule}    - files: 'x.conf'`);
    expect(now.replace(rule, "").startsWith(text)).toBe(true);
    expect(statSync(manifest(lab)).mode & 0o777).toBe(0o604);
    expect((await run(lab, ["-f", manifest(lab), "import"])).code).toBe(0);
    expect((await run(lab, ["-f", manifest(lab), "apply", "--yes"])).code).toBe(0);
  });
});

describe("from USER@HOST", () => {
  const lab = useLab();
  const target = (): string => `admin@127.0.0.1:${serverOf(lab).sshPort}`;
  const directory = (): string => join(lab.directory, "new");
  const bootstrap = (...more: string[]): Promise<Run> =>
    run(lab, ["bootstrap", target(), "--dir", directory(), "--name", "office", ...more]);
  const identity = (): string[] => ["--identity", serverOf(lab).privateKeyFile];
  const fingerprint = (): string => {
    const [, , key = ""] = serverOf(lab).knownHosts.trim().split(" ");
    const hash = createHash("sha256").update(Buffer.from(key, "base64")).digest("base64");
    return `SHA256:${hash.replace(/=+$/, "")}`;
  };
  beforeEach(() => unprepared(lab, withAMIOff));

  test("a host key that nobody called right is shown and refused; nothing is written", async () => {
    for (const more of [[], ["--host-key", "SHA256:AAAA"]]) {
      const refused = await bootstrap(...identity(), ...more);
      expect(refused.code).toBe(1);
      expect(refused.stderr).toContain(`ssh-ed25519 ${fingerprint()}`);
      expect(refused.stderr).toContain("Nothing was sent to log in");
      expect(existsSync(directory())).toBe(false);
    }
  });

  test("it pins the key, writes the manifest, stores the private key if told to, and goes on", async () => {
    const first = await bootstrap(...identity(), "--store-key", "--host-key", fingerprint());
    expect(first).toMatchObject({ code: 0 });
    expect(first.stderr).toContain("files of asterisk, no distribution found: updateDirection ToAsterisk");
    const [server] = parseAllDocuments(readFileSync(join(directory(), "office.yaml"), "utf8"));
    expect(server?.toJS()).toMatchObject({
      spec: { ssh: { user: "admin", become: "asterisk" }, ami: { port: serverOf(lab).amiPort } },
    });
    expect(statSync(join(directory(), "secrets/office-ssh/ssh-privatekey")).mode & 0o777).toBe(0o600);
    for (const command of ["test", "import", "plan"])
      expect((await run(lab, ["-f", directory(), command])).code).toBe(0);
    const before = ownSide(lab);
    const second = await bootstrap();
    expect(second.stdout).toContain("nothing changed");
    expect(ownSide(lab)).toEqual(before);
  });

  test("a private key is not stored unasked, and that is said", async () => {
    const result = await bootstrap(...identity(), "--host-key", fingerprint());
    expect(result).toMatchObject({ code: 0 });
    expect(result.stderr).toContain("was not stored");
    expect(existsSync(join(directory(), "secrets/office-ssh/ssh-privatekey"))).toBe(false);
  });

  test("a manifest of that name that says something else is not overwritten", async () => {
    mkdirSync(directory());
    writeFileSync(join(directory(), "office.yaml"), "# mine\n");
    const refused = await bootstrap(...identity(), "--host-key", fingerprint());
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("office is declared already");
    expect(readFileSync(join(directory(), "office.yaml"), "utf8")).toBe("# mine\n");
  });
});

describe("on the FreePBX layout", () => {
  const lab = useLab({ freepbx: true });

  test("the account goes to manager_custom.conf alone, a rule is added, and nothing else changes", async () => {
    await unprepared(lab, (text) => text);
    const direction = readFileSync(manifest(lab), "utf8").replace(
      "updateDirection: ToAsterisk",
      "updateDirection: FromAsterisk",
    );
    writeFileSync(manifest(lab), direction);
    const before = await snapshot(lab);
    const result = await run(lab, ["-f", manifest(lab), "bootstrap", "pbx1"]);
    expect(result).toMatchObject({ code: 0 });
    expect(changedPaths(before, await snapshot(lab))).toEqual(["./manager_custom.conf"]);
    expect(readFileSync(manifest(lab), "utf8")).toContain(
      '  rules:\n    - {files: "manager_custom.conf", updateDirection: ToAsterisk}\n  updateDirection: FromAsterisk\n',
    );
    for (const args of [["test"], ["import"], ["apply", "--yes"], ["account", "verify"]])
      expect((await run(lab, ["-f", manifest(lab), ...args])).code).toBe(0);
    expect(changedPaths(before, await snapshot(lab))).toEqual(["./manager_custom.conf"]);
  });

  test("AMI that is off is not ours to switch on; how to is said", async () => {
    await unprepared(lab, withAMIOff);
    const before = await snapshot(lab);
    const refused = await run(lab, ["-f", manifest(lab), "bootstrap", "pbx1"]);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("AMI is off, and manager.conf belongs to FreePBX");
    expect(refused.stderr).toContain("into manager_custom.conf");
    expect(changedPaths(before, await snapshot(lab))).toEqual([]);
    // As the message says.
    await unprepared(lab, withAMIOff, "[general](+)\nenabled = yes\nbindaddr = 127.0.0.1\n");
    expect(await run(lab, ["-f", manifest(lab), "bootstrap", "pbx1"])).toMatchObject({ code: 0 });
  });

  test("USER@HOST proposes that the server is right but for the user's own files", async () => {
    await unprepared(lab, (text) => text);
    const { sshPort, privateKeyFile, knownHosts } = serverOf(lab);
    const hash = createHash("sha256").update(Buffer.from(knownHosts.trim().split(" ")[2] ?? "", "base64"));
    const directory = join(lab.directory, "new");
    const result = await run(lab, [
      ...["bootstrap", `admin@127.0.0.1:${sshPort}`, "--dir", directory, "--store-key"],
      ...["--identity", privateKeyFile, "--host-key", `SHA256:${hash.digest("base64").replace(/=+$/, "")}`],
    ]);
    expect(result).toMatchObject({ code: 0 });
    const [server] = parseAllDocuments(readFileSync(join(directory, "pbx-127-0-0-1.yaml"), "utf8"));
    expect(server?.toJS()).toMatchObject({
      spec: {
        updateDirection: "FromAsterisk",
        rules: [
          { files: "*_custom*.conf", updateDirection: "ToAsterisk" },
          { files: "*_override_*.conf", updateDirection: "ToAsterisk" },
        ],
      },
    });
    for (const command of ["test", "import", "plan"])
      expect((await run(lab, ["-f", directory, command])).code).toBe(0);
  });
});

afterAll(() => {
  expect(passwords.size).toBeGreaterThan(0);
  for (const password of passwords) expect(printed.filter((text) => text.includes(password)).length).toBe(0);
});
