/** The classes of AMI's read and write permissions (main/manager.c, perms), `all` and `none` last. */
export const permissionClasses = [
  "system",
  "call",
  "log",
  "verbose",
  "command",
  "agent",
  "user",
  "config",
  "dtmf",
  "reporting",
  "cdr",
  "dialplan",
  "originate",
  "agi",
  "cc",
  "aoc",
  "test",
  "security",
  "message",
  "all",
  "none",
] as const;

/** A class of AMI. */
export type PermissionClass = (typeof permissionClasses)[number];

export function isPermissionClass(text: string): text is PermissionClass {
  return (permissionClasses as readonly string[]).includes(text);
}

/**
 * How write permission for a class runs code on the server, in words that follow "it"; main/manager.c, apps/app_mixmonitor.c
 * and res/res_agi.c. Of the classes that are not here, `originate` did so too until CVE-2024-42365 was mended.
 */
export const codeExecution: Readonly<Partial<Record<PermissionClass, string>>> = {
  all: "is every class",
  command: "runs commands of the console, which change the dialplan and load modules",
  config: "writes any .conf file, the dialplan too",
  system: "runs shell commands (MixMonitor), loads modules and reads every secret of the configuration",
  agi: "runs AGI commands, and with them System(), in calls that are in AsyncAGI",
};

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
