import { createServer } from "node:net";
import { describe, expect, test } from "@jest/globals";
import { openSSH } from "../../../asterisk/ssh/ssh-host.ts";
import { labLogin, onlyServer, rejection, startProxy, startSSHD } from "../../support/host-sshd.ts";
import { useLab } from "../../support/lab.ts";

const lab = useLab();
const server = () => onlyServer(lab);

describe("what the login shell does", () => {
  test("what its start-up files print, and an exit trap, are not part of any answer", async () => {
    const junk = "echo welcome; echo oops >&2; trap 'echo bye; echo bye >&2' EXIT\n";
    await server().run(["sh", "-c", "cat >/home/admin/.bashrc"], { input: junk });
    const plain = await openSSH(await labLogin(server(), "admin"));
    expect(await plain.run("echo out; echo err >&2; exit 3")).toEqual({
      code: 3,
      stdout: Buffer.from("out\n"),
      stderr: expect.stringMatching(/^err\n/),
    });
    await plain.close();
    const become = await openSSH({ ...(await labLogin(server(), "admin")), become: "asterisk" });
    expect((await become.run("id -un")).stdout.toString()).toBe("asterisk\n");
    await become.close();
    await server().run(["rm", "/home/admin/.bashrc"]);
  });

  test("a user without a shell gets told so", async () => {
    const shell = "#!/bin/sh\necho This account is currently not available.\nexit 1\n";
    const install = 'cat >"$1" && chmod 755 "$1" && usermod -s "$1" games';
    const installed = await server().run(["sh", "-c", install, "sh", "/usr/local/bin/none"], {
      input: shell,
    });
    expect(installed).toMatchObject({ code: 0 });
    const host = await openSSH(await labLogin(server(), "games", { sshd: await startSSHD(server()) }));
    const error = await rejection(host.run("true"));
    expect(error).toMatchObject({ code: "UnexpectedAnswer" });
    expect(error.message).toContain("This account is currently not available");
    await host.close();
  });
});

describe("become", () => {
  test("refused by sudo: PermissionDenied with the line for sudoers", async () => {
    const host = await openSSH({ ...(await labLogin(server(), "admin")), become: "games" });
    const error = await rejection(host.run("true"));
    expect(error).toMatchObject({ code: "PermissionDenied", where: { server: "pbx1" } });
    expect(error.message).toContain("sudo");
    expect(error.hint).toContain("admin ALL=(games) NOPASSWD: /bin/sh");
    await host.close();
  });

  test("with that line it works", async () => {
    const line = "admin ALL=(games) NOPASSWD: /bin/sh\n";
    await server().run(["sh", "-c", "cat >/etc/sudoers.d/games && chmod 440 /etc/sudoers.d/games"], {
      input: line,
    });
    const host = await openSSH({ ...(await labLogin(server(), "admin")), become: "games" });
    expect((await host.run("id -un")).stdout.toString()).toBe("games\n");
    await host.close();
  });

  test("what is no user name is refused before anything is sent", async () => {
    const options = await labLogin(server(), "admin");
    for (const become of ["-u root", "asterisk; id", "", "a b"])
      expect(await rejection(openSSH({ ...options, become }))).toMatchObject({ code: "InvalidArgument" });
  });
});

describe("limits of sshd", () => {
  test.each([1, 2, 3])(
    "MaxSessions %i: scripts wait for each other, and all are answered",
    async (sessions) => {
      const sshd = await startSSHD(server(), [`MaxSessions ${sessions}`]);
      const host = await openSSH(await labLogin(server(), "asterisk", { sshd }));
      const numbers = Array.from({ length: 12 }, (_, index) => String(index));
      const answers = await Promise.all(numbers.map((number) => host.run('echo "$1"', { args: [number] })));
      expect(answers.map(({ stdout }) => stdout.toString().trim())).toEqual(numbers);
      for (const number of numbers)
        expect((await host.run(`echo ${number}`)).stdout.toString().trim()).toBe(number);
      await host.close();
    },
  );

  test("no session at all: told, with what to check", async () => {
    const sshd = await startSSHD(server(), ["MaxSessions 0"]);
    const host = await openSSH(await labLogin(server(), "asterisk", { sshd }));
    const error = await rejection(host.run("true"));
    expect(error).toMatchObject({ code: "UnexpectedAnswer" });
    expect(error.hint).toContain("MaxSessions");
    await host.close();
  });

  test("a script that can't start for others in its way ends at its deadline", async () => {
    const sshd = await startSSHD(server(), ["MaxSessions 1"]);
    const host = await openSSH(await labLogin(server(), "asterisk", { sshd }));
    const long = rejection(host.run("sleep 600"));
    expect(await rejection(host.run("true", { timeoutMs: 500 }))).toMatchObject({ code: "TimedOut" });
    await host.close();
    await long;
  });

  test("AllowTcpForwarding no: PermissionDenied with the setting to change", async () => {
    const sshd = await startSSHD(server(), ["AllowTcpForwarding no"]);
    const host = await openSSH(await labLogin(server(), "asterisk", { sshd }));
    const error = await rejection(host.connectTCP("127.0.0.1", server().amiPort));
    expect(error).toMatchObject({ code: "PermissionDenied" });
    expect(error.hint).toContain("AllowTcpForwarding");
    await host.close();
  });
});

describe("connections that fail", () => {
  test("row 37: one that is half open is found within 10 s, and what runs on it ends", async () => {
    const proxy = await startProxy(server().sshPort);
    const options = await labLogin(server(), "asterisk");
    const knownHosts = server().knownHosts.replace(/^\S+/, `[127.0.0.1]:${proxy.port}`);
    const host = await openSSH({ ...options, port: proxy.port, knownHosts });
    const other = await openSSH(options);
    const tunnel = await host.connectTCP("127.0.0.1", server().amiPort);
    const tunnelClosed = new Promise((resolve) => tunnel.resume().once("close", resolve));
    await host.run("true");
    proxy.fallSilent();
    const started = performance.now();
    const errors = await Promise.all([rejection(host.run("sleep 600")), rejection(host.run("true"))]);
    await tunnelClosed;
    // A busy machine adds to the ten seconds.
    expect(performance.now() - started).toBeLessThan(15_000);
    for (const error of errors)
      expect(error).toMatchObject({ code: "ConnectionLost", where: { server: "pbx1" } });
    expect((await other.run("echo on")).stdout.toString()).toBe("on\n");
    await Promise.all([other.close(), host.close(), proxy.close()]);
  });

  test("an idle connection lives, though nothing is run on it", async () => {
    const options = await labLogin(server(), "asterisk");
    const host = await openSSH({ ...options, deadlines: { silenceMs: 600 } });
    const { stdout } = await host.run("sleep 2; echo still");
    expect(stdout.toString()).toBe("still\n");
    await host.close();
  });

  test("a server that goes away in the middle of a script: ConnectionLost", async () => {
    const proxy = await startProxy(server().sshPort);
    const knownHosts = server().knownHosts.replace(/^\S+/, `[127.0.0.1]:${proxy.port}`);
    const host = await openSSH({ ...(await labLogin(server(), "asterisk")), port: proxy.port, knownHosts });
    const running = rejection(host.run("echo half; sleep 600"));
    await host.run("true");
    await proxy.close();
    expect(await running).toMatchObject({ code: "ConnectionLost" });
    expect(await rejection(host.run("true"))).toMatchObject({ code: "ConnectionLost" });
  });

  test("a port that accepts and says nothing: TimedOut, with the stage", async () => {
    const mute = createServer((socket) => socket.on("error", () => undefined).resume());
    await new Promise<void>((resolve) => mute.listen(0, "127.0.0.1", resolve));
    const { port } = mute.address() as { port: number };
    const options = { ...(await labLogin(server(), "asterisk")), port, deadlines: { connectMs: 500 } };
    const error = await rejection(openSSH(options));
    expect(error).toMatchObject({ code: "TimedOut", next: "Retry" });
    expect(error.message).toContain("waiting for its greeting");
    await new Promise((resolve) => mute.close(resolve));
    expect(await rejection(openSSH(options))).toMatchObject({
      code: "Unreachable",
      where: { server: "pbx1" },
    });
  });

  test("a port that speaks something else: Unreachable", async () => {
    const options = {
      ...(await labLogin(server(), "asterisk")),
      port: server().amiPort,
      deadlines: { connectMs: 2_000 },
    };
    const error = await rejection(openSSH(options));
    expect(["Unreachable", "TimedOut"]).toContain(error.code);
  });
});

test("a connect and a first script take well under a second", async () => {
  const took: number[] = [];
  // More than one for the noise of a machine that does other things, too.
  while (took.length < 5 && !(Math.min(...took) < 1_000)) {
    const started = performance.now();
    const host = await openSSH(await labLogin(server(), "asterisk"));
    took.push(performance.now() - started);
    await host.run("true");
    expect(host.roundTrips).toBe(1);
    await host.close();
  }
  expect(Math.min(...took)).toBeLessThan(1_000);
});
