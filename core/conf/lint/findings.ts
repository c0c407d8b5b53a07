import type { ConfNode, Range, VariableNode } from "../cst.ts";
import type { Edit } from "../edit.ts";
import type { ConfFiles, LoadedVariable } from "../load.ts";
import { parseOnce } from "../parse-once.ts";
import { skipBlanks, trimBlanks } from "../text.ts";
import type { Diagnostic, Rule, Severity } from "./diagnostic.ts";

/** A place to point at: a range of the file, which lies in that line, or the whole line. */
export interface Spot {
  readonly file: string;
  readonly line: number;
  readonly range?: Range | undefined;
}

/** A rule's verdict on a place. */
export interface Finding {
  readonly rule: Rule;
  readonly message: string;
  readonly fix: string;
  readonly edits?: readonly Edit[];
}

/** The files that are looked at, each parsed once, and what was found in them, each thing once. */
export class Findings {
  readonly #files: ConfFiles;
  readonly #nodes = new Map<string, readonly ConfNode[]>();
  readonly #byLine = new Map<string, ReadonlyMap<number, ConfNode>>();
  readonly #found = new Map<string, Diagnostic>();
  readonly #errors = new Set<string>();

  constructor(files: ConfFiles) {
    this.#files = files;
  }

  get diagnostics(): Diagnostic[] {
    return [...this.#found.values()];
  }

  error(spot: Spot, finding: Finding): void {
    this.#errors.add(`${spot.file}\0${String(spot.line)}`);
    this.#add("error", spot, finding);
  }

  warning(spot: Spot, finding: Finding): void {
    this.#add("warning", spot, finding);
  }

  /** Whether there is an error in that line. */
  hasError({ file, line }: Spot): boolean {
    return this.#errors.has(`${file}\0${String(line)}`);
  }

  /** The lines of a file read by itself; none where it cannot be read. */
  nodes(path: string): readonly ConfNode[] {
    const known = this.#nodes.get(path);
    if (known !== undefined) return known;
    const bytes = this.#files.read(path);
    const nodes = bytes === undefined ? [] : parseOnce(bytes).nodes;
    this.#nodes.set(path, nodes);
    return nodes;
  }

  node(path: string, line: number): ConfNode | undefined {
    const byLine = this.#byLine.get(path) ?? new Map(this.nodes(path).map((node) => [node.line, node]));
    this.#byLine.set(path, byLine);
    return byLine.get(line);
  }

  /** The line that a variable was read from; undefined where a block comment of another file hides it. */
  variableNode({ file, line, name }: LoadedVariable): VariableNode | undefined {
    const node = this.node(file, line);
    return node?.kind === "variable" && node.name === name ? node : undefined;
  }

  /** A variable's value, or `length` bytes of it from `at`, as a place to point at. */
  valueSpot(variable: LoadedVariable, at?: number, length?: number): Spot {
    const { file, line, value } = variable;
    const node = this.variableNode(variable);
    if (!node) return { file, line };
    const { valueRange } = node;
    const plain = node.value === value && valueRange.end - valueRange.start === value.length;
    if (!plain || at === undefined || length === undefined) return { file, line, range: valueRange };
    const start = valueRange.start + at;
    return { file, line, range: { start, end: start + length } };
  }

  #add(severity: Severity, { file, line, range }: Spot, { rule, message, fix, edits }: Finding): void {
    const node = this.node(file, line);
    const source = node?.source ?? "";
    const visible = trimBlanks(source, 0, source.length);
    const indent = skipBlanks(source, 0, visible);
    const inLine =
      range && node && range.start >= node.offset && range.end <= node.offset + node.source.length;
    const column = (inLine ? range.start - node.offset : indent) + 1;
    const end = (inLine ? range.end - node.offset : visible) + 1;
    const key = `${file}\0${String(line)}\0${String(column)}\0${rule}`;
    if (this.#found.has(key)) return;
    const place = { file, line, column, endColumn: Math.max(end, column + 1) };
    this.#found.set(key, { ...place, severity, rule, message, fix, ...(edits ? { edits } : {}) });
  }
}
