import type { VerifyResult } from "../asterisk/verify.ts";
import type { Take } from "../core/diff.ts";
import type { AsteriskIacError } from "../core/errors.ts";
import { asAsteriskIacError, isUnreachable } from "../core/errors.ts";
import type { Allowance } from "../core/guard.ts";
import { written } from "../core/guard.ts";
import type { Owner } from "../core/ownership.ts";
import type { Plan } from "../core/plan.ts";
import type { PendingReview } from "../core/source.ts";
import { waitsInReview } from "../core/source.ts";
import type { ApplyOptions, ApplyResult } from "../engine/apply.ts";
import { applyServer } from "../engine/apply.ts";
import type { RefusalHints } from "../engine/apply-error.ts";
import { applyError } from "../engine/apply-error.ts";
import type { Collected } from "../engine/collect.ts";
import { accountOwner, confFileOwner } from "../engine/desired.ts";
import type { ImportResult } from "../engine/import.ts";
import { countOutcomes } from "../engine/import.ts";
import type { Pass } from "../engine/pass.ts";
import type { Parts } from "./declared.ts";

/** What came of applying a server with all of its resources. */
export interface AppliedAll {
  /** What is to do now, or why that can't be said. */
  readonly plan: Plan | AsteriskIacError;
  readonly result: ApplyResult | undefined;
  readonly wrote: boolean;
  /** What the source has of it, of a source with a history. */
  readonly collected: Collected | undefined;
  /** A reload brought no answer: nothing more was asked of this Asterisk, and whether it will go on is not known. */
  readonly hangs: boolean;
  /** What Asterisk made of each write to the server. */
  readonly proofs: readonly VerifyResult[];
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
  OlderRevision:
    "Go back with `git revert`, which makes a newer commit; if the older one is meant, annotate the AsteriskServer with asterisk-iac.dev/allow: older-revision.",
  OtherManager:
    "If that one is out of use, annotate the AsteriskServer with asterisk-iac.dev/allow: take-over.",
  LargeChange: "If that is meant, annotate the AsteriskServer with asterisk-iac.dev/allow: large-change.",
};

/** The same where a download met a ConfFile: there is no side to choose. */
const downloadHints: RefusalHints = {
  ...hints,
  Conflict:
    "To keep what the server has, put it into the ConfFile. Otherwise it is drift, and kept on the server when it is put back.",
};

const none: Parts = { accounts: [], files: [] };

/**
 * Applies everything in one commit; where that is refused or fails, each resource alone, so that only the faulty ones
 * wait. Not so where a reload hangs: another would too.
 */
export async function applyAll(pass: Pass, { again, parts, ...options }: ApplyAll): Promise<AppliedAll> {
  const whole = await attempt(pass, options);
  const { result, error } = whole;
  if (error === undefined && result !== undefined)
    return {
      plan: result.plan,
      ...{ result, wrote: result.outcome === "Applied", collected: result.source },
      ...{ hangs: false, proofs: proofsOf(result) },
      errors: new Map(),
      error,
    };
  if (error !== undefined && result?.server?.reloads.stopped?.code === "TimedOut") {
    const owners = result.plan.changes.flatMap(({ owners: each = [] }) => each.map(({ owner }) => owner));
    const waiting = new Map(owners.map((owner) => [owner, error]));
    const { plan, source } = result;
    return { plan, result, wrote: true, collected: source, hangs: true, proofs: [], errors: waiting, error };
  }
  const proofs = [...proofsOf(result)];
  const errors = new Map<Owner, AsteriskIacError>();
  let wrote = result?.server !== undefined;
  for (const [owner, part] of eachAlone(parts, options.released)) {
    const alone = await attempt(await again(part), { ...options, only: new Set([owner]) });
    wrote ||= alone.result?.server !== undefined;
    proofs.push(...proofsOf(alone.result));
    if (alone.error !== undefined) errors.set(owner, alone.error);
  }
  // What is of no resource: what the server has is collected, whoever of them waits.
  const rest = await attempt(await again(none), { ...options, released: new Set(), keepsOthers: true });
  wrote ||= rest.result?.outcome === "Applied";
  const plan = result?.plan ?? error;
  if (plan === undefined) throw new Error("an apply ended without a result and without an error");
  const collected = result?.source ?? rest.result?.source;
  return { plan, result, wrote, collected, hangs: false, proofs, errors, error };
}

/** Of a write that was put back nothing is proved. */
function proofsOf(result: ApplyResult | undefined): VerifyResult[] {
  const { server } = result ?? {};
  return server === undefined || server.restored !== undefined ? [] : [server.verification];
}

/** What a person must mend is an outcome; what can't be known now, as no answer, is thrown. */
async function attempt(
  pass: Pass,
  options: ApplyOptions,
): Promise<{ readonly result?: ApplyResult; readonly error?: AsteriskIacError }> {
  try {
    const result = await applyServer(pass, options);
    const isDownload = options.take?.scope === "all" && options.take.side === "server";
    const error = applyError(result, isDownload ? downloadHints : hints);
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
  collected,
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
    ...collectedEvents(collected),
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

/** What went to a repository, or waits there to be reviewed. */
function collectedEvents(collected: Collected | undefined): ReturnType<typeof eventsOf> {
  const revision = collected?.revision;
  if (collected === undefined || revision === undefined) return [];
  const { commit, branch, pullRequest } = revision;
  if (pullRequest === undefined) {
    const files = [...collected.written, ...collected.removed].join(", ") || "the record";
    return [{ type: "Normal", reason: "Collected", message: `${files}: commit ${commit} on ${branch}` }];
  }
  return reviewEvents(pullRequest);
}

/** What is worth an event of an initial import. */
export function importEvents({ record, revision, source }: ImportResult): ReturnType<typeof eventsOf> {
  if (revision?.pullRequest !== undefined) return reviewEvents(revision.pullRequest);
  const message = `${countOutcomes(record).Stored} files of the server are kept in ${source}`;
  return [{ type: "Normal", reason: "Imported", message }];
}

/** What is new of a pull request; not what waits since an earlier pass. */
function reviewEvents(review: PendingReview): ReturnType<typeof eventsOf> {
  const { outcome, number, url } = review;
  if (outcome === "Behind") {
    const message = `pull request ${number} is behind its base, and others committed to its branch: merge the base there: ${url}`;
    return [{ type: "Warning", reason: "ReviewBehind", message }];
  }
  if (waitsInReview(review)) return [];
  const message = `pull request ${number}, ${outcome.toLowerCase()}: ${url}`;
  return [{ type: "Normal", reason: "Proposed", message }];
}
