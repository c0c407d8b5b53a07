import type { Effect } from "./difference.ts";
import { explainEffect, groupEffects } from "./difference.ts";
import type { Plan } from "./plan.ts";
import { countOutcomes } from "./import.ts";
import type { ImportRecord } from "./record.ts";

/** What was written to a source: paths. */
export interface WrittenPaths {
  readonly written: readonly string[];
  readonly removed: readonly string[];
  readonly recorded: readonly string[];
}

const mostInSubject = 3;
const mostLines = 200;
const mostEffects = 20;

/**
 * The message of the commit that collects what changed on a server: which server and which files, and below that what
 * became of which sections. Names only, never a value. Pure.
 */
export function collectedMessage(plan: Plan, { written, removed, recorded }: WrittenPaths): string {
  const moved = [...written, ...removed];
  if (moved.length === 0)
    return message(
      plan.server,
      `${counted(recorded)} recorded as in step with Asterisk`,
      fileLines(recorded),
    );
  const effects = plan.effects.flatMap((difference) => difference.effects);
  const lines = [
    ...written.flatMap((path) => [`${path}:`, ...effectLines(effects.filter(({ file }) => file === path))]),
    ...removed.map((path) => `${path}: gone from the server`),
    ...(recorded.length === 0 ? [] : [`${counted(recorded)} recorded as in step`]),
  ];
  return message(plan.server, `${counted(moved)} collected from Asterisk`, lines);
}

/** The message of the commit that an initial import makes. Pure. */
export function importedMessage(record: ImportRecord): string {
  const { Stored, Equal, Kept, Skipped } = countOutcomes(record);
  const paths = Object.entries(record.files);
  const kept = paths.filter(([, { outcome }]) => outcome === "Kept").map(([path]) => path);
  return message(
    record.server,
    `${Stored + Equal + Kept} files imported from Asterisk ${record.asteriskVersion}`,
    [
      `stored ${Stored}, equal ${Equal}, kept ${Kept}, skipped ${Skipped}`,
      ...(kept.length === 0 ? [] : ["", "Kept as the repository has them:", ...fileLines(kept)]),
    ],
  );
}

/** The message of the commit that puts old bytes back. Pure. */
export function restoredMessage(server: string, paths: readonly string[], id: string): string {
  return message(server, `${counted(paths)} put back as before ${id}`, fileLines(paths));
}

function counted(paths: readonly string[]): string {
  return paths.length <= mostInSubject ? paths.join(", ") : `${paths.length} files`;
}

function fileLines(paths: readonly string[]): string[] {
  return paths.map((path) => `- ${path}`);
}

function effectLines(effects: readonly Effect[]): string[] {
  if (effects.length === 0) return ["- nothing that counts for Asterisk"];
  const lines = groupEffects(effects).map((group) => `- ${explainEffect(...group)}`);
  const more = lines.length - mostEffects;
  return more > 0 ? [...lines.slice(0, mostEffects), `- and ${more} more`] : lines;
}

/** Text in which no name mentions anybody or means an issue, at any forge: its mark is parted by something that is not seen. */
export function withoutReferences(text: string): string {
  return text.replace(/[@#!](?=\w)|\bGH-(?=\d)/gi, "$&\u2060");
}

/** Names come from a server: no control character of theirs gets into a message, and no line of theirs into another. */
function message(server: string, subject: string, body: readonly string[]): string {
  const lines = body.length > mostLines ? [...body.slice(0, mostLines), "…"] : body;
  const text = [`${server}: ${subject}`, "", ...lines];
  return `${text.map((line) => withoutReferences(line.replace(/\p{Cc}/gu, "?").slice(0, 400))).join("\n")}\n`;
}
