/** A pass over an unchanged server: how many round trips once both connections are up, and how long, login included. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadManifests } from "../cli/manifests.ts";
import { SecretDirectory } from "../cli/secrets.ts";
import { DirectorySource } from "../engine/directory-source.ts";
import { importServer } from "../engine/import.ts";
import { SeenServers, withPass } from "../engine/pass.ts";
import { planServer } from "../engine/plan.ts";
import { labDown, labUp } from "../lab/lab.ts";

export interface PassFigures {
  readonly roundTrips: number;
  /** Milliseconds, the median. */
  readonly pass: number;
  /** The same with both logins. */
  readonly whole: number;
}

/** Imports a lab's server once, then plans it `rounds` times. */
export async function benchPass(rounds = 9): Promise<PassFigures> {
  const directory = mkdtempSync(join(tmpdir(), "asterisk-iac-bench-"));
  try {
    await labUp({ directory, count: 1, tiedToParent: true, onProgress: (message) => console.error(message) });
    const { servers } = await loadManifests([directory]);
    const secrets = new SecretDirectory(join(directory, "secrets"));
    const [server] = servers.map(({ name, resource, sourceDirectory }) => ({
      name,
      spec: resource.spec,
      source: new DirectorySource(sourceDirectory),
      accounts: [],
      files: [],
    }));
    if (server === undefined) throw new Error("the lab declares no server");
    await withPass(server, secrets, { seen: new SeenServers(), importing: true }, importServer);
    const figures: PassFigures[] = [];
    for (let round = 0; round < rounds; round++) {
      const started = performance.now();
      figures.push(
        await withPass(server, secrets, { seen: new SeenServers() }, async (pass) => {
          const looked = performance.now();
          const plan = await planServer(pass);
          if (plan.changes.length > 0) throw new Error("the plan is not empty");
          return {
            roundTrips: pass.roundTrips(),
            pass: performance.now() - looked,
            whole: performance.now() - started,
          };
        }),
      );
    }
    const median = (key: keyof PassFigures): number =>
      figures.map((one) => one[key]).sort((a, b) => a - b)[rounds >> 1] ?? Infinity;
    return {
      roundTrips: Math.max(...figures.map((one) => one.roundTrips)),
      pass: median("pass"),
      whole: median("whole"),
    };
  } finally {
    await labDown({ directory });
    rmSync(directory, { recursive: true, force: true });
  }
}
