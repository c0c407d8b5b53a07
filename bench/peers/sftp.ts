/** The least that can be done with OpenSSH: `sftp -b` over the live files, then a reload and a look over ssh. */
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { LabServer } from "../../lab/lab.ts";
import { runCommand } from "../../lab/process.ts";

export interface SFTPProject {
  readonly server: LabServer;
  readonly directory: string;
  /** The folder whose files are pushed. */
  readonly files: string;
}

export async function sftpProject(directory: string, server: LabServer): Promise<SFTPProject> {
  const files = join(directory, "files");
  await mkdir(files, { recursive: true });
  await writeFile(join(directory, "known_hosts"), server.knownHosts);
  return { server, directory, files };
}

/**
 * Writes in place: not atomic, nothing kept, no owner or mode of its own, and what it finds there is not looked at.
 * Throws if a command fails, or the dialplan has not this revision.
 */
export async function runSFTP({ server, directory, files }: SFTPProject, revision: number): Promise<void> {
  const batch = join(directory, "batch");
  const names = await readdir(files);
  await writeFile(batch, names.map((name) => `put ${join(files, name)} /etc/asterisk/${name}\n`).join(""));
  const options = [
    ...["-o", `UserKnownHostsFile=${join(directory, "known_hosts")}`],
    ...["-i", server.privateKeyFile, "-o", "BatchMode=yes"],
  ];
  const at = `asterisk@${server.host}`;
  const port = String(server.sshPort);
  const put = await runCommand(["sftp", "-q", ...options, "-P", port, "-b", batch, at]);
  if (put.code !== 0) throw new Error(`sftp exited with ${put.code}: ${put.stderr}`);
  const look = "asterisk -rx 'dialplan reload' && asterisk -rx 'dialplan show'";
  const looked = await runCommand(["ssh", ...options, "-p", port, at, `PATH=$PATH:/usr/sbin; ${look}`]);
  if (looked.code !== 0 || !looked.stdout.includes(`NoOp(${revision})`))
    throw new Error(`ssh exited with ${looked.code}: ${looked.stderr}`);
}
