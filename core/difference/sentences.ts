/** What a difference says, for people. Names and values come from files: whoever shows them makes them inert. */
import type { Detail, Effect, EffectAction, EffectiveDifference } from "../difference.ts";

/** Effects that can be told in one sentence: same kind, action and place, and unless removed the same details. */
export function groupEffects(effects: readonly Effect[]): [Effect, ...Effect[]][] {
  const groups = new Map<string, [Effect, ...Effect[]]>();
  for (const effect of effects) {
    const { kind, action, context, reaches, details } = effect;
    const told = action === "removed" ? [] : details.map(explainDetail);
    const key = JSON.stringify([kind, action, context, reaches, told]);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [effect]);
    else group.push(effect);
  }
  return [...groups.values()];
}

/** What becomes of a thing, or of several of one group: `extensions 7000, 7001 added in internal`. */
export function explainEffect(effect: Effect, ...alike: readonly Effect[]): string {
  const { kind, action, reaches } = effect;
  if (action === "reordered" && effect.name === "") return `order of ${plural(kind)} changed`;
  const reach = reaches === undefined ? "" : `: ${reachOf(reaches)}`;
  return `${namesOf([effect, ...alike])} ${action}${placeOf(action, effect.context)}${reach}`;
}

const mostNames = 8;

function namesOf(effects: readonly Effect[]): string {
  const [{ kind } = { kind: "" }] = effects;
  if (kind === "general settings") return kind;
  const names = effects.slice(0, mostNames).map(({ name }) => (kind === "section" ? `[${name}]` : name));
  const more = effects.length > mostNames ? ` and ${effects.length - mostNames} more` : "";
  return `${effects.length === 1 ? kind : plural(kind)} ${names.join(", ")}${more}`;
}

function placeOf(action: EffectAction, context: string | undefined): string {
  if (context === undefined) return "";
  return ` ${action === "removed" ? "from" : "in"} ${context}`;
}

function reachOf(count: number): string {
  return count === 0 ? "no section inherits from it" : `reaches ${count} section${count === 1 ? "" : "s"}`;
}

/** One fact that is no longer as it was: `context = internal → sales`, `gains write=originate`. */
export function explainDetail(detail: Detail): string {
  const { action, name, old = "", position } = detail;
  const value = detail.new ?? old;
  const place = position === undefined ? "" : ` (${position.at} of ${position.of})`;
  switch (action) {
    case "added":
      return detail.granted ? `gains ${name}=${value}` : `${assigned(name, value)} added${place}`;
    case "removed":
      return detail.granted ? `loses ${name}=${value}` : `${assigned(name, value)} removed${place}`;
    case "changed":
      if (detail.old === undefined) return name === "secret" ? "secret changed" : `${name}: secret changed`;
      return assigned(name, `${old || '""'} → ${value || '""'}`);
    case "renumbered":
      return `${name} ${old} → ${value}`;
    case "reordered":
      return `order of ${name} changed${detail.old === undefined ? "" : `: ${old} → ${value}`}`;
  }
}

/** A setting of a thing that was added or removed: `context = internal`. */
export function explainSetting({ name, old = "", new: now = old }: Detail): string {
  return assigned(name, now);
}

function assigned(name: string, value: string): string {
  if (value === "") return name;
  return name.startsWith("priority ") ? `${name}: ${value}` : `${name} = ${value}`;
}

/** The whole in a line: `2 endpoints added, 1 extension changed in internal`. */
export function summarize(difference: EffectiveDifference): string {
  if (difference.refused !== undefined) return "Asterisk refuses the file";
  const parts = [...countsOf(difference.effects).values()].map(({ effect, contexts, count, idle }) => {
    const { kind, action } = effect;
    if (action === "reordered") return `order of ${plural(kind)} changed`;
    const [context] = contexts;
    const place = placeOf(action, contexts.size > 1 ? `${contexts.size} contexts` : context);
    const what = kind === "general settings" ? kind : `${count} ${count === 1 ? kind : plural(kind)}`;
    return `${what} ${action}${place}${idle ? " (nobody inherits)" : ""}`;
  });
  return parts.length === 0 ? "no change for Asterisk" : parts.join(", ");
}

interface Count {
  readonly effect: Effect;
  readonly contexts: Set<string>;
  readonly idle: boolean;
  count: number;
}

const actions: readonly EffectAction[] = ["added", "removed", "changed", "reordered"];

function countsOf(effects: readonly Effect[]): Map<string, Count> {
  const counts = new Map<string, Count>();
  const sorted = actions.flatMap((action) => effects.filter((effect) => effect.action === action));
  for (const effect of sorted) {
    const idle = effect.reaches === 0;
    const key = `${effect.action} ${String(idle)} ${effect.kind}`;
    const count = counts.get(key) ?? { effect, contexts: new Set(), idle, count: 0 };
    count.count++;
    if (effect.context !== undefined) count.contexts.add(effect.context);
    counts.set(key, count);
  }
  return counts;
}

/** The plural of a kind: `endpoints`, `identifies`, `music classes`. */
export function plural(kind: string): string {
  if (kind.endsWith("settings")) return kind;
  if (/(s|x|ch|sh)$/.test(kind)) return `${kind}es`;
  if (/[^aeiou]y$/.test(kind)) return `${kind.slice(0, -1)}ies`;
  return `${kind}s`;
}
