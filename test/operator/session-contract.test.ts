import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { loadManifests } from "../../cli/manifests.ts";
import type { Host } from "../../asterisk/host.ts";
import { importServer } from "../../engine/import.ts";
import { MemorySecrets } from "../../engine/memory-secrets.ts";
import type { Pass } from "../../engine/pass.ts";
import { SeenServers, withPass } from "../../engine/pass.ts";
import { planServer } from "../../engine/plan.ts";
import { RecordSource } from "../../engine/record-source.ts";
import type { ServerDeclaration } from "../../engine/session.ts";
import { FakeAMI } from "../support/fake-ami.ts";
import { FakePBXes } from "../support/fake-pbx.ts";
import { useLab } from "../support/lab.ts";
import { sshOf } from "../support/lab-connections.ts";

const lab = useLab();
let model: Host;
let fakes: FakePBXes;
let secrets: MemorySecrets;
/** The lab's server as it is declared; a fake differs only in how it is reached. */
let real: ServerDeclaration;

beforeAll(async () => {
  const [declared] = (await loadManifests([join(lab.directory, "manifests.yaml")])).servers;
  const [server] = lab.servers;
  if (declared === undefined || server === undefined) throw new Error("the lab has no server");
  model = await sshOf(server);
  fakes = new FakePBXes(model);
  await fakes.listen();
  const key = readFileSync(server.privateKeyFile, "utf8");
  secrets = new MemorySecrets({
    "real-ssh": { username: server.users.owner, "ssh-privatekey": key, known_hosts: server.knownHosts },
    "real-ami": { username: server.amiUsername, password: server.amiPassword },
    "fake-ssh": { "ssh-privatekey": key, known_hosts: fakes.knownHosts },
    "fake-ami": { username: FakeAMI.username, password: FakeAMI.password },
  });
  const { spec } = declared.resource;
  real = {
    name: "real",
    spec: {
      ...spec,
      ssh: { ...sshSpec, port: server.sshPort, credentialsSecretRef: { name: "real-ssh" } },
      ami: { ...spec.ami, credentialsSecretRef: { name: "real-ami" } },
    },
    source: new RecordSource("memory", undefined),
    ...{ accounts: [], files: [] },
  };
});
afterAll(async () => {
  await fakes.close();
  await model.close();
});

const sshSpec = { host: "127.0.0.1", hostKeyPolicy: "Pinned" as const };

function fake(name: string): ServerDeclaration {
  const ssh = { ...sshSpec, port: fakes.port, user: name, credentialsSecretRef: { name: "fake-ssh" } };
  const ami = { ...real.spec.ami, via: "SSHTunnel" as const, credentialsSecretRef: { name: "fake-ami" } };
  return { ...real, name, spec: { ...real.spec, ssh, ami } };
}

/** Looks at a server once, over a session of its own. */
async function withLook<T>(declared: ServerDeclaration, work: (pass: Pass) => Promise<T>): Promise<T> {
  const source = new RecordSource("memory", undefined);
  const options = { seen: new SeenServers(), importing: true, writing: true };
  return withPass({ ...declared, source }, secrets, options, work);
}

/** What the operator relies on in a server that nobody changes. */
describe.each([
  ["a real server", () => real],
  ["a fake of it", () => fake("pbx7")],
])("%s", (_, declared) => {
  test("says which Asterisk it is and lists what lies there", async () => {
    await withLook(declared(), async (pass) => {
      expect(pass.asteriskVersion).toMatch(/^\d+\./);
      expect(pass.installation.configDirectory).toBe("/etc/asterisk");
      expect(pass.files.find(({ path }) => path === "manager.conf")).toMatchObject({ kind: "file" });
      expect(pass.hostRecord).toBeUndefined();
      expect(pass.activeChannels).toBe(0);
    });
  });

  test("gives contents byte for byte, and says what is loaded and what can be written", async () => {
    await withLook(declared(), async (pass) => {
      const [server] = lab.servers;
      const contents = await pass.read(["extensions.conf", "manager.conf"]);
      for (const [path, bytes] of contents)
        expect(bytes).toEqual(readFileSync(join(server?.configDirectory ?? "", path)));
      expect(contents.size).toBe(2);
      expect((await pass.modules()).loaded.size).toBeGreaterThan(10);
      expect((await pass.writableDirectories([])).has("")).toBe(true);
    });
  });

  test("is imported, and is in step afterwards", async () => {
    await withLook(declared(), async (pass) => {
      const { record } = await importServer(pass);
      expect(record.state).toBe("Done");
      const plan = await planServer({ ...pass, record });
      expect(plan.changes).toEqual([]);
    });
  });

  test("lets AMI in again and tells of reloads over the session that stays open", async () => {
    await withLook(declared(), async ({ session }) => {
      const again = await session.openAMI();
      expect((await again.action("Ping")).get("Ping")).toBe("Pong");
      await again.close();
      const heard = session.ami.waitForEvent("Reload", () => true, 10_000);
      await session.ami.action("Reload", { Module: "manager" });
      expect((await heard).get("Module")).toMatch(/manager/i);
    });
  });

  test("refuses a wrong password for AMI", async () => {
    const wrong = { name: "wrong-ami" };
    await secrets.writeAll(
      wrong.name,
      new Map([
        ...(await secrets.read(declared().spec.ami.credentialsSecretRef.name)),
        ["password", Buffer.from("no")],
      ]),
    );
    const { spec } = declared();
    const refused = withLook(
      { ...declared(), spec: { ...spec, ami: { ...spec.ami, credentialsSecretRef: wrong } } },
      () => Promise.resolve(),
    );
    await expect(refused).rejects.toMatchObject({ code: "AuthenticationFailed" });
  });
});

describe("fakes", () => {
  test("are one machine each, known again by its name", async () => {
    const identity = (name: string) => withLook(fake(name), (pass) => Promise.resolve(pass.identity.machine));
    expect(await identity("a")).toBe(await identity("a"));
    expect(await identity("a")).not.toBe(await identity("b"));
    expect(await identity("a")).not.toBe(
      await withLook(real, ({ identity: { machine } }) => Promise.resolve(machine)),
    );
  });

  test("see what the real one says, in every file", async () => {
    const files = (declared: ServerDeclaration) => withLook(declared, (pass) => Promise.resolve(pass.files));
    expect(await files(fake("a"))).toEqual(await files(real));
  });

  test("are never written to, and say what they refused", async () => {
    await withLook(fake("a"), async ({ session }) => {
      const before = fakes.refused.length;
      expect((await session.host.run("touch /tmp/written")).code).toBe(1);
      expect(fakes.refused.slice(before)).toEqual(["touch /tmp/written"]);
    });
  });
});
