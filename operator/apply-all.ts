import type { Take } from "../core/diff.ts";
import type { AsteriskIacError } from "../core/errors.ts";
import { asAsteriskIacError, isUnreachable } from "../core/errors.ts";
import type { Allowance } from "../core/guard.ts";
import { written } from "../core/guard.ts";
import type { Owner } from "../core/ownership.ts";
import type { Plan } from "../core/plan.ts";
import type { ApplyOptions, ApplyResult } from "../engine/apply.ts";
import { applyServer } from "../engine/apply.ts";
import type { RefusalHints } from "../engine/apply-error.ts";
import { applyError } from "../engine/apply-error.ts";
import { accountOwner, confFileOwner } from "../engine/desired.ts";
import type { Pass } from "../engine/pass.ts";
import type { Parts } from "./declared.ts";

/** What came of applying a server with all of its resources. */
export interface AppliedAll {
  /** What is to do now, or why that can't be said. */
  readonly plan: Plan | AsteriskIacError;
  readonly result: ApplyResult | undefined;
  readonly wrote: boolean;
  /** By owner: why its own part failed. */
  readonly errors: ReadonlyMap<Owner, AsteriskIacError>;
  /** Why the whole was not applied. */
  readonly error: AsteriskIacError | undefined;
}

export interface ApplyAll {
  readonly released: ReadonlySet<Owner>;
  readonly allow: ReadonlySet<Allowance>;
  readonly take?: Take;
  readonly stillDeclared: () => Promise<boolean>;
  readonly parts: Parts;
  /** Looks anew, for some of the resources: a pass sees the server once. */
  readonly again: (parts: Parts) => Promise<Pass>;
}

const hints: RefusalHints = {
  Conflict:
    "Choose a side for this plan with the annotation asterisk-iac.dev/take: `source@` or `server@` and the hash in the condition InSync. Nothing was written.",
  DirectionNotSet:
    "Set spec.updateDirection, or choose once with the annotation asterisk-iac.dev/upload-requested-at or asterisk-iac.dev/download-requested-at.",
  OtherManager:
    "If that one is out of use, annotate the AsteriskServer with asterisk-iac.dev/allow: take-over.",
  LargeChange: "If that is meant, annotate the AsteriskServer with asterisk-iac.dev/allow: large-change.",
};

const none: Parts = { accounts: [], files: [] };

/** Applies everything in one commit; where that is refused or fails, each resource alone, so that only the faulty ones wait. */
export async function applyAll(pass: Pass, { again, parts, ...options }: ApplyAll): Promise<AppliedAll> {
  const whole = await attempt(pass, options);
  const { result, error } = whole;
  if (error === undefined && result !== undefined)
    return { plan: result.plan, result, wrote: result.outcome === "Applied", errors: new Map(), error };
  const errors = new Map<Owner, AsteriskIacError>();
  let wrote = result?.server !== undefined;
  for (const [owner, part] of eachAlone(parts, options.released)) {
    const alone = await attempt(await again(part), { ...options, only: new Set([owner]) });
    wrote ||= alone.result?.server !== undefined;
    if (alone.error !== undefined) errors.set(owner, alone.error);
  }
  // What is of no resource: what the server has is collected, whoever of them waits.
  const rest = await attempt(await again(none), { ...options, released: new Set(), keepsOthers: true });
  wrote ||= rest.result?.outcome === "Applied";
  const plan = result?.plan ?? error;
  if (plan === undefined) throw new Error("an apply ended without a result and without an error");
  return { plan, result, wrote, errors, error };
}

/** What a person must mend is an outcome; what can't be known now, as no answer, is thrown. */
async function attempt(
  pass: Pass,
  options: ApplyOptions,
): Promise<{ readonly result?: ApplyResult; readonly error?: AsteriskIacError }> {
  try {
    const result = await applyServer(pass, options);
    const error = applyError(result, hints);
    return error === undefined ? { result } : { result, error };
  } catch (thrown) {
    const error = asAsteriskIacError(thrown);
    if (error.next !== "Stalled" || isUnreachable(error)) throw error;
    return { error };
  }
}

function eachAlone({ accounts, files }: Parts, released: ReadonlySet<Owner>): [Owner, Parts][] {
  return [
    ...[...released].map((owner): [Owner, Parts] => [owner, none]),
    ...accounts.map((account): [Owner, Parts] => [
      accountOwner(account.name),
      { accounts: [account], files: [] },
    ]),
    ...files.map((file): [Owner, Parts] => [confFileOwner(file.name), { accounts: [], files: [file] }]),
  ];
}

/** What is worth an event: what was written, and why not. */
export function eventsOf({
  result,
  error,
  errors,
}: AppliedAll): { type: "Normal" | "Warning"; reason: string; message: string }[] {
  const paths = result === undefined ? [] : written(result.plan, "server");
  return [
    ...(result?.outcome === "Applied" && paths.length > 0
      ? [
          {
            type: "Normal" as const,
            reason: "Applied",
            message: `wrote ${paths.join(", ")}, seen on live Asterisk`,
          },
        ]
      : []),
    ...(error === undefined
      ? []
      : [{ type: "Warning" as const, reason: error.code, message: error.message }]),
    ...[...errors].map(([owner, { code, message }]) => ({
      type: "Warning" as const,
      reason: code,
      message: `${owner}: ${message}`,
    })),
  ];
}
