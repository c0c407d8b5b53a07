import { z } from "zod";
import { AsteriskIacError } from "./errors.ts";
import { comparePaths } from "./record.ts";
import type { LiveModules } from "./reloads.ts";

const serverRecord = z.object({
  version: z.literal(1),
  /** ISO 8601: since when all that follows is known to be so. */
  seenAt: z.string(),
  asteriskVersion: z.string(),
  /** The configuration directory as declared or as Asterisk says; includes name it. */
  configDirectory: z.string(),
  /** By path below the configuration directory, itself the empty path: whether files could be made in it. */
  directories: z.record(z.string(), z.boolean()),
  modules: z.object({
    loaded: z.array(z.string()),
    readBy: z.record(z.string(), z.array(z.string())),
    mappings: z.array(
      z.object({ name: z.string(), driver: z.string(), database: z.string(), table: z.string() }),
    ),
  }),
});
/**
 * What a live server said of itself beside its files, kept beside the source in `.asterisk-iac/server.json`: what a plan
 * needs to know that can't reach the server.
 */
export type ServerRecord = z.infer<typeof serverRecord>;

/** Reads a record's JSON; undefined without one, as in sources that were imported before there was one. Throws `RecordInvalid`. */
export function parseServerRecord(text: string | undefined, file: string): ServerRecord | undefined {
  if (text === undefined) return undefined;
  try {
    return serverRecord.parse(JSON.parse(text));
  } catch (cause) {
    throw new AsteriskIacError(
      "RecordInvalid",
      "the record of what the server said of itself can't be read",
      {
        where: { file },
        cause,
        hint: "Remove the file: the next import, or the next change that is collected, writes it anew.",
      },
    );
  }
}

/** A record's JSON, sorted, so that git shows small differences. */
export function formatServerRecord({ directories, modules, ...rest }: ServerRecord): string {
  const sorted = {
    ...rest,
    directories: sortedByKey(directories),
    modules: {
      loaded: [...modules.loaded].sort(comparePaths),
      readBy: sortedByKey(
        Object.fromEntries(
          Object.entries(modules.readBy).map(([path, readers]) => [path, [...new Set(readers)].sort()]),
        ),
      ),
      mappings: modules.mappings,
    },
  };
  return `${JSON.stringify(sorted, undefined, 2)}\n`;
}

/** The modules as a record has them. */
export function recordedModules({ loaded, readBy, mappings }: LiveModules): ServerRecord["modules"] {
  return {
    loaded: [...loaded],
    readBy: Object.fromEntries(
      [...readBy].map(([path, readers]) => [path, readers.filter((reader) => !isRandom(reader))]),
    ),
    mappings: [...mappings],
  };
}

/** Ids that sorcery gives its readers anew at every start: they name no module. */
function isRandom(reader: string): boolean {
  return /^[0-9a-f]{8}-[0-9a-f]{4}-/.test(reader);
}

/** The modules of a record as a plan takes them. */
export function liveModules({ modules: { loaded, readBy, mappings } }: ServerRecord): LiveModules {
  return { loaded: new Set(loaded), readBy: new Map(Object.entries(readBy)), mappings };
}

function sortedByKey<T>(record: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => comparePaths(a, b)));
}
