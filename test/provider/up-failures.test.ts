/** What goes wrong in a `pulumi up`, for real: Pulumi killed, resources replaced, and every way to fail, without a secret shown. */
import { expect, test } from "@jest/globals";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readFile, watch, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { generateKeyPair } from "../../lab/keys.ts";
import { snapshot } from "../support/configuration-snapshot.ts";
import { useLab } from "../support/lab.ts";
import { describeWithPulumi, failure, leaksOf, listen, usePulumiProject } from "../support/pulumi-stack.ts";

/** What all programs here begin with. */
const prelude = `
const pulumi = require("@pulumi/pulumi");
const { AMIAccount, AsteriskServer, ConfFile } = require("asterisk-iac");
const { canary, ssh, ami, otherKey } = JSON.parse(require("node:fs").readFileSync("inputs.json", "utf8"));
const updateDirection = "ToAsterisk";
const pbx = new AsteriskServer("pbx", { ssh, ami, updateDirection });
`;

describeWithPulumi("pulumi up where something goes wrong", () => {
  const lab = useLab();
  /** In every value that nobody may see; a word, so that it is found wherever it is printed. */
  const canary = `canary${randomBytes(12).toString("hex")}`;
  const project = usePulumiProject(async (directory) => {
    const [server] = lab.servers;
    if (server === undefined) throw new Error("the lab has no server");
    const yaml = "name: failures\nruntime:\n  name: nodejs\n  options:\n    typescript: false\n";
    await writeFile(join(directory, "Pulumi.yaml"), yaml);
    await writeFile(join(directory, "package.json"), JSON.stringify({ main: "index.js" }));
    const inputs = {
      canary,
      ssh: {
        host: server.host,
        port: server.sshPort,
        user: server.users.owner,
        privateKey: await readFile(server.privateKeyFile, "utf8"),
        knownHosts: server.knownHosts,
      },
      ami: { port: server.amiPort, username: server.amiUsername, password: server.amiPassword },
      otherKey: generateKeyPair("other").privateKey,
    };
    await writeFile(join(directory, "inputs.json"), JSON.stringify(inputs));
  });
  let before: Record<string, string>;

  const liveFile = (name: string): string => join(lab.servers[0]?.configDirectory ?? "", name);
  const program = (text: string): Promise<void> =>
    writeFile(join(project.directory, "index.js"), `${prelude}${text}`);
  /** Resolves as soon as the server has a file of that name, or where the process ends first. */
  const appears = async (name: string, process: ChildProcess): Promise<void> => {
    const ended = new AbortController();
    process.once("exit", () => ended.abort());
    try {
      for await (const { filename } of watch(liveFile("."), { signal: ended.signal }))
        if (filename === name) return;
    } catch (error) {
      if (!ended.signal.aborted) throw error;
    }
  };
  const parts = (path: string): string => `
    new ConfFile("whole", {
      server: pbx,
      path: "${path}",
      content: pulumi.secret("; " + canary + "\\n[company]\\nkey = @{secret:phones/100}\\n"),
      secrets: { phones: { 100: canary } },
    });
    new ConfFile("queue", {
      server: pbx,
      path: "queues.conf",
      sections: [{ name: "support", lines: pulumi.secret("strategy = rrmemory\\n;" + canary) }],
    });
    new AMIAccount("crm", { server: pbx, username: "crm", secret: canary, permit: ["127.0.0.1"], read: ["call"] });
  `;

  test("killed while it creates, the next up goes on once the lock is gone, and nothing is there twice", async () => {
    before = await snapshot(liveFile("."));
    await program(parts("company.conf"));
    const killed = spawn(
      "pulumi",
      ["up", "--yes", "--skip-preview", "--non-interactive", "--stack", "test"],
      {
        cwd: project.directory,
        env: { ...process.env, ...project.environment },
        detached: true,
        stdio: "ignore",
      },
    );
    const end = once(killed, "exit");
    await appears("company.conf", killed);
    expect(killed.exitCode).toBeNull();
    process.kill(-(killed.pid ?? 0), "SIGKILL");
    await end;
    expect(await failure(project, (options) => project.stack.up(options))).toContain("pulumi cancel");
    await project.stack.cancel();
    await listen(project, (options) => project.stack.refresh({ ...options, clearPendingCreates: true }));
    const { summary } = await listen(project, (options) => project.stack.up(options));
    expect(summary.resourceChanges).toEqual({ same: 2, create: 3 });
    expect(await readFile(liveFile("company.conf"), "utf8")).toBe(
      `; ${canary}\n[company]\nkey = ${canary}\n`,
    );
    const accounts = await readFile(liveFile("manager.conf"), "utf8");
    expect(accounts.match(/^\[crm\]/gm)).toHaveLength(1);
  });

  test("another path: the old file goes, then the new one comes", async () => {
    await program(parts("branch.conf"));
    const { summary } = await listen(project, (options) => project.stack.up(options));
    expect(summary.resourceChanges).toEqual({ same: 4, replace: 1 });
    expect(existsSync(liveFile("company.conf"))).toBe(false);
    expect(existsSync(liveFile("branch.conf"))).toBe(true);
  });

  test.each([
    [
      "AsteriskServer",
      `new AsteriskServer("wrong", {
        ssh: { ...ssh, privateKey: [canary], password: [canary], port: 99999 },
        ami: { ...ami, password: { value: canary }, via: canary, tls: { ca: [canary] } },
        updateDirection: "Sideways",
        passwrd: canary,
      });`,
      [
        "ssh.privateKey",
        "ssh.password",
        "ssh.port",
        "ami.password",
        "ami.via",
        "ami.tls.ca",
        "updateDirection",
        "passwrd",
      ],
    ],
    [
      "ConfFile",
      `new ConfFile("wrong", {
        server: pbx, path: "../x.conf", content: pulumi.secret(canary + " @{secret:missing/b}"),
        secrets: { phones: canary }, sections: [{ name: 1, lines: [canary] }], passwrd: canary,
      });`,
      ["path", "missing/b", "secrets.phones", "sections.0.name", "sections.0.lines", "passwrd"],
    ],
  ])(
    "a check of %s that fails names every mistake at once, and nothing is written",
    async (kind, resource, mistakes) => {
      const written = await snapshot(liveFile("."));
      await program(`${parts("branch.conf")}${resource}`);
      const said = await failure(project, (options) => project.stack.preview(options));
      for (const mistake of mistakes) expect(said).toContain(mistake);
      expect(said).toContain(`${kind} wrong`);
      expect(await snapshot(liveFile("."))).toEqual(written);
    },
    60_000,
  );

  test("servers that can't be reached are told one by one", async () => {
    await program(`${parts("branch.conf")}
      const another = (name, how) => new AsteriskServer(name, { ssh, ami, updateDirection, ...how });
      another("other-key", { ssh: { ...ssh, privateKey: otherKey } });
      another("no-key", { ssh: { ...ssh, privateKey: canary } });
      another("password", { ssh: { ...ssh, privateKey: undefined, password: canary } });
      another("ami", { ami: { ...ami, password: canary } });
    `);
    const said = await failure(project, (options) => project.stack.up({ ...options, continueOnError: true }));
    for (const name of ["other-key", "no-key", "password", "ami"])
      expect(said).toContain(`error: AsteriskServer ${name} `);
  });

  test("a file that fails is told, and does no harm to what is handed over with it", async () => {
    const written = await snapshot(liveFile("."));
    await program(`${parts("branch.conf")}
      const file = (name, args) => new ConfFile(name, { server: pbx, secrets: { a: { b: canary } }, ...args });
      file("in-the-way", { path: "acl.conf", content: "[x]\\nkey = @{secret:a/b}\\n" });
      file("invalid", { path: "new2.conf", content: pulumi.secret("[" + canary + "\\nkey = @{secret:a/b}\\n") });
      file("fine", { path: "new3.conf", content: "[x]\\nkey = @{secret:a/b}\\n" });
    `);
    const said = await failure(project, (options) => project.stack.up({ ...options, continueOnError: true }));
    for (const name of ["in-the-way", "invalid"]) expect(said).toContain(`error: ConfFile ${name} `);
    expect(said).not.toContain("error: ConfFile fine ");
    const { "new3.conf": fine, ...rest } = await snapshot(liveFile("."));
    expect(fine).toBeDefined();
    expect(rest).toEqual(written);
  });

  test("neither the state, past ones included, nor anything that was printed holds a secret", async () => {
    const { otherKey, ssh, ami } = JSON.parse(
      await readFile(join(project.directory, "inputs.json"), "utf8"),
    ) as { otherKey: string; ssh: { privateKey: string }; ami: { password: string } };
    expect(await leaksOf(project, [canary, ami.password, ssh.privateKey, otherKey])).toEqual([]);
  });

  test("destroy leaves the configuration directory as it was before the first up, to the byte", async () => {
    await listen(project, (options) => project.stack.destroy(options));
    expect(await snapshot(liveFile("."))).toEqual(before);
  });
});
