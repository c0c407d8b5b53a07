import { AsteriskIacError } from "./errors.ts";

/**
 * Refuses a path that is not plainly below the configuration directory: empty, absolute, with a NUL, a line
 * break, or an empty, `.` or `..` component. Names that begin with `-` are fine: no command ever gets a path
 * as a bare argument. Throws `PathRefused`.
 */
export function checkPath(path: string): void {
  const why = pathProblem(path);
  if (why === undefined) return;
  throw new AsteriskIacError("PathRefused", `the path ${JSON.stringify(path)} ${why}`, {
    hint: "Paths are relative to the configuration directory, for example `extensions.conf` or `manager.d/crm.conf`.",
  });
}

/** What is wrong with a path, see `checkPath`; undefined for a good one. */
export function pathProblem(path: string): string | undefined {
  if (path === "") return "is empty";
  if (/[\0\r\n]/.test(path)) return "holds a NUL or a line break";
  if (path.startsWith("/")) return "is absolute";
  if (path.split("/").some((component) => component === "" || component === "." || component === "..")) {
    return "has an empty, '.' or '..' component";
  }
  return undefined;
}

/**
 * Whether a component of a path begins with a dot. Such files are neither imported nor written: Asterisk's globs pass
 * them over, and in a checkout they mean something else (`.git/hooks`).
 */
export function isHidden(path: string): boolean {
  return path.split("/").some((component) => component.startsWith("."));
}
