import { AsteriskIacError } from "../core/errors.ts";
import type { Host } from "./host.ts";

/** Prints the end of a file: $1 the file, $2 how many bytes. Exits with 3 where there is none. */
const script = `
[ -r "$1" ] || exit 3
tail -c "$2" -- "$1"
`;

/**
 * The end of cdr_csv's Master.csv, whole lines only, at most `mostBytes`; `undefined` where Asterisk writes none that can be
 * read. Rejects as `host.run` does, and with `CommandFailed`.
 */
export async function readCDRFile(
  host: Host,
  logDirectory: string,
  mostBytes: number,
): Promise<string | undefined> {
  const file = `${logDirectory}/cdr-csv/Master.csv`;
  const { code, stdout, stderr } = await host.run(script, { args: [file, String(mostBytes)] });
  if (code === 3) return undefined;
  if (code !== 0) throw new AsteriskIacError("CommandFailed", `${file} can't be read: ${stderr.trim()}`);
  const text = stdout.toString("utf8");
  const isCut = stdout.length >= mostBytes;
  return text.slice(isCut ? text.indexOf("\n") + 1 : 0, text.lastIndexOf("\n") + 1);
}
