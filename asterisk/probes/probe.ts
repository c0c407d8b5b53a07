/** What probes are made of: a question to a live Asterisk, and a judgement of its answer. Pure. */
import type { Section } from "../../core/conf/index.ts";
import type { ViewChange } from "../../core/reloads.ts";

/** Asks live Asterisk one thing, after files of one kind have changed, and judges what it answers. */
export interface Probe {
  /** For people: `dialplan show`. */
  readonly title: string;
  /** A command for Asterisk's CLI; or an AMI action that lists objects, of which the names count. */
  readonly ask: { readonly command: string } | { readonly list: string };
  /** `answer`: what the command printed, as lines; or the names that the list gave. */
  judge(answer: readonly string[]): Judgement;
}

/** Something that is not as the files say. */
export interface Failure {
  readonly probe: string;
  readonly expected: string;
  readonly saw: string;
}

export interface Judgement {
  /** In words, never with a value that may be a secret. */
  readonly saw: string;
  readonly failures: readonly Omit<Failure, "probe">[];
  /** What the answer leaves open, in words. */
  readonly unobserved: readonly string[];
}

/**
 * An object that should be live (`changed`: it is new, or other than before; `same`: as before) or `gone`. What did not
 * change and is not there may never have been: that is said, and fails nothing.
 */
export interface Expected {
  readonly name: string;
  readonly state: "changed" | "same" | "gone";
  /** What it is, where that is more than its name: `auth a, which endpoint 100 names`. */
  readonly label?: string;
}

/** The objects that `nameOf` finds in the sections before and after. Those of one name count as one. */
export function expectSections(
  { before, after }: ViewChange,
  nameOf: (section: Section) => string | undefined,
): Expected[] {
  return expectKeys(byName(before, nameOf), byName(after, nameOf));
}

/** The same for anything that has a name and a text which differs when it changes. */
export function expectKeys(old: ReadonlyMap<string, string>, now: ReadonlyMap<string, string>): Expected[] {
  const gone = [...old.keys()].filter((name) => !now.has(name));
  return [
    ...[...now].map(([name, text]): Expected => ({
      name,
      state: old.get(name) === text ? "same" : "changed",
    })),
    ...gone.map((name): Expected => ({ name, state: "gone" })),
  ];
}

function byName(
  sections: readonly Section[],
  nameOf: (section: Section) => string | undefined,
): Map<string, string> {
  const texts = new Map<string, string>();
  for (const section of sections) {
    const name = section.template ? undefined : nameOf(section);
    if (name === undefined) continue;
    const text = section.variables.map(({ name, value }) => [name, value]);
    texts.set(name, `${texts.get(name) ?? ""}${JSON.stringify(text)}`);
  }
  return texts;
}

/** Judges which of the expected objects are there. `kind`: what they are, in the singular. */
export function judgeNames(
  kind: string,
  expected: readonly Expected[],
  isThere: (name: string) => boolean,
): Judgement {
  const failures: Omit<Failure, "probe">[] = [];
  const unobserved: string[] = [];
  let seen = 0;
  for (const { name, state, label } of expected) {
    const there = isThere(name);
    const what = label ?? `${kind} ${name}`;
    if (state === "gone") {
      if (there) failures.push({ expected: `no ${what}`, saw: "it is still there" });
    } else if (there) seen += 1;
    else if (!isPlain(name)) unobserved.push(`${what}: its name is not plain ASCII and was not recognised`);
    else if (state === "changed") failures.push({ expected: what, saw: `no such ${kind}` });
    else unobserved.push(`${what}: it is not there; it did not change, so it may not have been before`);
  }
  const total = expected.filter(({ state }) => state !== "gone").length;
  return { saw: `${seen} of ${total} of kind ${kind} that the files declare`, failures, unobserved };
}

/** Asterisk prints bytes; other than these may look different here. */
export function isPlain(text: string): boolean {
  return /^[\x20-\x7e]*$/.test(text);
}

/** Nothing seen, and why: Asterisk does not know the command, most likely since its module is not loaded. */
export function notAnswered(answer: readonly string[]): Judgement | undefined {
  const line = answer.find((text) => text.startsWith("No such command "));
  if (line === undefined) return undefined;
  const saw = "Asterisk has no such command; its module is not loaded, or of another version";
  return { saw, failures: [], unobserved: [saw] };
}

/** A probe of a table whose rows `isRow` compares with a name. */
export function namesProbe(
  command: string,
  kind: string,
  expected: readonly Expected[],
  isRow: (line: string, name: string) => boolean,
): Probe {
  return {
    title: command,
    ask: { command },
    judge: (lines) =>
      notAnswered(lines) ?? judgeNames(kind, expected, (name) => lines.some((line) => isRow(line, name))),
  };
}

/** A word as Asterisk's CLI takes it (parse_args of main/cli.c); undefined for one that it can't take. */
export function cliWord(word: string): string | undefined {
  return word !== "" && isPlain(word) && !/["\\]/.test(word) ? `"${word}"` : undefined;
}

/**
 * The value of a setting in the sections of a name: `""` where none gives it, `undefined` where they give it different
 * values, of which the first or the last counts, as the module and version will have it.
 */
export function settingOf(sections: readonly Section[], section: string, name: string): string | undefined {
  const values = new Set(
    sections
      .filter((each) => !each.template && each.name.toLowerCase() === section)
      .flatMap(({ variables }) => variables)
      .filter((variable) => variable.name.toLowerCase() === name)
      .map(({ value }) => value),
  );
  return values.size > 1 ? undefined : ([...values][0] ?? "");
}
