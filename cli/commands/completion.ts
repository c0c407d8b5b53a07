import tab from "@bomb.sh/tab/commander";
import type { Command } from "commander";

/** Adds `completion bash|zsh|fish|powershell`, which prints a script for that shell. Comes after all other commands. */
export function addCompletionCommand(program: Command): void {
  tab(program, { completionCommandName: "completion" });
  program.commands
    .find((command) => command.name() === "completion")
    ?.description("print a completion script for a shell")
    .addHelpText(
      "after",
      `
Examples:
  $ source <(asteriskctl completion bash)
  $ asteriskctl completion zsh > "\${fpath[1]}/_asteriskctl"`,
    );
}
