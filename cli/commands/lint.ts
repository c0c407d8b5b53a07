import { readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import type { ConfFiles } from "../../core/conf/index.ts";
import { effectiveView } from "../../core/conf/index.ts";
import type { Diagnostic, LintOptions } from "../../core/conf/lint.ts";
import { hideIn, hideQuotesOf, lint, lintDirectory, renderDiagnostic } from "../../core/conf/lint.ts";
import type { SecretRule } from "../../core/conf/secrets.ts";
import { secretRules } from "../../core/conf/secrets.ts";
import { AsteriskIacError, messageOf } from "../../core/errors.ts";
import { confDirectory } from "../conf-directory.ts";
import type { OutputFormat } from "../context.ts";
import type { Paint, Terminal } from "../terminal.ts";
import { painter } from "../terminal.ts";
import type { ConfOptions } from "./conf.ts";
import { locate } from "./conf.ts";

/** A finding with the file as it can be opened from here. */
interface Located {
  readonly diagnostic: Diagnostic;
  readonly file: string;
}

export interface LintCommandOptions extends ConfOptions {
  readonly allowExec?: boolean;
  /** What holds a secret beside what is known to: it is not shown. */
  readonly declaredSecrets: readonly SecretRule[];
}

/** Lints files and directories and prints what was found; whether there is an error among it. */
export function lintFiles(
  terminal: Terminal,
  names: readonly string[],
  options: LintCommandOptions,
  output: OutputFormat,
): boolean {
  const found = names.flatMap((name) => lintOne(name, options));
  const errors = found.filter(({ diagnostic }) => diagnostic.severity === "error").length;
  if (output === "json") {
    const diagnostics = found.map(({ diagnostic, file }) => ({ ...diagnostic, file }));
    terminal.stdout.write(
      `${JSON.stringify({ command: "conf lint", errors, warnings: found.length - errors, diagnostics }, undefined, 2)}\n`,
    );
    return errors > 0;
  }
  const paint = painter(terminal.stdout);
  const rules = [...secretRules, ...options.declaredSecrets];
  for (const { diagnostic, file } of found) {
    const rendered = renderDiagnostic(diagnostic, sourceLine(file, diagnostic.line), {
      shownAs: file,
      rules,
    });
    terminal.stdout.write(`${highlight(rendered, diagnostic, paint)}\n\n`);
  }
  const count = (number: number, word: string): string => `${number} ${word}${number === 1 ? "" : "s"}`;
  terminal.stdout.write(`${count(errors, "error")}, ${count(found.length - errors, "warning")}\n`);
  return errors > 0;
}

function lintOne(name: string, options: LintCommandOptions): Located[] {
  const isDirectory = statOf(name).isDirectory();
  const { files, path, directory } = isDirectory
    ? { files: confDirectory(name), path: "", directory: resolve(name) }
    : locate(name, options.configDirectory);
  const lintOptions = {
    asteriskVersion: options.asterisk,
    configDirectory: directory,
    allowExec: options.allowExec === true,
  };
  const diagnostics = isDirectory
    ? lintDirectory(files.paths(), files, lintOptions)
    : lintFile(path, files, lintOptions);
  const shown = isDirectory ? name : (options.configDirectory ?? name.slice(0, -path.length));
  const hide = hideQuotesOf(files.paths(), files, diagnostics.length === 0 ? [] : options.declaredSecrets);
  return diagnostics.map((diagnostic) => ({
    diagnostic: hideIn(diagnostic, hide),
    file: join(shown, diagnostic.file),
  }));
}

/** A fragment, valid only where another file includes it, is judged there. */
function lintFile(path: string, files: ReturnType<typeof confDirectory>, options: LintOptions): Diagnostic[] {
  const alone = lint(path, files, options);
  if (!alone.some(({ rule, file }) => rule === "no-section" && file === path)) return alone;
  const isIncluded = files
    .paths()
    .some((other) => other !== path && other.endsWith(".conf") && includesFile(other, path, files, options));
  if (!isIncluded) return alone;
  return lintDirectory(files.paths(), files, options).filter(({ file }) => file === path);
}

function includesFile(root: string, path: string, files: ConfFiles, options: LintOptions): boolean {
  return effectiveView(root, files, options).included.includes(path);
}

function statOf(name: string): ReturnType<typeof statSync> & object {
  try {
    return statSync(name);
  } catch (cause) {
    throw new AsteriskIacError("InvalidArgument", `can't read it: ${messageOf(cause)}`, {
      where: { file: name },
      cause,
    });
  }
}

function sourceLine(file: string, line: number): string {
  if (line === 0) return "";
  try {
    return readFileSync(file, "latin1").split("\n")[line - 1] ?? "";
  } catch {
    return "";
  }
}

/** Colours the word `error` or `warning` of the first line. */
function highlight(rendered: string, { severity }: Diagnostic, paint: Paint): string {
  return rendered.replace(severity, paint(severity === "error" ? "red" : "yellow", severity));
}
