/**
 * Many real servers: one changed file pushed to all of them, reload and verification included, and a look at all of them
 * where nothing changed. On twenty of them the same by Ansible, and Ansible with mitogen, in turn: a run with `--check
 * --diff` as the plan or the look, and the run itself.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { runFleet } from "../engine/fleet.ts";
import { importServer } from "../engine/import.ts";
import { SeenServers, withPass } from "../engine/pass.ts";
import { planServer } from "../engine/plan.ts";
import type { SecretStore } from "../engine/secrets.ts";
import { assertLive, fiftyFiles, layOut, writeFiles } from "./fifty-files.ts";
import { inTurn, median, type Contestant } from "./measure.ts";
import { ansibleProject, closeConnections, runPlaybook } from "./peers/ansible.ts";
import { pythonEnvironment } from "./peers/environment.ts";
import { installPython } from "./peers/managed-python.ts";
import { push } from "./push.ts";
import { progress, withLab, type BenchServer } from "./servers.ts";

export interface FleetFigures {
  readonly servers: number;
  /** MiB that one server takes of this machine's memory. */
  readonly memory: number;
  /** Seconds for all servers, the medians. */
  readonly push: number;
  readonly unchanged: number;
  /** Seconds for twenty servers by what was measured, the medians. */
  readonly paired: ReadonlyMap<string, number>;
  readonly skipped: readonly string[];
}

export const names = {
  push: { ours: "push, asterisk-iac", ansible: "push, Ansible", mitogen: "push, Ansible with mitogen" },
  unchanged: {
    ours: "nothing changed, asterisk-iac",
    ansible: "nothing changed, Ansible",
    mitogen: "nothing changed, Ansible with mitogen",
  },
} as const;

/** One file of the fifty. */
function oneFile(revision: number): ReadonlyMap<string, Buffer> {
  return new Map([...fiftyFiles(revision)].slice(0, 1));
}

/** Works on all servers as the command line does, and throws the first error. */
async function onAll(
  servers: readonly BenchServer[],
  work: (server: BenchServer) => Promise<unknown>,
): Promise<void> {
  const named = servers.map((server) => ({ name: server.lab.name, server }));
  for (const result of await runFleet(named, ({ server }) => work(server)))
    if (!result.ok) throw result.error;
}

async function lookUnchanged(server: BenchServer, secrets: SecretStore): Promise<void> {
  const plan = await withPass(server.declaration, secrets, { seen: new SeenServers() }, (pass) =>
    planServer(pass),
  );
  if (plan.changes.length > 0) throw new Error(`the plan of ${server.lab.name} is not empty`);
}

async function availableMebibytes(): Promise<number> {
  const text = await readFile("/proc/meminfo", "utf8");
  return Number(/^MemAvailable: +(\d+) kB$/m.exec(text)?.[1]) / 1024;
}

/** Our two, push first: what it pushed is what the look then finds unchanged. */
function ourContestants(
  servers: readonly BenchServer[],
  secrets: SecretStore,
  rounds: number,
  from: number,
): Contestant[] {
  let revision = from;
  return [
    {
      name: names.push.ours,
      rounds,
      before: async () => {
        revision += 1;
        await onAll(servers, ({ source }) => writeFiles(source, oneFile(revision)));
      },
      run: () => onAll(servers, (server) => push(server, secrets)),
      after: () => onAll(servers, ({ lab }) => assertLive(lab, oneFile(revision), revision)),
    },
    {
      name: names.unchanged.ours,
      rounds,
      run: () => onAll(servers, (server) => lookUnchanged(server, secrets)),
    },
  ];
}

/**
 * On `count` servers of one lab: all of them for us; then the last `paired` for the peers (Ansible works on twenty at once) and
 * as many others for us, in turn.
 */
export async function benchFleet(count = 40, rounds = 3, paired = 20): Promise<FleetFigures> {
  const environment = await pythonEnvironment(progress);
  const before = await availableMebibytes();
  return withLab(Math.max(count, 2 * paired), async ({ directory, secrets, servers }) => {
    const memory = (before - (await availableMebibytes())) / servers.length;
    await onAll(servers, ({ lab }) => layOut(lab, oneFile(0)));
    const own = servers.slice(0, -paired);
    const managed = servers.slice(-paired);
    await onAll(servers, ({ declaration }) =>
      withPass(declaration, secrets, { seen: new SeenServers(), importing: true }, importServer),
    );

    const all = await inTurn(ourContestants(servers, secrets, rounds, 0), progress);
    const seconds = (times: readonly number[] | undefined): number => median(times ?? []) / 1000;
    const skipped: string[] = [];
    const contestants = ourContestants(own.slice(0, paired), secrets, rounds, 100);
    const python =
      "missing" in environment
        ? environment
        : await installPython(
            managed.map(({ lab }) => lab),
            progress,
          );
    const labs = managed.map(({ lab }) => lab);
    if ("missing" in environment || python.missing !== undefined) {
      skipped.push(`Ansible and mitogen on ${paired} servers: ${python.missing ?? ""}`);
    } else {
      const project = await ansibleProject(environment, join(directory, "ansible"), labs);
      // Both peers push to the same servers.
      let revision = 200;
      for (const [peer, mitogen] of [
        ["ansible", false],
        ["mitogen", true],
      ] as const) {
        contestants.push(
          {
            name: names.push[peer],
            rounds,
            before: async () => {
              revision += 1;
              await writeFiles(project.files, oneFile(revision));
            },
            run: async () => {
              await runPlaybook(project, "directory", { mitogen, check: true, revision });
              await runPlaybook(project, "directory", { mitogen, revision });
            },
            after: () => onAll(managed, ({ lab }) => assertLive(lab, oneFile(revision), revision)),
          },
          {
            name: names.unchanged[peer],
            rounds,
            run: () => runPlaybook(project, "directory", { mitogen, check: true, revision }),
          },
        );
      }
    }
    try {
      const times = await inTurn(contestants, progress);
      return {
        servers: servers.length,
        memory,
        push: seconds(all.get(names.push.ours)),
        unchanged: seconds(all.get(names.unchanged.ours)),
        paired: new Map([...times].map(([name, each]) => [name, seconds(each)])),
        skipped,
      };
    } finally {
      await closeConnections({ directory: join(directory, "ansible") }, labs);
    }
  });
}

if (import.meta.main) {
  const [count = 40, rounds = 3, paired = 20] = process.argv.slice(2).map(Number);
  const figures = await benchFleet(count, rounds, paired);
  const { servers, memory, push: pushed, unchanged } = figures;
  console.log(`${servers} servers of ${memory.toFixed(0)} MiB each`);
  console.log(`push to all: ${pushed.toFixed(2)} s, ${(servers / pushed).toFixed(1)} servers a second`);
  console.log(
    `all unchanged: ${unchanged.toFixed(2)} s, ${(servers / unchanged).toFixed(1)} servers a second`,
  );
  for (const [name, seconds] of figures.paired)
    console.log(`${paired} servers, ${name}: ${seconds.toFixed(2)} s`);
  for (const why of figures.skipped) console.log(`SKIPPED  ${why}`);
}
