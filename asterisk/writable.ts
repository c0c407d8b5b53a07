import type { Host } from "./host.ts";

/** Prints which of the directories `$2`, `$3`, … below `$1` are writable, each with a NUL; the first, empty, is `$1` itself. */
export const WRITABLE_SCRIPT = `
cd -- "$1" || exit 0
[ ! -w . ] || printf '\\0'
shift
for path do [ ! -w "./$path" ] || printf '%s\\0' "$path"; done
`;

/**
 * Which directories below the configuration directory (the real path) we may make files in: their paths, the empty one for
 * the configuration directory itself. One round trip.
 */
export async function writableDirectories(
  host: Host,
  configDirectory: string,
  directories: readonly string[],
): Promise<ReadonlySet<string>> {
  const { stdout } = await host.run(WRITABLE_SCRIPT, { args: [configDirectory, ...directories] });
  return new Set(stdout.toString("utf8").split("\0").slice(0, -1));
}
