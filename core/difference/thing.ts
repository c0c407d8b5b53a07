/** What a configuration file amounts to for the module that reads it: things with facts, ready to be compared. */
import type { Variable } from "../conf/index.ts";
import type { SecretRule } from "../conf/secrets.ts";
import { isSecretKey, maskLine, maskValue, secretRules } from "../conf/secrets.ts";

/** Where something stands: a path below the configuration directory and a line from 1. */
export interface Spot {
  readonly file: string;
  readonly line: number;
}

/** Something that Asterisk makes of the file: an endpoint, an extension, a mailbox. */
export interface Thing extends Spot {
  /** In its consumers' words, singular: `endpoint`, `extension`, `mailbox`; `section` where nobody told us. */
  readonly kind: string;
  readonly name: string;
  /** The dialplan context or voicemail context that it belongs to. */
  readonly context?: string;
  /** The order among the things of this kind counts. */
  readonly ordered?: true;
  readonly facts: readonly Fact[];
}

/** One thing that is so about a thing: a setting, a step of an extension, a member of a queue. */
export interface Fact extends Spot {
  /** Facts of one track are compared in their order; between tracks order means nothing. */
  readonly track: string;
  /** Facts of one label can be the old and the new state of one and the same. */
  readonly label: string;
  /** Of several such facts this one most likely became another of the same kin: a step with the same application. */
  readonly kin?: string;
  /** What it is called in a sentence. */
  readonly name: string;
  readonly value: string;
  /** The value for people: its secrets are `********`. */
  readonly shown: string;
  /** The priority of a step: where only that differs, the step was renumbered. */
  readonly priority?: number;
  /** Granted or not, as one class of a permission list is: it is gained or lost, never changed. */
  readonly granted?: true;
}

/** The name of a thing within its file. */
export function keyOf({ kind, context, name }: Pick<Thing, "kind" | "context" | "name">): string {
  return JSON.stringify([kind, context ?? null, name]);
}

/** What is known of a fact beside its name and value. */
type About = Partial<Pick<Fact, "track" | "label" | "kin" | "shown" | "priority" | "granted">>;

/** Masked when it is asked for: most facts are compared and never shown. */
class MaskedFact implements Fact {
  readonly track: string;
  readonly label: string;
  declare readonly kin?: string;
  readonly name: string;
  readonly value: string;
  declare readonly priority?: number;
  declare readonly granted?: true;
  readonly file: string;
  readonly line: number;
  #shown: string | undefined;

  constructor(name: string, value: string, { file, line }: Spot, about: About) {
    this.track = about.track ?? name;
    this.label = about.label ?? name;
    if (about.kin !== undefined) this.kin = about.kin;
    this.name = name;
    this.value = value;
    if (about.priority !== undefined) this.priority = about.priority;
    if (about.granted !== undefined) this.granted = about.granted;
    this.file = file;
    this.line = line;
    this.#shown = about.shown;
  }

  get shown(): string {
    return (this.#shown ??= mask(this.file, this.name, this.value));
  }
}

/** A fact about `name`; unless told otherwise it has a track and a label of its own. */
export function fact(name: string, value: string, spot: Spot, about: About = {}): Fact {
  return new MaskedFact(name, value, spot, about);
}

/** A variable as a fact, by the name that it has in the file. */
export function variableFact(variable: Variable, track?: string): Fact {
  const { name, value } = variable;
  return fact(name, value, variable, track === undefined ? {} : { track });
}

/** What stands for a secret, whatever its length. */
export const secret = "********";

/** The value of `key` in `file` with each of its secrets replaced by `secret`. */
export function mask(
  file: string,
  key: string,
  value: string,
  rules: readonly SecretRule[] = secretRules,
): string {
  // The second pass finds a `name=value` inside the value: setvar=PASSWORD=…, Set(PASSWORD=…).
  const masked = maskLine(file, maskValue(file, key, value, rules), rules);
  return masked.replace(/\*+/g, (stars, at: number) => {
    const wereThere = stars === value.slice(at, at + stars.length);
    return wereThere && !isSecretKey(file, key, rules) ? stars : secret;
  });
}
