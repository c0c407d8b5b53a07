import { readdir, readFile, stat, appendFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { runCommand, until } from "../../lab/process.ts";
import { useLab, type LabServer } from "../support/lab.ts";
import { processesBeside } from "../support/processes.ts";

/** Runs a command with the ssh of this machine, trusting nothing but the lab's own known_hosts. */
async function overSSH(lab: string, server: LabServer, user: string, command: string) {
  const options = ["BatchMode=yes", "IdentitiesOnly=yes", "GlobalKnownHostsFile=/dev/null"];
  options.push(`UserKnownHostsFile=${join(lab, "secrets", `${server.name}-ssh`, "known_hosts")}`);
  const target = ["-i", server.privateKeyFile, "-p", `${server.sshPort}`, `${user}@${server.host}`];
  return runCommand(["ssh", "-F", "none", ...options.flatMap((each) => ["-o", each]), ...target, command]);
}

describe("two servers with Asterisk 22", () => {
  const lab = useLab({ count: 2 });
  const servers = () => lab.servers as [LabServer, LabServer];

  test("each runs Asterisk 22, under its own name and with its own machine-id", async () => {
    for (const server of servers()) {
      expect((await server.run(["asterisk", "-rx", "core show version"])).stdout).toMatch(/^Asterisk 22\./);
      expect((await server.run(["hostname"])).stdout).toBe(`${server.name}\n`);
    }
    const ids = await Promise.all(
      servers().map(async (server) => (await server.run(["cat", "/etc/machine-id"])).stdout),
    );
    expect(ids[0]).toMatch(/^[0-9a-f]{32}\n$/);
    expect(ids[1]).not.toBe(ids[0]);
  });

  test("the configuration directory holds the package's 105 files, with its owner and modes", async () => {
    const [{ run }] = servers();
    const found = (await run(["find", "/etc/asterisk", "-type", "f", "-printf", "%P %U:%G %u %m\n"])).stdout;
    const lines = found.trim().split("\n");
    expect(lines).toHaveLength(105);
    const shipped = lines.filter((line) => !line.startsWith("manager.d/"));
    expect(new Set(shipped.map((line) => line.split(" ").slice(2).join(" ")))).toEqual(
      new Set(["asterisk 640"]),
    );
    const names = lines.map((line) => line.split(" ")[0] ?? "");
    expect(names.filter((name) => name.endsWith(".conf"))).toHaveLength(100);
    expect(names).toEqual(expect.arrayContaining(["extensions.ael", "extensions.lua"]));
  });

  test("the shipped files are changed in manager.conf and modules.conf only", async () => {
    const changed = await servers()[0].run([
      "dpkg-query",
      "--showformat=${Conffiles}",
      "--show",
      "asterisk-config",
    ]);
    const expected = changed.stdout
      .trim()
      .split("\n")
      .map((line) => line.trim().split(" "));
    const sums = await servers()[0].run(["md5sum", ...expected.map(([file = ""]) => file)]);
    const actual = new Map(
      sums.stdout
        .trim()
        .split("\n")
        .map((line) => [line.slice(34), line.slice(0, 32)]),
    );
    const differing = expected.filter(([file = "", sum]) => actual.get(file) !== sum).map(([file]) => file);
    expect(differing.sort()).toEqual(["/etc/asterisk/manager.conf", "/etc/asterisk/modules.conf"]);
  });

  test("both users log in by key; the owner reads the files, the admin through sudo only", async () => {
    const [server] = servers();
    const owner = await overSSH(
      lab.directory,
      server,
      "asterisk",
      "id -un; head -c 1 /etc/asterisk/manager.conf",
    );
    expect(owner).toEqual({ code: 0, stdout: "asterisk\n;", stderr: "" });
    const sudo = "id -un; sudo -n -u asterisk head -c 1 /etc/asterisk/manager.conf";
    expect(await overSSH(lab.directory, server, "admin", sudo)).toEqual({
      code: 0,
      stdout: "admin\n;",
      stderr: "",
    });
    const direct = await overSSH(
      lab.directory,
      server,
      "admin",
      "cat /etc/asterisk/manager.conf; sudo -n id",
    );
    expect(direct.code).not.toBe(0);
    expect(direct.stdout).toBe("");
  });

  test("a server does not open with the key of another, nor without a key", async () => {
    const [first, second] = servers();
    const swapped = { ...first, name: second.name };
    expect((await overSSH(lab.directory, swapped, "admin", "true")).stderr).toContain(
      "Host key verification failed",
    );
    const keyless = { ...first, privateKeyFile: "/dev/null" };
    expect((await overSSH(lab.directory, keyless, "admin", "true")).stderr).toContain(
      "Permission denied (publickey)",
    );
  });

  test("the configuration and log directories are the live ones, seen and written from both sides", async () => {
    const [server] = servers();
    await appendFile(join(server.configDirectory, "acl.conf"), ";from this machine\n");
    expect((await server.run(["tail", "-n1", "/etc/asterisk/acl.conf"])).stdout).toBe(";from this machine\n");
    await server.run(["tee", "/etc/asterisk/new.conf"], { input: ";from the server\n" });
    expect(await readFile(join(server.configDirectory, "new.conf"), "utf8")).toBe(";from the server\n");
    await server.run(["rm", "/etc/asterisk/new.conf"]);
    expect(await readFile(join(server.logDirectory, "messages.log"), "utf8")).toContain("Asterisk 22.");
    expect(await readdir(server.configDirectory)).toHaveLength(105);
  });

  test("AMI listens on loopback only, with the account that the engine needs and no other", async () => {
    const [server] = servers();
    const settings = (await server.run(["asterisk", "-rx", "manager show settings"])).stdout;
    expect(settings).toMatch(new RegExp(`TCP Bindaddress: +127\\.0\\.0\\.1:${server.amiPort}$`, "m"));
    const users = (await server.run(["asterisk", "-rx", "manager show users"])).stdout;
    expect(users).toContain("1 manager users configured");
    const account = (await server.run(["asterisk", "-rx", `manager show user ${server.amiUsername}`])).stdout;
    expect(account).toMatch(/read perm: system$/m);
    expect(account).toMatch(/write perm: system$/m);
    expect(server.amiPassword).toMatch(/^[0-9a-f]{32}$/);
  });

  test("no module failed to load, and Asterisk has what the probes of reloads ask", async () => {
    const [server] = servers();
    expect(await readFile(join(server.logDirectory, "messages.log"), "utf8")).not.toContain("ERROR");
    for (const probe of ["pjsip show endpoints", "queue show", "voicemail show users", "moh show classes"]) {
      expect((await server.run(["asterisk", "-rx", probe])).stdout).not.toContain("No such command");
    }
    expect((await server.run(["asterisk", "-rx", "dialplan show default"])).stdout).toContain("pbx_config");
  });

  test("a server has less than 56 MB of its own, beside what it shares with others", async () => {
    const rollups = (await processesBeside(servers()[0].pid)).map((pid) =>
      readFile(`/proc/${pid}/smaps_rollup`, "utf8"),
    );
    const sizes = (await Promise.all(rollups)).map((text) => Number(/^Pss_Anon: +(\d+) kB/m.exec(text)?.[1]));
    expect(sizes.length).toBeGreaterThanOrEqual(4);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(56 * 1024);
  });

  test("Asterisk is started again after it was killed", async () => {
    const [, server] = servers();
    const pid = async () => (await server.run(["cat", "/run/asterisk/asterisk.pid"])).stdout;
    const booted = async () => (await server.run(["asterisk", "-rx", "core waitfullybooted"])).code === 0;
    const before = await pid();
    await server.run(["kill", "-KILL", before.trim()]);
    expect(await until(async () => (await booted()) && (await pid()) !== before, 20_000)).toBe(true);
  });

  test("secrets are for the user alone", async () => {
    const [server] = servers();
    for (const file of [
      server.privateKeyFile,
      server.hostKeyFile,
      join(lab.directory, "secrets/pbx1-ami/password"),
    ]) {
      expect((await stat(file)).mode & 0o777).toBe(0o600);
    }
    for (const folder of ["secrets", "secrets/pbx1-ssh", "servers"]) {
      expect((await stat(join(lab.directory, folder))).mode & 0o777).toBe(0o700);
    }
    expect(await readdir(join(lab.directory, "source"))).toEqual([]);
  });
});

describe("a server with Asterisk 16", () => {
  const lab = useLab({ asterisk: 16 });

  test("runs Asterisk 16 with the files of its package", async () => {
    const [server] = lab.servers as [LabServer];
    expect((await server.run(["asterisk", "-rx", "core show version"])).stdout).toMatch(/^Asterisk 16\./);
    expect(await readdir(server.configDirectory)).toHaveLength(113);
    expect((await overSSH(lab.directory, server, "admin", "id -un")).stdout).toBe("admin\n");
  });
});
