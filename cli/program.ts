import { readFileSync } from "node:fs";
import { Argument, Command, Option } from "commander";
import { addBackupsCommands } from "./commands/backups.ts";
import { addAccountCommands } from "./commands/account.ts";
import { addApplyCommands } from "./commands/apply.ts";
import { addBootstrapCommand } from "./commands/bootstrap.ts";
import { addCallsCommand } from "./commands/calls.ts";
import { addCompletionCommand } from "./commands/completion.ts";
import { addConsoleCommand } from "./commands/console.ts";
import { addCommentCommand } from "./commands/comment.ts";
import { addConfCommands } from "./commands/conf.ts";
import { addImportCommand } from "./commands/import.ts";
import { addLabCommands } from "./commands/lab.ts";
import { addPlanCommand } from "./commands/plan.ts";
import { addReloadCommands } from "./commands/reload.ts";
import { addStatusCommand } from "./commands/status.ts";
import { addTestCommand } from "./commands/test.ts";
import { addWatchCommand } from "./commands/watch.ts";
import type { Terminal } from "./terminal.ts";

/** What a command has at hand beside its options: where to print, and how to set the exit code. */
export interface Shell {
  readonly terminal: Terminal;
  /** 0; 1 error; 2 changes pending (`--detailed-exitcode`); 3 refused. The highest rank wins: 1, 3, 2. */
  readonly exitWith: (code: 0 | 1 | 2 | 3) => void;
}

/** The whole command line, ready to parse. */
export function buildProgram(shell: Shell): Command {
  const program = new Command("asteriskctl")
    .description(
      "Infrastructure as code for Asterisk: compare and reconcile the configuration of live servers.",
    )
    .version(version())
    .option(
      "-f, --filename <path>",
      "manifests: YAML files, or directories of them (default: the current directory)",
      collect,
    )
    .option("--secrets <dir>", "secrets as <dir>/<name>/<key> (default: secrets/ beside the manifests)")
    .addOption(
      new Option("--output <format>", "how results are printed")
        .choices(["text", "json", "markdown"])
        .default("text"),
    )
    .configureOutput({
      writeOut: (text) => shell.terminal.stdout.write(text),
      writeErr: (text) => shell.terminal.stderr.write(text),
    })
    .showHelpAfterError("(see --help)")
    .addHelpText(
      "after",
      `
Exit codes: 0 done; 1 an error, or a server that failed; 2 changes pending (plan --detailed-exitcode);
3 refused where a choice, an --allow or a setting could allow it; of console: a line that is not allowed.

Examples:
  $ asteriskctl lab up --count 1 --dir /tmp/lab        a real Asterisk to try things on
  $ asteriskctl -f /tmp/lab/manifests.yaml test        connect over SSH and AMI
  $ asteriskctl -f /tmp/lab/manifests.yaml import      copy its configuration into the source
  $ asteriskctl -f /tmp/lab/manifests.yaml plan        what would change
  $ asteriskctl -f /tmp/lab/manifests.yaml apply       make it so
  $ asteriskctl conf lint /etc/asterisk                what is wrong with a configuration`,
    );
  for (const add of [
    addTestCommand,
    addBootstrapCommand,
    addImportCommand,
    addPlanCommand,
    addApplyCommands,
    addAccountCommands,
    addBackupsCommands,
    addCommentCommand,
    addStatusCommand,
    addWatchCommand,
    addReloadCommands,
    addConfCommands,
    addConsoleCommand,
    addCallsCommand,
    addLabCommands,
    addCompletionCommand,
  ]) {
    add(program, shell);
  }
  return program;
}

/** The argument of every command that works on servers. */
export function serversArgument(): Argument {
  return new Argument("[server...]", "names of AsteriskServers (default: all that are declared)");
}

/** `-f a -f b`; a variadic option would swallow the command. */
function collect(value: string, previous: string[] | undefined): string[] {
  return [...(previous ?? []), value];
}

function version(): string {
  // package.json is two folders up from dist/cli/, one from cli/.
  const places = ["../package.json", "../../package.json"].map((place) => new URL(place, import.meta.url));
  for (const place of places) {
    try {
      return (JSON.parse(readFileSync(place, "utf8")) as { version: string }).version;
    } catch {
      continue;
    }
  }
  return "unknown";
}
