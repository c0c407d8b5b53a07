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
 * listens no more, 22 may deadlock. Pure; sorted as lint sorts.
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
  return manager !== undefined && isEnabled(manager.before) && !isEnabled(manager.after)
    ? [...errors, { file: "manager.conf", line: 0, message: shutDown }]
    : errors;
}

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
