import type { Section } from "./conf/index.ts";
import { compareModules, knownReaders, restartFiles } from "./reload-table.ts";

/** What a live Asterisk says of its modules and the files that they read. */
export interface LiveModules {
  /** Those that run, as `module show` prints them: `app_queue.so`, or `manager` for one that is built in. */
  readonly loaded: ReadonlySet<string>;
  /**
   * Who has read a file, by its path below the configuration directory, as `config list` prints it: at most 20
   * characters, and for some files not a module's name (`core`, an object type, a random id).
   */
  readonly readBy: ReadonlyMap<string, readonly string[]>;
  /** What extconfig.conf maps to a database whose driver is loaded: a file's or a family's name. */
  readonly mappings: readonly Mapping[];
}

/** One row of `core show config mappings`. */
export interface Mapping {
  readonly name: string;
  readonly driver: string;
  readonly database: string;
  readonly table: string;
}

/** What a root file amounts to, before and after. */
export interface ViewChange {
  readonly before: readonly Section[];
  readonly after: readonly Section[];
}

export interface ReloadInput {
  /** Paths below the configuration directory that were or will be written or removed. */
  readonly changed: readonly string[];
  /** The files that Asterisk opens by itself and that include a path, before or after; itself if it is one. */
  readonly roots: (path: string) => readonly string[];
  readonly live: LiveModules;
  /** By root. Without a root's, what needs a restart is named only as far as the file's name tells. */
  readonly views?: ReadonlyMap<string, ViewChange>;
}

/** One module to reload, once. */
export interface Reload {
  /** For AMI's action Reload. */
  readonly module: string;
  /** Where AMI has no way: the command of Asterisk's CLI that reloads it. */
  readonly command?: string;
  /** The changed paths that it reads, sorted. */
  readonly because: readonly string[];
}

/** What only a restart brings into effect. Nothing restarts by itself. */
export interface RestartNeeded {
  readonly path: string;
  /** In words, e.g. `the PJSIP transport [udp], which has no allow_reload=yes`. */
  readonly what: string;
  /** The settings that change, `[section] name`, where the views tell. Never values. */
  readonly settings?: readonly string[];
}

/** A changed path that needs no reload. */
export interface NotLoaded {
  readonly path: string;
  readonly why: string;
}

export interface ReloadPlan {
  /** Each module once, in the order to do them in. */
  readonly reloads: readonly Reload[];
  readonly restarts: readonly RestartNeeded[];
  readonly notLoaded: readonly NotLoaded[];
}

/** `cli_permissions.conf` belongs to no module: only this command reads it again. */
const commands: ReadonlyMap<string, Reload> = new Map([
  ["cli_permissions.conf", { module: "cli", command: "cli reload permissions", because: [] }],
]);

/** `config list` cuts a reader's name to so many characters. */
const shownReaderLength = 20;

/** The smallest set of reloads for what changed, and what a reload does not reach. Pure. */
export function planReloads({ changed, roots, live, views }: ReloadInput): ReloadPlan {
  const because = new Map<string, { reload: Reload; paths: Set<string> }>();
  const restarts = new Map<string, RestartNeeded>();
  const notLoaded: NotLoaded[] = [];
  for (const path of [...new Set(changed)].sort()) {
    const reasons: string[] = [];
    let reached = false;
    for (const root of rootsOf(path, roots, live)) {
      const found = reloadsOf(root, path, live);
      const needed = restartsOf(root, views?.get(root), live);
      for (const restart of needed) restarts.set(`${restart.path} ${restart.what}`, restart);
      for (const reload of found.reloads) {
        const entry = because.get(reload.module) ?? { reload, paths: new Set() };
        entry.paths.add(path);
        because.set(reload.module, entry);
      }
      reached ||= found.reloads.length > 0 || needed.length > 0;
      if (found.why !== undefined) reasons.push(found.why);
    }
    if (!reached)
      notLoaded.push({ path, why: reasons.join("; ") || "no file that Asterisk reads includes it" });
  }
  return {
    reloads: [...because.values()]
      .map(({ reload, paths }) => ({ ...reload, because: [...paths].sort() }))
      .sort((a, b) => compareModules(a.module, b.module)),
    restarts: [...restarts.values()].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0)),
    notLoaded,
  };
}

/** The caller's roots, and the path itself where Asterisk was seen to read it under its own name only. */
function rootsOf(path: string, roots: ReloadInput["roots"], live: LiveModules): readonly string[] {
  const found = roots(path);
  return found.length === 0 && live.readBy.has(path) ? [path] : found;
}

/** Modules to reload for a root, or why there is none. */
function reloadsOf(root: string, path: string, live: LiveModules): { reloads: Reload[]; why?: string } {
  const mapping = live.mappings.find(({ name }) => name === root);
  if (mapping !== undefined) {
    const table = `${mapping.driver}, database ${mapping.database}, table ${mapping.table}`;
    return { reloads: [], why: `extconfig.conf maps ${root} to a database (${table}): the file is not read` };
  }
  const command = commands.get(root);
  if (command !== undefined) return { reloads: [command] };
  const known = knownReaders(root);
  const seen = [...(live.readBy.get(root) ?? []), ...(live.readBy.get(path) ?? [])];
  const modules = new Set(known.filter((module) => live.loaded.has(module)));
  for (const reader of seen) {
    // A module that the table does not know of, a third party's perhaps: Asterisk itself says that it reads the file.
    const module = restartFiles.has(root) ? undefined : moduleOf(reader, live.loaded);
    if (module !== undefined) modules.add(module);
  }
  if (modules.size > 0) return { reloads: [...modules].map((module) => ({ module, because: [] })) };
  if (restartFiles.has(root))
    return { reloads: [], why: `${root} is read at start-up, and no setting changes` };
  if (known.length > 0) return { reloads: [], why: `${list(known)} would read ${root} and is not loaded` };
  return { reloads: [], why: `no loaded module is known to read ${root}` };
}

/** The loaded module that `config list` means; undefined where it names none, or several fit. */
function moduleOf(reader: string, loaded: ReadonlySet<string>): string | undefined {
  for (const module of [reader, `${reader}.so`]) if (loaded.has(module)) return module;
  if (reader.length < shownReaderLength) return undefined;
  const fitting = [...loaded].filter((module) => module.startsWith(reader));
  return fitting.length === 1 ? fitting[0] : undefined;
}

function restartsOf(root: string, view: ViewChange | undefined, live: LiveModules): RestartNeeded[] {
  const words = restartFiles.get(root);
  if (words !== undefined) {
    if (view === undefined) return [{ path: root, what: words }];
    const settings = changedSettings(view);
    return settings.length === 0 ? [] : [{ path: root, what: words, settings }];
  }
  if (root === "pjproject.conf") return startupOf(view);
  return root === "pjsip.conf" && live.loaded.has("res_pjsip.so") && view !== undefined
    ? pjsipRestarts(view)
    : [];
}

/** res_pjproject reloads the log mappings; [startup] is read by Asterisk itself, once. */
function startupOf(view: ViewChange | undefined): RestartNeeded[] {
  const what = "PJPROJECT's log level at start-up";
  if (view === undefined) return [{ path: "pjproject.conf", what }];
  const settings = changedSettings(view).filter((setting) => /^\[startup\]/i.test(setting));
  return settings.length === 0 ? [] : [{ path: "pjproject.conf", what, settings }];
}

/** `type=system` is never read again, nor is a transport that is up, unless it says so (res_pjsip/config_transport.c). */
function pjsipRestarts({ before, after }: ViewChange): RestartNeeded[] {
  const restarts: RestartNeeded[] = [];
  const path = "pjsip.conf";
  const [systems, newSystems] = [objects(before, "system"), objects(after, "system")];
  const changes = changedSettings({ before: systems, after: newSystems });
  if (changes.length > 0)
    restarts.push({ path, what: "the PJSIP settings of type=system", settings: changes });
  const now = objects(after, "transport");
  for (const transport of objects(before, "transport")) {
    const successor = now.find(({ name }) => name === transport.name);
    if (successor === undefined) {
      restarts.push({ path, what: `the PJSIP transport [${transport.name}], which goes away` });
      continue;
    }
    const settings = changedSettings({ before: [transport], after: [successor] });
    if (settings.length === 0 || isTrue(last(successor, "allow_reload"))) continue;
    const what = `the PJSIP transport [${transport.name}], which has no allow_reload=yes`;
    restarts.push({ path, what, settings });
  }
  return restarts;
}

function objects(sections: readonly Section[], type: string): Section[] {
  return sections.filter((section) => !section.template && last(section, "type") === type);
}

/** The variables that differ, `[section] name`, in the order of the sections. Templates alone reach nobody. */
export function changedSettings({ before, after }: ViewChange): string[] {
  const [old, now] = [settingsOf(before), settingsOf(after)];
  return [...new Set([...old.keys(), ...now.keys()])].filter((key) => old.get(key) !== now.get(key));
}

function settingsOf(sections: readonly Section[]): Map<string, string> {
  const values = new Map<string, string[]>();
  for (const { name, template, variables } of sections) {
    if (template) continue;
    for (const variable of variables) {
      const key = `[${name}] ${variable.name}`;
      values.set(key, [...(values.get(key) ?? []), variable.value]);
    }
  }
  return new Map([...values].map(([key, list]) => [key, JSON.stringify(list)]));
}

/** The value that counts for a setting that is given once; of several, the last. */
function last(section: Section, name: string): string | undefined {
  return section.variables.findLast((variable) => variable.name.toLowerCase() === name)?.value;
}

/** ast_true of main/utils.c. */
export function isTrue(value: string | undefined): boolean {
  return value !== undefined && /^(yes|true|y|t|1|on)$/i.test(value);
}

function list(modules: readonly string[]): string {
  return modules.length === 1 ? (modules[0] ?? "") : `one of ${modules.join(", ")}`;
}
