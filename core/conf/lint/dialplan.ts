/** Rules for the dialplan, after pbx_load_config of pbx/pbx_config.c. */
import type { Loaded, LoadedSection, LoadedVariable } from "../load.ts";
import { parseExten } from "./exten.ts";
import type { Exten } from "./exten.ts";
import type { Findings } from "./findings.ts";
import { quote } from "./inert.ts";

/** The lines registered for each extension of a context, by priority. */
type Extensions = Map<string, Map<number, LoadedVariable>>;

const hint = -1;
const directives = new Set(["include", "ignorepat", "switch", "lswitch", "eswitch", "autohints"]);

/** Looks at every context: all sections but [general] and [globals]. */
export function lintDialplan(loaded: Loaded, findings: Findings): void {
  const sections = loaded.sections.filter(
    ({ name, template }) => !template && !/^(general|globals)$/i.test(name),
  );
  const labels = labelsOf(sections);
  const contexts = new Map<string, Extensions>();
  for (const section of sections) {
    const extensions: Extensions = contexts.get(section.name) ?? new Map();
    contexts.set(section.name, extensions);
    new ContextLint(section, extensions, labels, findings).run();
  }
}

/** Asterisk looks a label up across patterns and included contexts; here any label of the dialplan will do. */
function labelsOf(sections: readonly LoadedSection[]): Set<string> {
  const labels = new Set<string>();
  for (const { variables } of sections) {
    for (const { name, value } of variables) {
      const kind = kindOf(name);
      const label = kind && parseExten(kind, value).label;
      if (label !== undefined) labels.add(label);
    }
  }
  return labels;
}

function kindOf(name: string): "exten" | "same" | undefined {
  if (/^same/i.test(name)) return "same";
  return name.toLowerCase() === "exten" ? "exten" : undefined;
}

/** Asterisk compares extensions without blanks and dashes, except inside the brackets of a pattern. */
function withoutFluff(extension: string): string {
  if (!extension.startsWith("_")) return extension.replace(/[ -]/g, "");
  return extension.replace(/\[[^\]]*\]|[ -]/g, (found) => (found.startsWith("[") ? found : ""));
}

/** One section of the dialplan, read line by line as Asterisk does. */
class ContextLint {
  readonly #section: LoadedSection;
  readonly #extensions: Extensions;
  readonly #labels: ReadonlySet<string>;
  readonly #findings: Findings;
  #extension = "";
  /** The last priority given, whatever its extension; undefined before the first, NaN where it is not known. */
  #last: number | undefined;
  #lastExtension = "";

  constructor(
    section: LoadedSection,
    extensions: Extensions,
    labels: ReadonlySet<string>,
    findings: Findings,
  ) {
    this.#section = section;
    this.#extensions = extensions;
    this.#labels = labels;
    this.#findings = findings;
  }

  run(): void {
    for (const variable of this.#section.variables) {
      const kind = kindOf(variable.name);
      if (kind) this.#line(kind, variable);
      else if (!directives.has(variable.name.toLowerCase())) this.#unknownDirective(variable);
    }
  }

  #line(kind: "exten" | "same", variable: LoadedVariable): void {
    const exten = parseExten(kind, variable.value);
    if (kind === "same" && variable.name.toLowerCase() !== "same") this.#samePrefix(variable);
    if (exten.extension !== undefined) this.#extension = exten.extension;
    else if (this.#extension === "") {
      this.#skipped(
        variable,
        "there is no `exten` line above it in this section",
        "Begin with `exten => NUMBER,1,…`.",
      );
      return;
    }
    if (exten.labelOpen) {
      this.#skipped(variable, "the `(` of its label is never closed", "Write `n(label)`.");
      return;
    }
    const priority = this.#priority(exten, variable);
    if (priority === undefined) return;
    this.#last = priority;
    if (this.#extension === "") {
      this.#skipped(variable, "it names no extension", "Write `exten => NUMBER,1,…`.");
      return;
    }
    this.#register(priority, exten, variable);
  }

  /** The line's priority; NaN where only Asterisk knows it; undefined where the line is skipped. */
  #priority(exten: Exten, variable: LoadedVariable): number | undefined {
    const { priority, plus } = exten;
    if (priority === "hint") return hint + plus;
    const isNext = priority === "n" || priority === "next";
    if (isNext || priority === "s" || priority === "same") {
      if (this.#last === undefined) {
        this.#skipped(
          variable,
          `no line of this section gives a priority before "${priority}"`,
          "Begin with priority 1.",
        );
        return undefined;
      }
      const given = this.#last + (isNext ? 1 : 0);
      if (given !== 0) return given + plus;
      this.#skipped(
        variable,
        "next to a hint comes priority 0, which is none",
        "Put the hint behind the extension's other lines, or number this one.",
      );
      return undefined;
    }
    const digits = /^[\t-\r ]*([+-]?\d{1,30})/.exec(priority)?.[1];
    if (digits !== undefined) {
      if (Number(digits) >= 1) return Number(digits) + plus;
    } else if (this.#labels.has(priority)) return NaN;
    const reason =
      priority === "" ? "it has no priority" : `${quote(priority)} is neither a priority nor a label`;
    this.#skipped(variable, reason, "Write `exten => NUMBER,1,Application()` and go on with `same => n,…`.");
    return undefined;
  }

  #register(priority: number, exten: Exten, variable: LoadedVariable): void {
    const key = withoutFluff(this.#extension);
    const lines = this.#extensions.get(key) ?? new Map<number, LoadedVariable>();
    this.#extensions.set(key, lines);
    const isRelative = /^(n|next|s|same)$/.test(exten.priority);
    if (isRelative && lines.size === 0 && priority > 1) this.#carriedOver(priority, variable);
    // Only Asterisk knows what a variable in an extension's name becomes.
    const earlier = this.#extension.includes("${") ? undefined : lines.get(priority);
    if (earlier) this.#taken(priority, earlier, variable);
    else if (!Number.isNaN(priority)) lines.set(priority, variable);
    this.#lastExtension = this.#extension;

    if (exten.argumentsOpen) this.#openParenthesis(variable);
    if (exten.application === "") this.#noApplication(variable);
    if ((this.#extension === "_." || this.#extension === "_!") && exten.extension !== undefined)
      this.#tooWide(variable);
  }

  #skipped(variable: LoadedVariable, reason: string, fix: string): void {
    const message = `Asterisk skips this line, because ${reason}.`;
    this.#findings.error(this.#findings.valueSpot(variable), { rule: "exten-skipped", message, fix });
  }

  #samePrefix(variable: LoadedVariable): void {
    const node = this.#findings.variableNode(variable);
    this.#findings.warning(
      { file: variable.file, line: variable.line, range: node?.nameRange },
      {
        rule: "same-prefix",
        message: `Asterisk looks at the first four letters only: ${quote(variable.name)} counts as \`same\`.`,
        fix: "Write `same =>`, or remove the line if something else was meant.",
        ...(node
          ? {
              edits: [
                {
                  offset: node.nameRange.start,
                  length: node.nameRange.end - node.nameRange.start,
                  text: "same",
                },
              ],
            }
          : {}),
      },
    );
  }

  #carriedOver(priority: number, variable: LoadedVariable): void {
    this.#findings.warning(this.#findings.valueSpot(variable), {
      rule: "priority-carried-over",
      message: `Priorities go on from extension ${quote(this.#lastExtension)}: this line gets ${String(priority)}, and ${quote(this.#extension)} has no priority 1 to begin with.`,
      fix: "Begin each extension with priority 1.",
    });
  }

  #taken(priority: number, earlier: LoadedVariable, variable: LoadedVariable): void {
    const which = priority === hint ? "a hint" : `priority ${String(priority)}`;
    this.#findings.warning(this.#findings.valueSpot(variable), {
      rule: "priority-taken",
      message: `Asterisk skips this line: ${quote(this.#extension)} has ${which} already, from line ${String(earlier.line)} of ${earlier.file}.`,
      fix: "Write `n` instead of the number, or remove the line. Overriding a distribution's extension works just so: then leave it.",
    });
  }

  #openParenthesis(variable: LoadedVariable): void {
    this.#findings.warning(this.#findings.valueSpot(variable), {
      rule: "parenthesis-open",
      message:
        "The application's `(` is never closed: Asterisk warns and takes the rest of the line as arguments.",
      fix: "Close it with `)`. A `;` in arguments starts a comment unless written `\\;`.",
    });
  }

  #noApplication(variable: LoadedVariable): void {
    this.#findings.warning(this.#findings.valueSpot(variable), {
      rule: "application-missing",
      message: "No application is named: Asterisk takes the line, and a call that reaches it ends there.",
      fix: "Write `PRIORITY,Application(arguments)`.",
    });
  }

  #tooWide(variable: LoadedVariable): void {
    this.#findings.warning(this.#findings.valueSpot(variable), {
      rule: "pattern-too-wide",
      message: `${quote(this.#extension)} matches the special extensions (h, t, i, s) too: Asterisk warns about it.`,
      fix: `Write \`_X${this.#extension.slice(1)}\`.`,
    });
  }

  #unknownDirective(variable: LoadedVariable): void {
    const node = this.#findings.variableNode(variable);
    this.#findings.warning(
      { file: variable.file, line: variable.line, range: node?.nameRange },
      {
        rule: "unknown-key",
        message: `The dialplan knows no ${quote(variable.name)}: Asterisk ignores the line with a warning.`,
        fix: "Write `exten`, `same`, `include`, `ignorepat` or `switch`.",
      },
    );
  }
}
