import { afterEach, describe, expect, test } from "@jest/globals";
import { AMIClient } from "../../asterisk/ami/client.ts";
import { runCommands, stripANSI } from "../../asterisk/asterisk-command.ts";
import type { Host, ScriptOptions } from "../../asterisk/host.ts";
import { askInstallation, askStatus, parseInstallation } from "../../asterisk/live.ts";
import { useLab, type LabServer } from "../support/lab.ts";
import { amiOf, sshOf } from "../support/lab-connections.ts";

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0)) await each.close();
});

const kept = <Thing extends { close(): Promise<void> }>(thing: Thing): Thing => {
  open.push(thing);
  return thing;
};

describe.each([22, 16] as const)("a live Asterisk %i", (asterisk) => {
  const lab = useLab({ asterisk });
  const server = (): LabServer => {
    const [first] = lab.servers;
    if (first === undefined) throw new Error("the lab has no server");
    return first;
  };

  test("says its version, times and channels over AMI in one round trip", async () => {
    const ami = kept(await AMIClient.connect(amiOf(server())));
    const status = await askStatus(ami);
    expect(status.asteriskVersion).toMatch(new RegExp(`^${asterisk}\\.`));
    expect(status.amiVersion).toMatch(/^\d+\.\d+\.\d+$/);
    expect(status.startupTime).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
    expect(status.reloadTime >= status.startupTime).toBe(true);
    expect(status.activeChannels).toBe(0);
    expect(ami.roundTrips).toBe(1);
  });

  test.each(["owner", "admin"] as const)(
    "says where its things are to %s over SSH, in one round trip",
    async (as) => {
      const host = kept(await sshOf(server(), as));
      const before = host.roundTrips;
      const installation = await askInstallation(host);
      expect(host.roundTrips - before).toBe(1);
      expect(installation).toMatchObject({
        asteriskVersion: expect.stringMatching(new RegExp(`^${asterisk}\\.`)) as unknown,
        configFile: "/etc/asterisk/asterisk.conf",
        configDirectory: "/etc/asterisk",
        spoolDirectory: "/var/spool/asterisk",
        logDirectory: "/var/log/asterisk",
        runDirectory: "/var/run/asterisk",
        executesIncludes: false,
        ami: {
          enabled: true,
          address: expect.stringMatching(`:${server().amiPort}$`) as unknown,
          tlsAddress: undefined,
        },
      });
    },
  );

  test("a user who may not use the socket is told who he is and what to set", async () => {
    const host = kept(await sshOf(server(), "admin without become"));
    await expect(askInstallation(host)).rejects.toMatchObject({
      code: "Unreachable",
      message: expect.stringContaining("user admin") as unknown,
      hint: expect.stringContaining("become") as unknown,
    });
  });

  test("commands that fail, print nothing, or look like shell are told apart by their text", async () => {
    const host = kept(await sshOf(server()));
    const commands = [
      "core show version",
      "no such command",
      "core show help $(id); `id` \"'",
      "core show uptime",
    ];
    const [version, unknown, shell, uptime] = await runCommands(host, commands);
    expect(version).toContain(`Asterisk ${asterisk}.`);
    expect(unknown).toContain("No such command 'no such command'");
    expect(shell).toContain("$(id)");
    expect(shell).not.toContain("uid=");
    expect(uptime).toContain("System uptime");
  });

  test("a command that cli_permissions.conf denies is an error that names it", async () => {
    const permissions = "[general]\\ndefault_perm=permit\\n[asterisk]\\ndeny=core show uptime\\n";
    const set = (text: string) =>
      server().run([
        "sh",
        "-c",
        `printf '${text}' >/etc/asterisk/cli_permissions.conf; asterisk -rx 'cli reload permissions'`,
      ]);
    const host = kept(await sshOf(server()));
    await set(permissions);
    await expect(runCommands(host, ["core show version", "core show uptime"])).rejects.toMatchObject({
      code: "PermissionDenied",
      message: expect.stringContaining("core show uptime") as unknown,
    });
    await set("");
    expect(await runCommands(host, ["core show uptime"])).toHaveLength(1);
  });

  test("496 bytes of command arrive; one more would be dropped without a word", async () => {
    const host = kept(await sshOf(server()));
    const longest = "core show version".padEnd(496);
    expect((await runCommands(host, [longest]))[0]).toContain(`Asterisk ${asterisk}.`);
    const tooLong = await server().run(["asterisk", "-rx", `${longest} `]);
    expect(tooLong).toMatchObject({ code: 0, stdout: "" });
    await expect(runCommands(host, [`${longest} `])).rejects.toMatchObject({ code: "InvalidArgument" });
  });
});

describe("a host that answers otherwise", () => {
  /** Answers every script with what `answer` makes of its nonce. */
  const hostThat = (answer: (nonce: string) => string): Host => ({
    roundTrips: 0,
    run: (_: string, { args = [] }: ScriptOptions = {}) =>
      Promise.resolve({ code: 0, stdout: Buffer.from(answer(args[0] ?? "")), stderr: "noise" }),
    connectTCP: () => Promise.reject(new Error("no TCP")),
    close: () => Promise.resolve(),
  });

  test.each(["\r", "\n", "\0", ""])("a command with %j is refused before anything runs", async (bad) => {
    const host = hostThat(() => {
      throw new Error("it ran");
    });
    const command = bad === "" ? "" : `core show${bad}version`;
    await expect(runCommands(host, ["core show version", command])).rejects.toMatchObject({
      code: "InvalidArgument",
    });
  });

  test("output that imitates the separator of another run ends nothing", async () => {
    const fake = "asterisk-iac-00000000000000000000000000000000 end 0 root";
    const host = hostThat((nonce) => `${nonce} begin\n${fake}\nreal\n\n${nonce} end 0 asterisk\n`);
    expect(await runCommands(host, ["x"])).toEqual([`${fake}\nreal`]);
  });

  test("output without its end is an error, not an answer", async () => {
    const host = hostThat((nonce) => `${nonce} begin\nhalf an ans`);
    await expect(runCommands(host, ["x"])).rejects.toMatchObject({ code: "UnexpectedAnswer" });
  });

  test("no asterisk on the PATH", async () => {
    const host = hostThat((nonce) => `${nonce} begin\n\n${nonce} end 127 asterisk\n`);
    await expect(runCommands(host, ["x"])).rejects.toMatchObject({
      code: "Unreachable",
      message: expect.stringContaining("PATH") as unknown,
    });
  });

  test("settings that are no settings are an error", () => {
    expect(() =>
      parseInstallation("You do not have permission to run 'core show settings' command", ""),
    ).toThrow(/names no "Version"/);
  });

  test("terminal sequences go, text stays", () => {
    expect(stripANSI("\x1b[1;32mAsterisk\x1b[0m \x1b]0;title\x07Ready.\n\n")).toBe("Asterisk Ready.");
  });
});
