/**
 * Loads a file and all that it includes as Asterisk's main/config.c does: same sections, same variables, same
 * order, same oddities. Text stays as in cst.ts, one character a byte; document.ts turns it into text for people.
 */
import type { ConfNode, DirectiveNode, Operator } from "./cst.ts";
import { decode, type Encoding, encodingOf } from "./encoding.ts";
import { IncludePaths } from "./include-paths.ts";
import { parseOnce } from "./parse-once.ts";
import type { FatalKind, Problem } from "./problems.ts";
import { type Cursor, type Place, SectionTable } from "./section-table.ts";

/** The files that a view is made of. Paths are relative to the configuration directory. */
export interface ConfFiles {
  /** The bytes; undefined where there is no file, or none that can be read. */
  read(path: string): Uint8Array | undefined;
  /** What a pattern matches, as `globAsterisk` orders it. */
  glob(pattern: string): readonly string[];
}

export interface LoadOptions {
  /** Major version of Asterisk; default 22. */
  readonly asteriskVersion?: number;
  /** Where the files lie on the server; default /etc/asterisk. Absolute includes below it are followed. */
  readonly configDirectory?: string;
  /**
   * How much to read, in bytes, a repeated file counted again and each for 4 KiB more; default 512 MiB. Two files
   * that include each other twice would take Asterisk 2^10 loads, a glob in a circle weeks.
   */
  readonly sizeLimit?: number;
}

export interface LoadedVariable {
  name: string;
  value: string;
  operator: Operator;
  /** The file that holds it, and the line from 1. */
  file: string;
  line: number;
  encoding: Encoding;
  /** Cloned from a parent. */
  inherited: boolean;
}

export interface LoadedSection {
  name: string;
  template: boolean;
  inherits: string[];
  file: string;
  line: number;
  encoding: Encoding;
  variables: LoadedVariable[];
}

export interface Loaded {
  readonly sections: readonly LoadedSection[];
  readonly problems: readonly Problem[];
  /** Why Asterisk refuses the root file; `sections` is what it had read until then. */
  readonly invalid: Problem | undefined;
  /** Something could not be followed: an `#exec`, or an include that leaves the directory. */
  readonly incomplete: boolean;
  /** The files read, in the order in which they were opened, the root first. */
  readonly included: readonly string[];
}

/** MAX_INCLUDE_LEVEL of main/config.c, and the level of the root file itself. */
const deepestLevel = 10 + 1;

/** Loads `root`, a path relative to the configuration directory. */
export function load(root: string, files: ConfFiles, options: LoadOptions = {}): Loaded {
  return new Loader(files, options).run(root);
}

/** Loads a root by its path. */
export type Load = (root: string) => Loaded;

/** As `load`, each root once, for several who look at the same files. They must not change meanwhile. */
export function loadOnce(files: ConfFiles, options: LoadOptions = {}): Load {
  const known = new Map<string, Loaded>();
  return (root) => {
    const loaded = known.get(root) ?? load(root, files, options);
    known.set(root, loaded);
    return loaded;
  };
}

/** Here Asterisk does not come back, or we stop following it: nothing is read any more, of no file. */
const endless: ReadonlySet<Problem["kind"]> = new Set(["nested-too-deep", "inherits-itself", "too-large"]);

type Outcome = "loaded" | "missing" | "invalid";

/** A file that is being read. */
interface Opened extends Place {
  readonly nodes: readonly ConfNode[];
  readonly size: number;
  readonly cursor: Cursor;
}

class Loader {
  readonly #files: ConfFiles;
  readonly #paths: IncludePaths;
  readonly #table: SectionTable;
  readonly #sizeLimit: number;
  readonly #problems = new Map<string, Problem>();
  readonly #included = new Set<string>();
  readonly #read = new Map<string, Omit<Opened, "cursor"> | undefined>();
  readonly #reading: string[] = [];
  #level = 0;
  #size = 0;
  #incomplete = false;
  #lastFatal: Problem | undefined;
  #stopped = false;

  constructor(files: ConfFiles, options: LoadOptions) {
    this.#files = files;
    this.#paths = new IncludePaths(options.configDirectory ?? "/etc/asterisk");
    this.#table = new SectionTable(options.asteriskVersion ?? 22);
    this.#sizeLimit = options.sizeLimit ?? 512 * 1024 * 1024;
  }

  run(root: string): Loaded {
    const outcome = this.#load([root]);
    if (outcome === "missing") this.#report("file-missing", root, 0, root, true);
    return {
      sections: this.#table.sections,
      problems: [...this.#problems.values()],
      invalid: outcome === "loaded" ? undefined : this.#lastFatal,
      incomplete: this.#incomplete,
      included: [...this.#included],
    };
  }

  /** ast_config_internal_load. A level is not given back where a file was invalid: so it is in Asterisk. */
  #load(paths: readonly string[]): Outcome {
    this.#level++;
    const outcome = this.#loadAll(paths);
    if (outcome !== "invalid") this.#level--;
    return outcome;
  }

  /** config_text_file_load behind its glob: section and open block comments go on from one match to the next. */
  #loadAll(paths: readonly string[]): Outcome {
    const cursor = this.#table.cursor();
    let depth = 0;
    let count = 0;
    for (const path of paths) {
      const read = this.#open(path, depth, count === 0);
      if (read === undefined) {
        if (paths.length > 1) this.#report("include-unreadable", path, 0, path);
        continue;
      }
      count++;
      this.#size += read.size + 4096;
      if (this.#size > this.#sizeLimit) {
        this.#report("too-large", path, 0, path, true);
        return "invalid";
      }
      this.#reading.push(path);
      const valid = this.#process({ ...read, cursor });
      this.#reading.pop();
      if (!valid) return "invalid";
      this.#reportUnterminated(read, depth);
      depth = read.nodes.at(-1)?.depth ?? depth;
    }
    return count === 0 ? "missing" : "loaded";
  }

  /** Each file is read and parsed once for each way in which a glob can lead to it. */
  #open(path: string, depth: number, first: boolean): Omit<Opened, "cursor"> | undefined {
    const key = `${String(depth)} ${String(first)} ${path}`;
    if (this.#read.has(key)) return this.#read.get(key);
    const bytes = this.#files.read(path);
    let read: Omit<Opened, "cursor"> | undefined;
    if (bytes !== undefined) {
      this.#included.add(path);
      const { nodes } = parseOnce(bytes, { depth, skipByteOrderMark: first });
      read = { file: path, encoding: encodingOf(bytes), nodes, size: bytes.length };
    }
    this.#read.set(key, read);
    return read;
  }

  /** False where Asterisk stops reading the file. */
  #process(opened: Opened): boolean {
    let silenced = false;
    for (const node of opened.nodes) {
      if (node.kind === "ignored" && node.reason === "silenced") {
        if (!silenced) this.#report("silenced", opened.file, node.line, "");
        silenced = true;
      } else if (!this.#processLine(node, opened) || this.#stopped) {
        return false;
      }
    }
    return true;
  }

  /** process_text_line: false where it is fatal. */
  #processLine(node: ConfNode, opened: Opened): boolean {
    const { file, encoding, cursor } = opened;
    switch (node.kind) {
      case "blank":
      case "comment":
      case "block-comment":
        return true;
      case "section": {
        return this.#table.open(node, cursor, { file, encoding }, (kind, subject, fatal) => {
          this.#report(kind, file, node.line, subject, fatal);
        });
      }
      case "directive":
        return this.#include(node, opened);
      case "variable":
        if (cursor.section === undefined) return this.#refuse("no-section", opened, node);
        this.#table.set(node, cursor.section, { file, encoding });
        return true;
      case "ignored":
        if (cursor.section === undefined && node.reason !== "too-long") {
          return this.#refuse("no-section", opened, node);
        }
        this.#report(node.reason, file, node.line, "");
        return true;
      case "invalid":
        if (cursor.section === undefined && node.reason === "invalid-escape") {
          return this.#refuse("no-section", opened, node);
        }
        return this.#refuse(node.reason, opened, node);
    }
  }

  #include(node: DirectiveNode, opened: Opened): boolean {
    const { directive, argument, word, line } = node;
    if (directive === undefined || argument === undefined) {
      const kind = directive === undefined ? "unknown-directive" : "directive-without-argument";
      this.#report(kind, opened.file, line, word);
      return true;
    }
    if (directive === "exec") {
      this.#incomplete = true;
      this.#report("exec", opened.file, line, argument);
      return true;
    }
    if (this.#follow(argument, opened.file, line) !== "missing" || directive === "tryinclude") return true;
    return this.#refuse("include-missing", opened, node, argument);
  }

  #follow(argument: string, file: string, line: number): Outcome {
    if (this.#level >= deepestLevel) {
      this.#report("include-too-deep", file, line, argument);
      return "missing";
    }
    const { paths, external, tooMany } = this.#paths.resolve(argument, (pattern) =>
      this.#files.glob(pattern),
    );
    if (tooMany) this.#report("too-large", file, line, argument, true);
    if (external.length > 0) {
      this.#incomplete = true;
      this.#report("include-external", file, line, argument);
    }
    for (const path of paths) {
      if (this.#reading.includes(path)) this.#report("include-circle", file, line, path);
    }
    const outcome = tooMany ? "invalid" : this.#load(paths);
    // Whether an external file exists, nobody here knows: the benefit of the doubt.
    return outcome === "missing" && external.length > 0 ? "loaded" : outcome;
  }

  #refuse(kind: FatalKind, opened: Opened, node: ConfNode, subject = ""): false {
    this.#report(kind, opened.file, node.line, subject, true);
    return false;
  }

  /** A file may be read many times; what is wrong with it is told once. */
  #report(kind: Problem["kind"], file: string, line: number, subject: string, fatal = false): void {
    const problem: Problem = { kind, file, line, subject: decode(subject), fatal };
    const key = JSON.stringify(problem);
    if (!this.#problems.has(key)) this.#problems.set(key, problem);
    if (fatal) this.#lastFatal = problem;
    if (endless.has(kind)) this.#stopped = true;
    if (kind === "too-large") this.#incomplete = true;
  }

  #reportUnterminated({ file, nodes }: Omit<Opened, "cursor">, depthBefore: number): void {
    const depth = nodes.at(-1)?.depth ?? 0;
    if (depth <= 0) return;
    const opening = nodes.findLast((node, index) => {
      const before = nodes[index - 1]?.depth ?? depthBefore;
      return before < depth && depth <= node.depth;
    });
    if (opening !== undefined) this.#report("unterminated-comment", file, opening.line, "");
  }
}
