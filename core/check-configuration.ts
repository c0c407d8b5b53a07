import type { Diagnostic } from "./conf/lint.ts";
import { isTrue, type ViewChange } from "./reloads.ts";

/** Why an apply is refused before anything is written. */
export interface ConfigurationError {
  /** Path below the configuration directory. */
  readonly file: string;
  /** From 1; 0 for the file as a whole. */
  readonly line: number;
  readonly message: string;
}

export interface CheckInput {
  /** What lint finds in the whole directory, as it is and as it would be. */
  readonly before: readonly Diagnostic[];
  readonly after: readonly Diagnostic[];
  /** By root file. */
  readonly views?: ReadonlyMap<string, ViewChange>;
}

/**
 * What stands against writing files: every error that they bring with them, in themselves or elsewhere (an include that
 * loses its file), but none that was there before (decision 4); and a manager.conf that would shut AMI down, which a reload does not undo: Asterisk 16
 * listens no more, 22 may deadlock; and any change of it while an account has a setvar. Pure; sorted as lint sorts.
 */
export function checkConfiguration({ before, after, views }: CheckInput): ConfigurationError[] {
  const known = new Set(before.map(keyOf));
  const errors = after
    .filter(({ severity }) => severity === "error")
    .filter((found) => !known.has(keyOf(found)))
    .map(({ file, line, message, fix }): ConfigurationError => ({
      file,
      line,
      message: `${message} ${fix}`,
    }));
  const manager = views?.get("manager.conf");
  if (manager === undefined) return errors;
  if (isEnabled(manager.before) && !isEnabled(manager.after))
    errors.push({ file: "manager.conf", line: 0, message: shutDown });
  for (const { name, file, line, template, variables } of manager.before) {
    if (template || !variables.some((variable) => variable.name.toLowerCase() === "setvar")) continue;
    errors.push({ file, line, message: `The account [${name}] has a setvar. ${setvarCrash}` });
  }
  return errors;
}

/** Seen on 16.28 and 22.10.1, docs/ami-classes.md: __init_manager frees chanvars at a reload and keeps the pointer. */
const setvarCrash =
  "A reload of a changed manager.conf makes Asterisk use freed memory then, and it can crash with all calls. Take the " +
  "setvar out on the server, restart Asterisk, and apply again.";

const shutDown =
  "This would disable AMI, through which Asterisk is reloaded and watched; no reload brings it back. Keep `enabled = yes` " +
  "in [general] and bind it to 127.0.0.1.";

/** Lines move: the same finding on another line is no new one. */
function keyOf({ file, rule, message }: Diagnostic): string {
  return JSON.stringify([file, rule, message]);
}

function isEnabled(sections: ViewChange["before"]): boolean {
  const general = sections.find(({ name, template }) => !template && name.toLowerCase() === "general");
  return isTrue(general?.variables.findLast(({ name }) => name.toLowerCase() === "enabled")?.value);
}
