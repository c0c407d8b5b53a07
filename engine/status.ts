import type { Condition } from "../core/conditions.ts";
import { conditions } from "../core/conditions.ts";
import type { AsteriskIacError } from "../core/errors.ts";
import { asAsteriskIacError } from "../core/errors.ts";
import type { Plan } from "../core/plan.ts";
import type { ImportOutcome } from "../core/record.ts";
import type { UpdateDirection } from "../core/resource/index.ts";
import type { ObservedClock } from "./calls/clock.ts";
import { askClockOverHost } from "./calls/clock.ts";
import { countOutcomes } from "./import.ts";
import type { Pass } from "./pass.ts";
import { planServer } from "./plan.ts";

/** What is known of a server now. */
export interface ServerStatus {
  readonly asteriskVersion: string;
  readonly activeChannels: number;
  readonly activeCalls: number;
  readonly updateDirection: UpdateDirection | undefined;
  readonly initialImport: {
    readonly done: boolean;
    readonly time: string | null;
    readonly outcomes: Record<ImportOutcome, number> | null;
  };
  /** Of a source with a history: the commit that is there now, and the one that was applied last. */
  readonly revision: { readonly source: string | null; readonly applied: string | null } | null;
  /** The public address of the web console; null where none is declared, or it is switched off. */
  readonly consoleURL: string | null;
  /** The server's clock beside ours and beside the declared zone: times of calls are told by it. */
  readonly clock: ObservedClock;
  readonly conditions: readonly Condition[];
  readonly roundTrips: number;
}

/** Looks at a server and says how it stands. What a person must mend is a condition here, not an error. */
export async function statusServer(pass: Pass): Promise<ServerStatus> {
  const { record, declaration } = pass;
  const { updateDirection, timeZone } = declaration.spec;
  const [plan, clock] = await Promise.all([
    record?.state === "Done" ? planOrStalled(pass) : undefined,
    askClockOverHost(pass.session, timeZone),
  ]);
  return {
    asteriskVersion: pass.asteriskVersion,
    activeChannels: pass.activeChannels,
    activeCalls: pass.activeCalls,
    updateDirection,
    initialImport: {
      done: record?.state === "Done",
      time: record?.doneAt ?? null,
      outcomes: record === undefined ? null : countOutcomes(record),
    },
    revision: revisionOf(pass),
    consoleURL: declaration.spec.console?.disabled === true ? null : (declaration.spec.console?.url ?? null),
    clock,
    conditions: conditions({ record, updateDirection, plan }),
    roundTrips: pass.roundTrips(),
  };
}

function revisionOf({ declaration: { source }, hostRecord }: Pass): ServerStatus["revision"] {
  const applied = hostRecord?.revision ?? null;
  const now = source.revision?.commit ?? null;
  return applied === null && now === null ? null : { source: now, applied };
}

async function planOrStalled(pass: Pass): Promise<Plan | AsteriskIacError> {
  try {
    return await planServer(pass);
  } catch (thrown) {
    const error = asAsteriskIacError(thrown);
    if (error.next !== "Stalled") throw error;
    return error;
  }
}
