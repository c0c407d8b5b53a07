/** What a shell can do at the least for the same first import: every server's files, packed, into a Secret of its own. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { LabKubernetes } from "../lab/kubernetes.ts";
import type { LabServer } from "../lab/lab.ts";
import { runCommand } from "../lab/process.ts";
import { timed } from "./measure.ts";

const parallel = 8;
const namespace = "peer";

/** One server: $1 its name, $2 its port, $3 the key. */
const importOne = `
ssh -q -o UserKnownHostsFile=known_hosts -o BatchMode=yes -i "$3" -p "$2" asterisk@127.0.0.1 \\
  tar -cf - -C /etc/asterisk . >"$1.tar"
gzip "$1.tar"
"$KUBECTL" --namespace ${namespace} create secret generic "$1-import" --from-file="import=$1.tar.gz" >/dev/null
`;

/**
 * Copies each server's configuration directory into a Secret, eight servers at a time. Nothing is compared, recorded, watched
 * or told, and one that changes meanwhile is copied half old, half new.
 *
 * @returns seconds for each server. Rejects where one has no Secret afterwards.
 */
export async function benchOperatorPeer(
  servers: readonly LabServer[],
  { directory, kubeconfig, kubectl }: Pick<LabKubernetes, "directory" | "kubeconfig" | "kubectl">,
): Promise<number> {
  const work = join(directory, "peer");
  await mkdir(work);
  await writeFile(
    join(work, "known_hosts"),
    servers.map(({ knownHosts }) => `${knownHosts.trim()}\n`).join(""),
  );
  await writeFile(join(work, "import-one"), importOne);
  const list = servers.map(({ name, sshPort, privateKeyFile }) => `${name} ${sshPort} ${privateKeyFile}\n`);
  const environment = { ...process.env, KUBECONFIG: kubeconfig, KUBECTL: kubectl };
  const run = async (command: readonly string[], input = ""): Promise<string> => {
    const answer = await runCommand(command, { input, environment });
    if (answer.code !== 0) throw new Error(`${command[0]} exited with ${answer.code}: ${answer.stderr}`);
    return answer.stdout;
  };
  await run([kubectl, "create", "namespace", namespace]);
  const importAll = `cd "$1" && exec xargs -P ${parallel} -L 1 sh -eu ./import-one`;
  const milliseconds = await timed(() => run(["sh", "-c", importAll, "sh", work], list.join("")));
  const stored = await run([kubectl, "--namespace", namespace, "get", "secrets", "--output", "name"]);
  const missing = servers.filter(({ name }) => !stored.includes(`secret/${name}-import\n`));
  if (missing.length > 0) throw new Error(`the shell stored nothing of ${missing[0]?.name}`);
  return milliseconds / 1_000 / servers.length;
}
