import type { Command } from "commander";
import type { Backup, RestoreResult } from "../../engine/backups.ts";
import { listBackups, restoreBackup } from "../../engine/backups.ts";
import { SeenServers, withPass } from "../../engine/pass.ts";
import { confirmed } from "../confirm.ts";
import { serverContext } from "../context.ts";
import { presentFleet } from "../fleet.ts";
import type { Shell } from "../program.ts";
import { serversArgument } from "../program.ts";
import { serverWriteText } from "../render/apply.ts";
import type { Paint } from "../terminal.ts";
import { printable, table } from "../terminal.ts";

export function addBackupsCommands(program: Command, shell: Shell): void {
  const backups = program.command("backups").description("the bytes that were overwritten, on either side");
  backups
    .command("list")
    .description("what is kept, newest first")
    .addArgument(serversArgument())
    .action(async (names: string[], _options: object, command: Command) => {
      const { servers, secrets, output } = await serverContext(command, names);
      const seen = new SeenServers();
      const results = await presentFleet(
        shell.terminal,
        output,
        servers,
        (server) => withPass(server, secrets, { seen }, listBackups),
        {
          command: "backups list",
          text: listText,
          json: (kept) => ({ backups: kept }),
        },
      );
      if (results.some((result) => !result.ok)) shell.exitWith(1);
    });
  backups
    .command("restore")
    .description("put kept bytes back where they came from; what is there now is kept in turn")
    .argument("<server>", "the AsteriskServer")
    .argument("<id>", "what `backups list` calls it")
    .argument("[file...]", "only these files of it")
    .option("--yes", "do not ask")
    .addHelpText(
      "after",
      `
On the server it is an apply like any other: reloaded, looked at, undone if Asterisk does not work with it. The other side
stays as it is, so the next plan shows the difference.

Examples:
  $ asteriskctl backups list pbx1
  $ asteriskctl backups restore pbx1 00000003-c89b9441d77de539 pjsip.conf`,
    )
    .action(
      async (name: string, id: string, files: string[], options: { yes?: boolean }, command: Command) => {
        const { servers, secrets, output } = await serverContext(command, [name]);
        const what = files.length > 0 ? files.join(", ") : "every file";
        if (
          options.yes !== true &&
          !(await confirmed(shell.terminal, `Put back ${what} of ${id} on ${name}?`))
        )
          return shell.exitWith(1);
        const results = await presentFleet(
          shell.terminal,
          output,
          servers,
          (server) =>
            withPass(server, secrets, { seen: new SeenServers(), writing: true }, (pass) =>
              restoreBackup(pass, id, files.length > 0 ? files : undefined),
            ),
          { command: "backups restore", text: restoreText, json: (result) => ({ ...result }) },
        );
        if (results.some((result) => !result.ok || result.value.server?.restored !== undefined))
          shell.exitWith(1);
      },
    );
}

function listText(server: string, backups: readonly Backup[], paint: Paint): string[] {
  if (backups.length === 0) return [`${paint("bold", server)}  nothing was overwritten yet`];
  const rows = backups.flatMap(({ id, side, keptAt, files }) =>
    files.map(({ path, size }) => [
      id,
      side,
      keptAt,
      printable(path),
      size === null ? "was not there" : `${size} bytes`,
    ]),
  );
  return [paint("bold", server), ...table(rows).map((line) => `  ${line}`)];
}

function restoreText(
  server: string,
  { side, paths, server: write, keptAs }: RestoreResult,
  paint: Paint,
): string[] {
  const undone = write?.restored !== undefined;
  return [
    `${paint("bold", server)}  ${undone ? paint("red", "undone") : paint("green", "put back")} on the ${side}: ${printable(paths.join(", "))}`,
    ...(write === undefined
      ? [`  what was there is kept as ${keptAs ?? ""}`]
      : serverWriteText(write, paint)),
  ];
}
