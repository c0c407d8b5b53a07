/** What extensions.conf amounts to: contexts, extensions, hints and globals, after pbx_load_config of pbx_config.c. */
import type { Section, Variable } from "../conf/index.ts";
import { parseExten } from "../conf/lint/exten.ts";
import type { Exten } from "../conf/lint/exten.ts";
import type { Fact, Thing } from "./thing.ts";
import { fact, mask, variableFact } from "./thing.ts";

/** The things that a dialplan's sections hold; [general], which is no context, and templates are not among them. */
export function dialplanThings(sections: readonly Section[]): Thing[] {
  const globals = new Map<string, Thing>();
  const contexts = new Map<string, Context>();
  for (const section of sections) {
    if (section.name.toLowerCase() === "globals") {
      for (const variable of section.variables) setGlobal(globals, variable);
    } else {
      const context = contexts.get(section.name) ?? new Context(section);
      contexts.set(section.name, context);
      context.read(section);
    }
  }
  return [...globals.values(), ...[...contexts.values()].flatMap((context) => context.things())];
}

/** The last one of a name counts; and one may be built from those above it, so their order counts. */
function setGlobal(globals: Map<string, Thing>, variable: Variable): void {
  const { name, value, file, line } = variable;
  const shown = mask(file, name, value);
  globals.delete(name);
  globals.set(name, {
    kind: "global",
    name,
    ordered: true,
    file,
    line,
    facts: [fact("value", value, variable, { shown })],
  });
}

const switches = new Set(["switch", "lswitch", "eswitch"]);
const settings = new Set(["include", "ignorepat", "autohints"]);

/** Sections of one name are one context; what is registered first stays. */
class Context {
  readonly #section: Section;
  readonly #facts: Fact[] = [];
  readonly #hints = new Map<string, Thing>();
  readonly #extensions = new Map<string, Extension>();

  constructor(section: Section) {
    this.#section = section;
  }

  read(section: Section): void {
    let extension = "";
    let last: number | undefined;
    for (const variable of section.variables) {
      const name = variable.name.toLowerCase();
      if (switches.has(name)) this.#facts.push(variableFact(variable, "switch"));
      else if (settings.has(name)) this.#facts.push(variableFact({ ...variable, name }));
      const isSame = name.startsWith("same");
      if (!isSame && name !== "exten") continue;
      const exten = parseExten(isSame ? "same" : "exten", variable.value);
      extension = exten.extension ?? extension;
      if (extension === "" || exten.labelOpen) continue;
      const priority = this.#priority(extension, exten, last);
      if (priority === undefined) continue;
      last = priority;
      this.#register(extension, priority, exten, variable);
    }
  }

  things(): Thing[] {
    const { name, file, line } = this.#section;
    return [
      { kind: "context", name, file, line, facts: this.#facts },
      ...this.#hints.values(),
      ...[...this.#extensions.values()].map((extension) => extension.thing(name)),
    ];
  }

  /** Undefined where Asterisk skips the line. */
  #priority(extension: string, { priority, plus }: Exten, last: number | undefined): number | undefined {
    if (priority === "hint") return hint + plus;
    if (/^(n|next|s|same)$/.test(priority)) {
      const next = last === undefined ? 0 : last + (priority.startsWith("n") ? 1 : 0);
      return next === 0 ? undefined : next + plus;
    }
    const digits = /^[\t-\r ]*([+-]?\d{1,30})/.exec(priority)?.[1];
    const given = digits === undefined ? this.#labelled(extension, priority) : Number(digits);
    return given === undefined || given < 1 ? undefined : given + plus;
  }

  #labelled(extension: string, label: string): number | undefined {
    return this.#extensions.get(comparable(extension))?.priorityOf(label);
  }

  #register(name: string, priority: number, exten: Exten, variable: Variable): void {
    const key = comparable(name);
    const text = applicationText(exten, variable.value);
    if (priority === hint) {
      if (this.#hints.has(key)) return;
      const { file, line } = variable;
      const context = this.#section.name;
      this.#hints.set(key, {
        kind: "hint",
        name,
        context,
        file,
        line,
        facts: [fact("device", text, variable)],
      });
      return;
    }
    const extension = this.#extensions.get(key) ?? new Extension(name);
    this.#extensions.set(key, extension);
    extension.add(priority, exten.label, call(text), variable);
  }
}

/** The steps of one extension. */
class Extension {
  readonly #name: string;
  readonly #steps = new Map<number, { label: string | undefined; fact: Fact }>();

  constructor(name: string) {
    this.#name = name;
  }

  add(priority: number, label: string | undefined, text: string, variable: Variable): void {
    if (this.#steps.has(priority)) return;
    const value = label === undefined ? text : `(${label}) ${text}`;
    const name = `priority ${String(priority)}`;
    const kin = /^[^(]*/.exec(text)?.[0] ?? "";
    const step = fact(name, value, variable, { track: "steps", label: "step", kin, priority });
    this.#steps.set(priority, { label, fact: step });
  }

  priorityOf(label: string): number | undefined {
    for (const [priority, step] of this.#steps) if (step.label === label) return priority;
    return undefined;
  }

  thing(context: string): Thing {
    const facts = [...this.#steps].toSorted(([a], [b]) => a - b).map(([, step]) => step.fact);
    // In the order of the file: the first step may be added from another.
    const [first] = this.#steps.values();
    const { file, line } = first?.fact ?? { file: "", line: 0 };
    return { kind: "extension", name: this.#name, context, file, line, facts };
  }
}

/** PRIORITY_HINT of Asterisk's pbx.h. */
const hint = -1;

/** Asterisk compares extensions without blanks and dashes, except inside the brackets of a pattern. */
function comparable(extension: string): string {
  if (!extension.startsWith("_")) return extension.replace(/[ -]/g, "");
  return extension.replace(/\[[^\]]*\]|[ -]/g, (found) => (found.startsWith("[") ? found : ""));
}

/** What stands behind the priority. */
function applicationText({ extension }: Exten, value: string): string {
  const rest = extension === undefined ? value : value.slice(extension.length + 1);
  const comma = rest.indexOf(",");
  return comma < 0 ? "" : rest.slice(comma + 1).trim();
}

/** The application with its arguments as Asterisk takes them: up to the last `)`, and `NoOp` is `NoOp()`. */
function call(text: string): string {
  const open = text.indexOf("(");
  const name = open < 0 ? text : text.slice(0, open);
  if (open >= 0 && /\$[{[]/.test(name)) return `${text}()`;
  const close = text.lastIndexOf(")");
  const end = close > open ? close : text.length;
  return `${name}(${open < 0 ? "" : text.slice(open + 1, end)})`;
}
