import { AsteriskIacError } from "../core/errors.ts";
import type { Allowance, GuardInput, Refusal } from "../core/guard.ts";
import { guard, written } from "../core/guard.ts";
import type { Plan } from "../core/plan.ts";
import { secretValues } from "../core/conf/secrets.ts";
import { redact } from "../core/redact.ts";
import { declaredRules } from "../core/resource/secret-keys.ts";
import type { Revision } from "../core/source.ts";
import { waitsInReview } from "../core/source.ts";
import type { WaitOptions } from "./active-calls.ts";
import { disturbsCalls, waitForCalls } from "./active-calls.ts";
import type { Collected } from "./collect.ts";
import type { CompareOptions } from "./comparison.ts";
import { collect, hasToCollect } from "./collect.ts";
import type { Pass } from "./pass.ts";
import { promotePending } from "./account-secret.ts";
import type { PreparedPlan } from "./plan.ts";
import { preparePlan } from "./plan.ts";
import type { ServerWrite } from "./server-write.ts";
import { hasOwnershipToRecord, proveLastWrite, writeServer } from "./server-write.ts";

export interface ApplyOptions extends CompareOptions, WaitOptions {
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
  /** The commit that it was made from, of a source with a history. */
  readonly revision?: Revision;
}

/**
 * Plans, guards, writes, reloads, verifies and records one server: the whole flow. Throws as `compare` does. No secret of a
 * resource is in the result, nor what `secretKeys` names: lint quotes what Asterisk would refuse, and Asterisk's log what it
 * did not like.
 */
export async function applyServer(pass: Pass, options: ApplyOptions): Promise<ApplyResult> {
  const { revision } = pass.declaration.source;
  const prepared = await preparePlan(pass, options);
  const result = redact(await carryOut(pass, prepared, options), prepared.comparison.secrets);
  const declared = declaredSecrets(pass, prepared);
  const shown = ["saw", "expected"].reduce((all, field) => redact(all, declared, field), result);
  return revision === undefined ? shown : { ...shown, revision };
}

/** What `secretKeys` names in the files that are written. */
function declaredSecrets({ declaration: { spec } }: Pass, { contents }: PreparedPlan): string[] {
  const rules = declaredRules(spec.source?.git?.secretKeys);
  return [...contents.toServer]
    .flatMap(([path, bytes]) => secretValues(path, bytes, rules))
    .flatMap((value) => [value, Buffer.from(value, "latin1").toString("utf8")]);
}

async function carryOut(pass: Pass, prepared: PreparedPlan, options: ApplyOptions): Promise<ApplyResult> {
  const { plan, comparison } = prepared;
  // An earlier apply comes to its end first: what it wrote may not have been read by Asterisk yet.
  const late = await proveLastWrite(pass, comparison);
  if (late?.write.restored !== undefined)
    return { outcome: "RolledBack", plan, refusals: [], server: late.write };
  const refusals = refusalsOf(prepared, {
    allow: options.allow,
    lastManager: pass.hostRecord?.manager,
    manager: pass.manager,
    expectedHash: options.expectedHash,
    olderRevision: await olderRevision(pass, plan),
  });
  if (refusals.length > 0) return { outcome: "Refused", plan, refusals };
  const isWritten = written(plan, "server").length > 0 || hasOwnershipToRecord(prepared);
  if (isWritten && disturbsCalls(plan)) {
    const busy = await waitForCalls(pass, options);
    if (busy !== undefined) return { outcome: "Refused", plan, refusals: [busy] };
  }
  const { stillDeclared } = options;
  if ((isWritten || hasToCollect(prepared)) && stillDeclared !== undefined && !(await stillDeclared()))
    throw declarationChanged();
  const server = isWritten ? await writeServer(pass, prepared) : late?.write;
  if (server?.restored !== undefined) return { outcome: "RolledBack", plan, refusals, server };
  const source = await collect(pass, prepared);
  if (server === late?.write && late?.verified === false)
    return { outcome: "NotVerified", plan, refusals, server: late.write };
  await promote(pass, prepared);
  const isWithdrawn = source.revision?.pullRequest?.outcome === "Withdrawn";
  const collected = isWithdrawn || source.written.length + source.removed.length + source.recorded.length > 0;
  const review = source.revision?.pullRequest;
  const isNew = collected && !(review !== undefined && waitsInReview(review));
  return {
    outcome: server !== undefined || isNew ? "Applied" : "NothingToDo",
    plan,
    refusals,
    ...(server === undefined ? {} : { server }),
    ...(collected ? { source } : {}),
  };
}

/** Whether the source's commit is older than the one that was applied, or of another history. */
async function olderRevision(
  { hostRecord, declaration: { source } }: Pass,
  plan: Plan,
): Promise<GuardInput["olderRevision"]> {
  const applied = hostRecord?.revision;
  const now = source.revision?.commit;
  if (applied === undefined || now === undefined || written(plan, "server").length === 0) return undefined;
  return (await source.descendsFrom?.(applied)) === false ? { applied, now } : undefined;
}

/** Every reason not to carry out a plan. May hold secrets: lint quotes what Asterisk would refuse. */
export function refusalsOf(
  { plan, consequences: { server, source } }: PreparedPlan,
  input: Omit<GuardInput, "errors" | "largeChanges">,
): Refusal[] {
  return guard(plan, {
    ...input,
    errors: server?.errors ?? new Map(),
    largeChanges: [...(server?.largeChanges ?? []), ...(source?.largeChanges ?? [])],
  });
}

/** A plan, and why `apply` would not carry it out as it is. */
export interface GuardedPlan {
  readonly plan: Plan;
  readonly refusals: readonly Refusal[];
  /** Calls that were up when it was made: no part of its hash. */
  readonly activeCalls: number;
}

/** What would change on one server and what would keep it from that; reads only. Throws as `compare` does. */
export async function planGuarded(pass: Pass, options: CompareOptions = {}): Promise<GuardedPlan> {
  const prepared = await preparePlan(pass, options);
  const [lastManager, manager] = [pass.hostRecord?.manager, pass.manager];
  const refusals = refusalsOf(prepared, {
    allow: new Set(),
    ...{ lastManager, manager },
    expectedHash: undefined,
    olderRevision: await olderRevision(pass, prepared.plan),
  });
  const { activeCalls } = pass;
  return { plan: prepared.plan, refusals: redact(refusals, prepared.comparison.secrets), activeCalls };
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
