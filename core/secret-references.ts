import { AsteriskIacError } from "./errors.ts";

/** `@{secret:name/key}`, with the `@`s in front of it: two and more are an escape, and one of them goes. */
const reference = /(@+)\{secret:([^@{}\r\n]*)\}?/g;
const target = /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)\/([-._a-zA-Z0-9]+)$/;

/** What a text refers to. */
export interface SecretReference {
  readonly name: string;
  readonly key: string;
}

/**
 * The secrets that a text refers to, each once. Throws `ConfInvalid` for what begins like a reference and is none.
 * `where` names the text in messages, e.g. `ConfFile queues`.
 */
export function secretReferences(text: string, where: string): SecretReference[] {
  const found = new Map<string, SecretReference>();
  for (const match of text.matchAll(reference)) {
    if (match[1] !== "@") continue;
    const { name, key } = parse(match, text, where);
    found.set(`${name}/${key}`, { name, key });
  }
  return [...found.values()];
}

/** The value of a reference, if there is one. */
export type SecretLookup = (reference: SecretReference) => string | undefined;

/** Where it matters which Secret a value is from. */
export interface FillOptions {
  /** Why a value can't be filled in; by default what would mean something else in a .conf file. */
  readonly problemOf?: (value: string, reference: SecretReference) => string | undefined;
  /** What to do where a value is missing. */
  readonly adviceFor?: (reference: SecretReference) => string | undefined;
}

/**
 * The text with its references filled in and its escapes (`@@{secret:` is a plain `@{secret:`) taken off. Throws
 * `SecretMissing` where `lookup` has nothing, and `ConfInvalid` for a value that would mean something else in a .conf file.
 */
export function fillSecrets(
  text: string,
  where: string,
  lookup: SecretLookup,
  { problemOf = valueProblem, adviceFor }: FillOptions = {},
): string {
  return text.replace(reference, (whole: string, signs: string, ...rest: unknown[]) => {
    if (signs.length > 1) return whole.slice(1);
    const offset = rest.at(-2) as number;
    const match = { 0: whole, 2: rest[0] as string, index: offset };
    const wanted = parse(match, text, where);
    const value = lookup(wanted);
    if (value === undefined) {
      throw new AsteriskIacError(
        "SecretMissing",
        `${where} refers to the secret ${wanted.name}, key ${wanted.key}, which is not there`,
        { hint: adviceFor?.(wanted) ?? "Create it, or write `@@{secret:` for a text that is no reference." },
      );
    }
    const problem = problemOf(value, wanted);
    if (problem === undefined) return value;
    throw new AsteriskIacError(
      "ConfInvalid",
      `the secret ${wanted.name}, key ${wanted.key}, to which ${where} refers, ${problem}`,
      { hint: "Asterisk would read something else than the secret. Change the value." },
    );
  });
}

/** The text such that `fillSecrets` gives it back: what looks like a reference is escaped. */
export function escapeReferences(text: string): string {
  return text.replace(/(@+)\{secret:/g, (whole) => `@${whole}`);
}

/** A reference as it is written. */
export function formatReference({ name, key }: SecretReference): string {
  return `@{secret:${name}/${key}}`;
}

/** A reference in a text that was filled in: what stands in its place, half-open, in characters. */
export interface FilledReference {
  readonly start: number;
  readonly end: number;
  readonly reference: SecretReference;
}

/**
 * The text as `fillSecrets` gives it, and where its references were, for who looks for secrets in it; nothing is checked.
 * There are letters in the place of a value that is not known, and what begins like a reference and is none stays.
 */
export function locateReferences(
  text: string,
  lookup: SecretLookup = () => undefined,
): { text: string; references: FilledReference[] } {
  const references: FilledReference[] = [];
  let filled = "";
  let from = 0;
  for (const match of text.matchAll(reference)) {
    const [whole, signs = "", inner = ""] = match;
    filled += text.slice(from, match.index);
    from = match.index + whole.length;
    const [, name, , key] = (whole.endsWith("}") ? target.exec(inner) : null) ?? [];
    if (signs.length > 1) filled += whole.slice(1);
    else if (name === undefined || key === undefined) filled += whole;
    else {
      const start = filled.length;
      filled += lookup({ name, key }) ?? "x".repeat(whole.length);
      references.push({ start, end: filled.length, reference: { name, key } });
    }
  }
  return { text: filled + text.slice(from), references };
}

/** Why a value can't be filled in, e.g. `is empty`. */
export function valueProblem(value: string): string | undefined {
  if (value === "") return "is empty";
  if (/[\0\r\n]/.test(value)) return "holds a line break or a NUL";
  return /(^|[^\\]);/.test(value) ? "holds a `;`, which begins a comment (write `\\;`)" : undefined;
}

function parse(
  match: { readonly 0: string; readonly 2?: string | undefined; readonly index?: number | undefined },
  text: string,
  where: string,
): SecretReference {
  const [, name, , key] = (match[0].endsWith("}") ? target.exec(match[2] ?? "") : null) ?? [];
  if (name !== undefined && key !== undefined) return { name, key };
  const line = text.slice(0, match.index).split("\n").length;
  throw new AsteriskIacError(
    "ConfInvalid",
    `line ${line} of ${where} begins a reference to a secret that is none`,
    {
      hint: "Write `@{secret:name/key}`, or `@@{secret:` for a text that is no reference.",
    },
  );
}
