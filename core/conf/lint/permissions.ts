/** The classes of AMI's read and write permissions (main/manager.c, perms), `all` and `none` last. */
export const permissionClasses: readonly string[] = (
  "system call log verbose command agent user config dtmf reporting cdr dialplan originate agi cc aoc test security " +
  "message all none"
).split(" ");

/** Classes whose write permission amounts to running code on the server (asterisk-facts.md, section E). */
export const codeExecutionClasses: ReadonlySet<string> = new Set(["command", "config", "originate", "all"]);

/** One token of a read or write value, with where it stands. */
export interface PermissionToken {
  readonly text: string;
  readonly at: number;
  /** The classes that Asterisk grants for this token. */
  readonly grants: readonly string[];
}

/**
 * Reads a permission list as Asterisk does (get_perm, ast_instring): tokens are neither trimmed nor folded; the
 * last one must be a class exactly, each other one only the beginning of a class, so an empty one is every class.
 */
export function parsePermissions(value: string): PermissionToken[] {
  const parts = value.split(",");
  // A comma at the end is harmless: the text after it is never looked at.
  const trailingComma = parts.length > 1 && parts.at(-1) === "";
  if (trailingComma) parts.pop();
  let at = 0;
  return parts.map((text, index) => {
    const isLast = index === parts.length - 1 && !trailingComma;
    const grants = permissionClasses.filter((name) => (isLast ? name === text : name.startsWith(text)));
    const token = { text, at, grants };
    at += text.length + 1;
    return token;
  });
}
