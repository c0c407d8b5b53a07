import { writeFile } from "node:fs/promises";
import type { Command } from "commander";
import { AsteriskIacError, asAsteriskIacError } from "../../core/errors.ts";
import type { Plan } from "../../core/plan.ts";
import { hasPendingChanges } from "../../core/plan.ts";
import type { OfflinePlan } from "../../engine/offline.ts";
import type { GuardedPlan } from "../../engine/apply.ts";
import { planGuarded } from "../../engine/apply.ts";
import type { ServerResult } from "../../engine/fleet.ts";
import { SeenServers, withPass } from "../../engine/pass.ts";
import type { GlobalOptions } from "../context.ts";
import { serverContext } from "../context.ts";
import { presentFleet } from "../fleet.ts";
import type { Shell } from "../program.ts";
import { serversArgument } from "../program.ts";
import { formatPlanFile } from "../plan-file.ts";
import { callsText, offlineText, planText } from "../render/plan.ts";
import type { PlannedServer } from "../render/plan-markdown.ts";
import { failureMarkdown, planMarkdown } from "../render/plan-markdown.ts";

interface PlanOptions {
  readonly detailedExitcode?: boolean;
  readonly out?: string;
  readonly offline?: boolean;
  readonly base?: string;
  readonly head?: string;
}

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
    .option("--offline", "without the server: what a checkout changes against its base, which counts as live")
    .option(
      "--base <revision>",
      "with --offline, what is live (default: where the head leaves origin's branch)",
    )
    .option("--head <revision>", "with --offline, what is planned (default: the checkout as it lies there)")
    .addHelpText(
      "after",
      `
Examples:
  $ asteriskctl plan
  $ asteriskctl --output markdown plan pbx1
  $ asteriskctl --output markdown plan --offline --base origin/main
  $ asteriskctl plan --detailed-exitcode || echo "something to do"`,
    )
    .action(async (names: string[], options: PlanOptions, command: Command) => {
      const plan = options.offline === true ? planAllOffline : planAll;
      const plans = await plan(shell, command, names, options).catch((thrown: unknown) => {
        // Whoever reads the comment does not see what was said beside it.
        if (command.optsWithGlobals<GlobalOptions>().output === "markdown")
          shell.terminal.stdout.write(`${failureMarkdown(asAsteriskIacError(thrown)).join("\n")}\n`);
        throw thrown;
      });
      if (options.detailedExitcode === true && plans.some(hasPendingChanges)) shell.exitWith(2);
    });
}

async function planAll(
  shell: Shell,
  command: Command,
  names: string[],
  { out, base, head }: PlanOptions,
): Promise<readonly Plan[]> {
  if (base !== undefined || head !== undefined)
    throw new AsteriskIacError("InvalidArgument", "--base and --head are for plan --offline");
  const { servers, secrets, output } = await serverContext(command, names);
  const seen = new SeenServers();
  const results = await presentFleet(
    shell.terminal,
    output,
    servers,
    (server) => withPass(server, secrets, { seen }, planGuarded),
    {
      command: "plan",
      text: (_, { plan, activeCalls }, paint) => [...planText(plan, paint), ...callsText(plan, activeCalls)],
      markdownDocument: (all) => planMarkdown(all.map((result) => told(result, (value) => value))),
      json: guardedJSON,
    },
  );
  if (results.some((result) => !result.ok)) shell.exitWith(1);
  const plans = results.flatMap((result) => (result.ok ? [result.value.plan] : []));
  if (out !== undefined) await writeFile(out, formatPlanFile(plans));
  return plans;
}

async function planAllOffline(
  shell: Shell,
  command: Command,
  names: string[],
  { out, ...revisions }: PlanOptions,
): Promise<readonly Plan[]> {
  if (out !== undefined)
    throw new AsteriskIacError("InvalidArgument", "--out saves a plan to apply, and --offline only tells", {
      hint: "Save a plan that is made with the server: leave --offline out.",
    });
  // Loaded when they are wanted: the libraries of git and age would slow down every other command.
  const { planOffline } = await import("../../engine/offline.ts");
  const { offlineContext } = await import("../offline.ts");
  const options = command.optsWithGlobals<GlobalOptions>();
  const { inputs, base, head, gone } = await offlineContext(options, names, revisions);
  const results = await presentFleet(
    shell.terminal,
    options.output,
    [...inputs.values()].map((input) => input.head.declaration),
    (server) => planOffline(inputs.get(server.name) ?? missing(server.name)),
    {
      command: "plan",
      text: (_, value, paint) => [...planText(value.plan, paint), ...offlineText({ ...value, base, head })],
      markdownDocument: (all) =>
        planMarkdown(
          all.map((result) => told(result, (value) => ({ ...value, offline: { ...value, base, head } }))),
          gone,
        ),
      json: (value) => offlineJSON(value, { base, head }),
    },
  );
  if (results.some((result) => !result.ok)) shell.exitWith(1);
  return results.flatMap((result) => (result.ok ? [result.value.plan] : []));
}

function missing(server: string): never {
  throw new AsteriskIacError("InvalidArgument", `no AsteriskServer is called ${server}`);
}

function told<T>(
  result: ServerResult<T>,
  describe: (value: T) => Omit<Extract<PlannedServer, { plan: Plan }>, "server">,
): PlannedServer {
  const { server } = result;
  return result.ok ? { server, ...describe(result.value) } : { server, error: result.error };
}

function guardedJSON({
  plan,
  refusals,
  activeCalls,
}: Omit<GuardedPlan, "activeCalls"> & { activeCalls?: number }): object {
  const { updateDirection, changes, reloads, ...rest } = plan;
  return {
    updateDirection: updateDirection ?? null,
    ...rest,
    reloads: reloads ?? null,
    refusals,
    ...(activeCalls === undefined ? {} : { activeCalls }),
    changes: changes.map(({ change, ...more }) => ({ ...change, ...more })),
  };
}

/** Hashes that say nothing are null. */
function offlineJSON(
  { plan, refusals, isComparable, modulesSeenAt, limits }: OfflinePlan,
  { base, head }: { readonly base: string; readonly head: string | undefined },
): object {
  return {
    ...guardedJSON({ plan, refusals }),
    ...(isComparable ? {} : { hash: null }),
    offline: { base, head: head ?? null, modulesSeenAt: modulesSeenAt ?? null, isComparable, limits },
  };
}
