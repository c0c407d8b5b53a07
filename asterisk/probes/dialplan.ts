/** The dialplan that pbx_config registers, against what `dialplan show` prints (main/pbx.c, show_dialplan). */
import { parseExten } from "../../core/conf/lint/exten.ts";
import type { Section } from "../../core/conf/index.ts";
import type { ViewChange } from "../../core/reloads.ts";
import type { Failure, Judgement, Probe } from "./probe.ts";
import { isPlain } from "./probe.ts";

/** One line of an extension as written; the file is the last part of its path, as Asterisk prints it. */
interface Line {
  readonly file: string;
  readonly line: number;
  readonly text: string;
}
type Lines = readonly Line[];
/** By context and extension. */
type Dialplan = Map<string, Map<string, Line[]>>;

/** A line of the live dialplan. `file` is the registrar, without a line, for others than pbx_config. */
interface Row {
  readonly extension: string;
  readonly text: string;
  readonly file: string;
  readonly line: number;
}

interface LiveContext {
  readonly registrar: string;
  readonly rows: Row[];
}

/** Whether every context and extension of extensions.conf is live with just its lines, and lost ones are not. */
export function dialplanProbe(change: ViewChange): Probe {
  return {
    title: "dialplan show",
    ask: { command: "dialplan show" },
    judge: (lines) => judgeDialplan(change, parseDialplan(lines)),
  };
}

/** Contexts by name. Throws nothing: lines of another form are no part of the dialplan. */
export function parseDialplan(lines: readonly string[]): Map<string, LiveContext> {
  const contexts = new Map<string, LiveContext>();
  let context: LiveContext | undefined;
  let extension = "";
  for (const line of lines) {
    const [, name, registrar] = /^\[ Context '(.*)' created by '(.*)' \]$/.exec(line) ?? [];
    if (name !== undefined && registrar !== undefined) {
      context = contexts.get(name) ?? { registrar, rows: [] };
      contexts.set(name, context);
      continue;
    }
    const [head, shown] = /^ {2}'(.*?)' (?:\(CID match '.*?'\) )?=>(?= +(?:\d+\. |hint: ))/.exec(line) ?? [];
    if (shown !== undefined) extension = normalise(shown);
    const rest = head === undefined ? line : line.slice(head.length);
    const [, text, place] = /^ +(?:\[.*?\] +)?(?:\d+\. |hint: )(.*?) +\[([^[\]]*)\]$/.exec(rest) ?? [];
    if (text === undefined || place === undefined) continue;
    const [, file = place, number = "0"] = /^(.*):(\d+)$/.exec(place) ?? [];
    context?.rows.push({ extension, text, file, line: Number(number) });
  }
  return contexts;
}

function judgeDialplan(change: ViewChange, live: ReadonlyMap<string, LiveContext>): Judgement {
  const [old, now] = [dialplanOf(change.before), dialplanOf(change.after)];
  const files = new Set([...change.before, ...change.after].flatMap(filesOfSection));
  const isOurs = ({ file }: Row): boolean => files.has(file);
  const failures: Omit<Failure, "probe">[] = [];
  const unobserved: string[] = [];
  let seen = 0;

  for (const [context, extensions] of now) {
    const found = live.get(context);
    if (found === undefined) {
      const what = `context ${context}`;
      if (!isPlain(context)) unobserved.push(`${what}: its name is not plain ASCII and was not recognised`);
      else failures.push({ expected: what, saw: "no such context" });
      continue;
    }
    const rows = groupByExtension(found.rows);
    for (const [extension, lines] of extensions) {
      const what = `extension ${extension} in ${context}`;
      const own = rows.get(extension) ?? [];
      if (own.length > 0) seen += 1;
      else if (!isPlain(extension)) unobserved.push(`${what}: its name is not plain ASCII`);
      else if (isSame(old.get(context)?.get(extension), lines))
        unobserved.push(`${what}: it is not there; it did not change, so it may not have been before`);
      else failures.push({ expected: what, saw: "no such extension" });
    }
    for (const { extension, file, line } of strangers(found.rows.filter(isOurs), extensions)) {
      const expected = `extension ${extension} in ${context}`;
      failures.push({ expected, saw: `another line is live, from ${file}:${String(line)}` });
    }
  }
  for (const [context, extensions] of old) {
    const found = live.get(context);
    if (found === undefined) continue;
    const rows = groupByExtension(found.rows);
    const isEmptyRest = found.registrar === "pbx_config" && found.rows.length === 0;
    if (!now.has(context) && (isEmptyRest || found.rows.some(isOurs)))
      failures.push({ expected: `no context ${context}`, saw: "it is still there" });
    for (const extension of extensions.keys()) {
      const isLost = now.has(context) && now.get(context)?.has(extension) !== true;
      if (isLost && rows.get(extension)?.some(isOurs) === true)
        failures.push({ expected: `no extension ${extension} in ${context}`, saw: "it is still there" });
    }
  }
  return { saw: `${now.size} contexts and ${seen} extensions of the files`, failures, unobserved };
}

/**
 * The live lines of a context that are not those written. Asterisk counts lines on through all files that one include
 * with a wildcard brings in (main/config.c, config_text_file_load), so a file's lines may all be shifted by as much.
 */
function strangers(rows: readonly Row[], extensions: ReadonlyMap<string, Lines>): Row[] {
  const byFile = Map.groupBy(rows, ({ file }) => file);
  return [...byFile.values()].flatMap((own) => {
    const [first] = own;
    const written = (extensions.get(first?.extension ?? "") ?? []).filter(({ file }) => file === first?.file);
    const shifts = new Set([0, ...written.map(({ line }) => (first?.line ?? 0) - line)]);
    let fewest = own;
    for (const shift of shifts) {
      if (shift < 0 || fewest.length === 0) continue;
      const left: Row[] = [];
      for (const row of own) {
        if (left.length === fewest.length) break;
        if (!fits(row, extensions.get(row.extension), shift)) left.push(row);
      }
      if (left.length < fewest.length) fewest = left;
    }
    return fewest;
  });
}

/** The file has that line, and the line has those arguments: what stands live is always a part of what was written. */
function fits(row: Row, lines: Lines | undefined, shift: number): boolean {
  // An extension that is not in the files any more is judged by its name.
  if (lines === undefined) return true;
  return lines.some(
    ({ file, line, text }) => file === row.file && line + shift === row.line && isPartOf(row.text, text),
  );
}

function isPartOf(text: string, written: string): boolean {
  if (!isPlain(text) || !isPlain(written)) return true;
  const open = text.indexOf("(");
  const application = open === -1 ? text : text.slice(0, open);
  const rest = open === -1 ? "" : text.slice(open + 1).replace(/\)$/, "");
  return written.includes(rest) && written.toLowerCase().includes(application.toLowerCase());
}

function isSame(old: Lines | undefined, now: Lines): boolean {
  // Lines move when one is added above them: only their texts count.
  const texts = (lines: Lines): string => JSON.stringify(lines.map(({ text }) => text));
  return old !== undefined && texts(old) === texts(now);
}

function dialplanOf(sections: readonly Section[]): Dialplan {
  const dialplan: Dialplan = new Map();
  for (const { name, template, variables } of sections) {
    if (template || /^(general|globals)$/i.test(name)) continue;
    const extensions = dialplan.get(name) ?? new Map<string, Line[]>();
    dialplan.set(name, extensions);
    let extension = "";
    for (const variable of variables) {
      const kind = /^same/i.test(variable.name) ? "same" : variable.name.toLowerCase();
      if (kind !== "same" && kind !== "exten") continue;
      // Behind the `/` stands a caller's number: the lines of all callers count as the extension's.
      const written = parseExten(kind, variable.value).extension;
      if (written !== undefined) extension = normalise(written.split("/", 1)[0] ?? "");
      // Only Asterisk knows what a variable in an extension's name becomes.
      if (extension === "" || /\$[{[]/.test(extension)) continue;
      const lines = extensions.get(extension) ?? [];
      lines.push({ file: baseName(variable.file), line: variable.line, text: variable.value });
      extensions.set(extension, lines);
    }
  }
  return dialplan;
}

/** Asterisk compares extensions without blanks and dashes, except inside the brackets of a pattern. */
function normalise(extension: string): string {
  if (!extension.startsWith("_")) return extension.replace(/[\s-]/g, "");
  return extension.replace(/\[[^\]]*\]|[\s-]/g, (found) => (found.startsWith("[") ? found : ""));
}

function groupByExtension(rows: readonly Row[]): Map<string, Row[]> {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const group = groups.get(row.extension);
    if (group === undefined) groups.set(row.extension, [row]);
    else group.push(row);
  }
  return groups;
}

function filesOfSection(section: Section): string[] {
  return [section.file, ...section.variables.map(({ file }) => file)].map(baseName);
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
