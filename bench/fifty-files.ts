/** Fifty files of a dialplan, 531 KB together, as an installation that has grown over years holds them. */
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { LabServer } from "../lab/lab.ts";

const totalBytes = 531_000;
const names = Array.from({ length: 50 }, (_, index) => `extensions-${index + 10}.conf`);

/** The files of one revision, by name. Every file differs from the same one of every other revision. */
export function fiftyFiles(revision: number): ReadonlyMap<string, Buffer> {
  return new Map(names.map((name, index) => [name, fileOf(index + 10, revision)]));
}

function fileOf(number: number, revision: number): Buffer {
  const size = totalBytes / names.length;
  let text = `; Department ${number}\n\n[department-${number}]\nexten => revision,1,NoOp(${revision})\n\n`;
  for (let line = 100; text.length < size; line++) {
    const part = [
      `; ${number}${line}: rings for half a minute, then goes to the mailbox of the department.`,
      `;exten => ${number}${line},1,Dial(SIP/\${EXTEN},20)      ; as it was before the move to PJSIP`,
      `exten => ${number}${line},1,NoOp(Call from \${CALLERID(num)} to \${EXTEN})`,
      ` same => n,Dial(PJSIP/\${EXTEN},30,tT)`,
      ` same => n,GotoIf($["\${DIALSTATUS}" = "BUSY"]?busy:unavailable)`,
      ` same => n(unavailable),VoiceMail(\${EXTEN}@default,u)`,
      ` same => n,Hangup()`,
      ` same => n(busy),VoiceMail(\${EXTEN}@default,b)`,
      ` same => n,Hangup()`,
      ``,
      ``,
    ].join("\n");
    text += part;
  }
  return Buffer.from(text);
}

/** Writes them into a directory of this machine, over what is there. */
export async function writeFiles(directory: string, files: ReadonlyMap<string, Buffer>): Promise<void> {
  await Promise.all([...files].map(([name, bytes]) => writeFile(join(directory, name), bytes)));
}

/** Puts files on a server and has its extensions.conf include them. */
export async function layOut(server: LabServer, files: ReadonlyMap<string, Buffer>): Promise<void> {
  await writeFiles(server.configDirectory, files);
  await Promise.all([...files.keys()].map((name) => chmod(join(server.configDirectory, name), 0o640)));
  const script = `
    cd /etc/asterisk
    chown asterisk:asterisk extensions-*.conf
    printf '\\n#include extensions-*.conf\\n' >>extensions.conf
    asterisk -rx 'dialplan reload'`;
  const { code, stderr } = await server.run(["sh", "-c", script]);
  if (code !== 0) throw new Error(`${server.name} did not take the files: ${stderr}`);
}

/** Throws unless the server has these files of this revision: in its dialplan, and byte for byte in its directory. */
export async function assertLive(
  server: LabServer,
  files: ReadonlyMap<string, Buffer>,
  revision: number,
): Promise<void> {
  const { stdout } = await server.run(["asterisk", "-rx", "dialplan show"]);
  const live = stdout.match(new RegExp(`NoOp\\(${revision}\\)`, "g"))?.length ?? 0;
  if (live !== files.size)
    throw new Error(`${live} of ${files.size} files are live on ${server.name} in revision ${revision}`);
  const { stdout: bytes } = await server.run(["sh", "-c", "cd /etc/asterisk && cat extensions-*.conf"]);
  if (bytes !== Buffer.concat([...files.values()]).toString())
    throw new Error(`the files on ${server.name} are not those of revision ${revision}`);
}
