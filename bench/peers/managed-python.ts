/**
 * Python for the servers that Ansible manages: the lab's have none, since asterisk-iac needs none. It is Debian's own
 * python3 with its compiled modules, installed once by apt in a server and kept in the user's cache.
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { LabServer } from "../../lab/lab.ts";
import { cacheDirectory } from "./environment.ts";

/** Installs python3; prints every file that came with it as a tar archive in base64. */
const install = `
set -e
export DEBIAN_FRONTEND=noninteractive
packages() { dpkg-query -W -f '\${Package}\\n' | sort; }
packages >/tmp/before
{ apt-get update; apt-get install --yes --no-install-recommends python3; } >&2
{ dpkg -L $(packages | comm -13 /tmp/before -); find /usr/lib/python3* -name '*.pyc'; } |
  while read -r file; do [ -d "$file" ] || printf '%s\\n' "$file"; done | sort -u >/tmp/files
tar -P -czf - -T /tmp/files | base64
`;

const unpack = "base64 -d | tar -P -xzf - && python3 -c 'import json'";

/** Gives python3 to the servers; says why where it can't be had. */
export async function installPython(
  servers: readonly LabServer[],
  onProgress: (message: string) => void,
): Promise<{ readonly missing?: string }> {
  const [first] = servers;
  if (first === undefined) return {};
  const packages = await first.run(["sh", "-c", "dpkg-query -W | sha256sum"]);
  const file = join(cacheDirectory, `python3-${packages.stdout.slice(0, 12)}.tar.gz.base64`);
  let archive = await readFile(file, "utf8").catch(() => undefined);
  if (archive === undefined) {
    onProgress("installing Debian's python3 in a managed server, once");
    const { code, stdout, stderr } = await first.run(["sh", "-c", install]);
    if (code !== 0) return { missing: `apt-get could not install python3: ${stderr.trim()}` };
    archive = stdout;
    await mkdir(cacheDirectory, { recursive: true });
    await writeFile(file, archive);
  }
  for (const server of servers) {
    const { code, stderr } = await server.run(["sh", "-c", unpack], { input: archive });
    if (code !== 0) return { missing: `python3 does not run on ${server.name}: ${stderr.trim()}` };
  }
  return {};
}
