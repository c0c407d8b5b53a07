import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { parseAllDocuments } from "yaml";
import { labDown, labServers, labUp, type LabServer } from "../../lab/lab.ts";
import { isRunning, processIdentity, until } from "../../lab/process.ts";
import { startLabProcess } from "../support/lab-process.ts";
import { isListening, mountsBelow, processesBeside } from "../support/processes.ts";

let directory = "";

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "asterisk-iac-lab-test-"));
});

afterEach(async () => {
  await rm(join(directory, "foreign"), { recursive: true, force: true });
  await labDown({ directory });
  await rm(directory, { recursive: true, force: true });
});

/** Everything that a lab's servers run, and where they listen; taken while they run. */
async function censusOf(servers: readonly LabServer[]) {
  const pids = (await Promise.all(servers.map((server) => processesBeside(server.pid)))).flat();
  const processes = (await Promise.all(pids.map(processIdentity))).filter(
    (identity) => identity !== undefined,
  );
  return { processes, ports: servers.flatMap((server) => [server.sshPort, server.amiPort]) };
}

/** What of a census still lives. */
async function leftovers({ processes, ports }: Awaited<ReturnType<typeof censusOf>>): Promise<string[]> {
  const running = await Promise.all(processes.map(isRunning));
  const listening = await Promise.all(ports.map(isListening));
  return [
    ...processes.filter((_, index) => running[index]).map((identity) => `process ${identity}`),
    ...ports.filter((_, index) => listening[index]).map((port) => `port ${port}`),
  ];
}

describe("up and down", () => {
  test("down leaves no process, mount or listener, and the source as it is", async () => {
    const { servers } = await labUp({ directory, count: 2, tiedToParent: true });
    const census = await censusOf(servers);
    expect(census.processes.length).toBeGreaterThanOrEqual(8);
    expect(await leftovers(census)).toHaveLength(census.processes.length + census.ports.length);
    expect(await mountsBelow(directory)).not.toEqual([]);
    await mkdir(join(directory, "source", "pbx1"));
    await labDown({ directory });
    expect(await leftovers(census)).toEqual([]);
    expect(await mountsBelow(directory)).toEqual([]);
    expect(await readdir(directory)).toEqual(["source"]);
    expect(await readdir(join(directory, "source"))).toEqual(["pbx1"]);
  });

  test("a lab that is not tied outlives the process that brought it up", async () => {
    const up = startLabProcess({ directory });
    await up.says("all up");
    const exited = new Promise((resolve) => up.child.once("exit", resolve));
    up.child.kill("SIGKILL");
    await exited;
    const [server] = (await labServers(directory)) as [LabServer];
    expect((await server.run(["asterisk", "-rx", "core show version"])).stdout).toMatch(/^Asterisk 22/);
    const census = await censusOf([server]);
    await labDown({ directory });
    expect(await leftovers(census)).toEqual([]);
    expect(await labServers(directory)).toEqual([]);
  });

  test("the manifests name the servers as they are, sources beside the file", async () => {
    const { servers } = await labUp({ directory, count: 2, tiedToParent: true });
    const text = await readFile(join(directory, "manifests.yaml"), "utf8");
    const documents = parseAllDocuments(text).map((document) => document.toJS() as unknown);
    expect(documents).toEqual(
      servers.map(({ name, sshPort, amiPort }) => ({
        apiVersion: "asterisk-iac.dev/v1alpha1",
        kind: "AsteriskServer",
        metadata: { name },
        spec: {
          ssh: {
            host: "127.0.0.1",
            port: sshPort,
            user: "admin",
            become: "asterisk",
            credentialsSecretRef: { name: `${name}-ssh` },
          },
          ami: { host: "127.0.0.1", port: amiPort, credentialsSecretRef: { name: `${name}-ami` } },
          updateDirection: "ToAsterisk",
          source: { directory: `source/${name}` },
        },
      })),
    );
  });

  test("up again finds the same lab running and changes nothing; another shape is refused", async () => {
    const first = await labUp({ directory, tiedToParent: true });
    const again = await labUp({ directory, tiedToParent: true });
    expect(again.servers.map((server) => server.pid)).toEqual(first.servers.map((server) => server.pid));
    await expect(labUp({ directory, count: 2 })).rejects.toMatchObject({
      code: "LabFailed",
      hint: expect.stringContaining("lab down --dir"),
    });
    expect(await labServers(directory)).toHaveLength(1);
  });

  test("two labs at once share no port and no server", async () => {
    const other = await mkdtemp(join(tmpdir(), "asterisk-iac-lab-test-"));
    try {
      const both = [directory, other].map((each) => labUp({ directory: each, count: 2, tiedToParent: true }));
      const servers = (await Promise.all(both)).flatMap((lab) => lab.servers);
      expect(new Set(servers.flatMap((server) => [server.sshPort, server.amiPort])).size).toBe(8);
      await labDown({ directory: other });
      expect(await labServers(other)).toEqual([]);
      expect(await labServers(directory)).toHaveLength(2);
    } finally {
      await labDown({ directory: other });
      await rm(other, { recursive: true, force: true });
    }
  });

  test("two ups at once in one directory: one works, the other says so", async () => {
    const both = [1, 2].map(() => labUp({ directory, tiedToParent: true }));
    const outcomes = await Promise.allSettled(both);
    expect(outcomes.map((outcome) => outcome.status).sort()).toEqual(["fulfilled", "rejected"]);
    const refused = outcomes.find((outcome) => outcome.status === "rejected");
    expect(refused?.reason).toMatchObject({
      code: "LabFailed",
      message: expect.stringContaining("at work in"),
    });
    expect(await labServers(directory)).toHaveLength(1);
  });

  test.each(["servers", "secrets/pbx1-ssh", "manifests.yaml"])(
    "files of somebody else named %s are left alone",
    async (name) => {
      const foreign = join(directory, "foreign");
      await mkdir(join(foreign, name), { recursive: true });
      await writeFile(join(foreign, name, "mine"), "mine");
      await expect(labUp({ directory: foreign })).rejects.toMatchObject({ code: "LabFailed" });
      await expect(labDown({ directory: foreign })).rejects.toMatchObject({ code: "LabFailed" });
      expect(await readFile(join(foreign, name, "mine"), "utf8")).toBe("mine");
    },
  );

  test("a secret that was made while a lab ran outlives it, and the next lab comes up beside it", async () => {
    await labUp({ directory });
    await mkdir(join(directory, "secrets/asterisk-iac"));
    await writeFile(join(directory, "secrets/asterisk-iac/record-key"), "made by an import");
    await labDown({ directory });
    expect(await readdir(join(directory, "secrets"))).toEqual(["asterisk-iac"]);
    await labUp({ directory });
    expect(await readFile(join(directory, "secrets/asterisk-iac/record-key"), "utf8")).toBe(
      "made by an import",
    );
  });
});

describe("a killed parent", () => {
  test("takes the servers of a tied lab along; down then removes their files", async () => {
    const up = startLabProcess({ directory, count: 2, tiedToParent: true });
    await up.says("all up");
    const servers = await labServers(directory);
    const census = await censusOf(servers);
    expect(servers).toHaveLength(2);
    up.child.kill("SIGKILL");
    expect(await until(async () => (await leftovers(census)).length === 0, 10_000)).toBe(true);
    expect(await mountsBelow(directory)).toEqual([]);
    expect(await labServers(directory)).toEqual([]);
    await labDown({ directory });
    expect(await readdir(directory)).toEqual(["source"]);
  });

  test("half way up leaves nothing running, and the next up replaces what it wrote", async () => {
    const up = startLabProcess({ directory, count: 8 });
    await up.says("is up");
    const servers = await labServers(directory);
    const census = await censusOf(servers);
    expect(servers.length).toBeGreaterThan(0);
    expect(await readdir(directory)).not.toContain("manifests.yaml");
    up.child.kill("SIGKILL");
    expect(await until(async () => (await leftovers(census)).length === 0, 10_000)).toBe(true);
    const { servers: next } = await labUp({ directory, tiedToParent: true });
    expect(next).toHaveLength(1);
    expect((await readdir(join(directory, "servers"))).sort()).toEqual(["made-by-asteriskctl-lab", "pbx1"]);
  });

  test("just before the end leaves servers that stay; the next up, finding no manifests, replaces them", async () => {
    const { servers } = await labUp({ directory });
    const census = await censusOf(servers);
    await rm(join(directory, "manifests.yaml"));
    const { servers: next } = await labUp({ directory, tiedToParent: true });
    expect(await leftovers(census)).toEqual([]);
    expect(next).toHaveLength(1);
  });
});
