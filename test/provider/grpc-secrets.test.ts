import { spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { serverInputs, useProgram } from "../support/dynamic-program.ts";
import type { DynamicProvider, Properties, State } from "../support/dynamic-provider.ts";
import { useLab } from "../support/lab.ts";
import type { LabServer } from "../support/lab.ts";
import { layOutProgram, serializedProviders } from "../support/pulumi-program.ts";

const lab = useLab();
const program = useProgram();
const canary = "CANARY7f3kQz9xTw";
const repository = join(import.meta.dirname, "..", "..");

let pbx: LabServer;
let provider: DynamicProvider;
let server: State;
let connection: Properties;
let privateKey: string;

beforeAll(async () => {
  pbx = lab.servers[0] as LabServer;
  privateKey = await readFile(pbx.privateKeyFile, "utf8");
  provider = await program.start();
  server = await provider.create("AsteriskServer", await serverInputs(pbx));
  connection = server.props["connection"] as Properties;
});

/** The keys below which a canary is found, with their whole path. */
function placesOf(value: unknown, canaries: readonly string[], path = ""): string[] {
  if (typeof value === "string") return canaries.some((each) => value.includes(each)) ? [path] : [];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, each]) => placesOf(each, canaries, `${path}/${key}`));
}

describe("the text of the handlers", () => {
  const directories: string[] = [];
  afterAll(() => Promise.all(directories.map((each) => rm(each, { recursive: true, force: true }))));

  test("is short, knows no secret and no module of ours but by name, and is the same after a rebuild", async () => {
    for (const text of Object.values(program.providers)) {
      expect(text.length).toBeLessThan(4096);
      expect(text.match(/require\([^)]*\)/g)).toEqual(Array(6).fill('require("asterisk-iac/runtime")'));
      expect(text).not.toContain(repository);
    }
    const directory = await mkdtemp(join(tmpdir(), "asterisk-iac-rebuilt-"));
    directories.push(directory);
    const tsc = join(repository, "node_modules", "typescript", "bin", "tsc");
    const options = ["--outDir", join(directory, "built"), "--module", "nodenext", "--target", "es2024"];
    const more = [
      "--ignoreConfig",
      "--rewriteRelativeImportExtensions",
      "--skipLibCheck",
      "--noCheck",
      "--rootDir",
      repository,
    ];
    spawnSync(process.execPath, [tsc, ...options, ...more, join(repository, "provider", "index.ts")]);
    spawnSync("ln", ["-s", join(repository, "node_modules"), join(directory, "built", "node_modules")]);
    spawnSync("cp", [join(repository, "package.json"), join(directory, "built")]);
    await layOutProgram(directory, join(directory, "built", "provider"));
    const rebuilt = await serializedProviders(directory, canary);
    expect(rebuilt).toEqual(program.providers);
    expect(JSON.stringify(rebuilt)).not.toContain(canary);
  });
});

describe("what handlers give back", () => {
  test("has secrets only where the classes say so", async () => {
    const secrets = { voicemail: { pin: canary } };
    const section = {
      name: "sales",
      lines: `secret = ${canary}\nexten => 1,1,NoOp(@{secret:voicemail/pin})`,
    };
    const states = await Promise.all([
      provider.create("AMIAccount", {
        name: "crm",
        server: connection,
        username: "crm",
        secret: `${canary}kwUXGy4Kx0Pp2ih`,
        permit: ["127.0.0.1"],
      }),
      provider.create("ConfFile", {
        name: "s",
        server: connection,
        path: "extensions_s.conf",
        sections: [section],
        secrets,
      }),
      provider.create("ConfFile", {
        name: "c",
        server: connection,
        path: "extensions_c.conf",
        content: `;${canary}\n`,
      }),
    ]);
    const canaries = [canary, pbx.amiPassword, privateKey.split("\n")[2] as string];
    const known = String(
      (connection["secrets"] as Record<string, Properties>)["asterisk-iac"]?.["record-key"],
    );
    const tops = (state: State): string[] => [
      ...new Set(placesOf(state.props, [...canaries, known]).map((path) => path.split("/")[1] ?? "")),
    ];
    expect(tops(server).sort()).toEqual(["ami", "connection", "ssh"]);
    const [account, sections, content] = states;
    expect(tops(account).sort()).toEqual(["password", "secret", "server"]);
    expect(tops(sections).sort()).toEqual(["effectiveView", "secrets", "sections", "server"].sort());
    expect(tops(content).sort()).toEqual(["content", "server"]);
    expect(JSON.stringify(states.map(({ id }) => id))).not.toContain(canary);
    // No mark of Pulumi's own: outputs are plain, and the engine marks them.
    expect(JSON.stringify([server, ...states])).not.toContain("4dabf18193072939515e22adb298388d");
    await Promise.all([
      provider.delete("AMIAccount", account),
      provider.delete("ConfFile", sections),
      provider.delete("ConfFile", content),
    ]);
  });
});

describe("no way to fail", () => {
  const content = `[ctx]\nexten => 1,1,NoOp(${canary})\n`;

  /** Every way to fail, by what it is; all of them bring the canary. */
  async function failing(): Promise<Record<string, () => Promise<unknown>>> {
    const inputs = await serverInputs(pbx);
    const [ssh, ami] = [inputs["ssh"] as Properties, inputs["ami"] as Properties];
    const file = { name: "x", server: connection, path: "extensions_x.conf" };
    const account = { name: "x", server: connection, username: "x", permit: ["127.0.0.1"] };
    const unreachable = {
      ...connection,
      secrets: { ...(connection["secrets"] as Properties), ami: { username: "x", password: canary } },
      spec: {
        ...(connection["spec"] as Properties),
        ssh: { ...ssh, privateKey: undefined, knownHosts: undefined, port: 1 },
      },
    };
    const spec = unreachable.spec.ssh as Properties;
    delete spec["privateKey"];
    delete spec["knownHosts"];
    const gone = (props: Properties): State => ({ id: "x", props: { ...props, server: unreachable } });
    const queues = { ...file, path: "queues.conf", content };
    return {
      "check: of a server": () =>
        provider.checked("AsteriskServer", {
          ...inputs,
          ssh: { ...ssh, privateKey: { [canary]: 1 } },
          ami: { username: 1, password: [canary] },
        }),
      "check: of an account": () =>
        provider.checked("AMIAccount", { ...account, secret: { a: canary }, read: 5 }),
      "check: of a file": () =>
        provider.checked("ConfFile", {
          ...file,
          content: [canary],
          secrets: { a: { b: [canary] } },
          sections: [{ name: "a", lines: canary, other: canary }],
        }),
      "check: a reference": () => provider.checked("ConfFile", { ...file, content: `@{secret:${canary}` }),
      "create: a private key": () =>
        provider.create("AsteriskServer", { ...inputs, ssh: { ...ssh, privateKey: canary } }),
      "create: a password of AMI": () =>
        provider.create("AsteriskServer", { ...inputs, ami: { ...ami, password: canary } }),
      "create: a weak secret": () =>
        provider.create("AMIAccount", { ...account, secret: canary.slice(0, 6) }),
      "create: a secret with a line break in it": () =>
        provider.create("AMIAccount", { ...account, secret: `${canary}\n[${canary}]` }),
      "create: a privileged account": () =>
        provider.create("AMIAccount", { ...account, secret: `${canary}kwUXGy4Kx0Pp2ih`, write: ["system"] }),
      "create: content that Asterisk refuses": () =>
        provider.create("ConfFile", { ...file, content: `[ctx\n${canary}\nsecret=${canary}` }),
      "create: lines that are none": () =>
        provider.create("ConfFile", { ...file, sections: [{ name: "a", lines: `a=b\n[${canary}` }] }),
      "create: a secret with a line break": () =>
        provider.create("ConfFile", {
          ...file,
          content: "[a]\nb=@{secret:a/b}",
          secrets: { a: { b: `${canary}\n[x]` } },
        }),
      "create: a conflict": () => provider.create("ConfFile", queues),
      "update: a conflict": () =>
        provider.update("ConfFile", { id: "x", props: queues }, { ...queues, content: `${content};` }),
      "update: an unreachable server": () =>
        provider.update(
          "ConfFile",
          { id: "x", props: { ...file, content } },
          { ...file, content, server: unreachable },
        ),
      "read: an unreachable server": () => provider.read("ConfFile", gone({ ...file, content })),
      "read: a broken state": () =>
        provider.read("ConfFile", {
          id: "x",
          props: { name: "x", path: "x.conf", server: canary, content: canary, secrets: canary },
        }),
      "read: a broken account": () =>
        provider.read("AMIAccount", {
          id: "x",
          props: { name: "x", secret: [canary], server: { secrets: canary } },
        }),
      "delete: an unreachable server": () =>
        provider.delete("AMIAccount", gone({ ...account, password: canary })),
    };
  }

  test("tells a secret, in a message or among what the process prints", async () => {
    const cases = await failing();
    for (const [what, attempt] of Object.entries(cases)) {
      const error: unknown = await attempt().then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      const message = error === undefined ? "" : (error as Error).message;
      expect({ what, failed: message !== "" }).toEqual({ what, failed: true });
      expect({ what, told: message.includes(canary.slice(0, 6)) ? message : "nothing" }).toEqual({
        what,
        told: "nothing",
      });
      expect({ what, stack: /\n\s+at .*:\d+/.test(message) ? message : "none" }).toEqual({
        what,
        stack: "none",
      });
    }
    expect(provider.stderr).not.toContain(canary.slice(0, 6));
    for (const line of privateKey.split("\n").slice(1, 5)) expect(provider.stderr).not.toContain(line);
    expect(provider.stderr).not.toMatch(/\n\s+at .*:\d+/);
  });
});
