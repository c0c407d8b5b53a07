import type { ConfFiles, EffectiveView, LoadOptions } from "../core/conf/index.ts";
import { filesOf, globAsterisk } from "../core/conf/index.ts";
import { IncludePaths } from "../core/conf/include-paths.ts";
import type { Diagnostic, LintOptions } from "../core/conf/lint.ts";
import { hideQuotesOf, lintDirectory } from "../core/conf/lint.ts";
import type { Load } from "../core/conf/load.ts";
import { loadOnce } from "../core/conf/load.ts";
import { parseOnce } from "../core/conf/parse-once.ts";
import type { SecretRule } from "../core/conf/secrets.ts";
import { checkConfiguration } from "../core/check-configuration.ts";
import { excessesOf, explainExcess } from "../core/change-limit.ts";
import type { Change, Side } from "../core/diff.ts";
import type { EffectiveDifference } from "../core/difference.ts";
import { differenceOf } from "../core/difference.ts";
import type { IncludeGraph } from "../core/graph.ts";
import { includeGraph } from "../core/graph.ts";
import type { ViewChange } from "../core/reloads.ts";
import type { MaxChange } from "../core/resource/max-change.ts";

/** One side as it is and as it would be after the plan. */
export interface SideChange {
  readonly side: Side;
  readonly before: ReadonlyMap<string, Uint8Array>;
  readonly after: ReadonlyMap<string, Uint8Array>;
  readonly changed: readonly string[];
}

/** What a plan means for Asterisk on one side. */
export interface Consequences {
  /** By root, sorted; only roots that the change reaches. */
  readonly differences: readonly EffectiveDifference[];
  /** Too much at once, a sentence each. */
  readonly largeChanges: readonly string[];
  /** What Asterisk would refuse that it does not refuse already, by path. */
  readonly errors: ReadonlyMap<string, string>;
  /** The roots that read a path, before or after. */
  readonly rootsOf: (path: string) => readonly string[];
  /** A file that stays and that includes the path by name, or of whose include it is the last match. */
  readonly includerOf: (path: string) => string | undefined;
  readonly views: ReadonlyMap<string, { readonly before: EffectiveView; readonly after: EffectiveView }>;
}

export interface ConsequenceOptions {
  readonly asteriskVersion: string;
  readonly configDirectory: string;
  readonly allowExec: boolean;
  readonly maxChange: MaxChange;
  /** What holds a secret beside what is known to: no error quotes it. */
  readonly declaredSecrets: readonly SecretRule[];
}

/** The bytes of a side after the changes that are made to it. */
export function afterChanges(
  side: Side,
  before: ReadonlyMap<string, Uint8Array>,
  other: ReadonlyMap<string, Uint8Array>,
  changes: readonly Change[],
): SideChange {
  const after = new Map(before);
  const changed: string[] = [];
  for (const change of changes) {
    if ((change.kind !== "Write" && change.kind !== "Remove") || change.to !== side) continue;
    changed.push(change.path);
    const bytes = other.get(change.path);
    if (change.kind === "Remove") after.delete(change.path);
    else if (bytes !== undefined) after.set(change.path, bytes);
  }
  return { side, before, after, changed };
}

/** Sees both states as Asterisk does and compares. Pure. */
export function consequencesOf(change: SideChange, options: ConsequenceOptions): Consequences {
  const { side, before } = change;
  const { configDirectory } = options;
  // A source loses what the server lost: nothing reads it there.
  const needed = side === "server" ? neededFiles(change, configDirectory) : new Map<string, string>();
  const changed = change.changed.filter((path) => !needed.has(path));
  const after = new Map([...change.after, ...[...before].filter(([path]) => needed.has(path))]);
  const load = { configDirectory, asteriskVersion: majorOf(options.asteriskVersion) };
  const [stateBefore, stateAfter] = [stateOf(before, load), stateOf(after, load)];
  const graphOf = ({ paths, files, loaded }: State): IncludeGraph => includeGraph(files, paths, load, loaded);
  const [old, now] = [graphOf(stateBefore), graphOf(stateAfter)];
  const rootsOf = (path: string): readonly string[] =>
    [...new Set([...old.rootsOf(path), ...now.rootsOf(path)])].sort();
  const roots = [...new Set(changed.flatMap(rootsOf))].sort();
  const views = new Map(roots.map((root) => [root, { before: old.view(root), after: now.view(root) }]));
  const excesses = excessesOf(
    {
      filesBefore: [...before.keys()],
      filesAfter: [...after.keys()],
      views: [...views].map(([root, view]) => ({ root, ...view })),
    },
    options.maxChange,
  );
  return {
    differences: [...views].map(([root, view]) => differenceOf(view.before, view.after, root)),
    largeChanges: excesses.map((excess) => explainExcess(excess, side)),
    errors:
      changed.length === 0
        ? new Map()
        : errorsOf(stateBefore, stateAfter, viewChanges({ views }), {
            ...load,
            allowExec: options.allowExec,
            declaredSecrets: options.declaredSecrets,
          }),
    rootsOf,
    includerOf: (path) => needed.get(path),
    views,
  };
}

/** The files of one state, each root loaded once for all who look. */
interface State {
  readonly paths: readonly string[];
  readonly files: ConfFiles;
  readonly loaded: Load;
}

function stateOf(contents: ReadonlyMap<string, Uint8Array>, options: LoadOptions): State {
  const files = filesOf(contents);
  return { paths: [...contents.keys()], files, loaded: loadOnce(files, options) };
}

function errorsOf(
  before: State,
  after: State,
  views: ReadonlyMap<string, ViewChange>,
  { declaredSecrets, ...options }: LintOptions & Pick<ConsequenceOptions, "declaredSecrets">,
): ReadonlyMap<string, string> {
  const lint = ({ paths, files, loaded }: State): Diagnostic[] =>
    lintDirectory(paths, files, options, loaded);
  const errors = new Map<string, string>();
  const found = lint(after);
  // What was there before matters only beside what would be.
  const known = found.some(({ severity }) => severity === "error") ? lint(before) : [];
  const refused = checkConfiguration({ before: known, after: found, views });
  if (refused.length === 0) return errors;
  const hide = hideQuotesOf(after.paths, after.files, declaredSecrets);
  for (const { file, line, message } of refused) {
    const told = hide(message);
    if (!errors.has(file)) errors.set(file, line === 0 ? told : `line ${line}: ${told}`);
  }
  return errors;
}

/** Per root the sections before and after. */
export function viewChanges(
  consequences: Pick<Consequences, "views"> | undefined,
): ReadonlyMap<string, ViewChange> {
  const views = [...(consequences?.views ?? [])];
  return new Map(
    views.map(([root, { before, after }]) => [root, { before: before.sections, after: after.sections }]),
  );
}

/**
 * The removed files without which Asterisk would refuse one that stays, each with the file that includes it: by name, or
 * by a glob that matches nothing else. What stays for that reason needs what it includes, too.
 */
function neededFiles({ before, after }: SideChange, configDirectory: string): ReadonlyMap<string, string> {
  const removed = new Map([...before].filter(([path]) => !after.has(path)));
  const needed = new Map<string, string>();
  if (removed.size === 0) return needed;
  const includes = new IncludePaths(configDirectory);
  // A Map's iteration also comes by what is added to it meanwhile.
  const staying = new Map(after);
  const glob = (pattern: string): readonly string[] =>
    globAsterisk(pattern, after.keys()).length > 0 ? [] : globAsterisk(pattern, removed.keys());
  for (const [holder, bytes] of staying) {
    if (holder.endsWith(".lua")) continue;
    for (const node of parseOnce(bytes).nodes) {
      if (node.kind !== "directive" || node.directive !== "include" || node.argument === undefined) continue;
      for (const path of includes.resolve(node.argument, glob).paths) {
        const content = removed.get(path);
        if (content === undefined || needed.has(path)) continue;
        needed.set(path, holder);
        staying.set(path, content);
      }
    }
  }
  return needed;
}

/** The major version of `22.10.1+dfsg…`; 22 where it can't be told, as for a build from git. */
export function majorOf(asteriskVersion: string): number {
  return Number(/^(\d+)\./.exec(asteriskVersion)?.[1] ?? 22);
}
