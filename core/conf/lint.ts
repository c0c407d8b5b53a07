/** Finds in a configuration what Asterisk reads otherwise than it was meant, and says what to write instead. */
import type { ConfFiles, Load, Loaded } from "./load.ts";
import { loadOnce } from "./load.ts";
import { compareDiagnostics } from "./lint/diagnostic.ts";
import type { Diagnostic, LintOptions } from "./lint/diagnostic.ts";
import { lintDialplan } from "./lint/dialplan.ts";
import { Findings } from "./lint/findings.ts";
import { lintLines } from "./lint/lines.ts";
import { lintManager } from "./lint/manager.ts";
import { lintMappings } from "./lint/mappings.ts";
import { lintAddressLists, lintObjects } from "./lint/pjsip.ts";
import { lintReading } from "./lint/reading.ts";
import { isConf, isKnownRoot } from "./lint/roots.ts";

export type { Diagnostic, LintOptions, Rule, Severity } from "./lint/diagnostic.ts";
export { hideIn, hideQuotesOf } from "./lint/hide.ts";
export type { HideQuotes } from "./lint/hide.ts";
export { renderDiagnostic } from "./lint/render.ts";
export type { RenderOptions } from "./lint/render.ts";

/**
 * What is wrong with the file `path` (below the configuration directory) and with all that it includes, sorted by
 * file and line. The file is judged as one that a module of Asterisk opens: for a fragment, lint the file that
 * includes it, or the whole directory.
 */
export function lint(path: string, files: ConfFiles, options: LintOptions = {}): Diagnostic[] {
  const findings = new Findings(files);
  lintRoot(path, loadOnce(files, options), findings, options);
  return findings.diagnostics.toSorted(compareDiagnostics);
}

/**
 * What is wrong in a whole directory, each thing once, at its own place. Looked at are the files that a module of
 * Asterisk opens by itself, the other `.conf` files that none of them includes, and through them all the rest.
 * @param paths of all its files, below the configuration directory
 * @param load for those who loaded them already, with the same options
 */
export function lintDirectory(
  paths: Iterable<string>,
  files: ConfFiles,
  options: LintOptions = {},
  load: Load = loadOnce(files, options),
): Diagnostic[] {
  const findings = new Findings(files);
  const all = [...paths].filter(isConf).sort();
  const seen = new Set<string>();
  const visit = (root: string): void => {
    for (const path of lintRoot(root, load, findings, options).included) seen.add(path);
  };
  all.filter(isKnownRoot).forEach(visit);
  const rest = all.filter((path) => !seen.has(path));
  const included = new Set(rest.flatMap((path) => load(path).included.slice(1)));
  rest.filter((path) => !included.has(path)).forEach(visit);
  // What is left includes each other in a circle.
  for (const path of rest) if (!seen.has(path)) visit(path);
  return findings.diagnostics.toSorted(compareDiagnostics);
}

function lintRoot(root: string, load: Load, findings: Findings, options: LintOptions): Loaded {
  const loaded = load(root);
  const name = root.slice(root.lastIndexOf("/") + 1);
  if (/^manager(_\w+)?\.conf$/.test(name)) lintManager(name, loaded, findings);
  if (/^extensions(_\w+)?\.conf$/.test(name) && name !== "extensions_minivm.conf")
    lintDialplan(loaded, findings);
  if (name === "pjsip.conf") lintObjects(root, loaded, findings);
  if (/^(acl|iax|pjsip|sip)\.conf$/.test(name)) lintAddressLists(loaded, findings);
  if (name === "extconfig.conf") lintMappings(loaded, findings);
  lintReading(root, loaded, findings, options);
  for (const path of loaded.included) lintLines(path, findings);
  return loaded;
}
