/**
 * Many real servers' configuration collected into one git repository over SSH: into an empty one, again with nothing
 * changed, and after an edit on some. Beside it a shell script with `sftp -b` and git, over the same servers, in turn.
 */
import { appendFile, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { runFleet } from "../engine/fleet.ts";
import { GitSources } from "../engine/git-source.ts";
import type { SecretStore } from "../engine/secrets.ts";
import { gitSource } from "../core/resource/git-source.ts";
import type { GitSourceSpec } from "../core/resource/index.ts";
import { runCommand } from "../lab/process.ts";
import { git } from "../test/support/git-clone.ts";
import { startGitSSH, type GitSSH } from "../test/support/git-transports.ts";
import { inTurn, median, type Contestant } from "./measure.ts";
import { collectScript, runCollectScript } from "./peers/collect-script.ts";
import { build } from "./push.ts";
import { progress, withLab, type BenchLab, type BenchServer } from "./servers.ts";

/** What is measured, in this order. */
export const works = ["an empty repository", "nothing changed", "an edit on ten servers"] as const;
export type Work = (typeof works)[number];

/** Who does it. Ours takes the secrets out of the files, into a file that is encrypted with age; or leaves them in. */
export const ways = ["asteriskctl", "asteriskctl, secrets: Plain", "sftp -b and git"] as const;
export type Way = (typeof ways)[number];

export interface GitFigure {
  /** Seconds, the median. */
  readonly seconds: number;
  /** The most of all runs. */
  readonly pushes: number;
}

export interface GitFigures {
  readonly servers: number;
  readonly of: (work: Work, way: Way) => GitFigure;
  /** Of the machine at the begin of the measurement and at its end. */
  readonly load: readonly [number, number];
}

/** So many servers are edited. */
const edited = 10;
const main = join(import.meta.dirname, "..", "dist", "cli", "main.js");

/** A git server, and what of it is counted. */
interface Remote {
  readonly ssh: GitSSH;
  /** Makes an empty repository; its URL. */
  readonly create: (name: string) => Promise<string>;
  /** How often anybody pushed to it so far. */
  readonly pushes: () => Promise<number>;
}

/** See test/support/git-transports.ts, `beforeService`. */
function isPush(request: string): boolean {
  return request.includes(",receive-pack,");
}

async function withRemote<T>(work: (remote: Remote) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), "asterisk-iac-bench-git-"));
  const repositories = join(directory, "repositories");
  await mkdir(repositories);
  const ssh = await startGitSSH(directory, repositories);
  const create = async (name: string): Promise<string> => {
    await git("/", "init", "--quiet", "--bare", "--initial-branch=main", join(repositories, `${name}.git`));
    return `ssh://${ssh.user}@127.0.0.1:${ssh.port}/${name}.git`;
  };
  const pushes = async (): Promise<number> =>
    (await readdir(join(repositories, "requests")).catch(() => [])).filter(isPush).length;
  try {
    return await work({ ssh, create, pushes });
  } finally {
    await ssh.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

/** One who collects, into a repository of its own: a new one where it begins anew. */
interface Collector {
  readonly repository: () => GitSourceSpec;
  readonly beginAnew: (url: string) => Promise<void>;
  readonly run: (work: Work) => Promise<void>;
}

/** The command line, from its start to its end, with a cache of repositories that is empty where it begins anew. */
function asteriskctl({ directory, manifests }: BenchLab, id: string, secrets: "Age" | "Plain"): Collector {
  const cache = join(directory, `cache-${id}`);
  const file = join(directory, `${id}.yaml`);
  let repository: GitSourceSpec | undefined;
  return {
    repository: () => repository as GitSourceSpec,
    beginAnew: async (url) => {
      await rm(cache, { recursive: true, force: true });
      const source = { url, credentialsSecretRef: { name: "git" }, secrets };
      repository = gitSource.parse(source);
      const documents = parseAllDocuments(await readFile(manifests, "utf8")).map((document) => {
        const resource = document.toJS() as { spec: object };
        Object.assign(resource.spec, { updateDirection: "FromAsterisk", source: { git: source } });
        return JSON.stringify(resource);
      });
      await writeFile(file, documents.join("\n---\n"));
    },
    run: async (work) => {
      const command = work === "an empty repository" ? ["import"] : ["apply", "--yes"];
      const args = [main, "-f", file, "--secrets", join(directory, "secrets"), ...command];
      const environment = { ...process.env, XDG_CACHE_HOME: cache };
      const { code, stdout, stderr } = await runCommand([process.execPath, ...args], { environment });
      if (code !== 0) throw new Error(`asteriskctl exited with ${code}: ${stdout}${stderr}`);
    },
  };
}

async function script({ directory, servers }: BenchLab, { ssh }: Remote): Promise<Collector> {
  const labs = servers.map(({ lab }) => lab);
  const project = await collectScript(join(directory, "script"), labs, ssh);
  let repository: GitSourceSpec | undefined;
  return {
    repository: () => repository as GitSourceSpec,
    beginAnew: async (url) => {
      repository = gitSource.parse({ url, credentialsSecretRef: { name: "git" }, secrets: "Plain" });
      await rm(join(project.directory, "checkout"), { recursive: true, force: true });
    },
    run: () => runCollectScript(project, repository?.url ?? ""),
  };
}

/** Throws unless the repository has every server's files as they are, secrets filled in: looked at with an empty cache. */
async function assertCollected(
  servers: readonly BenchServer[],
  repository: GitSourceSpec,
  secrets: SecretStore,
): Promise<void> {
  const cacheDirectory = await mkdtemp(join(tmpdir(), "asterisk-iac-bench-cache-"));
  const sources = new GitSources({ cacheDirectory });
  const named = servers.map((server) => ({ name: server.lab.name, server }));
  const results = await runFleet(named, async ({ name, server: { lab, declaration } }) => {
    const source = sources.open({ name, spec: declaration.spec, git: repository }, secrets);
    await source.refresh();
    const there = [...(await source.list()).keys()].sort();
    const all = await readdir(lab.configDirectory, { recursive: true });
    const live = all.filter((file) => /\.(conf|ael|lua)$/.test(file)).sort();
    if (there.join() !== live.join()) throw new Error(`${name}: ${there.length} of ${live.length} files`);
    for (const file of live) {
      const bytes = await readFile(join(lab.configDirectory, file));
      if (!bytes.equals(await source.read(file))) throw new Error(`${name}: ${file} is not as it is live`);
    }
  });
  await rm(cacheDirectory, { recursive: true, force: true });
  for (const result of results) if (!result.ok) throw result.error;
}

/** No two servers have a .conf file in common: it would be stored once. */
async function tellApart(servers: readonly BenchServer[]): Promise<void> {
  const named = servers.map(({ lab }) => ({ name: lab.name, lab }));
  const each = await runFleet(named, async ({ name, lab }) => {
    const script = `cd /etc/asterisk && for file in *.conf manager.d/*.conf; do echo "; of $1" >>"$file"; done`;
    const { code, stderr } = await lab.run(["sh", "-c", script, "sh", name]);
    if (code !== 0) throw new Error(`${name}: ${stderr}`);
  });
  for (const result of each) if (!result.ok) throw result.error;
}

async function edit(servers: readonly BenchServer[], revision: number): Promise<void> {
  const queue = `\n[queue-${revision}]\nstrategy = rrmemory\nmember => PJSIP/100\n`;
  const some = servers.slice(0, edited);
  await Promise.all(some.map(({ lab }) => appendFile(join(lab.configDirectory, "queues.conf"), queue)));
}

/** `rounds` of each; each round begins with empty repositories. */
export async function benchGit(count = 100, rounds = 1): Promise<GitFigures> {
  await build();
  return withRemote((remote) =>
    withLab(count, async (lab) => {
      const { servers, secrets } = lab;
      await secrets.write("git", "ssh-privatekey", Buffer.from(remote.ssh.privateKey));
      await secrets.write("git", "known_hosts", Buffer.from(remote.ssh.knownHosts));
      await tellApart(servers);
      const collectors: Record<Way, Collector> = {
        asteriskctl: asteriskctl(lab, "age", "Age"),
        "asteriskctl, secrets: Plain": asteriskctl(lab, "plain", "Plain"),
        "sftp -b and git": await script(lab, remote),
      };
      const pushes = new Map<string, number>();
      let changes = 0;
      const contestant = (work: Work, way: Way): Contestant => {
        const { repository, beginAnew, run } = collectors[way];
        const name = `${work}: ${way}`;
        return {
          name,
          rounds,
          before: async () => {
            changes += 1;
            if (work === "an empty repository") await beginAnew(await remote.create(`repository-${changes}`));
            if (work === "an edit on ten servers") await edit(servers, changes);
          },
          run: async () => {
            const before = await remote.pushes();
            await run(work);
            pushes.set(name, Math.max(pushes.get(name) ?? 0, (await remote.pushes()) - before));
          },
          after: () => assertCollected(servers, repository(), secrets),
        };
      };
      const [before = NaN] = loadavg();
      const times = await inTurn(
        works.flatMap((work) => ways.map((way) => contestant(work, way))),
        progress,
      );
      const [afterwards = NaN] = loadavg();
      return {
        servers: servers.length,
        of: (work, way) => {
          const name = `${work}: ${way}`;
          return { seconds: median(times.get(name) ?? []) / 1000, pushes: pushes.get(name) ?? 0 };
        },
        load: [before, afterwards],
      };
    }),
  );
}

/** What is printed: a line for each work and way, the others' time as a ratio to ours in the same run. */
export function gitLines({ servers, of, load }: GitFigures): string[] {
  const lines = works.flatMap((work) =>
    ways.map((way) => {
      const { seconds, pushes } = of(work, way);
      const own = of(work, "asteriskctl").seconds;
      const long =
        way === "asteriskctl"
          ? `${seconds.toFixed(1)} s`
          : `in the same run: ${(seconds / own).toFixed(2)} times as long`;
      return `${work}, ${way}${way === "asteriskctl" ? ":" : ","} ${long}, ${pushes} pushes`;
    }),
  );
  const [before, afterwards] = load.map((each) => each.toFixed(0));
  return [`${servers} servers into one git repository, at a load of ${before} to ${afterwards}`, ...lines];
}

if (import.meta.main) {
  const [count = 100, rounds = 1] = process.argv.slice(2).map(Number);
  for (const line of gitLines(await benchGit(count, rounds))) console.log(line);
}
