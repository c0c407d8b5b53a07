import { globAsterisk, parse } from "../core/conf/index.ts";
import { IncludePaths } from "../core/conf/include-paths.ts";
import { isHidden } from "../core/paths.ts";
import type { ContentHash, ImportOutcome } from "../core/record.ts";
import type { Records } from "../core/recorded.ts";
import { recordedOf } from "../core/recorded.ts";
import { fileSelector } from "../core/resource/index.ts";
import type { SourceFile } from "../core/source.ts";
import type { ServerView } from "./pass.ts";

/** One side's files, for finding out which of them belong to the declaration. */
export interface Selectable {
  /** Every path of the side with the hash of its content; null where that can't be read. */
  readonly paths: ReadonlyMap<string, ContentHash | null>;
  /** Contents of paths that have a hash. */
  readonly read: (paths: readonly string[]) => Promise<ReadonlyMap<string, Buffer>>;
}

/** What was selected, and the contents that had to be read on the way. */
export interface Selection {
  readonly selected: ReadonlySet<string>;
  readonly contents: Map<string, Buffer>;
}

/**
 * The paths that match `files`, and what these include, and what that includes. Contents are read level by level, one
 * read each; `known` are paths whose content needs no reading, because what they include is selected already.
 */
export async function selectPaths(
  side: Selectable,
  files: readonly string[] | ((path: string) => boolean),
  configDirectory: string,
  known: ReadonlySet<string> = new Set(),
): Promise<Selection> {
  const matches = typeof files === "function" ? files : fileSelector(files);
  const includes = new IncludePaths(configDirectory);
  const selected = new Set([...side.paths.keys()].filter((path) => known.has(path) || matches(path)));
  const contents = new Map<string, Buffer>();
  for (let level = [...selected]; level.length > 0;) {
    const unread = level.filter((path) => !known.has(path) && side.paths.get(path) != null);
    const read = await side.read(unread);
    level = [];
    for (const [path, bytes] of read) {
      contents.set(path, bytes);
      for (const target of includedBy(path, bytes, includes, side.paths)) {
        if (selected.has(target)) continue;
        selected.add(target);
        level.push(target);
      }
    }
  }
  return { selected, contents };
}

/**
 * The paths that a plan is about, on either side. Files that are as recorded need no reading: what they include was
 * recorded with them. So an unchanged server costs no read at all.
 */
export async function selectForPlan(
  pass: ServerView,
  source: ReadonlyMap<string, SourceFile>,
  records: Records,
): Promise<ReadonlySet<string>> {
  const { files } = pass.declaration.spec;
  const imported = Object.entries(records.imported.files).filter(([, { outcome }]) => wasTaken.has(outcome));
  const recorded = [
    ...imported.map(([path]) => path),
    ...Object.keys(records.collected.files),
    ...Object.keys(records.applied),
  ];
  const taken = new Set(recorded.filter((path) => !isHidden(path)));
  const asRecorded = (path: string, hash: ContentHash | null): boolean =>
    hash !== null &&
    taken.has(path) &&
    [recordedOf(path, records), records.imported.files[path]?.hash].includes(records.recorded(hash));
  const onServer = new Map(
    pass.files.filter((file) => file.kind !== "directory").map((file) => [file.path, file.hash ?? null]),
  );
  const inSource = new Map(
    [...source].map(([path, file]) => [path, file.problem === undefined ? file.hash : null]),
  );
  const known = (paths: ReadonlyMap<string, ContentHash | null>): Set<string> =>
    new Set([...paths].filter(([path, hash]) => asRecorded(path, hash)).map(([path]) => path));
  const [server, own] = await Promise.all([
    selectPaths({ paths: onServer, read: pass.read }, files, pass.configDirectory, known(onServer)),
    selectPaths(
      { paths: inSource, read: (paths) => readSource(pass, paths) },
      files,
      pass.configDirectory,
      known(inSource),
    ),
  ]);
  return new Set([...taken, ...server.selected, ...own.selected]);
}

const wasTaken = new Set<ImportOutcome>(["Stored", "Equal", "Kept"]);

async function readSource(
  { declaration }: ServerView,
  paths: readonly string[],
): Promise<ReadonlyMap<string, Buffer>> {
  return new Map(
    await Promise.all(paths.map(async (path) => [path, await declaration.source.read(path)] as const)),
  );
}

/** Most files include nothing, and need no parsing to see it. A comment inside of a word is taken out of it. */
const mayInclude = /#(try)?include|;--/i;

/** What one file includes, of the paths that are there. */
function includedBy(
  path: string,
  bytes: Buffer,
  includes: IncludePaths,
  paths: ReadonlyMap<string, unknown>,
): string[] {
  if (path.endsWith(".lua") || !mayInclude.test(bytes.toString("latin1"))) return [];
  const targets: string[] = [];
  for (const node of parse(bytes).nodes) {
    if (node.kind !== "directive" || node.argument === undefined) continue;
    if (node.directive !== "include" && node.directive !== "tryinclude") continue;
    targets.push(...includes.resolve(node.argument, (pattern) => globAsterisk(pattern, paths.keys())).paths);
  }
  return targets.filter((target) => paths.has(target) && !isHidden(target));
}
