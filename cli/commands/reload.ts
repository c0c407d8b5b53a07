import type { Command } from "commander";
import { InvalidArgumentError, Option } from "commander";
import type { Evidence, ReloadOutcome, ReloadResult } from "../../asterisk/reload.ts";
import { reload } from "../../asterisk/reload.ts";
import type { RestartResult, RestartWhen } from "../../asterisk/restart.ts";
import { restart } from "../../asterisk/restart.ts";
import { withSession } from "../../engine/session.ts";
import { serverContext } from "../context.ts";
import { presentFleet } from "../fleet.ts";
import type { Shell } from "../program.ts";
import type { Paint } from "../terminal.ts";
import { printable } from "../terminal.ts";

/** Outcomes that count as a success: it was seen, or Asterisk said so and nothing speaks against it. */
const good: readonly ReloadOutcome[] = ["Reloaded", "Asked", "Queued"];

export function addReloadCommands(program: Command, shell: Shell): void {
  program
    .command("reload")
    .description("reload a module, or everything, and look whether it happened")
    .argument("[module]", "only this module, e.g. res_pjsip.so (default: all of them)")
    .argument("[server...]", "names of AsteriskServers (default: all that are declared)")
    .option("--module <module>", "the module, where it is called like a server")
    .option("--timeout <seconds>", "how long to wait for Asterisk", seconds, 30)
    .addHelpText(
      "after",
      `
A reload is asked for once and never again by itself. What could not be observed is said so.

Examples:
  $ asteriskctl reload pbx1
  $ asteriskctl reload pbx_config.so pbx1
  $ asteriskctl reload manager              on every server`,
    )
    .action(
      async (
        first: string | undefined,
        others: string[],
        options: { module?: string; timeout: number },
        command: Command,
      ) => {
        const { module, names } = await moduleAndServers(
          command,
          [...(first === undefined ? [] : [first]), ...others],
          options.module,
        );
        const { servers, secrets, output } = await serverContext(command, names);
        const results = await presentFleet(
          shell.terminal,
          output,
          servers,
          (server) =>
            withSession(server, secrets, (session) =>
              reload(session, module, { deadlineMs: options.timeout * 1000 }),
            ),
          { command: "reload", text: reloadText, json: (result) => ({ ...result }) },
        );
        if (results.some((result) => !result.ok || !succeeded(result.value))) shell.exitWith(1);
      },
    );
  program
    .command("restart")
    .description("restart Asterisk, and wait until it is fully booted again")
    .argument("[server...]", "names of AsteriskServers (default: all that are declared)")
    .addOption(
      new Option(
        "--when <when>",
        "gracefully: no new calls, wait for the end of those there are; convenient: wait until no call is up; now: calls are cut",
      )
        .choices(["now", "gracefully", "convenient"])
        .default("convenient"),
    )
    .option("--timeout <seconds>", "how long to wait for the restart", seconds, 60)
    .addHelpText(
      "after",
      `
Examples:
  $ asteriskctl restart pbx1                    when no call is up
  $ asteriskctl restart --when now pbx1         at once: every call is cut`,
    )
    .action(async (names: string[], options: { when: RestartWhen; timeout: number }, command: Command) => {
      const { servers, secrets, output } = await serverContext(command, names);
      const results = await presentFleet(
        shell.terminal,
        output,
        servers,
        (server) =>
          withSession(server, secrets, (session) =>
            restart({ session: session.ami, host: session.host }, options.when, {
              deadlineMs: options.timeout * 1000,
              onWaiting: (message) => shell.terminal.stderr.write(`${server.name}: ${message}\n`),
            }),
          ),
        { command: "restart", text: restartText, json: (result) => ({ ...result }) },
      );
      if (results.some((result) => !result.ok)) shell.exitWith(1);
    });
}

/** `reload [MODULE] [SERVER...]`: a first word that is no declared server is the module. */
async function moduleAndServers(
  command: Command,
  words: readonly string[],
  module: string | undefined,
): Promise<{ module: string | undefined; names: readonly string[] }> {
  const [first, ...rest] = words;
  if (module !== undefined || first === undefined) return { module, names: words };
  const { servers } = await serverContext(command, []);
  return servers.some(({ name }) => name === first)
    ? { module, names: words }
    : { module: first, names: rest };
}

function succeeded(result: ReloadResult): boolean {
  return good.includes(result.outcome) && !result.logErrors.some((line) => line.level === "ERROR");
}

function reloadText(server: string, result: ReloadResult, paint: Paint): string[] {
  const style = succeeded(result) ? "green" : "red";
  const what = result.module ?? "all modules";
  const lines = [
    `${paint("bold", server)}  ${what}: ${paint(style, result.outcome)} after ${result.tookMs} ms`,
    ...evidenceText(result.evidence),
  ];
  for (const line of result.logErrors)
    lines.push(`  ${paint(line.level === "ERROR" ? "red" : "yellow", "log")} ${printable(line.text)}`);
  return lines;
}

function restartText(server: string, result: RestartResult, paint: Paint): string[] {
  return [
    `${paint("bold", server)}  ${paint("green", "restarted")} in ${result.tookMs} ms: up since ${result.startedAfter}, before since ${result.startedBefore}`,
    ...evidenceText(result.evidence),
  ];
}

function evidenceText(evidence: readonly Evidence[]): string[] {
  return evidence.map(
    ({ source, observed, saw }) => `  ${observed ? "seen" : "not seen"}  ${source}: ${printable(saw)}`,
  );
}

function seconds(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0)
    throw new InvalidArgumentError("must be a number of seconds above 0");
  return value;
}
