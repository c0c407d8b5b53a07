/**
 * A file's secrets, as references in the repository and as values on the server. Every byte that is no secret stays where it
 * is, whatever the file's encoding, and `putInSecrets` gives back exactly what `takeOutSecrets` was given.
 */
import {
  escapeReferences,
  fillSecrets,
  formatReference,
  locateReferences,
  valueProblem,
} from "../core/secret-references.ts";
import type { SecretReference } from "../core/secret-references.ts";
import { repeatedKey, secretKey } from "./secrets-keys.ts";
import type { SecretPlace } from "./secrets-places.ts";
import { secretPlaces } from "./secrets-places.ts";
import type { SecretValues, Vault } from "./secrets.ts";

/** The value of a reference to a Secret that is not the vault, if there is one. */
export type ForeignSecrets = (reference: SecretReference) => Uint8Array | undefined;

/** What is known beside the file. */
export interface TakeOutOptions {
  readonly vault: Pick<Vault, "name" | "rules">;
  /** What the vault holds now. */
  readonly values: SecretValues;
  /** The file as the repository has it: what refers to a value there goes on doing so. */
  readonly before?: Uint8Array;
  /** The values of the user's own references in `before`. */
  readonly foreign?: ForeignSecrets;
}

/**
 * The file with a reference in the place of each secret, and the vault's values with those that it needs. Everything at a
 * secret's place is taken out, but what is empty. A reference that stands at the same place in `before` is kept as long as its
 * value is the same; another value gets another key.
 * @param path below the configuration directory
 */
export function takeOutSecrets(
  path: string,
  bytes: Uint8Array,
  options: TakeOutOptions,
): { bytes: Buffer; values: SecretValues } {
  const text = latin1(bytes);
  const places = secretPlaces(path, text, options.vault.rules);
  const contents = places.map(({ start, end }) => text.slice(start, end));
  const { references, values } = refer(path, places, contents, options);
  let result = "";
  let from = 0;
  for (const [at, { start, end }] of places.entries()) {
    result += escapeReferences(text.slice(from, start)) + (references[at] ?? "");
    from = end;
  }
  result += escapeReferences(text.slice(from));
  return { bytes: Buffer.from(result, "latin1"), values };
}

/**
 * The file with the values in the place of its references, and its escapes taken off. The vault's own go in byte for byte, for
 * they came from a file. Throws `SecretMissing` and `ConfInvalid` as `fillSecrets` does.
 */
export function putInSecrets(
  path: string,
  bytes: Uint8Array,
  vault: Pick<Vault, "name" | "advice">,
  values: SecretValues,
  foreign: ForeignSecrets = () => undefined,
): Buffer {
  const filled = fillSecrets(
    latin1(bytes),
    path,
    (reference) => {
      if (reference.name !== vault.name) return optional(foreign(reference));
      return optional(values.get(reference.key));
    },
    {
      problemOf: (value, { name }) => (name === vault.name ? ownProblem(value) : valueProblem(value)),
      adviceFor: ({ name }) => (name === vault.name ? vault.advice : undefined),
    },
  );
  return Buffer.from(filled, "latin1");
}

/**
 * The values without those that nothing refers to any more: what `before` referred to, and nothing of `after` does. Others
 * stay; somebody may have put them there for a commit to come.
 * @param before the files, as references, that a commit changes or removes
 * @param after all files that the server has in the repository with that commit
 */
export function dropUnused(
  vault: Pick<Vault, "name">,
  values: SecretValues,
  before: Iterable<Uint8Array>,
  after: Iterable<Uint8Array>,
): SecretValues {
  const dropped = new Set<string>();
  for (const bytes of before) for (const key of ownKeys(vault.name, latin1(bytes))) dropped.add(key);
  for (const bytes of after) for (const key of ownKeys(vault.name, latin1(bytes))) dropped.delete(key);
  return new Map([...values].filter(([key]) => !dropped.has(key)));
}

/** A reference of `before` at one place, and what it stood for, if that is known. */
interface Earlier {
  readonly text: string;
  readonly value: string | undefined;
}

function refer(
  path: string,
  places: readonly SecretPlace[],
  contents: readonly string[],
  options: TakeOutOptions,
): { references: string[]; values: SecretValues } {
  const { vault, values, before } = options;
  const earlierText = before === undefined ? "" : latin1(before);
  const earlier = earlierReferences(path, earlierText, options);
  const kept = keepReferences(places, contents, earlier);
  const after = new Map(values);
  const newKey = keyMaker(path, new Set(ownKeys(vault.name, earlierText)), values);
  const references = places.map((place, at) => {
    const same = kept[at];
    if (same !== undefined) return same.text;
    const value = contents[at] ?? "";
    const key = newKey(place, value);
    after.set(key, Buffer.from(value, "latin1"));
    return formatReference({ name: vault.name, key });
  });
  return { references, values: after };
}

/**
 * Which references stay as they are: first those whose value still stands at the same place, then those whose value moved
 * among its like, as where a line was added before them.
 */
function keepReferences(
  places: readonly SecretPlace[],
  contents: readonly string[],
  earlier: ReadonlyMap<string, readonly Earlier[]>,
): (Earlier | undefined)[] {
  const kept: (Earlier | undefined)[] = [];
  const used = new Set<Earlier>();
  const counts = new Map<string, number>();
  for (const [at, place] of places.entries()) {
    const kind = kindOf(place);
    const nth = counts.get(kind) ?? 0;
    counts.set(kind, nth + 1);
    const same = earlier.get(kind)?.[nth];
    if (same?.value !== contents[at]) continue;
    kept[at] = same;
    if (same !== undefined) used.add(same);
  }
  const free = new Map<string, Earlier[]>();
  for (const [kind, all] of earlier)
    for (const one of all)
      if (one.value !== undefined && !used.has(one)) {
        const name = JSON.stringify([kind, one.value]);
        free.set(name, [...(free.get(name) ?? []), one]);
      }
  for (const [at, place] of places.entries())
    kept[at] ??= free.get(JSON.stringify([kindOf(place), contents[at]]))?.shift();
  return kept;
}

/** What `before` has at the places of secrets, by their kind, in order. */
function earlierReferences(
  path: string,
  text: string,
  { vault, values, foreign }: TakeOutOptions,
): ReadonlyMap<string, readonly Earlier[]> {
  const found = new Map<string, Earlier[]>();
  const valueOf = (reference: SecretReference): string | undefined =>
    optional(reference.name === vault.name ? values.get(reference.key) : foreign?.(reference));
  // Looked for in the text as the server has it, so that they are found as they are there.
  const filled = locateReferences(text, valueOf);
  const byStart = new Map(filled.references.map((each, at) => [each.start, at]));
  for (const place of secretPlaces(path, filled.text, vault.rules)) {
    const alike = found.get(kindOf(place)) ?? [];
    found.set(kindOf(place), alike);
    const at = byStart.get(place.start) ?? -1;
    const { reference, end } = filled.references[at] ?? { end: place.end };
    const rest = filled.text.slice(end, place.end);
    const isAlone = end <= place.end && (filled.references[at + 1]?.start ?? Infinity) >= place.end;
    // A comment may stand behind it, and nothing else.
    if (reference === undefined || !isAlone || !/^([\0-\x20]*;[^]*)?$/.test(rest)) {
      alike.push({ text: "", value: undefined });
      continue;
    }
    const value = valueOf(reference);
    alike.push({
      text: formatReference(reference) + escapeReferences(rest),
      value: value === undefined ? undefined : value + rest,
    });
  }
  return found;
}

/**
 * Makes keys that nothing else uses: the first of a place that is free, or holds this very value already.
 * @param taken the keys that are referred to already
 */
function keyMaker(
  path: string,
  taken: ReadonlySet<string>,
  values: SecretValues,
): (place: SecretPlace, value: string) => string {
  const counts = new Map<string, number>();
  return ({ section, variable }, value) => {
    const first = secretKey(path, section, variable);
    for (let count = (counts.get(first) ?? 0) + 1; ; count++) {
      const key = count === 1 ? first : repeatedKey(first, count);
      const present = optional(values.get(key));
      if (taken.has(key) || (present !== undefined && present !== value)) continue;
      counts.set(first, count);
      return key;
    }
  };
}

function ownKeys(vault: string, text: string): string[] {
  const { references } = locateReferences(text);
  return references.flatMap(({ reference: { name, key } }) => (name === vault ? [key] : []));
}

function kindOf({ section, variable }: SecretPlace): string {
  return JSON.stringify([section, variable]);
}

function ownProblem(value: string): string | undefined {
  if (value === "") return "is empty";
  return value.includes("\n") ? "holds a line break" : undefined;
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}

function optional(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : latin1(bytes);
}
