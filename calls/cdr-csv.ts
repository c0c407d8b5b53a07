import type { Microseconds } from "./times.ts";
import { readNaive, timeOfID } from "./times.ts";

/** One row of Asterisk's CDR file (cdr_csv's Master.csv). Times are as exact as whole seconds are. */
export interface CDR {
  readonly uniqueID: string;
  /** With `newcdrcolumns`; else undefined. */
  readonly linkedID: string | undefined;
  readonly source: string;
  readonly destination: string;
  readonly channel: string;
  readonly destinationChannel: string;
  readonly start: Microseconds;
  readonly answer: Microseconds | undefined;
  readonly end: Microseconds;
  /** `ANSWERED`, `NO ANSWER`, `BUSY`, `CONGESTION`, `FAILED`. */
  readonly disposition: string;
  /** The hour came twice, and nothing tells which of both it was. */
  readonly isAmbiguous: boolean;
}

/** The columns of cdr/cdr_csv.c, of those that are read. */
const column = {
  source: 1,
  destination: 2,
  channel: 5,
  destinationChannel: 6,
  start: 9,
  answer: 10,
  duration: 12,
  billed: 13,
  disposition: 14,
  uniqueID: 16,
} as const;

/**
 * Reads rows of Master.csv. They need `loguniqueid=yes` in cdr.conf: without an id nothing can be compared, and such rows are
 * left out. Whether times are local or GMT (`usegmtime`) the rows tell themselves: an id begins with the second in which its
 * channel was made.
 */
export function parseCDRs(text: string, zone: string): CDR[] {
  const rows = text
    .split("\n")
    .map(parseRow)
    .filter((row) => idOf(row) !== undefined);
  const votes = rows.map((row) => Number(startsAtID(row, "UTC")) - Number(startsAtID(row, zone)));
  const written = votes.reduce((sum, vote) => sum + vote, 0) > 0 ? "UTC" : zone;
  return rows.flatMap((row) => toCDR(row, written));
}

function idOf(row: readonly string[]): string | undefined {
  const id = row[column.uniqueID];
  return id !== undefined && timeOfID(id) !== undefined ? id : undefined;
}

function startsAtID(row: readonly string[], zone: string): boolean {
  const begun = timeOfID(idOf(row) ?? "") ?? 0;
  const start = readNaive(row[column.start] ?? "", zone, begun);
  return start !== undefined && Math.abs(start.at - begun) <= 2_000_000;
}

function toCDR(row: readonly string[], zone: string): CDR[] {
  const uniqueID = idOf(row) ?? "";
  const start = readNaive(row[column.start] ?? "", zone, timeOfID(uniqueID));
  const duration = Number(row[column.duration]);
  const billed = Number(row[column.billed]);
  if (start === undefined || !Number.isInteger(duration) || !Number.isInteger(billed)) return [];
  // The clocks may change in between: the length is right all the same.
  const end = start.at + duration * 1_000_000;
  const linkedID = row.slice(column.uniqueID + 1).find((value) => timeOfID(value) !== undefined);
  const text = (at: number): string => row[at] ?? "";
  return [
    {
      uniqueID,
      linkedID,
      source: text(column.source),
      destination: text(column.destination),
      channel: text(column.channel),
      destinationChannel: text(column.destinationChannel),
      start: start.at,
      answer: text(column.answer) === "" ? undefined : end - billed * 1_000_000,
      end,
      disposition: text(column.disposition),
      isAmbiguous: start.certainty !== "Exact",
    },
  ];
}

/** One line of CSV: quotes are doubled within quotes, and no value holds a line break. */
function parseRow(line: string): string[] {
  return [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^",]*))/g)].map(([, quoted, plain]) =>
    quoted === undefined ? (plain ?? "") : quoted.replaceAll('""', '"'),
  );
}

/** Rows that belong to one call: the same id, the same Linkedid, or two halves of one Local channel. */
export function groupCDRs(rows: readonly CDR[]): CDR[][] {
  const groups: { keys: Set<string>; rows: CDR[] }[] = [];
  for (const row of [...rows].sort((a, b) => a.start - b.start)) {
    const keys = [row.uniqueID, row.linkedID, ...[row.channel, row.destinationChannel].map(localName)].filter(
      (key) => key !== undefined,
    );
    const same = groups.filter((group) => keys.some((key) => group.keys.has(key)));
    const [first = { keys: new Set<string>(), rows: [] }, ...others] = same;
    if (same.length === 0) groups.push(first);
    for (const other of others) {
      other.keys.forEach((key) => first.keys.add(key));
      first.rows.push(...other.rows);
      groups.splice(groups.indexOf(other), 1);
    }
    keys.forEach((key) => first.keys.add(key));
    first.rows.push(row);
  }
  return groups.map((group) => group.rows.sort((a, b) => a.start - b.start));
}

function localName(channel: string): string | undefined {
  return channel.startsWith("Local/") ? channel.replace(/;[12]$/, "") : undefined;
}
