import type { Command } from "commander";
import type { ConnectionTest } from "../../engine/connection-test.ts";
import { noticeableMs } from "../../engine/calls/lines.ts";
import { withSession } from "../../engine/session.ts";
import { serverContext } from "../context.ts";
import { presentFleet } from "../fleet.ts";
import { skewText } from "../render/clock.ts";
import type { Shell } from "../program.ts";
import { serversArgument } from "../program.ts";
import type { Paint } from "../terminal.ts";
import { printable, table } from "../terminal.ts";

export function addTestCommand(program: Command, shell: Shell): void {
  program
    .command("test")
    .description("connect over SSH and AMI, ping AMI, and show versions and round trips")
    .addArgument(serversArgument())
    .addHelpText(
      "after",
      `
Examples:
  $ asteriskctl test
  $ asteriskctl -f pbx.yaml --output json test pbx1`,
    )
    .action(async (names: string[], _options: object, command: Command) => {
      const { servers, secrets, output } = await serverContext(command, names);
      // Loaded when it is wanted: the library of times would slow down every other command.
      const { testConnection } = await import("../../engine/connection-test.ts");
      const results = await presentFleet(
        shell.terminal,
        output,
        servers,
        (server) => withSession(server, secrets, testConnection),
        {
          command: "test",
          text,
          json: (test) => ({ ...test }),
        },
      );
      if (results.some((result) => !result.ok)) shell.exitWith(1);
    });
}

function text(server: string, test: ConnectionTest, paint: Paint): string[] {
  const ms = (value: number): string => `${value.toFixed(1)} ms`;
  const rows = [
    [
      "SSH",
      test.host.address,
      printable(test.host.user),
      `connected in ${ms(test.host.connectMs)}, round trip ${ms(test.host.roundTripMs)}`,
    ],
    [
      "AMI",
      test.ami.address,
      printable(test.ami.user),
      `logged in in ${ms(test.ami.connectMs)}, ping ${ms(test.ami.pingMs)}`,
    ],
    [
      "Asterisk",
      printable(test.asteriskVersion),
      `AMI ${printable(test.amiVersion)}`,
      `up since ${test.startupTime}, ${test.activeChannels} active channels`,
    ],
    ["directory", printable(test.configDirectory), "", ""],
    ...(Math.abs(test.clockAheadMs ?? 0) < noticeableMs
      ? []
      : [["clock", skewText(test.clockAheadMs ?? 0), "", ""]]),
  ];
  return [`${paint("bold", server)}  ${paint("green", "ok")}`, ...table(rows).map((line) => `  ${line}`)];
}
