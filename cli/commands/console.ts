import { createInterface } from "node:readline";
import type { Command } from "commander";
import { Option } from "commander";
import { roles } from "../../core/judge/commands.ts";
import { plain } from "../../core/judge/output.ts";
import { AsteriskIacError } from "../../core/errors.ts";
import { ServerConsole } from "../../engine/console.ts";
import {
  ConsoleSession,
  consolePolicyOf,
  isConsoleDisabled,
  refuseDisabled,
} from "../../engine/console-session.ts";
import type { ConsoleRole, LineResult } from "../../engine/console-session.ts";
import { interactiveConsole, resultText, shownOn } from "../console-terminal.ts";
import type { ServerContext } from "../context.ts";
import { serverContext } from "../context.ts";
import { errorDocument } from "../fleet.ts";
import { addTokenCommand, defaultListen } from "../console-token.ts";
import type { WebOptions } from "../console-web.ts";
import type { Shell } from "../program.ts";
import { serversArgument } from "../program.ts";
import { painter } from "../terminal.ts";

interface ConsoleOptions extends WebOptions {
  readonly role: ConsoleRole;
  readonly execute?: string[];
  readonly web?: boolean;
}

export function addConsoleCommand(program: Command, shell: Shell): void {
  const command = program.command("console");
  command
    .description("Asterisk's own console, in the terminal or on the web")
    .addArgument(serversArgument())
    .option("-x, --execute <line>", "run this line and end; may be given several times", collect)
    .addOption(
      new Option("--role <role>", "what is allowed; full is everything but a shell")
        .choices([...roles, "full"])
        .default("full"),
    )
    .option("--web", "serve the web console of these servers; sign in with a token of `console token`")
    .option("--listen <address>", "where the web console listens, as HOST:PORT", defaultListen)
    .option("--url <url>", "its public address, behind a proxy (default: the servers' console.url)")
    .option("--tls-cert <file>", "its certificate, with --tls-key (default: a self-signed one)")
    .option("--tls-key <file>", "the key of --tls-cert")
    .option("--no-tls", "plain HTTP on loopback, for a proxy on this machine that does TLS; needs --url")
    .option("--audit <file>", "where audit lines go (default: standard error)")
    .option("--idle <duration>", "closes a web console at which nothing was typed for so long", "15m")
    .addHelpText(
      "after",
      `
In the terminal it is the console of one server: Tab completes what Asterisk itself would; the live log comes above the
prompt; exit, quit or Ctrl-D ends it. Without a terminal the lines are read from standard input. Exit codes: 1 where
Asterisk can't be reached or knows no such command, 3 where a line is refused.

Examples:
  $ asteriskctl console pbx1
  $ asteriskctl console pbx1 --execute "core show channels"
  $ asteriskctl console pbx1 --role viewer < lines.txt
  $ asteriskctl console token --role operator --name alice
  $ asteriskctl console --web`,
    )
    .action(async (names: string[], options: ConsoleOptions, self: Command) => {
      const context = await serverContext(self, names);
      if (options.web !== true) return terminalConsole(context, options, shell);
      // Loaded when it is wanted: its libraries would slow down every other command.
      const { serveWebConsole } = await import("../console-web.ts");
      return serveWebConsole(context, options, isConsoleDisabled(process.env), shell);
    });
  addTokenCommand(command, shell);
}

async function terminalConsole(context: ServerContext, options: ConsoleOptions, shell: Shell): Promise<void> {
  const [server, ...others] = context.servers;
  if (server === undefined || others.length > 0)
    throw new AsteriskIacError("InvalidArgument", "name the one server whose console is wanted", {
      hint: `Declared are: ${context.servers.map(({ name }) => name).join(", ")}.`,
    });
  refuseDisabled(server, isConsoleDisabled(process.env));
  const console = new ServerConsole(server, context.secrets);
  const settings = { role: options.role, policy: consolePolicyOf(server) };
  if (options.execute === undefined && process.stdin.isTTY && shell.terminal.stdout.isTTY)
    return interactiveConsole(console, server.name, shell.terminal, settings);
  const session = new ConsoleSession(console, settings);
  try {
    const results: object[] = [];
    for await (const line of options.execute ?? createInterface({ input: process.stdin })) {
      if (line.trim() === "") continue;
      const result = await session.line(line);
      report(result, shell);
      if (context.output === "json") results.push(resultDocument(line, result));
      else print(result, shell);
    }
    if (context.output === "json")
      shell.terminal.stdout.write(
        `${JSON.stringify({ command: "console", server: server.name, results }, undefined, 2)}\n`,
      );
  } finally {
    session.close();
    await console.close();
  }
}

function report(result: LineResult, { exitWith }: Shell): void {
  if (result.outcome === "Refused") exitWith(3);
  else if (result.outcome === "Failed" || isDenied(result.text)) exitWith(1);
}

/** What Asterisk prints where it ran nothing, or the command itself says that it failed (main/cli.c). */
function isDenied(text: string): boolean {
  return (
    /^(No such command '|You don't have permissions to run ')/.test(text) ||
    /^Command '.*' failed\.$/m.test(text)
  );
}

function print(result: LineResult, { terminal: { stdout, stderr } }: Shell): void {
  if (result.outcome === "Answered") stdout.write(shownOn(stdout, resultText(result, painter(stdout))));
  else stderr.write(resultText(result, painter(stderr)));
}

function resultDocument(line: string, result: LineResult): object {
  if (result.outcome === "Failed")
    return { line, outcome: result.outcome, error: errorDocument(result.error) };
  if (result.outcome === "Refused") return { line, ...result };
  return { line, ...result, text: plain(result.text) };
}

function collect(value: string, previous: string[] | undefined): string[] {
  return [...(previous ?? []), value];
}
