import { execFile } from "node:child_process";
import { mkdir, readFile, readdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { loadManifests } from "../../cli/manifests.ts";
import { SecretDirectory } from "../../cli/secrets.ts";
import type { PlannedChange } from "../../core/plan.ts";
import { hasPendingChanges } from "../../core/plan.ts";
import { contentHash } from "../../core/record.ts";
import type { ApplyResult } from "../../engine/apply.ts";
import { applyServer } from "../../engine/apply.ts";
import { DirectorySource } from "../../engine/directory-source.ts";
import { importServer } from "../../engine/import.ts";
import type { Pass } from "../../engine/pass.ts";
import { SeenServers, withPass } from "../../engine/pass.ts";
import { planServer } from "../../engine/plan.ts";
import type { LabServer } from "./lab.ts";

const execute = promisify(execFile);

/** Which way the files go: from the source to the server, or into the source. */
export type Way = "apply" | "download";

/** What the run has to do: old and new text by path, null where there is no file. */
export const CHANGES: Readonly<Record<string, { old: string | null; new: string | null }>> = {
  "dialplan.d/changed.conf": { old: dialplan("changed", "old"), new: dialplan("changed", "new") },
  "dialplan.d/created.conf": { old: null, new: dialplan("created", "new") },
  "dialplan.d/removed.conf": { old: dialplan("removed", "old"), new: null },
  "made.d/created.conf": { old: null, new: "[made]\nby = this run\n" },
  "queues.conf": { old: "[general]\n[kill]\nmaxlen = 1\n", new: "[general]\n[kill]\nmaxlen = 222\n" },
};
/** What the server had before us is never removed there: this file is written by the earlier run. */
const REMOVED = "dialplan.d/removed.conf";
/** Changed in the same way on both sides: only the record is to be written. */
export const EQUAL = { path: "musiconhold.conf", old: "[general]\n", new: "[general]\n; changed\n" };
/** Written and recorded by an earlier run. */
export const EARLIER = { path: "earlier.conf", text: "[earlier]\nis = recorded\n" };

function dialplan(context: string, age: string): string {
  return `[kill-${context}]\nexten => 1,1,NoOp(${age} text of ${context})\n`;
}

/** What is seen of both sides at one moment. */
export interface Sight {
  /** By path: `<mode> <user>:<group> <sha256>`; of a directory, whose path ends with a slash, without the last. */
  readonly server: Readonly<Record<string, string>>;
  /** By path below the server's own room: the hash. */
  readonly room: Readonly<Record<string, string>>;
  readonly hostRecord: string | undefined;
  /** What Asterisk runs with: the contexts and the queue of the changes. */
  readonly live: string;
  /** By path: `<mode> <sha256>`, what lies in `.asterisk-iac` included. */
  readonly source: Readonly<Record<string, string>>;
}

/** A server and its source that can be set back, as often as wanted, to the moment before a run. */
export class KillScenario {
  readonly way: Way;
  /** What the command line gets. */
  readonly args: readonly string[];
  readonly source: string;
  readonly #server: LabServer;
  readonly #manifest: string;
  readonly #saved: string;

  private constructor(way: Way, server: LabServer, labDirectory: string) {
    const name = `${way}-${server.name}`;
    this.way = way;
    this.source = join(labDirectory, "source", name);
    this.#server = server;
    this.#manifest = join(labDirectory, `${name}.yaml`);
    this.#saved = join(labDirectory, "saved", name);
    this.args = ["-f", this.#manifest, way, "--yes", server.name];
  }

  /** Makes that moment: imported, one run done and recorded, and changed since. */
  static async prepare(way: Way, server: LabServer, labDirectory: string): Promise<KillScenario> {
    const scenario = new KillScenario(way, server, labDirectory);
    await rm(scenario.source, { recursive: true, force: true });
    await rm(scenario.#saved, { recursive: true, force: true });
    await scenario.#writeManifest(join(labDirectory, "manifests.yaml"));
    await scenario.#onServer(pristine);
    await scenario.put("server", EQUAL.path, EQUAL.old);
    for (const [path, change] of Object.entries(CHANGES)) {
      if (path !== REMOVED) await scenario.put("server", path, change.old);
    }
    await scenario.#withPass({ importing: true }, (pass) => importServer(pass));

    const truth = way === "apply" ? "source" : "server";
    await scenario.put(truth, EARLIER.path, EARLIER.text);
    await scenario.put(truth, REMOVED, CHANGES[REMOVED]?.old ?? null);
    await scenario.run();
    for (const [path, change] of Object.entries(CHANGES)) await scenario.put(truth, path, change.new);
    await scenario.put("source", EQUAL.path, EQUAL.new);
    await scenario.put("server", EQUAL.path, EQUAL.new);

    await scenario.#onServer(saveServer, [way]);
    await mkdir(dirname(scenario.#saved), { recursive: true });
    await execute("cp", ["-a", scenario.source, scenario.#saved]);
    return scenario;
  }

  /** Sets both sides, and live Asterisk, back to that moment, once nothing of the last run is at work any more. */
  async restore(): Promise<void> {
    await this.#onServer(restoreServer, [this.way]);
    await rm(this.source, { recursive: true, force: true });
    await execute("cp", ["-a", this.#saved, this.source]);
  }

  /** The same as the command, in this process. */
  async run(): Promise<ApplyResult> {
    const take = { side: "server", scope: "all", matches: () => true } as const;
    return this.#withPass({ writing: true }, (pass) =>
      applyServer(pass, { allow: new Set(), ...(this.way === "download" ? { take } : {}) }),
    );
  }

  /** What a plan would still do. */
  async pending(): Promise<PlannedChange[]> {
    const plan = await this.#withPass({}, (pass) => planServer(pass));
    return plan.changes.filter((change) => hasPendingChanges({ ...plan, changes: [change] }));
  }

  /** Makes the lock of a killed run old: what the next run would wait for otherwise. */
  async ageLock(): Promise<void> {
    const longAgo = new Date(Date.now() - 60_000);
    await utimes(join(this.source, ".asterisk-iac/lock"), longAgo, longAgo).catch(() => undefined);
  }

  /** Writes one file of one side as its owner would; null removes it. */
  async put(side: "server" | "source", path: string, text: string | null): Promise<void> {
    if (side === "server") {
      await this.#onServer(text === null ? 'rm -f "/etc/asterisk/$1"' : putFile, [path], text ?? "");
      return;
    }
    const file = join(this.source, path);
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    if (text === null) await rm(file, { force: true });
    else await writeFile(file, text, { mode: 0o600 });
  }

  async look(): Promise<Sight> {
    const [seen, source] = await Promise.all([this.#onServer(lookAtServer), this.#lookAtSource()]);
    const [tree = "", hashes = "", roomHashes = "", record = "", live = ""] = seen.split("\0");
    const hashOf = new Map(hashLines(hashes));
    const server = tree
      .trimEnd()
      .split("\n")
      .map((line): [string, string] => {
        const [kind, mode, owner, path = ""] = line.split(" ");
        return kind === "d"
          ? [`${path}/`, `${mode} ${owner}`]
          : [path, `${mode} ${owner} ${kind === "f" ? (hashOf.get(path) ?? "gone") : "not a file"}`];
      });
    return {
      server: Object.fromEntries(server),
      room: Object.fromEntries(hashLines(roomHashes)),
      hostRecord: record === "" ? undefined : record,
      live,
      source,
    };
  }

  async #lookAtSource(): Promise<Record<string, string>> {
    const names = await readdir(this.source, { recursive: true, withFileTypes: true });
    const files = names.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
    const described = files.map(async (file) => {
      const mode = ((await stat(file)).mode & 0o7777).toString(8);
      return [file.slice(this.source.length + 1), `${mode} ${contentHash(await readFile(file))}`] as const;
    });
    return Object.fromEntries(await Promise.all(described));
  }

  async #withPass<T>(
    options: { importing?: boolean; writing?: boolean },
    work: (pass: Pass) => Promise<T>,
  ): Promise<T> {
    const { servers, secrets, directory } = await loadManifests([this.#manifest]);
    const declared = servers.find(({ name }) => name === this.#server.name);
    if (declared === undefined) throw new Error(`${this.#server.name} is not in ${this.#manifest}`);
    const { name, resource, sourceDirectory } = declared;
    const declaration = {
      name,
      spec: resource.spec,
      source: new DirectorySource(sourceDirectory),
      accounts: [],
      files: [],
    };
    const store = new SecretDirectory(join(directory, "secrets"), secrets);
    return withPass(declaration, store, { ...options, seen: new SeenServers() }, work);
  }

  async #writeManifest(lab: string): Promise<void> {
    const { name } = this.#server;
    const direction = this.way === "apply" ? "ToAsterisk" : "FromAsterisk";
    const text = (await readFile(lab, "utf8"))
      .replaceAll("updateDirection: ToAsterisk", `prune: true\n  updateDirection: ${direction}`)
      .replaceAll(`directory: source/${name}\n`, `directory: source/${this.way}-${name}\n`);
    await writeFile(this.#manifest, text);
  }

  async #onServer(script: string, args: readonly string[] = [], input = ""): Promise<string> {
    const { code, stdout, stderr } = await this.#server.run(["sh", "-eu", "-c", script, "sh", ...args], {
      input,
    });
    if (code !== 0) throw new Error(`${this.#server.name}: exited ${code}: ${stderr}`);
    return stdout;
  }
}

/** Lines of sha256sum as path and hash. */
function hashLines(text: string): [string, string][] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => [line.slice(66), line.slice(0, 64)]);
}

const pristine = `
saved=/root/pristine etc=/etc/asterisk
[ -d $saved ] || cp -a $etc $saved
find $etc -mindepth 1 -delete
cp -a $saved/. $etc/
rm -rf /var/spool/asterisk/asterisk-iac
echo '#include "dialplan.d/*.conf"' >>$etc/extensions.conf
`;

const putFile = `
file=/etc/asterisk/$1 directory=$(dirname "/etc/asterisk/$1")
[ -d "$directory" ] || install -d -o asterisk -g asterisk -m 0750 "$directory"
[ -e "$file" ] || install -o asterisk -g asterisk -m 0640 /dev/null "$file"
cat >"$file"
`;

const saveServer = `
saved=/root/saved-$1 room=/var/spool/asterisk/asterisk-iac
rm -rf $saved; mkdir $saved
cp -a /etc/asterisk $saved/etc
[ ! -d $room ] || cp -a $room $saved/room
`;

const restoreServer = `
saved=/root/saved-$1 room=/var/spool/asterisk/asterisk-iac
looks=0
while ps -u asterisk -o args= | grep -qv '^/usr/sbin/asterisk -f'; do
  looks=$((looks + 1))
  [ $looks -lt 1000 ] || { echo 'a script of the last run does not end' >&2; exit 1; }
  sleep 0.02
done
find /etc/asterisk -mindepth 1 -delete
cp -a $saved/etc/. /etc/asterisk/
rm -rf $room
[ ! -d $saved/room ] || cp -a $saved/room $room
asterisk -rx 'dialplan reload' >/dev/null
asterisk -rx 'queue reload all' >/dev/null
`;

const lookAtServer = `
cd /etc/asterisk
find . -mindepth 1 -printf '%y %m %u:%g %P\\n' | sort -k 4
printf '\\0'
find . -type f -exec sha256sum {} + 2>/dev/null | sed 's,  \\./,  ,' || :
printf '\\0'
room=/var/spool/asterisk/asterisk-iac
[ ! -d $room ] || (cd $room && find . -type f -exec sha256sum {} + 2>/dev/null | sed 's,  \\./,  ,' || :)
printf '\\0'
[ ! -e $room/record ] || cat $room/record
printf '\\0'
asterisk -rx 'dialplan show' | grep -o '[a-z]* text of [a-z]*' || :
asterisk -rx 'queue show kill' | grep -o 'kill *has .*max [0-9]*' || :
`;
