/**
 * Fifty changed files, 531 KB, to one server: plan, durable write, reload, verify. Beside it the same job by Ansible,
 * Ansible with mitogen, and sftp, each on a server of its own that is like the others, in turn. Ansible's plan is a run
 * with `--check --diff` before the run.
 */
import { join } from "node:path";
import { applyServer } from "../engine/apply.ts";
import { importServer } from "../engine/import.ts";
import { SeenServers, withPass } from "../engine/pass.ts";
import type { SecretStore } from "../engine/secrets.ts";
import { runCommand } from "../lab/process.ts";
import { assertLive, fiftyFiles, layOut, writeFiles } from "./fifty-files.ts";
import { inTurn, median, type Contestant } from "./measure.ts";
import { ansibleProject, closeConnections, runPlaybook, type Way } from "./peers/ansible.ts";
import { pythonEnvironment } from "./peers/environment.ts";
import { installPython } from "./peers/managed-python.ts";
import { runSFTP, sftpProject } from "./peers/sftp.ts";
import { progress, withLab, type BenchServer } from "./servers.ts";

export interface PushFigures {
  /** Once both connections are up, the most of all runs. */
  readonly roundTrips: number;
  /** Milliseconds, the medians, by what was measured. */
  readonly times: ReadonlyMap<string, number>;
  /** Why peers are not among them. */
  readonly skipped: readonly string[];
}

/** The names under which `times` has them. */
export const ours = "asterisk-iac, a process that runs";
export const command = "asteriskctl apply --yes";
export const sftp = "sftp -b, then ssh";
export function ansible(way: Way, mitogen: boolean): string {
  return `Ansible${mitogen ? " with mitogen" : ""}, ${{ loop: "copy in a loop", directory: "copy of a folder", archive: "unarchive" }[way]}`;
}
/** Ansible's run without the `--check --diff` before it. */
export function runAlone(name: string): string {
  return `${name}, the run alone`;
}
function checkOf(name: string): string {
  return `${name}, --check --diff`;
}

const main = join(import.meta.dirname, "..", "dist", "cli", "main.js");

/** Every run pushes the next revision to the server of the contestant. */
function contestant(
  name: string,
  options: {
    rounds: number;
    server: BenchServer;
    files: string;
    run: (revision: number) => Promise<void>;
    revisions: Map<BenchServer, number>;
  },
): Required<Contestant> {
  const { rounds, server, files, run, revisions } = options;
  const revision = (): number => revisions.get(server) ?? 0;
  return {
    name,
    rounds,
    before: async () => {
      revisions.set(server, revision() + 1);
      await writeFiles(files, fiftyFiles(revision()));
    },
    run: () => run(revision()),
    after: () => assertLive(server.lab, fiftyFiles(revision()), revision()),
  };
}

/** One push from within this process, connections made anew. The round trips that it took. */
export async function push(server: BenchServer, secrets: SecretStore): Promise<number> {
  return withPass(server.declaration, secrets, { seen: new SeenServers(), writing: true }, async (pass) => {
    const { outcome, server: written } = await applyServer(pass, { allow: new Set() });
    const why = JSON.stringify(written?.verification.failures);
    if (outcome !== "Applied") throw new Error(`the push ended as ${outcome}: ${why}`);
    return pass.roundTrips();
  });
}

/** With, instead of each check of Ansible's, that check and the run after it together: the whole job. */
function withPairs(times: ReadonlyMap<string, readonly number[]>): Map<string, readonly number[]> {
  const pairs = new Map(times);
  for (const way of ["archive", "loop"] as const) {
    for (const name of [ansible(way, false), ansible(way, true)]) {
      const [checks, runs] = [times.get(checkOf(name)), times.get(runAlone(name))];
      if (checks === undefined || runs === undefined) continue;
      pairs.delete(checkOf(name));
      pairs.set(
        name,
        checks.map((check, round) => check + (runs[round] ?? NaN)),
      );
    }
  }
  return pairs;
}

/** The command line is measured as it is installed. */
export async function build(): Promise<void> {
  const { code, stdout } = await runCommand(["npm", "run", "--silent", "build"]);
  if (code !== 0) throw new Error(`npm run build failed: ${stdout}`);
}

/** `rounds` of each. All as often: who went on alone at the end would have a quieter machine. */
export async function benchPush(rounds = 3): Promise<PushFigures> {
  await build();
  const environment = await pythonEnvironment(progress);
  return withLab(4, async ({ directory, manifests, secrets, servers }) => {
    const [own, forAnsible, forMitogen, forSFTP] = servers as [
      BenchServer,
      BenchServer,
      BenchServer,
      BenchServer,
    ];
    await Promise.all(servers.map(({ lab }) => layOut(lab, fiftyFiles(0))));
    await withPass(own.declaration, secrets, { seen: new SeenServers(), importing: true }, importServer);
    const revisions = new Map<BenchServer, number>();
    let roundTrips = 0;
    const plain = await sftpProject(join(directory, "sftp"), forSFTP.lab);
    const contestants: Contestant[] = [
      contestant(ours, {
        ...{ rounds, server: own, files: own.source, revisions },
        run: async () => {
          roundTrips = Math.max(roundTrips, await push(own, secrets));
        },
      }),
      contestant(command, {
        ...{ rounds, server: own, files: own.source, revisions },
        run: async () => {
          const args = [main, "-f", manifests, "apply", "--yes", own.lab.name];
          const { code, stdout, stderr } = await runCommand([process.execPath, ...args]);
          if (code !== 0) throw new Error(`asteriskctl exited with ${code}: ${stdout}${stderr}`);
        },
      }),
      contestant(sftp, {
        ...{ rounds, server: forSFTP, files: plain.files, revisions },
        run: (revision) => runSFTP(plain, revision),
      }),
    ];

    const skipped: string[] = [];
    const managed = [forAnsible, forMitogen];
    const python =
      "missing" in environment
        ? environment
        : await installPython(
            managed.map(({ lab }) => lab),
            progress,
          );
    if ("missing" in environment || python.missing !== undefined) {
      skipped.push(`Ansible and mitogen: ${python.missing ?? ""}`);
    } else {
      for (const [server, mitogen] of [
        [forAnsible, false],
        [forMitogen, true],
      ] as const) {
        const project = await ansibleProject(environment, join(directory, server.lab.name), [server.lab]);
        for (const way of ["archive", "loop"] as const) {
          const name = ansible(way, mitogen);
          const { before, run, after } = contestant(name, {
            ...{ rounds, server, files: project.files, revisions },
            run: (revision) => runPlaybook(project, way, { mitogen, revision }),
          });
          const check = (): Promise<void> =>
            runPlaybook(project, way, { mitogen, check: true, revision: revisions.get(server) ?? 0 });
          contestants.push(
            { name: checkOf(name), rounds, before, run: check },
            { name: runAlone(name), rounds, run, after },
          );
        }
      }
    }
    try {
      const times = withPairs(await inTurn(contestants, progress));
      return { roundTrips, times: new Map([...times].map(([name, each]) => [name, median(each)])), skipped };
    } finally {
      for (const server of managed)
        await closeConnections({ directory: join(directory, server.lab.name) }, [server.lab]);
    }
  });
}

if (import.meta.main) {
  const { roundTrips, times, skipped } = await benchPush();
  console.log(`round trips: ${roundTrips}`);
  for (const [name, milliseconds] of times) console.log(`${name}: ${milliseconds.toFixed(0)} ms`);
  for (const why of skipped) console.log(`SKIPPED  ${why}`);
}
