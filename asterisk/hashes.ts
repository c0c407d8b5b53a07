import { AsteriskIacError } from "../core/errors.ts";
import type { ContentHash } from "../core/record.ts";
import type { Host } from "./host.ts";
import { pathToBytes } from "./path-bytes.ts";

/**
 * Prints one line for each file whose absolute path stands NUL-terminated on standard input. Where all are there, one
 * sha256sum reads them; it puts a backslash before the hash of a name that it has to escape.
 */
const hashScript = `
xargs -0 sh -c '
  if hashes=$(sha256sum -- "$@" 2>/dev/null) && [ "$(printf "%s\\n" "$hashes" | wc -l)" -eq $# ]; then
    printf "%s\\n" "$hashes" | sed "s/^[^0-9a-f]//; s/ .*//"
    exit
  fi
  for file do
    if [ ! -e "$file" ] && [ ! -h "$file" ]; then echo gone; continue; fi
    hash=$(sha256sum <"$file") && echo "\${hash%% *}" || echo unreadable
  done
' sh
`;

/** What each of some files holds on the host now: its hash, or `null` where there is none. One round trip. */
export async function hashFiles(
  host: Host,
  configDirectory: string,
  paths: readonly string[],
  options: { readonly timeoutMs?: number } = {},
): Promise<Map<string, ContentHash | null>> {
  const stdin = Buffer.concat(paths.map((path) => pathToBytes(`${configDirectory}/${path}\0`)));
  const { stdout, stderr } = await host.run(hashScript, { stdin, ...options });
  const lines = stdout.toString("latin1").split("\n");
  return new Map(
    paths.map((path, index) => {
      const line = lines[index] ?? "";
      if (line === "gone") return [path, null];
      if (/^[0-9a-f]{64}$/.test(line)) return [path, line];
      throw new AsteriskIacError(
        "ListingIncomplete",
        `${path} can't be read again: ${stderr.trim() || line}`,
        {
          where: { file: `${configDirectory}/${path}` },
          next: "Retry",
        },
      );
    }),
  );
}
