import { asAsteriskIacError, type AsteriskIacError } from "../core/errors.ts";
import type { Reload } from "../core/reloads.ts";
import type { AMI } from "./ami/client.ts";
import { runCommands } from "./asterisk-command.ts";
import type { Host } from "./host.ts";
import { markLogs, type LogMark } from "./log-growth.ts";
import { askReload, type AskedReload, type Evidence, type ReloadOutcome } from "./reload.ts";

/** Where Asterisk's logs ended before a run, as `markLogs` gives it. */
export interface LogMarks {
  readonly marks: readonly LogMark[];
  readonly unseen: readonly string[];
}

/**
 * One module of a run. `Unanswered`: asked for once, and nothing came back; whether it reloaded or still will is not
 * known. `NotAsked`: the run had stopped before.
 */
export interface ModuleReload {
  readonly module: string;
  readonly outcome: ReloadOutcome | "Unanswered" | "NotAsked";
  readonly evidence: readonly Evidence[];
  readonly tookMs: number;
}

export interface ReloadRun {
  /** One for each reload, in the order given. */
  readonly modules: readonly ModuleReload[];
  /** For `verify`, which reads what was logged since. */
  readonly logs: LogMarks;
  /** Why the run stopped: `TimedOut`, `ConnectionLost`, `PermissionDenied`, … Nothing is asked for again. */
  readonly stopped?: AsteriskIacError;
}

/**
 * Reloads modules, each once, in the order of `planReloads`. Those that AMI reloads go out together, and Asterisk does
 * them one after the other: one round trip. The CLI's and AMI's own reload come after, and not at all where one before
 * them brought no answer within `deadlineMs` (default 20,000). Resolves with what became of each; rejects only where
 * nothing was asked for yet.
 */
export async function runReloads(
  server: { readonly ami: AMI; readonly host: Host },
  reloads: readonly Reload[],
  options: { readonly deadlineMs?: number; readonly logs?: LogMarks } = {},
): Promise<ReloadRun> {
  const logs = options.logs ?? (await markLogs(server.host));
  const deadlineMs = options.deadlineMs ?? 20_000;
  const done = new Map<Reload, ModuleReload>();
  let stopped: AsteriskIacError | undefined;
  for (const wave of wavesOf(reloads)) {
    if (stopped !== undefined) break;
    const asked = wave.map(async (reload) => ({ reload, told: await askOne(server, reload, deadlineMs) }));
    const settled = await Promise.allSettled(asked);
    for (const [index, result] of settled.entries()) {
      const reload = wave[index] as Reload;
      if (result.status === "fulfilled") done.set(reload, { module: reload.module, ...result.value.told });
      else {
        const error = asAsteriskIacError(result.reason);
        stopped ??= error;
        done.set(reload, unanswered(reload, error));
      }
    }
  }
  const modules = reloads.map((reload) => done.get(reload) ?? notAsked(reload));
  return { modules, logs, ...(stopped === undefined ? {} : { stopped }) };
}

/** AMI's own reload may cut the connection that asks: everything else has been answered by then. */
function wavesOf(reloads: readonly Reload[]): Reload[][] {
  const isCommand = ({ command }: Reload): boolean => command !== undefined;
  const isAMI = ({ module }: Reload): boolean => module === "manager";
  const together = reloads.filter((reload) => !isCommand(reload) && !isAMI(reload));
  const apart = [...reloads.filter(isCommand), ...reloads.filter(isAMI)];
  return [together, ...apart.map((reload) => [reload])].filter((wave) => wave.length > 0);
}

async function askOne(
  { ami, host }: { ami: AMI; host: Host },
  { module, command }: Reload,
  deadlineMs: number,
): Promise<AskedReload> {
  if (command === undefined) return askReload(ami, module, deadlineMs);
  const startedAt = performance.now();
  await runCommands(host, [command], { timeoutMs: deadlineMs });
  const tookMs = Math.round(performance.now() - startedAt);
  return { outcome: "Asked", evidence: [{ source: command, observed: true, saw: "it ran" }], tookMs };
}

function unanswered({ module }: Reload, error: AsteriskIacError): ModuleReload {
  const evidence = [{ source: "Reload", observed: false, saw: error.message }];
  return { module, outcome: "Unanswered", evidence, tookMs: 0 };
}

function notAsked({ module }: Reload): ModuleReload {
  return { module, outcome: "NotAsked", evidence: [], tookMs: 0 };
}
