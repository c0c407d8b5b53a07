import type { Condition } from "../core/conditions.ts";
import { conditions } from "../core/conditions.ts";
import type { AsteriskIacError } from "../core/errors.ts";
import { asAsteriskIacError } from "../core/errors.ts";
import type { Plan } from "../core/plan.ts";
import type { ImportOutcome } from "../core/record.ts";
import type { UpdateDirection } from "../core/resource/index.ts";
import { countOutcomes } from "./import.ts";
import type { Pass } from "./pass.ts";
import { planServer } from "./plan.ts";

/** What is known of a server now. */
export interface ServerStatus {
  readonly asteriskVersion: string;
  readonly activeChannels: number;
  readonly updateDirection: UpdateDirection | undefined;
  readonly initialImport: {
    readonly done: boolean;
    readonly time: string | null;
    readonly outcomes: Record<ImportOutcome, number> | null;
  };
  readonly conditions: readonly Condition[];
  readonly roundTrips: number;
}

/** Looks at a server and says how it stands. What a person must mend is a condition here, not an error. */
export async function statusServer(pass: Pass): Promise<ServerStatus> {
  const { record, declaration } = pass;
  const { updateDirection } = declaration.spec;
  const plan = record?.state === "Done" ? await planOrStalled(pass) : undefined;
  return {
    asteriskVersion: pass.asteriskVersion,
    activeChannels: pass.activeChannels,
    updateDirection,
    initialImport: {
      done: record?.state === "Done",
      time: record?.doneAt ?? null,
      outcomes: record === undefined ? null : countOutcomes(record),
    },
    conditions: conditions({ record, updateDirection, plan }),
    roundTrips: pass.roundTrips(),
  };
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
