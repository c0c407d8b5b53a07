import type { ConfFiles } from "../load.ts";
import type { SecretRule } from "../secrets.ts";
import { secretValues } from "../secrets.ts";
import type { Diagnostic } from "./diagnostic.ts";
import { inQuotes } from "./inert.ts";

/** Takes what lint quotes of secrets out of a message or a fix. */
export type HideQuotes = (text: string) => string;

/**
 * Lint quotes no secret that is known to be one. This takes the others out, which only these rules know: what stands in
 * quotes, and is a part of such a value or has one in it.
 * @param paths the files that lint looked at
 */
export function hideQuotesOf(
  paths: Iterable<string>,
  files: ConfFiles,
  rules: readonly SecretRule[],
): HideQuotes {
  if (rules.length === 0) return (text) => text;
  const secrets = new Set([...paths].flatMap((path) => secretsIn(path, files, rules)));
  const isSecret = (quoted: string): boolean => {
    const seen = quoted.replace(/…$/, "");
    return seen !== "" && [...secrets].some((secret) => secret.includes(seen) || seen.includes(secret));
  };
  return (text) =>
    text.replace(/"([^"]*)"/g, (quote, quoted: string) => (isSecret(quoted) ? '"********"' : quote));
}

/** A diagnostic that quotes nothing of what `hide` takes out. */
export function hideIn<T extends Pick<Diagnostic, "message" | "fix">>(diagnostic: T, hide: HideQuotes): T {
  return { ...diagnostic, message: hide(diagnostic.message), fix: hide(diagnostic.fix) };
}

/** As they would stand in quotes. */
function secretsIn(path: string, files: ConfFiles, rules: readonly SecretRule[]): string[] {
  const bytes = files.read(path);
  return bytes === undefined ? [] : secretValues(path, bytes, rules).map(inQuotes);
}
