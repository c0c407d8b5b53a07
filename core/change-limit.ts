/** Refuses a change that takes too much away at once: what a wrong directory or an empty branch looks like. */
import type { EffectiveView } from "./conf/index.ts";
import { thingsOf } from "./difference/consumers.ts";
import { plural } from "./difference/sentences.ts";
import { keyOf } from "./difference/thing.ts";
import type { Side } from "./diff.ts";
import { comparePaths } from "./record.ts";
import type { MaxChange } from "./resource/max-change.ts";

/** The written side as it is and as it would be. */
export interface Extent {
  readonly filesBefore: readonly string[];
  readonly filesAfter: readonly string[];
  /** The roots that change. One that is removed has the view of a file that is not there. */
  readonly views: readonly {
    readonly root: string;
    readonly before: EffectiveView;
    readonly after: EffectiveView;
  }[];
}

/** More of a kind disappears than `maxChange` allows. */
export interface Excess {
  /** `file`, or the kind of a thing: `endpoint`, `extension`, `section`. */
  readonly kind: string;
  /** The file whose things they are; undefined for files. */
  readonly root?: string;
  readonly gone: number;
  /** How many there were. */
  readonly of: number;
  /** The first of those that would be gone: paths, or names. */
  readonly examples: readonly string[];
}

/** Below this number a percentage says nothing: of three files, one is a third. */
const smallestWhole = 10;
const mostExamples = 3;

/** What would disappear in excess of `limit`: files first, then by root and kind. Empty where nothing does. Pure. */
export function excessesOf(extent: Extent, limit: MaxChange): Excess[] {
  const files = lossOf("file", byItself(extent.filesBefore), byItself(extent.filesAfter));
  const things = extent.views
    .toSorted((a, b) => comparePaths(a.root, b.root))
    .flatMap(({ root, before, after }) => {
      const left = namesByKind(root, after);
      return [...namesByKind(root, before)]
        .sort(([a], [b]) => comparePaths(a, b))
        .map(([kind, names]) => ({ ...lossOf(kind, names, left.get(kind) ?? new Map()), root }));
    });
  return [files, ...things].filter((loss) => isExcess(loss, limit));
}

/** One sentence: `38 % of the endpoints of pjsip.conf (12 of 32: 101, 102 among them) disappear from the server`. */
export function explainExcess({ kind, root, gone, of, examples }: Excess, to: Side): string {
  const share = Math.round((gone / of) * 100);
  const place = root === undefined ? "" : ` of ${root}`;
  const some = gone > examples.length ? `${examples.join(", ")} among them` : examples.join(", ");
  return `${share} % of the ${plural(kind)}${place} (${gone} of ${of}: ${some}) disappear from the ${to}`;
}

function isExcess({ gone, of }: Excess, limit: MaxChange): boolean {
  if (typeof limit === "number") return gone > limit;
  return of >= smallestWhole && gone * 100 > Number.parseInt(limit, 10) * of;
}

function byItself(paths: readonly string[]): Map<string, string> {
  return new Map(paths.map((path) => [path, path]));
}

/** Names by key, by kind. Several of one key count once, and templates, which Asterisk never uses, not at all. */
function namesByKind(root: string, view: EffectiveView): Map<string, Map<string, string>> {
  const kinds = new Map<string, Map<string, string>>();
  for (const thing of thingsOf(root, view)) {
    const names = kinds.get(thing.kind) ?? new Map<string, string>();
    kinds.set(thing.kind, names.set(keyOf(thing), thing.name));
  }
  return kinds;
}

function lossOf(
  kind: string,
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
): Excess {
  const gone = [...before].filter(([key]) => !after.has(key)).map(([, name]) => name);
  return {
    kind,
    gone: gone.length,
    of: before.size,
    examples: gone.toSorted(comparePaths).slice(0, mostExamples),
  };
}
