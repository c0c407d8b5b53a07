import { AsteriskIacError } from "../core/errors.ts";
import type { Allowance, Refusal } from "../core/guard.ts";
import { guard, written } from "../core/guard.ts";
import type { Plan } from "../core/plan.ts";
import { redact } from "../core/redact.ts";
import type { Collected } from "./collect.ts";
import type { CompareOptions } from "./comparison.ts";
import { collect } from "./collect.ts";
import type { Pass } from "./pass.ts";
import { promotePending } from "./account-secret.ts";
import type { PreparedPlan } from "./plan.ts";
import { preparePlan } from "./plan.ts";
import type { ServerWrite } from "./server-write.ts";
import { hasOwnershipToRecord, proveLastWrite, writeServer } from "./server-write.ts";

export interface ApplyOptions extends CompareOptions {
  readonly allow: ReadonlySet<Allowance>;
  /** The plan that was confirmed: its hash, or the first digits of it. */
  readonly expectedHash?: string;
  /** Asked right before anything is written: whether the declaration still says what the plan was made from. */
  readonly stillDeclared?: () => Promise<boolean>;
}

/** What an apply did. */
export interface ApplyResult {
  /**
   * `NothingToDo`: nothing was written anywhere. `Applied`: done, and seen on the live server. `RolledBack`: written,
   * not as it should be, and put back. `NotVerified`: an earlier run's write is not as it should be, and somebody changed
   * its files since, so nothing was put back. `Refused`: nothing was written, for the reasons in `refusals`.
   */
  readonly outcome: "NothingToDo" | "Applied" | "RolledBack" | "NotVerified" | "Refused";
  readonly plan: Plan;
  readonly refusals: readonly Refusal[];
  readonly server?: ServerWrite;
  readonly source?: Collected;
}

/**
 * Plans, guards, writes, reloads, verifies and records one server: the whole flow. Throws as `compare` does. No secret of a
 * resource is in the result: lint quotes what Asterisk would refuse, and Asterisk's log what it did not like.
 */
export async function applyServer(pass: Pass, options: ApplyOptions): Promise<ApplyResult> {
  const prepared = await preparePlan(pass, options);
  return redact(await carryOut(pass, prepared, options), prepared.comparison.secrets);
}

async function carryOut(pass: Pass, prepared: PreparedPlan, options: ApplyOptions): Promise<ApplyResult> {
  const { plan, comparison, consequences } = prepared;
  // An earlier apply comes to its end first: what it wrote may not have been read by Asterisk yet.
  const late = await proveLastWrite(pass, comparison);
  if (late?.write.restored !== undefined)
    return { outcome: "RolledBack", plan, refusals: [], server: late.write };
  const refusals = guard(plan, {
    allow: options.allow,
    lastManager: pass.hostRecord?.manager,
    manager: pass.manager,
    errors: consequences.server?.errors ?? new Map(),
    largeChanges: [
      ...(consequences.server?.largeChanges ?? []),
      ...(consequences.source?.largeChanges ?? []),
    ],
    expectedHash: options.expectedHash,
  });
  if (refusals.length > 0) return { outcome: "Refused", plan, refusals };
  if (options.stillDeclared !== undefined && !(await options.stillDeclared())) throw declarationChanged();

  const isWritten = written(plan, "server").length > 0 || hasOwnershipToRecord(prepared);
  const server = isWritten ? await writeServer(pass, prepared) : late?.write;
  if (server?.restored !== undefined) return { outcome: "RolledBack", plan, refusals, server };
  const source = await collect(pass, prepared);
  if (server === late?.write && late?.verified === false)
    return { outcome: "NotVerified", plan, refusals, server: late.write };
  await promote(pass, prepared);
  const collected = source.written.length + source.removed.length + source.recorded.length > 0;
  return {
    outcome: server !== undefined || collected ? "Applied" : "NothingToDo",
    plan,
    refusals,
    ...(server === undefined ? {} : { server }),
    ...(collected ? { source } : {}),
  };
}

/** Accounts whose next secret is live now have it. */
async function promote(
  { secrets }: Pass,
  { comparison: { accounts, owned }, plan }: PreparedPlan,
): Promise<void> {
  const done = new Set(
    [...owned.values()].flatMap((file) =>
      file.owned
        .filter(({ kind }) => kind === "InSync" || kind === "Write" || kind === "Record")
        .map(({ owner }) => owner),
    ),
  );
  const blocked = new Set(
    plan.changes.flatMap(({ blocked, owners = [] }) =>
      blocked === undefined ? [] : owners.map(({ owner }) => owner),
    ),
  );
  for (const [owner, { account }] of accounts)
    if (done.has(owner) && !blocked.has(owner)) await promotePending(account, account.secrets ?? secrets);
}

function declarationChanged(): AsteriskIacError {
  return new AsteriskIacError("ChangedMeanwhile", "the declaration was changed while the plan was made", {
    next: "Retry",
    hint: "Nothing was written. Run the command again: it makes a new plan.",
  });
}
