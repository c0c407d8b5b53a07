import { writeFile } from "node:fs/promises";
import type { Command } from "commander";
import type { Plan } from "../../core/plan.ts";
import { hasPendingChanges } from "../../core/plan.ts";
import { SeenServers, withPass } from "../../engine/pass.ts";
import { planServer } from "../../engine/plan.ts";
import { serverContext } from "../context.ts";
import { presentFleet } from "../fleet.ts";
import type { Shell } from "../program.ts";
import { serversArgument } from "../program.ts";
import { formatPlanFile } from "../plan-file.ts";
import { planMarkdown, planText } from "../render/plan.ts";

export function addPlanCommand(program: Command, shell: Shell): void {
  program
    .command("plan")
    .description("what would change: source, server and record compared, file by file; reads only")
    .addArgument(serversArgument())
    .option("--detailed-exitcode", "exit with 2 when changes are pending")
    .option(
      "--out <file>",
      "save the plan: hashes, no content; `apply FILE` carries out that plan and no other",
    )
    .addHelpText(
      "after",
      `
Examples:
  $ asteriskctl plan
  $ asteriskctl --output markdown plan pbx1
  $ asteriskctl plan --detailed-exitcode || echo "something to do"`,
    )
    .action(
      async (names: string[], options: { detailedExitcode?: boolean; out?: string }, command: Command) => {
        const { servers, secrets, output } = await serverContext(command, names);
        const seen = new SeenServers();
        const results = await presentFleet(
          shell.terminal,
          output,
          servers,
          (server) => withPass(server, secrets, { seen }, planServer),
          {
            command: "plan",
            text: (_, plan, paint) => planText(plan, paint),
            markdown: (_, plan) => planMarkdown(plan),
            json: planJSON,
          },
        );
        if (results.some((result) => !result.ok)) shell.exitWith(1);
        const plans = results.flatMap((result) => (result.ok ? [result.value] : []));
        if (options.out !== undefined) await writeFile(options.out, formatPlanFile(plans));
        if (
          options.detailedExitcode &&
          results.some((result) => result.ok && hasPendingChanges(result.value))
        )
          shell.exitWith(2);
      },
    );
}

function planJSON({ updateDirection, changes, reloads, ...plan }: Plan): object {
  return {
    updateDirection: updateDirection ?? null,
    ...plan,
    reloads: reloads ?? null,
    changes: changes.map(({ change, ...rest }) => ({ ...change, ...rest })),
  };
}
