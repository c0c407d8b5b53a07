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

/**
 * The text with its references filled in and its escapes (`@@{secret:` is a plain `@{secret:`) taken off. Throws
 * `SecretMissing` where `lookup` has nothing, and `ConfInvalid` for a value that would mean something else in a .conf file.
 */
export function fillSecrets(
  text: string,
  where: string,
  lookup: (reference: SecretReference) => string | undefined,
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
        { hint: "Create it, or write `@@{secret:` for a text that is no reference." },
      );
    }
    const problem = valueProblem(value);
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

function valueProblem(value: string): string | undefined {
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
