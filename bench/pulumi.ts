/**
 * A thousand ConfFiles on one server, as Pulumi's handlers have them: a refresh of all where nothing changed, and a hundred
 * changed files, handed over as many at a time as Pulumi works on, and as a folder. What Pulumi itself does is not in it.
 */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Properties } from "../provider/properties.ts";
import { closeAll, forKind } from "../provider/runtime.ts";
import { countingProxy } from "../test/support/counting-proxy.ts";
import type { CountingProxy } from "../test/support/counting-proxy.ts";
import { watchReloads } from "../test/support/reload-watch.ts";
import { timed } from "./measure.ts";
import { progress, withLab } from "./servers.ts";

export interface PulumiFigures {
  /** Milliseconds, a thousand `read`s at once. */
  readonly refresh: number;
  /** Connections of the refresh. */
  readonly ssh: number;
  readonly ami: number;
  /** Reloads of any module during it. */
  readonly refreshReloads: number;
  /** The most reloads of one module: a hundred changed files, so many at a time. */
  readonly inBatches: { readonly parallel: number; readonly reloads: number; readonly milliseconds: number };
  /** The same as a folder. */
  readonly asFolder: { readonly reloads: number; readonly milliseconds: number };
}

const files = 1000;
const changed = 100;
/** Of a machine with four processors; Pulumi's own default is four times their number. */
const parallel = 16;

interface Resource {
  readonly id: string;
  readonly outs: Properties;
  readonly inputs: Properties;
}

export async function benchPulumi(): Promise<PulumiFigures> {
  return withLab(1, async ({ directory, servers: [server] }) => {
    if (server === undefined) throw new Error("the lab has no server");
    const { lab } = server;
    const [ssh, ami] = await Promise.all([countingProxy(lab.sshPort), countingProxy(lab.amiPort)]);
    const reloads = await watchReloads(lab);
    try {
      const inputs = {
        name: "pbx",
        ssh: {
          host: lab.host,
          port: ssh.port,
          user: lab.users.owner,
          privateKey: await readFile(lab.privateKeyFile, "utf8"),
          knownHosts: lab.knownHosts.replaceAll(`:${lab.sshPort} `, `:${ssh.port} `),
        },
        ami: {
          host: lab.host,
          port: ami.port,
          via: "Direct",
          username: lab.amiUsername,
          password: lab.amiPassword,
        },
        updateDirection: "ToAsterisk",
      };
      // One file that all of them are included by, so that a change of any is a reload of the dialplan.
      await writeFile(join(lab.configDirectory, "extensions.conf"), `#tryinclude "bench/*.conf"\n`);
      await lab.run(["asterisk", "-rx", "dialplan reload"]);
      const created = await forKind("AsteriskServer").create(inputs);
      const declared = Array.from({ length: files }, (_, at) =>
        fileInputs(created.outs["connection"], at, 1),
      );
      const resources = await Promise.all(declared.map(create));
      progress(`${files} files are there`);
      await reloads.heard();
      const refresh = await refreshOf(resources, { ssh, ami });
      const refreshReloads = (await reloads.heard()).length;

      const again = resources.slice(0, changed);
      const batches = await timed(() =>
        inTurns(again, (one, at) => update(one, fileInputs(created.outs["connection"], at, 2))),
      );
      const inBatches = { parallel, reloads: most(await reloads.heard()), milliseconds: batches };

      const folder = join(directory, "folder");
      const withFolder = { ...inputs, source: { directory: folder } };
      const imported = await forKind("AsteriskServer").create(withFolder);
      await reloads.heard();
      for (let at = files; at < files + changed; at++)
        await writeFile(join(folder, `extensions_${at}.conf`), contentOf(at, 1));
      await writeFile(
        join(folder, "extensions.conf"),
        `#tryinclude "bench/*.conf"\n#tryinclude "extensions_*.conf"\n`,
      );
      const milliseconds = await timed(async () => {
        const checked = await forKind("AsteriskServer").check(imported.outs, withFolder);
        await forKind("AsteriskServer").update(imported.id, imported.outs, checked.inputs);
      });
      return {
        ...refresh,
        refreshReloads,
        inBatches,
        asFolder: { reloads: most(await reloads.heard()), milliseconds },
      };
    } finally {
      await closeAll();
      await Promise.all([reloads.close(), ssh.close(), ami.close()]);
    }
  });
}

function contentOf(at: number, revision: number): string {
  return `[bench-${at}]\nexten => ${1000 + at},1,NoOp(revision ${revision})\n same => n,Hangup()\n`;
}

function fileInputs(server: unknown, at: number, revision: number): Properties {
  return { name: `file-${at}`, server, path: `bench/file-${at}.conf`, content: contentOf(at, revision) };
}

async function create(inputs: Properties): Promise<Resource> {
  return { ...(await forKind("ConfFile").create(inputs)), inputs };
}

async function update({ id, outs }: Resource, inputs: Properties): Promise<void> {
  await forKind("ConfFile").update(id, outs, inputs);
}

/** All at once: the more there are, the more Pulumi hands over. */
async function refreshOf(
  resources: readonly Resource[],
  { ssh, ami }: { ssh: CountingProxy; ami: CountingProxy },
): Promise<{ refresh: number; ssh: number; ami: number }> {
  await closeAll();
  Object.assign(ssh, { connections: 0 });
  Object.assign(ami, { connections: 0 });
  const refresh = await timed(async () => {
    const read = await Promise.all(resources.map(({ id, outs }) => forKind("ConfFile").read(id, outs)));
    const differences = await Promise.all(
      read.map(({ props }, at) => forKind("ConfFile").diff("", props, resources[at]?.inputs ?? {})),
    );
    if (differences.some(({ changes }) => changes)) throw new Error("the refresh found something to do");
  });
  return { refresh, ssh: ssh.connections, ami: ami.connections };
}

/** So many are under way at any time. */
async function inTurns(
  resources: readonly Resource[],
  work: (one: Resource, at: number) => Promise<void>,
): Promise<void> {
  const rest = [...resources.entries()];
  const next = async (): Promise<void> => {
    for (let one = rest.shift(); one !== undefined; one = rest.shift()) await work(one[1], one[0]);
  };
  await Promise.all(Array.from({ length: parallel }, next));
}

/** How often the module that was reloaded most was. */
function most(modules: readonly string[]): number {
  return Math.max(
    0,
    ...Object.values(Object.groupBy(modules, (module) => module)).map((each) => each?.length ?? 0),
  );
}

if (import.meta.main) console.log(await benchPulumi());
