import picomatch from "picomatch";
import type { Pattern, SecretRule } from "../conf/secrets.ts";
import { secretRules } from "../conf/secrets.ts";
import type { GitSourceSpec } from "./git-source.ts";

/** Which variables hold a secret: those that are known to, and those that `source.git.secretKeys` declares. */
export function rulesWith(secretKeys: GitSourceSpec["secretKeys"] = []): readonly SecretRule[] {
  return secretKeys.length === 0 ? secretRules : [...secretRules, ...secretKeys.map(ruleOf)];
}

/**
 * The same for what is shown: a declared key counts in every section and type of its files, since a line that is shown
 * does not tell where it stands.
 */
export function rulesToShowWith(secretKeys: GitSourceSpec["secretKeys"] = []): readonly SecretRule[] {
  return secretKeys.length === 0 ? secretRules : [...secretRules, ...declaredRules(secretKeys)];
}

/** Only what is declared, for what is shown. */
export function declaredRules(secretKeys: GitSourceSpec["secretKeys"] = []): readonly SecretRule[] {
  return secretKeys.map(({ files, key }) => ruleOf({ files, key }));
}

function ruleOf({ files, section, type, key }: GitSourceSpec["secretKeys"][number]): SecretRule {
  return {
    paths: glob(files),
    key: glob(key),
    ...(section === undefined ? {} : { section: glob(section) }),
    ...(type === undefined ? {} : { type: glob(type) }),
  };
}

function glob(pattern: string): Pattern {
  return { test: picomatch(pattern, { dot: true, nocase: true }) };
}
