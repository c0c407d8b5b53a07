import { readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { contentHash } from "../../core/record.ts";
import { countingProxy } from "../support/counting-proxy.ts";
import type { CountingProxy } from "../support/counting-proxy.ts";
import { serverInputs, useProgram } from "../support/dynamic-program.ts";
import type { DynamicProvider, Properties, State } from "../support/dynamic-provider.ts";
import { useLab } from "../support/lab.ts";
import type { LabServer } from "../support/lab.ts";
import { watchReloads } from "../support/reload-watch.ts";

const lab = useLab();
const program = useProgram();

let pbx: LabServer;
let ssh: CountingProxy;
let ami: CountingProxy;
let inputs: Properties;
let provider: DynamicProvider;
let connection: Properties;

beforeAll(async () => {
  pbx = lab.servers[0] as LabServer;
  ssh = await countingProxy(pbx.sshPort);
  ami = await countingProxy(pbx.amiPort);
  const direct = await serverInputs(pbx);
  const knownHosts = pbx.knownHosts.replaceAll(`:${pbx.sshPort} `, `:${ssh.port} `);
  inputs = {
    ...direct,
    ssh: { ...(direct["ssh"] as Properties), port: ssh.port, knownHosts },
    ami: { ...(direct["ami"] as Properties), port: ami.port },
  };
  provider = await program.start();
  const server = await provider.create("AsteriskServer", inputs);
  connection = server.props["connection"] as Properties;
});

afterAll(async () => {
  await Promise.all([ssh.close(), ami.close()]);
});

beforeEach(() => {
  for (const proxy of [ssh, ami]) Object.assign(proxy, { connections: 0, pieces: 0, onPiece: undefined });
});

function extensions(name: string, content = `[${name}]\nexten => 1,1,NoOp(${name})\n`): Properties {
  return { name, server: connection, path: `extensions_${name}.conf`, content };
}

async function generation(): Promise<number> {
  const { stdout } = await pbx.run(["cat", "/var/spool/asterisk/asterisk-iac/record"]);
  return stdout === "" ? 0 : (JSON.parse(stdout) as { generation: number }).generation;
}

async function snapshot(): Promise<ReadonlyMap<string, string>> {
  const names = (await readdir(pbx.configDirectory)).filter((name) => name.endsWith(".conf"));
  const files = names.map(
    async (name) => [name, contentHash(await readFile(join(pbx.configDirectory, name)))] as const,
  );
  return new Map(await Promise.all(files));
}

describe("what is handed over together", () => {
  test("is one session, one commit and one reload of a module; so is taking it away", async () => {
    const untouched = await snapshot();
    const reloads = await watchReloads(pbx);
    let before = await generation();
    const files = Array.from({ length: 20 }, (_, at) => extensions(`many${at}`));
    const sections = ["a", "b"].flatMap((name) => [
      {
        name: `queue-${name}`,
        server: connection,
        path: "queues.conf",
        sections: [{ name, lines: "maxlen = 3" }],
      },
      {
        name: `context-${name}`,
        server: connection,
        path: "extensions.conf",
        sections: [{ name, lines: "exten => 1,1,NoOp()" }],
      },
    ]);
    const make = () => Promise.all([...files, ...sections].map((each) => provider.create("ConfFile", each)));
    const remove = (all: Awaited<ReturnType<typeof make>>) =>
      Promise.all(all.map((state) => provider.delete("ConfFile", state)));
    let states = await make();
    // A busy machine may hand them over with a pause that parts them.
    for (let tries = 1; (await generation()) !== before + 1 && tries < 4; tries++) {
      await remove(states);
      before = await generation();
      Object.assign(ssh, { connections: 0 });
      Object.assign(ami, { connections: 0 });
      await reloads.heard();
      states = await make();
    }
    expect(await generation()).toBe(before + 1);
    expect(new Set(states.map(({ id }) => id)).size).toBe(24);
    expect(ssh.connections).toBeLessThanOrEqual(1);
    // The second is the new login that every write is proved with.
    expect(ami.connections).toBeLessThanOrEqual(2);
    expect((await reloads.heard()).sort()).toEqual(["app_queue.so", "pbx_config.so"]);

    Object.assign(ssh, { connections: 0 });
    Object.assign(ami, { connections: 0 });
    const read = await Promise.all(states.map((state) => provider.read("ConfFile", state)));
    expect(read.every(({ props }) => props["drifted"] === undefined)).toBe(true);
    expect([ssh.connections, ami.connections].every((count) => count <= 1)).toBe(true);
    expect(await reloads.heard()).toEqual([]);

    await remove(read);
    expect(await snapshot()).toEqual(untouched);
    await reloads.close();
  });

  test("fails only where it is at fault, with its own message", async () => {
    const original = await readFile(join(pbx.configDirectory, "queues.conf"), "latin1");
    const good = ["a", "b", "c", "d", "e"].map((name) => provider.create("ConfFile", extensions(name)));
    const bad = provider.create("ConfFile", extensions("bad", "[bad\nexten => 1,1,NoOp()\n"));
    const differs = provider.create("ConfFile", { ...extensions("x"), path: "queues.conf" });
    const takes = provider.create("ConfFile", {
      name: "taking",
      server: connection,
      path: "musiconhold.conf",
      content: "[default]\nmode = files\ndirectory = moh\n",
      onConflict: "TakeProgram",
    });
    const twice = ["one", "two"].map((name) =>
      provider.create("ConfFile", { ...extensions(name), path: "extensions_twice.conf" }),
    );
    for (const each of twice)
      await expect(each).rejects.toThrow(
        /ConfFile one \(.*\) and ConfFile two \(.*\) both own the whole file/,
      );
    await expect(bad).rejects.toThrow(/ConfFile bad \(pbx1.*extensions_bad\.conf/);
    // What another may take in a conflict, this one may not.
    await expect(differs).rejects.toThrow(/ConfFile x \(pbx1\): queues\.conf: conflict/);
    expect(await readFile(join(pbx.configDirectory, "queues.conf"), "latin1")).toBe(original);
    const states = [...(await Promise.all(good)), await takes];
    expect(await readFile(join(pbx.configDirectory, "extensions_e.conf"), "latin1")).toContain("NoOp(e)");
    await Promise.all(states.map((state) => provider.delete("ConfFile", state)));
  });
});

test("a resource under another name adopts the file, and takes it only where it may", async () => {
  const old = await provider.create("ConfFile", extensions("old"));
  const renamed: Properties = { ...extensions("old"), name: "renamed" };
  await expect(provider.create("ConfFile", { ...renamed, content: "[other]\n" })).rejects.toThrow(
    "ConfFile renamed (extensions_old.conf) declares extensions_old.conf, which ConfFile old (extensions_old.conf) has, with other bytes",
  );
  const state = await provider.create("ConfFile", renamed);
  // As Pulumi does: first the new one, then the old one goes.
  await provider.delete("ConfFile", old);
  const read = await provider.read("ConfFile", state);
  expect(read.props["drifted"]).toBeUndefined();
  expect(await readFile(join(pbx.configDirectory, "extensions_old.conf"), "latin1")).toBe(renamed["content"]);
  await provider.delete("ConfFile", read);
  await expect(readFile(join(pbx.configDirectory, "extensions_old.conf"))).rejects.toThrow("ENOENT");
});

describe("a run that was killed", () => {
  const account = (): Properties => ({
    name: "crm",
    server: connection,
    username: "crm",
    permit: ["127.0.0.1"],
  });

  async function createBoth(by: DynamicProvider): Promise<State[]> {
    return Promise.all([by.create("ConfFile", extensions("killed")), by.create("AMIAccount", account())]);
  }

  async function deleteBoth(by: DynamicProvider, [file, crm]: State[]): Promise<void> {
    if (file === undefined || crm === undefined) throw new Error("nothing was made");
    await Promise.all([by.delete("ConfFile", file), by.delete("AMIAccount", crm)]);
  }

  test("in the middle of a creation is followed by one that adopts, and nothing is there twice", async () => {
    const untouched = await snapshot();
    await deleteBoth(provider, await createBoth(provider));
    ssh.pieces = 0;
    const states = await createBoth(provider);
    const pieces = ssh.pieces;
    await deleteBoth(provider, states);
    expect(await snapshot()).toEqual(untouched);

    for (const share of [0.45, 0.75]) {
      const killed = await program.start();
      ssh.pieces = 0;
      ssh.onPiece = () => {
        if (ssh.pieces >= pieces * share) killed.process.kill("SIGKILL");
      };
      await Promise.allSettled([
        killed.create("ConfFile", extensions("killed")),
        killed.create("AMIAccount", account()),
      ]);
      await killed.stop("SIGKILL");
      expect(killed.process.signalCode).toBe("SIGKILL");
      ssh.onPiece = undefined;
      const again = await createBoth(provider);
      const manager = await readFile(join(pbx.configDirectory, "manager.conf"), "latin1");
      expect(manager.match(/^\[crm\]/gm)).toHaveLength(1);
      expect(manager).toContain(again[1]?.props["password"]);
      await deleteBoth(provider, again);
      expect(await snapshot()).toEqual(untouched);
    }
  });

  test("in the middle of a server's creation with a folder is nobody else to the server afterwards", async () => {
    const folder = join(program.directory, "folder");
    const withFolder = { ...inputs, source: { directory: "folder" } };
    const first = await provider.create("AsteriskServer", withFolder);
    await writeFile(join(folder, "extensions_folder.conf"), "[folder]\nexten => 1,1,NoOp()\n");
    const news = await provider.checked("AsteriskServer", withFolder);
    expect((await provider.diff("AsteriskServer", first, news)).changes).toBe(true);
    const killed = await program.start();
    ssh.onPiece = () => {
      // Once something of it is on the server.
      void readdir(pbx.configDirectory).then((names) => {
        if (names.some((name) => name.includes("extensions_folder"))) killed.process.kill("SIGKILL");
      });
    };
    // As if the state was never written: it is created once more.
    await Promise.allSettled([killed.create("AsteriskServer", withFolder)]);
    await killed.stop("SIGKILL");
    ssh.onPiece = undefined;
    const again = await provider.create("AsteriskServer", withFolder);
    expect(again.props["connection"]).toMatchObject({ secrets: connection["secrets"] });
    expect(await readFile(join(pbx.configDirectory, "extensions_folder.conf"), "latin1")).toContain(
      "[folder]",
    );
    expect(
      (await provider.diff("AsteriskServer", again, await provider.checked("AsteriskServer", withFolder)))
        .changes,
    ).toBe(false);
  });
});

describe("two runs at once", () => {
  test("do no harm: what each was asked for is there, once", async () => {
    const untouched = await snapshot();
    const other = await program.start();
    const section = (name: string): Properties => ({
      name,
      server: connection,
      path: "queues.conf",
      sections: [{ name, lines: `strategy = ringall\nmember => PJSIP/${name}` }],
    });
    const created = await Promise.allSettled(
      ["q1", "q2", "q3", "q4"].flatMap((name) => [
        provider.create("ConfFile", section(`${name}-here`)),
        other.create("ConfFile", section(`${name}-there`)),
      ]),
    );
    const failures = created.flatMap((one) => (one.status === "rejected" ? [String(one.reason)] : []));
    expect(failures).toEqual([]);
    const queues = await readFile(join(pbx.configDirectory, "queues.conf"), "latin1");
    expect(queues.match(/^\[q\d-(here|there)\]/gm)).toHaveLength(8);
    await other.stop();
    const states = created.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    await Promise.all(states.map((state) => provider.delete("ConfFile", state)));
    expect(await snapshot()).toEqual(untouched);
  });

  test("that make the same thing both end well", async () => {
    const other = await program.start();
    const results = await Promise.allSettled([
      provider.create("ConfFile", extensions("same")),
      other.create("ConfFile", extensions("same")),
    ]);
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "fulfilled"]);
    await other.stop();
    const [state] = results.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    if (state !== undefined) await provider.delete("ConfFile", state);
  });
});
