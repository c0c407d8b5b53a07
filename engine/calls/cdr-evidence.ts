import { readCDRFile } from "../../asterisk/cdr-file.ts";
import type { Host } from "../../asterisk/host.ts";
import { askInstallation } from "../../asterisk/live.ts";
import type { CDR } from "../../calls/cdr-csv.ts";
import { parseCDRs } from "../../calls/cdr-csv.ts";
import type { Microseconds } from "../../calls/times.ts";

/** The end of the file that is read: some 30,000 calls, which a busy server has in a few hours. */
const mostBytes = 8 * 1024 * 1024;

/** The rows of calls that ended at or after a time; `undefined` where Asterisk writes no file that can be compared. */
export async function readCDRs(
  host: Host,
  timeZone: string,
  since: Microseconds,
): Promise<readonly CDR[] | undefined> {
  const { logDirectory } = await askInstallation(host);
  const text = await readCDRFile(host, logDirectory, mostBytes);
  if (text === undefined) return undefined;
  const rows = parseCDRs(text, timeZone);
  if (rows.length === 0 && text !== "") return undefined;
  return rows.filter((row) => row.end >= since);
}
