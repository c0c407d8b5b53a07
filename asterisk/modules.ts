import { AsteriskIacError } from "../core/errors.ts";
import type { LiveModules, Mapping } from "../core/reloads.ts";
import { runCommands } from "./asterisk-command.ts";
import type { Host } from "./host.ts";

/** The commands that `parseModules` reads, for a round trip that is made anyway. */
export const MODULE_COMMANDS = ["module show", "config list", "core show config mappings"] as const;

/** Asks Asterisk's CLI for its modules and the files that they have read. One round trip. Rejects as `runCommands`. */
export async function askModules(host: Host, configDirectory: string): Promise<LiveModules> {
  return parseModules(await runCommands(host, MODULE_COMMANDS), configDirectory);
}

/**
 * Reads what the MODULE_COMMANDS printed (main/cli.c, main/config.c), in their order. `configDirectory` is the one that
 * Asterisk names in `core show settings`: files elsewhere are left out. Throws `UnexpectedAnswer`.
 */
export function parseModules(outputs: readonly string[], configDirectory: string): LiveModules {
  const [modules = "", files = "", mappings = ""] = outputs;
  return {
    loaded: parseLoaded(modules),
    readBy: parseReaders(files, configDirectory),
    mappings: parseMappings(mappings),
  };
}

/** The description may hold anything, so the row is read from both its ends: name first, then its status. */
function parseLoaded(text: string): Set<string> {
  const loaded = new Set<string>();
  for (const line of text.split("\n")) {
    const [, name] = /^(\S+) .* \d+ +Running\s/.exec(line) ?? [];
    if (name !== undefined) loaded.add(name);
  }
  if (loaded.size > 0) return loaded;
  throw new AsteriskIacError("UnexpectedAnswer", "Asterisk's `module show` named no module that runs.", {
    hint: "cli_permissions.conf may deny this user the command.",
  });
}

/** Rows of `%-20.20s %-50s`: who asked, and the file. */
function parseReaders(text: string, configDirectory: string): Map<string, string[]> {
  const root = `${configDirectory.replace(/\/+$/, "")}/`;
  const readBy = new Map<string, string[]>();
  for (const line of text.split("\n")) {
    const [reader, file] = [line.slice(0, 20).trimEnd(), line.slice(21).trimEnd()];
    if (!file.startsWith(root)) continue;
    const path = file.slice(root.length);
    readBy.set(path, [...(readBy.get(path) ?? []), reader]);
  }
  return readBy;
}

/** `Config Engine: odbc`, and below it `===> queues.conf (db=asterisk, table=ast_config)`. */
function parseMappings(text: string): Mapping[] {
  const mappings: Mapping[] = [];
  let driver = "";
  for (const line of text.split("\n")) {
    const [, engine] = /^Config Engine: (.+)$/.exec(line) ?? [];
    if (engine !== undefined) driver = engine;
    const [, name, database, table] = /^===> (.+) \(db=(.*), table=(.*)\)$/.exec(line) ?? [];
    if (name !== undefined && database !== undefined && table !== undefined)
      mappings.push({ name, driver, database, table });
  }
  return mappings;
}
