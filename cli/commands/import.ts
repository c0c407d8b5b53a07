import type { Command } from "commander";
import type { ImportRecord } from "../../core/record.ts";
import type { ImportResult } from "../../engine/import.ts";
import { countOutcomes, importServer } from "../../engine/import.ts";
import { SeenServers, withPass } from "../../engine/pass.ts";
import { serverContext } from "../context.ts";
import { presentFleet } from "../fleet.ts";
import type { Shell } from "../program.ts";
import { revisionText } from "../render/apply.ts";
import { serversArgument } from "../program.ts";
import type { Paint } from "../terminal.ts";
import { printable } from "../terminal.ts";

export function addImportCommand(program: Command, shell: Shell): void {
  program
    .command("import")
    .description("the initial import: copy the server's files into the source; what the source has is kept")
    .addArgument(serversArgument())
    .option("--again", "make a new import record, for example after the machine was reinstalled")
    .addHelpText(
      "after",
      `
An import that was interrupted goes on where it stopped. A second import does nothing.

Examples:
  $ asteriskctl import pbx1
  $ asteriskctl -f pbx.yaml import --again pbx1`,
    )
    .action(async (names: string[], options: { again?: boolean }, command: Command) => {
      const { servers, secrets, output } = await serverContext(command, names);
      const seen = new SeenServers();
      const results = await presentFleet(
        shell.terminal,
        output,
        servers,
        (server) =>
          withPass(server, secrets, { seen, importing: true, again: options.again === true }, (pass) =>
            importServer(pass, { again: options.again === true }),
          ),
        { command: "import", text, json },
      );
      if (results.some((result) => !result.ok)) shell.exitWith(1);
    });
}

function text(server: string, result: ImportResult, paint: Paint): string[] {
  const { record } = result;
  const counts = countOutcomes(record);
  const total = Object.keys(record.files).length;
  if (result.alreadyDone) {
    return [`${paint("bold", server)}  imported already, at ${record.doneAt ?? "?"}; nothing done`];
  }
  const taken = counts.Stored + counts.Equal + counts.Kept;
  const lines = [
    `${paint("bold", server)}  ${paint("green", "imported")} ${taken} of ${total} files into ${result.source}${result.resumed ? " (resumed)" : ""}`,
    `  stored ${counts.Stored}, equal ${counts.Equal}, kept ${counts.Kept}, outside \`files\` ${counts.Outside}, unmanaged ${counts.Unmanaged}, skipped ${counts.Skipped}`,
  ];
  if (result.revision !== undefined) lines.push(`  ${revisionText(result.revision)}`);
  for (const [outcome, title] of named) {
    for (const [path, file] of Object.entries(record.files)) {
      if (file.outcome !== outcome) continue;
      lines.push(
        `  ${paint("yellow", title)} ${printable(path)}${file.reason === undefined ? "" : `: ${printable(file.reason)}`}`,
      );
    }
  }
  return lines;
}

/** What a person should know by name. */
const named = [
  ["Kept", "kept the source's copy of"],
  ["Outside", "outside `files`:"],
  ["Skipped", "skipped"],
] as const;

function json(result: ImportResult): {
  alreadyDone: boolean;
  resumed: boolean;
  source: string;
  revision: object | null;
  initialImport: object;
  files: ImportRecord["files"];
} {
  const { record, alreadyDone, resumed, source, revision } = result;
  const initialImport = {
    done: record.state === "Done",
    time: record.doneAt ?? null,
    asteriskVersion: record.asteriskVersion,
    outcomes: countOutcomes(record),
  };
  return { alreadyDone, resumed, source, revision: revision ?? null, initialImport, files: record.files };
}
