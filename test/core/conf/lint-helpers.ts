import { filesOf } from "../../../core/conf/document.ts";
import { applyEdits } from "../../../core/conf/edit.ts";
import { lint, lintDirectory } from "../../../core/conf/lint.ts";
import type { Diagnostic, LintOptions } from "../../../core/conf/lint.ts";

/** Files by path, their bytes as latin1 text. */
export type Texts = Readonly<Record<string, string>>;

function readerOf(texts: Texts) {
  const contents = new Map(
    Object.entries(texts).map(([path, text]) => [path, Buffer.from(text, "latin1")] as const),
  );
  return { files: filesOf(contents), paths: contents.keys() };
}

export function diagnose(texts: Texts, root: string, options?: LintOptions): Diagnostic[] {
  return lint(root, readerOf(texts).files, options);
}

export function diagnoseAll(texts: Texts, options?: LintOptions): Diagnostic[] {
  const { files, paths } = readerOf(texts);
  return lintDirectory(paths, files, options);
}

/** `line:column-endColumn severity rule`, with the file in front where it is not the root. */
export function brief(diagnostics: readonly Diagnostic[], root?: string): string[] {
  return diagnostics.map(({ file, line, column, endColumn, severity, rule }) => {
    const place = `${String(line)}:${String(column)}-${String(endColumn)}`;
    return `${file === root ? "" : `${file}:`}${place} ${severity} ${rule}`;
  });
}

/** What one file alone gives. */
export function check(file: string, text: string, options?: LintOptions): string[] {
  return brief(diagnose({ [file]: text }, file, options), file);
}

/** The text with the edits of every diagnostic that has some. */
export function mended(file: string, text: string): string {
  const edits = diagnose({ [file]: text }, file).flatMap((diagnostic) => diagnostic.edits ?? []);
  return Buffer.from(applyEdits(Buffer.from(text, "latin1"), edits)).toString("latin1");
}

/** The only diagnostic of a file. */
export function only(file: string, text: string): Diagnostic {
  const [diagnostic, ...others] = diagnose({ [file]: text }, file);
  if (!diagnostic || others.length > 0) {
    throw new Error(`Expected one diagnostic, got ${JSON.stringify(check(file, text))}.`);
  }
  return diagnostic;
}
