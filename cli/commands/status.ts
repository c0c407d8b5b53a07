import type { Command } from "commander";
import { SeenServers, withPass } from "../../engine/pass.ts";
import type { ServerStatus } from "../../engine/status.ts";
import { serverContext } from "../context.ts";
import { presentFleet } from "../fleet.ts";
import { clockText } from "../render/clock.ts";
import type { Shell } from "../program.ts";
import { serversArgument } from "../program.ts";
import type { Paint } from "../terminal.ts";
import { printable, table } from "../terminal.ts";

export function addStatusCommand(program: Command, shell: Shell): void {
  program
    .command("status")
    .description("import, direction, drift and conditions")
    .addArgument(serversArgument())
    .addHelpText(
      "after",
      `
Examples:
  $ asteriskctl status
  $ asteriskctl --output json status | jq '.servers[] | {server, conditions}'`,
    )
    .action(async (names: string[], _options: object, command: Command) => {
      const { servers, secrets, output } = await serverContext(command, names);
      const seen = new SeenServers();
      // Loaded when it is wanted: the library of times would slow down every other command.
      const { statusServer } = await import("../../engine/status.ts");
      const results = await presentFleet(
        shell.terminal,
        output,
        servers,
        (server) => withPass(server, secrets, { seen }, statusServer),
        {
          command: "status",
          text,
          json: ({ updateDirection, ...status }) => ({ ...status, updateDirection: updateDirection ?? null }),
        },
      );
      if (results.some((result) => !result.ok)) shell.exitWith(1);
    });
}

const good = {
  Ready: "True",
  Reachable: "True",
  InitialImportDone: "True",
  InSync: "True",
  Stalled: "False",
} as const;

function text(server: string, status: ServerStatus, paint: Paint): string[] {
  const rows = status.conditions.map(({ type, status: value, reason, message }) => [
    type,
    value,
    reason,
    printable(message),
  ]);
  const painted = table(rows, (row, column, cell) => {
    const condition = status.conditions[row];
    if (column !== 1 || condition === undefined) return cell;
    return paint(condition.status === good[condition.type] ? "green" : "red", cell);
  });
  const facts = `Asterisk ${printable(status.asteriskVersion)}, ${status.updateDirection ?? "no updateDirection"}, ${status.activeCalls} active calls`;
  const console = status.consoleURL === null ? [] : [`  console at ${printable(status.consoleURL)}`];
  return [
    `${paint("bold", server)}  ${facts}`,
    ...console,
    ...revisions(status),
    ...clockText(status.clock, paint).map((line) => `  ${line}`),
    ...painted.map((line) => `  ${line}`),
  ];
}

function revisions({ revision }: ServerStatus): string[] {
  if (revision === null) return [];
  const { source, applied } = revision;
  return [
    `  commit ${source?.slice(0, 12) ?? "none"} in the source, ${applied?.slice(0, 12) ?? "none"} applied`,
  ];
}
