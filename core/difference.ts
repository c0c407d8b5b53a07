/** What changes for Asterisk between two views of a file, in the words of the module that reads it. */
import type { EffectiveView, Problem, Section } from "./conf/index.ts";
import { plainThing, plainTrack, thingsOf } from "./difference/consumers.ts";
import { pair } from "./difference/pair.ts";
import { templatesOf } from "./difference/templates.ts";
import type { Fact, Spot, Thing } from "./difference/thing.ts";
import { keyOf } from "./difference/thing.ts";
import { comparePaths } from "./record.ts";

export {
  explainDetail,
  explainEffect,
  explainSetting,
  groupEffects,
  summarize,
} from "./difference/sentences.ts";

/** What becomes of something. `reordered`: all is still there, in an order that means something else. */
export type EffectAction = "added" | "removed" | "changed" | "reordered";

/** One fact about a thing that is no longer as it was. Values are masked: a secret is eight stars. */
export interface Detail extends Spot {
  /** `renumbered`: steps of an extension that are the same but for their priority. */
  readonly action: EffectAction | "renumbered";
  /** The setting, or in other words what it is: `context`, `priority 2`, `member PJSIP/100`. */
  readonly name: string;
  readonly old?: string;
  readonly new?: string;
  /** A secret is part of it. Without values, nothing but the secret differs. */
  readonly secret?: true;
  /** Gained or lost as a whole, as one class of a permission list is. */
  readonly granted?: true;
  /** Where order counts: the place of what was added or removed, from 1, among how many. */
  readonly position?: { readonly at: number; readonly of: number };
}

/** What becomes of one thing that Asterisk makes of the file. File and line are the new ones, of a removed thing the old. */
export interface Effect extends Spot {
  /** In the module's words, singular: `endpoint`, `extension`, `mailbox`; `section` where we know none; `template`. */
  readonly kind: string;
  readonly action: EffectAction;
  /** Empty where all things of the kind were reordered. */
  readonly name: string;
  /** The context that an extension, a hint or a mailbox belongs to. */
  readonly context?: string;
  /** What is different; of a thing added or removed all that it has. */
  readonly details: readonly Detail[];
  /** Of a template: how many sections it reaches. At 0 its change means nothing to anybody. */
  readonly reaches?: number;
}

/** What changes for Asterisk in one file that a module opens, all that it includes counted in. JSON as it stands. */
export interface EffectiveDifference {
  readonly root: string;
  /** Sorted by kind, context and name. Empty where Asterisk refuses the new file. */
  readonly effects: readonly Effect[];
  /** Why Asterisk refuses the new file: nothing of it counts. */
  readonly refused?: Problem;
  /** Why Asterisk refused the old one: it is compared as far as it was read. */
  readonly refusedBefore?: Problem;
  /** What an `#exec` or an include from elsewhere adds to either is not known. */
  readonly incomplete?: true;
}

/**
 * Compares what Asterisk sees in the file `root` (a path below the configuration directory) before and after. A file
 * that is not there counts as an empty one. Pure.
 */
export function differenceOf(
  oldView: EffectiveView,
  newView: EffectiveView,
  root: string,
): EffectiveDifference {
  const refused = refusalOf(newView);
  const refusedBefore = refusalOf(oldView);
  const effects = () => [
    ...compareThings(thingsOf(root, oldView), thingsOf(root, newView)),
    ...compareTemplates(oldView.sections, newView.sections),
  ];
  return {
    root,
    effects: refused === undefined ? effects().sort(compareEffects) : [],
    ...(refused === undefined ? {} : { refused }),
    ...(refusedBefore === undefined ? {} : { refusedBefore }),
    ...(oldView.incomplete || newView.incomplete ? { incomplete: true } : {}),
  };
}

function refusalOf({ invalid }: EffectiveView): Problem | undefined {
  return invalid?.kind === "file-missing" ? undefined : invalid;
}

function compareTemplates(oldSections: readonly Section[], newSections: readonly Section[]): Effect[] {
  const old = templatesOf(oldSections);
  const now = templatesOf(newSections);
  const things = ({ sections }: typeof old): Thing[] => sections.map((one) => plainThing("template", one));
  // In what order they stand, only their children know.
  const effects = compareThings(things(old), things(now)).filter(({ action }) => action !== "reordered");
  return effects.map((effect) => {
    const reach = (effect.action === "removed" ? old : now).reach;
    return { ...effect, reaches: reach.get(effect.name) ?? 0 };
  });
}

function compareThings(oldThings: readonly Thing[], newThings: readonly Thing[]): Effect[] {
  const trackOf = (thing: Thing) => (thing.ordered ? thing.kind : keyOf(thing));
  return byTrack(oldThings, newThings, trackOf).flatMap(([oldTrack, newTrack]) => {
    // By far the most of a large dialplan.
    if (isOneUnchanged(oldTrack, newTrack)) return [];
    const pairs = pair(oldTrack, newTrack, keyOf, contentOf);
    const [first] = pairs.kept;
    return [
      ...pairs.removed.map((thing) => whole("removed", thing)),
      ...pairs.added.map((thing) => whole("added", thing)),
      ...pairs.kept.flatMap(({ old, new: now }) => {
        const details = compareFacts(old.facts, now.facts);
        return details.length === 0 ? [] : [effect("changed", now, details)];
      }),
      ...(pairs.reordered && first !== undefined ? [reordered(first.new)] : []),
    ];
  });
}

function effect(action: EffectAction, thing: Thing, details: readonly Detail[]): Effect {
  const { kind, name, context, file, line } = thing;
  return { kind, action, name, ...(context === undefined ? {} : { context }), details, file, line };
}

function whole(action: "added" | "removed", thing: Thing): Effect {
  return effect(
    action,
    thing,
    thing.facts.map((one) => cameOrWent(action, one)),
  );
}

function reordered(first: Thing): Effect {
  return effect("reordered", first.ordered ? { ...first, name: "" } : first, []);
}

/** Whether both tracks hold one and the same thing, with equal facts. */
function isOneUnchanged([old, ...more]: readonly Thing[], [now, ...others]: readonly Thing[]): boolean {
  if (old === undefined || now === undefined || more.length > 0 || others.length > 0) return false;
  if (keyOf(old) !== keyOf(now) || old.facts.length !== now.facts.length) return false;
  return old.facts.every((one, index) => {
    const other = now.facts[index];
    return one.track === other?.track && one.name === other.name && one.value === other.value;
  });
}

/** All that makes one thing equal to another of its key. */
function contentOf({ facts }: Thing): string {
  return JSON.stringify(facts.map(({ track, name, value }) => [track, name, value]));
}

function compareFacts(oldFacts: readonly Fact[], newFacts: readonly Fact[]): Detail[] {
  return byTrack(oldFacts, newFacts, ({ track }) => track).flatMap(([oldTrack, newTrack]) => {
    const pairs = pair(
      oldTrack,
      newTrack,
      ({ label }) => label,
      ({ value }) => value,
      ({ label, kin = label }) => kin,
    );
    return [
      ...pairs.removed.map((one) => cameOrWent("removed", one, oldTrack)),
      ...pairs.added.map((one) => cameOrWent("added", one, newTrack)),
      ...pairs.kept.flatMap(({ old, new: now }) => (old.value === now.value ? [] : [changed(old, now)])),
      ...renumbered(pairs.kept),
      ...(pairs.reordered ? [reorderedFacts(oldTrack, newTrack)] : []),
    ];
  });
}

/** @param track tells the place of what came or went; without it, or where a place says nothing, there is none */
function cameOrWent(action: "added" | "removed", one: Fact, track: readonly Fact[] = []): Detail {
  const { name, shown, value, granted, file, line } = one;
  const hasPlace = track.length > 1 && one.track !== plainTrack && one.priority === undefined;
  return {
    action,
    name,
    ...(action === "added" ? { new: shown } : { old: shown }),
    ...(shown === value ? {} : { secret: true }),
    ...(granted ? { granted } : {}),
    ...(hasPlace ? { position: { at: track.indexOf(one) + 1, of: track.length } } : {}),
    file,
    line,
  };
}

function changed(old: Fact, now: Fact): Detail {
  const { name, file, line } = now;
  // Only what is masked differs: neither value may be seen, and stars would say nothing.
  if (old.shown === now.shown) return { action: "changed", name, secret: true, file, line };
  const secret = old.shown !== old.value || now.shown !== now.value;
  return {
    action: "changed",
    name,
    old: old.shown,
    new: now.shown,
    ...(secret ? { secret } : {}),
    file,
    line,
  };
}

/** Steps that are the same at another priority: one detail for each run that moved by the same distance. */
function renumbered(kept: readonly { old: Fact; new: Fact }[]): Detail[] {
  const runs: { old: Fact; new: Fact; oldEnd: number; newEnd: number }[] = [];
  for (const { old, new: now } of kept) {
    if (old.priority === undefined || now.priority === undefined || old.priority === now.priority) continue;
    const run = runs.at(-1);
    if (run?.oldEnd === old.priority - 1 && run.newEnd === now.priority - 1) {
      run.oldEnd++;
      run.newEnd++;
    } else runs.push({ old, new: now, oldEnd: old.priority, newEnd: now.priority });
  }
  return runs.map(({ old, new: now, oldEnd, newEnd }) => ({
    action: "renumbered",
    name: oldEnd === old.priority ? "priority" : "priorities",
    old: range(old.priority, oldEnd),
    new: range(now.priority, newEnd),
    file: now.file,
    line: now.line,
  }));
}

function range(start: number | undefined, end: number): string {
  return start === end ? String(end) : `${String(start)}–${String(end)}`;
}

function reorderedFacts(oldTrack: readonly Fact[], newTrack: readonly Fact[]): Detail {
  const list = (facts: readonly Fact[]) =>
    facts.map(({ name, shown }) => (shown === "" ? name : `${name}=${shown}`)).join(", ");
  const { track = "", file = "", line = 0 } = newTrack[0] ?? {};
  // All lines of a section would say too much.
  const lists = track === plainTrack ? {} : { old: list(oldTrack), new: list(newTrack) };
  return { action: "reordered", name: track, ...lists, file, line };
}

/** The two sides of each track, in the order of their first appearance. */
function byTrack<T>(
  oldList: readonly T[],
  newList: readonly T[],
  trackOf: (entry: T) => string,
): [T[], T[]][] {
  const tracks = new Map<string, [T[], T[]]>();
  const put = (list: readonly T[], side: 0 | 1) => {
    for (const entry of list) {
      const track = trackOf(entry);
      const sides = tracks.get(track) ?? [[], []];
      sides[side].push(entry);
      tracks.set(track, sides);
    }
  };
  put(oldList, 0);
  put(newList, 1);
  return [...tracks.values()];
}

function compareEffects(a: Effect, b: Effect): number {
  return (
    comparePaths(a.kind, b.kind) ||
    comparePaths(a.context ?? "", b.context ?? "") ||
    comparePaths(a.name, b.name) ||
    a.line - b.line
  );
}
