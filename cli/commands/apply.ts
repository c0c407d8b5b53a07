import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import { InvalidArgumentError, Option } from "commander";
import picomatch from "picomatch";
import type { Side, Take } from "../../core/diff.ts";
import { AsteriskIacError } from "../../core/errors.ts";
import type { Allowance } from "../../core/guard.ts";
import { allowances } from "../../core/guard.ts";
import type { Plan } from "../../core/plan.ts";
import { hasPendingChanges } from "../../core/plan.ts";
import type { ApplyResult } from "../../engine/apply.ts";
import { applyServer } from "../../engine/apply.ts";
import { SeenServers, withPass } from "../../engine/pass.ts";
import { planServer } from "../../engine/plan.ts";
import { confirmed } from "../confirm.ts";
import type { ServerContext } from "../context.ts";
import { serverContext } from "../context.ts";
import { presentFleet } from "../fleet.ts";
import type { Shell } from "../program.ts";
import { serversArgument } from "../program.ts";
import { applyJSON, applyText } from "../render/apply.ts";
import { planText } from "../render/plan.ts";
import { parsePlanFile } from "../plan-file.ts";

interface ApplyFlags {
  readonly yes?: boolean;
  readonly expect?: string;
  readonly take?: Side;
  readonly file?: string[];
  readonly allow: readonly Allowance[];
}

export function addApplyCommands(program: Command, shell: Shell): void {
  program
    .command("apply")
    .description("make the plan come true, look whether it did, and put the old bytes back if it did not")
    .argument("[planfile]", "a plan saved with `plan --out`")
    .addArgument(serversArgument())
    .option("--yes", "do not ask")
    .option(
      "--expect <hash>",
      "apply only this plan: the hash that `plan` printed, or its first digits",
      planHash,
    )
    .addOption(new Option("--take <side>", "end conflicts: this side is right").choices(["source", "server"]))
    .option("--file <glob>", "what --take is for (default: every conflict)", collect)
    .addOption(allowOption())
    .addHelpText(
      "after",
      `
Shows the plan and asks, on a terminal. Exits with 3 where a --take, an --allow or a setting could allow it.

Examples:
  $ asteriskctl apply pbx1
  $ asteriskctl plan --out pbx.plan && asteriskctl apply pbx.plan
  $ asteriskctl apply --yes --take server --file 'queues*.conf' pbx1`,
    )
    .action(async (first: string | undefined, others: string[], flags: ApplyFlags, command: Command) => {
      const { saved, names } = await savedPlanAndServers(command, [
        ...(first === undefined ? [] : [first]),
        ...others,
      ]);
      const context = await serverContext(command, names);
      const hashes =
        saved ??
        new Map(
          flags.expect === undefined ? [] : context.servers.map(({ name }) => [name, flags.expect ?? ""]),
        );
      const take = flags.take === undefined ? undefined : conflictsTo(flags.take, flags.file);
      await applyFleet(shell, context, {
        command: "apply",
        yes: flags.yes === true,
        hashes,
        take,
        allow: new Set(flags.allow),
      });
    });
  addOneWay(program, shell, "upload", "source", "every file of the source over the server's");
  addOneWay(program, shell, "download", "server", "every file of the server over the source's");
}

/** `upload` and `download`: `apply` with one choice made for every file, whatever the direction. */
function addOneWay(
  program: Command,
  shell: Shell,
  name: "upload" | "download",
  side: Side,
  description: string,
): void {
  program
    .command(name)
    .description(`${description}, after showing the plan; the old bytes are kept`)
    .addArgument(serversArgument())
    .option("--yes", "do not ask")
    .option("--file <glob>", "only these files", collect)
    .addOption(allowOption())
    .addHelpText(
      "after",
      `
Needs no updateDirection, and may go against it once. Files that a distribution generates are left alone.

Examples:
  $ asteriskctl ${name} pbx1
  $ asteriskctl ${name} --yes --file 'extensions*.conf' pbx1`,
    )
    .action(async (names: string[], flags: ApplyFlags, command: Command) => {
      const context = await serverContext(command, names);
      const take: Take = { side, scope: "all", matches: fileMatcher(flags.file) };
      await applyFleet(shell, context, {
        command: name,
        yes: flags.yes === true,
        hashes: new Map(),
        take,
        allow: new Set(flags.allow),
      });
    });
}

interface FleetApply {
  readonly command: string;
  readonly yes: boolean;
  /** Confirmed plans by server. */
  readonly hashes: ReadonlyMap<string, string>;
  readonly take: Take | undefined;
  readonly allow: ReadonlySet<Allowance>;
}

async function applyFleet(shell: Shell, context: ServerContext, options: FleetApply): Promise<void> {
  const { terminal } = shell;
  const { secrets, output } = context;
  const seen = new SeenServers();
  let { servers } = context;
  let hashes = options.hashes;
  const planOptions = options.take === undefined ? {} : { take: options.take };
  if (!options.yes && hashes.size === 0) {
    const planned = await presentFleet(
      terminal,
      output === "json" ? "text" : output,
      servers,
      (server) => withPass(server, secrets, { seen }, (pass) => planServer(pass, planOptions)),
      {
        command: "plan",
        stream: output === "json" ? terminal.stderr : terminal.stdout,
        text: (_, plan, paint) => planText(plan, paint),
        json: (plan: Plan) => ({ ...plan }),
      },
    );
    if (planned.some((result) => !result.ok)) shell.exitWith(1);
    const pending = planned.filter((result) => result.ok && hasPendingChanges(result.value));
    if (pending.length === 0 && output !== "json") return;
    if (
      pending.length > 0 &&
      !(await confirmed(terminal, `Apply to ${pending.length} server${pending.length === 1 ? "" : "s"}?`))
    )
      return shell.exitWith(1);
    hashes = new Map(
      planned.flatMap((result) => (result.ok ? [[result.server, result.value.hash] as const] : [])),
    );
    servers = servers.filter(({ name }) => hashes.has(name));
  }
  const results = await presentFleet(
    terminal,
    output,
    servers,
    (server) =>
      withPass(server, secrets, { seen, writing: true }, (pass) => {
        const expectedHash = hashes.get(server.name);
        return applyServer(pass, {
          ...planOptions,
          allow: options.allow,
          onWaiting: (message) => terminal.stderr.write(`${server.name}: ${message}\n`),
          stillDeclared: () => context.stillDeclared(server.name),
          ...(expectedHash === undefined ? {} : { expectedHash }),
        });
      }),
    { command: options.command, text: (_, result, paint) => applyText(result, paint), json: applyJSON },
  );
  for (const result of results) shell.exitWith(exitCodeOf(result.ok ? result.value : undefined));
}

/** 1 for what failed, 3 for what a take, an `--allow` or a setting could allow. */
export function exitCodeOf(result: ApplyResult | undefined): 0 | 1 | 3 {
  if (result === undefined || result.outcome === "RolledBack" || result.outcome === "NotVerified") return 1;
  if (result.outcome !== "Refused") return 0;
  return result.refusals.some(({ code }) => code === "ConfInvalid" || code === "PlanChanged") ? 1 : 3;
}

/** `apply [PLANFILE] [SERVER...]`: a first word that is no declared server is the plan's file. */
async function savedPlanAndServers(
  command: Command,
  words: readonly string[],
): Promise<{ saved?: ReadonlyMap<string, string>; names: readonly string[] }> {
  const [first, ...rest] = words;
  if (first === undefined) return { names: [] };
  const { servers } = await serverContext(command, []);
  if (servers.some(({ name }) => name === first)) return { names: words };
  const text = await readFile(first, "utf8").catch((cause: unknown) => {
    throw new AsteriskIacError(
      "InvalidArgument",
      `${first} is neither a declared AsteriskServer nor a plan that can be read`,
      { cause },
    );
  });
  const saved = parsePlanFile(text, first);
  return { saved, names: rest.length > 0 ? rest : [...saved.keys()] };
}

function conflictsTo(side: Side, globs: readonly string[] | undefined): Take {
  return { side, scope: "conflicts", matches: fileMatcher(globs) };
}

function fileMatcher(globs: readonly string[] | undefined): (path: string) => boolean {
  return globs === undefined ? () => true : picomatch([...globs], { dot: true });
}

function collect(value: string, previous: string[] | undefined): string[] {
  return [...(previous ?? []), value];
}

export function allowOption(): Option {
  return new Option("--allow <list>", `what may pass all the same: ${allowances.join(", ")}`)
    .argParser((text: string, previous: readonly Allowance[]) => [
      ...previous,
      ...text.split(",").map(allowance),
    ])
    .default([], "nothing");
}

function allowance(text: string): Allowance {
  const known = allowances.find((one) => one === text.trim());
  if (known === undefined) throw new InvalidArgumentError(`must be of ${allowances.join(", ")}`);
  return known;
}

function planHash(text: string): string {
  if (!/^[0-9a-f]{8,64}$/.test(text))
    throw new InvalidArgumentError("must be the hash that `plan` printed (8 to 64 hex digits)");
  return text;
}
