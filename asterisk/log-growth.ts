import { AsteriskIacError } from "../core/errors.ts";
import { runCommands } from "./asterisk-command.ts";
import type { Host } from "./host.ts";

/** Where one log of Asterisk ended at a moment. */
export interface LogMark {
  readonly file: string;
  readonly inode: string;
  readonly size: number;
}

/** An ERROR or WARNING that Asterisk wrote to its log. */
export interface LogLine {
  readonly level: "ERROR" | "WARNING";
  /** The line as it stands in the log, without terminal sequences. */
  readonly text: string;
}

/** What was written to the logs since a mark. A line that Asterisk writes to two logs is here twice. */
export interface LogGrowth {
  readonly lines: readonly LogLine[];
  /** Bytes that were read. */
  readonly bytes: number;
  /** What could not be looked at, and why, in words. */
  readonly unseen: readonly string[];
}

/** More growth than this is not read: the rest is named as unseen. */
const maxGrowthBytes = 4 * 1024 * 1024;
/** `logger show channels` cuts a file's name to this many characters (main/logger.c). */
const shownNameLength = 35;

/** Gives inode, size and name of each file; a name that was cut short stands for the files that begin with it. */
const markScript = `
cd /
for name do
  for file in "$name" "$name"*; do
    [ "$file" = "$name" ] || [ "\${#name}" -eq ${shownNameLength} ] || continue
    [ -f "$file" ] || continue
    inode=$(ls -Ldi -- "$file") || continue
    size=$(wc -c <"$file") || continue
    printf '%s %s %s\\n' "\${inode%% *}" "$((size))" "$file"
    break
  done
done
`;

/**
 * Asterisk writes its logs from a thread of its own, so it waits (at most two seconds) until they rest. Parameters
 * come in threes: file, inode, size. Prints what each file holds past that size; where the file was rotated, what the
 * old one (found by its inode) holds past it, and all of the new one. What is gone is named on standard error.
 */
const growthScript = `
cd /
most=$1
shift
sizes() { while [ $# -ge 3 ]; do wc -c <"$1"; shift 3; done; }
was= tries=0
while is=$(sizes "$@" 2>/dev/null); [ "$is" != "$was" ] && [ "$tries" -lt 40 ]; do
  was=$is tries=$((tries + 1))
  sleep 0.05 2>/dev/null || { sleep 1; tries=$((tries + 19)); }
done
while [ $# -ge 3 ]; do
  file=$1 inode=$2 size=$3
  shift 3
  now=$(ls -Ldi -- "$file") && now=\${now%% *}
  if [ "$now" = "$inode" ] && [ "$(wc -c <"$file")" -ge "$size" ]; then
    tail -c +"$((size + 1))" -- "$file"
  else
    gone="the end of $file before it was rotated"
    for old in "$file"?*; do
      [ -f "$old" ] || continue
      found=$(ls -Ldi -- "$old") && [ "\${found%% *}" = "$inode" ] || continue
      tail -c +"$((size + 1))" -- "$old" && gone=
    done
    [ -z "$gone" ] || echo "$gone" >&2
    cat -- "$file"
  fi
done | head -c "$most"
`;

/**
 * Notes where Asterisk's logs end now: the enabled file channels that take errors or warnings. Where they can't be
 * read, `marks` is empty and `unseen` says why.
 */
export async function markLogs(host: Host): Promise<{ marks: LogMark[]; unseen: string[] }> {
  const [channels = ""] = await runCommands(host, ["logger show channels"]);
  const files = parseLogFiles(channels);
  if (files.length === 0)
    return { marks: [], unseen: ["no enabled log file takes errors (logger show channels)"] };
  const { stdout } = await host.run(markScript, { args: files });
  const marks = stdout
    .toString("utf8")
    .split("\n")
    .flatMap((line): LogMark[] => {
      const [, inode, size, file] = /^(\d+) (\d+) (.+)$/.exec(line) ?? [];
      return inode === undefined || size === undefined || file === undefined
        ? []
        : [{ inode, size: Number(size), file }];
    });
  const unseen = files
    .filter((name) => !marks.some(({ file }) => file.startsWith(name)))
    .map((name) => `${name} can't be read by this user`);
  return { marks, unseen };
}

/** The errors and warnings written since the marks. One round trip. */
export async function readGrowth(host: Host, marks: readonly LogMark[]): Promise<LogGrowth> {
  if (marks.length === 0) return { lines: [], bytes: 0, unseen: [] };
  const args = marks.flatMap(({ file, inode, size }) => [file, inode, String(size)]);
  const { stdout, stderr } = await host.run(growthScript, { args: [String(maxGrowthBytes), ...args] });
  const unseen = stdout.length >= maxGrowthBytes ? [`the log past ${maxGrowthBytes} bytes of growth`] : [];
  if (stderr.trim() !== "") unseen.push(stderr.trim());
  return { lines: parseLogLines(stdout.toString("utf8")), bytes: stdout.length, unseen };
}

/** The names of enabled log files that take errors or warnings, from `logger show channels`; long ones are cut there. */
export function parseLogFiles(channels: string): string[] {
  if (!/^Channel\s+Type\s/m.test(channels)) {
    throw new AsteriskIacError("UnexpectedAnswer", "Asterisk's `logger show channels` printed no table.", {
      hint: "cli_permissions.conf may deny this user the command.",
    });
  }
  return channels.split("\n").flatMap((line) => {
    const name = line.slice(0, shownNameLength).trimEnd();
    const rest = line.slice(shownNameLength);
    return name.startsWith("/") && /^ File +\S+ +Enabled .*- .*\b(ERROR|WARNING)\b/.test(rest) ? [name] : [];
  });
}

/** The ERROR and WARNING lines of a log in Asterisk's default, plain or JSON format. */
export function parseLogLines(log: string): LogLine[] {
  return log.split("\n").flatMap((raw) => {
    const text = raw.replaceAll(/\x1b\[[0-9;]*m/g, "").trimEnd();
    const [, plain] = /^(?:\[[^\]]*\] )?(ERROR|WARNING)\[\d+\]/.exec(text) ?? [];
    const [, json] = /^\{.*"level": ?"(ERROR|WARNING)"/.exec(text) ?? [];
    const level = plain ?? json;
    return level === "ERROR" || level === "WARNING" ? [{ level, text }] : [];
  });
}
