/** What people have instead: a shell script that copies every server's files with `sftp -b`, then `git commit` and `git push`. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { LabServer } from "../../lab/lab.ts";
import { runCommand } from "../../lab/process.ts";
import { gitEnvironment, type GitSSH } from "../../test/support/git-transports.ts";

/** As many at a time as `runFleet` takes. */
const parallel = 16;

/** One server: $1 its name, $2 its port, $3 the key. What is gone on the server is gone here. */
const fetchOne = `
rm -rf "$1"
mkdir -p "$1/manager.d"
sftp -q -o UserKnownHostsFile=../known_hosts -o BatchMode=yes -i "$3" -P "$2" -b - asterisk@127.0.0.1 >/dev/null <<END
cd /etc/asterisk
lcd $1
get *.conf
get *.ael
get *.lua
get manager.d/*.conf manager.d/
END
`;

/** $1 is the URL; it runs in the folder with the list of servers. */
const collectAll = `
set -eu
test -d checkout || git clone --quiet "$1" checkout 2>/dev/null
cd checkout
xargs -P ${parallel} -L 1 sh -eu ../fetch-one <../servers
git add --all
git diff --cached --quiet && exit
git commit --quiet --message "Collected"
git push --quiet origin HEAD:main
`;

/** A folder with the script, the list of servers and what lets it in. */
export interface CollectScript {
  readonly directory: string;
  readonly environment: NodeJS.ProcessEnv;
}

export async function collectScript(
  directory: string,
  servers: readonly LabServer[],
  { privateKey, knownHosts }: Pick<GitSSH, "privateKey" | "knownHosts">,
): Promise<CollectScript> {
  await mkdir(directory, { recursive: true });
  const key = join(directory, "git-key");
  await writeFile(key, privateKey, { mode: 0o600 });
  const known = join(directory, "known_hosts");
  await writeFile(known, knownHosts + servers.map((server) => `${server.knownHosts.trim()}\n`).join(""));
  const lines = servers.map(({ name, sshPort, privateKeyFile }) => `${name} ${sshPort} ${privateKeyFile}\n`);
  await writeFile(join(directory, "servers"), lines.join(""));
  await writeFile(join(directory, "fetch-one"), fetchOne);
  await writeFile(join(directory, "collect-all"), collectAll);
  const environment = {
    ...gitEnvironment,
    GIT_SSH_COMMAND: `ssh -i ${key} -o UserKnownHostsFile=${known} -o BatchMode=yes`,
    ...{ GIT_AUTHOR_NAME: "Script", GIT_AUTHOR_EMAIL: "script@example.com" },
    ...{ GIT_COMMITTER_NAME: "Script", GIT_COMMITTER_EMAIL: "script@example.com" },
  };
  return { directory, environment };
}

/** Runs it; the checkout is made where there is none. Secrets go into the repository as they are. */
export async function runCollectScript(
  { directory, environment }: CollectScript,
  url: string,
): Promise<void> {
  const script = 'cd "$1" && exec sh ./collect-all "$2"';
  const run = await runCommand(["sh", "-c", script, "sh", directory, url], { environment });
  if (run.code !== 0) throw new Error(`the script exited with ${run.code}: ${run.stdout}${run.stderr}`);
}
