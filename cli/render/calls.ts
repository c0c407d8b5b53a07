import type { CallRecord, Caller } from "../../calls/call-record.ts";
import type { ReadNumber } from "../../calls/numbers.ts";
import type { ToldLine } from "../../engine/calls/lines.ts";
import type { ListedCalls } from "../../engine/calls/list.ts";
import type { Paint } from "../terminal.ts";
import { printable, table } from "../terminal.ts";
import { clockText } from "./clock.ts";

const header = ["START", "DIRECTION", "CALLER", "CALLED", "ANSWERED BY", "OUTCOME", "LENGTH", ""];

/** The calls of one server as a table. */
export function listText(server: string, { up, ended, clock }: ListedCalls, paint: Paint): string[] {
  const calls = [...(ended ?? []), ...up];
  const rows = [header, ...calls.map(row)];
  const lines =
    calls.length === 0 ? [] : table(rows, (at, _, text) => (at === 0 ? paint("dim", text) : text));
  const from = ended === null ? "no CDRs to read" : `${ended.length} ended, from CDRs`;
  return [
    `${paint("bold", server)}  ${up.length} up, ${from}`,
    ...clockText(clock, paint).map((line) => `  ${line}`),
    ...lines.map((line) => `  ${line}`),
  ];
}

const evidences = {
  Read: "Asterisk's CDRs were read",
  None: "Asterisk has no CDRs to read",
  NotRead: "what ended in it may have been told before",
} as const;

/** One line of a watch, and what is to be said about it. */
export function lineText(line: ToldLine, paint: Paint): string[] {
  switch (line.kind) {
    case "Call":
      return [
        `${paint("bold", line.server)}  ${row(line).filter(Boolean).join("  ")}`,
        ...line.transfers.map(
          ({ kind, by, to }) => `  ${kind.toLowerCase()} transfer by ${shown(by)} to ${shown(to)}`,
        ),
      ];
    case "Gap":
      return [
        `${paint("bold", line.server)}  ${paint("yellow", "not watched")} from ${line.from.local} to ${line.to.local}: ${printable(line.reason)}` +
          `; ${evidences[line.evidence]}`,
      ];
    case "Clock":
      return [
        `${paint("bold", line.server)}  clock: ${line.aheadMs} ms ahead of ours (± ${line.uncertainMs}), ${line.timeZone ?? "no timeZone declared"}, the server is at ${line.offset ?? "an unknown offset"}`,
        ...line.differences.map((text) => `  ${paint("yellow", "warning:")} ${printable(text)}`),
        ...(line.hasTimestamps
          ? []
          : [
              "  times are when events came in: timestampevents=yes in manager.conf makes them Asterisk's own",
            ]),
        ...(line.hasPresentations
          ? []
          : [
              "  some callers will not be shown: channelvars=CALLERID(pres) in manager.conf tells who may be",
            ]),
      ];
  }
}

function row(call: CallRecord): string[] {
  const { start, direction, caller, called, answeredBy, agent, queue, disposition, durationSeconds } = call;
  const by = agent?.name ?? (answeredBy === null ? "" : shown(answeredBy));
  return [
    start.local.slice(0, 19).replace("T", " "),
    direction ?? "",
    shownCaller(caller),
    printable(`${shown(called)}${queue === null ? "" : ` (queue ${queue})`}`),
    printable(by),
    disposition,
    durationSeconds === null ? "" : `${durationSeconds.toFixed(1)} s`,
    call.source === "Events" ? "" : `${call.source === "CDR" ? "from CDRs" : "in part"}`,
  ];
}

function shownCaller(caller: Caller): string {
  if (caller.presentation === "Withheld") return "withheld";
  if (caller.kind === "None") return caller.presentation === "Unknown" ? "not known" : "none";
  return printable(`${caller.e164 ?? caller.number ?? ""}${caller.name === null ? "" : ` (${caller.name})`}`);
}

function shown(party: (ReadNumber & { readonly endpoint?: string | null }) | null): string {
  return printable(party?.e164 ?? party?.number ?? party?.endpoint ?? "not known");
}
