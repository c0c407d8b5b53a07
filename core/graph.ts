/** Which files a module of Asterisk opens, and what they include: a fragment is judged by the roots that read it. */
import { viewOf } from "./conf/document.ts";
import type { ConfFiles, EffectiveView, LoadOptions } from "./conf/index.ts";
import type { Load } from "./conf/load.ts";
import { loadOnce } from "./conf/load.ts";
import { isConf, isKnownRoot } from "./conf/lint/roots.ts";
import { comparePaths } from "./record.ts";

/** The includes of one directory. */
export interface IncludeGraph {
  /** The files that nothing but a module reads, sorted. */
  readonly roots: readonly string[];
  /** The roots that read `path`, sorted: itself if it is one. Empty for what no view of Asterisk's .conf files holds. */
  rootsOf(path: string): readonly string[];
  /** What Asterisk sees in a root. */
  view(root: string): EffectiveView;
}

/**
 * Builds the graph. Roots are the files that Asterisk's modules are known to open, the other `.conf` files that no
 * root includes, and where such files include each other in a circle, all that the first of them does not reach. Pure
 * but for the reader.
 * @param paths of all files, below the configuration directory
 * @param load for those who loaded them already, with the same options
 */
export function includeGraph(
  files: ConfFiles,
  paths: Iterable<string>,
  options: LoadOptions = {},
  load: Load = loadOnce(files, options),
): IncludeGraph {
  const views = new Map<string, EffectiveView>();
  const view = (root: string): EffectiveView => {
    const known = views.get(root) ?? viewOf(load(root));
    views.set(root, known);
    return known;
  };
  const readBy = new Map<string, string[]>();
  const roots: string[] = [];
  const take = (root: string): void => {
    roots.push(root);
    for (const path of new Set([root, ...load(root).included])) {
      readBy.set(path, [...(readBy.get(path) ?? []), root]);
    }
  };
  const all = [...paths].filter(isConf).sort(comparePaths);
  all.filter(isKnownRoot).forEach(take);
  const rest = all.filter((path) => !readBy.has(path));
  const included = new Set(rest.flatMap((path) => load(path).included.filter((other) => other !== path)));
  rest.filter((path) => !included.has(path)).forEach(take);
  for (const path of rest) if (!readBy.has(path)) take(path);
  return {
    roots: roots.toSorted(comparePaths),
    rootsOf: (path) => (readBy.get(path) ?? []).toSorted(comparePaths),
    view,
  };
}
