import { randomBytes } from "node:crypto";
import { AsteriskIacError } from "../core/errors.ts";
import type { Host } from "./host.ts";

/** netconsole reads 512 bytes, of which `cli quit after ` and a NUL are not the command's (main/asterisk.c). */
const maxCommandBytes = 496;

/**
 * Each command's output between two lines that nobody can guess. It adds /usr/sbin, where Asterisk is and a plain
 * user's PATH is not; leaves a home directory that Asterisk could not enter; keeps standard input away from Asterisk;
 * and stops at the first command that finds no socket. Asterisk prints line by line: dd makes few packets of them.
 */
const script = `
nonce=$1
shift
PATH=$PATH:/usr/sbin:/usr/local/sbin:/sbin
LC_ALL=C
export PATH LC_ALL
cd /
user=$(id -un)
for command do
  printf '%s begin\n' "$nonce"
  asterisk -rx "$command" </dev/null
  code=$?
  printf '\n%s end %s %s\n' "$nonce" "$code" "$user"
  [ "$code" -eq 0 ] || exit 0
done | dd obs=32768 2>/dev/null
`;

/**
 * What Asterisk's CLI prints for each command, by `asterisk -rx`, all in one round trip, without ANSI sequences and
 * the newlines at its end. The exit code says nothing about the command itself (asterisk -rx exits 0 whatever it
 * answers): judge the text. Rejects with `InvalidArgument` before anything is sent, `Unreachable` where Asterisk's
 * socket can't be reached, `PermissionDenied` where cli_permissions.conf says so, and what `host.run` rejects with.
 */
export async function runCommands(
  host: Host,
  commands: readonly string[],
  options: { timeoutMs?: number } = {},
): Promise<string[]> {
  for (const command of commands) checkCommand(command);
  const nonce = `asterisk-iac-${randomBytes(16).toString("hex")}`;
  const { stdout, stderr } = await host.run(script, { args: [nonce, ...commands], ...options });
  const ran = stdout.toString("utf8").split(`${nonce} begin\n`).slice(1);
  return commands.map((command, index) => {
    const [output, end] = ran[index]?.split(`\n${nonce} end `) ?? [];
    if (output === undefined || end === undefined) {
      throw new AsteriskIacError(
        "UnexpectedAnswer",
        `\`asterisk -rx "${command}"\` was cut short: ${stderr.trim()}`,
        {
          next: "Retry",
        },
      );
    }
    const [code, user = "?"] = end.trim().split(" ");
    const text = stripANSI(output);
    if (code !== "0") throw noSocket(stripANSI(stderr), code ?? "?", user);
    if (text.startsWith("You don't have permissions to run ")) {
      throw new AsteriskIacError("PermissionDenied", `Asterisk's CLI denied user ${user} \`${command}\`.`, {
        hint: "cli_permissions.conf on the server denies it; `cli show permissions` lists what it says.",
      });
    }
    return text;
  });
}

/** Removes terminal sequences (CSI and OSC) and the newlines at the end. */
export function stripANSI(text: string): string {
  return text
    .replaceAll(/\x1b\[[0-?]*[ -/]*[@-~]/g, "")
    .replaceAll(/\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)/g, "")
    .replace(/[\r\n]+$/, "");
}

function checkCommand(command: string): void {
  const bytes = Buffer.byteLength(command);
  if (bytes === 0 || bytes > maxCommandBytes || /[\r\n\0]/.test(command)) {
    throw new AsteriskIacError(
      "InvalidArgument",
      `A command for Asterisk's CLI must be one line of 1 to ${maxCommandBytes} bytes; this one has ${bytes}.`,
    );
  }
}

function noSocket(stderr: string, code: string, user: string): AsteriskIacError {
  if (code === "127") {
    return new AsteriskIacError(
      "Unreachable",
      `There is no \`asterisk\` on the host's PATH (as user ${user}).`,
      {
        hint: "Is this the machine that Asterisk runs on? If Asterisk is in a container, that is the host to reach.",
      },
    );
  }
  return new AsteriskIacError(
    "Unreachable",
    `Asterisk's console can't be reached as user ${user}: ${stderr.trim() || `asterisk -rx exited ${code}`}`,
    {
      next: "Retry",
      hint:
        "Asterisk is not running, or this user may not use its socket: set `become` to the user that Asterisk runs as, " +
        "or let the user's group use the socket (astctlgroup and astctlpermissions in asterisk.conf).",
    },
  );
}
