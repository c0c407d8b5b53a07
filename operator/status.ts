import type { HostRecord } from "../asterisk/host-record.ts";
import { AsteriskIacError, isUnreachable } from "../core/errors.ts";
import type { Owner } from "../core/ownership.ts";
import type { AMIAccountSpec, AsteriskServerSpec } from "../core/resource/index.ts";
import type { Source } from "../core/source.ts";
import { checkAccounts } from "../engine/account.ts";
import { accountOwner, confFileOwner } from "../engine/desired.ts";
import { countOutcomes } from "../engine/import.ts";
import type { Pass } from "../engine/pass.ts";
import type { AppliedAll } from "./apply-all.ts";
import type { Plain } from "./conditions.ts";
import { failed, fileReadiness, inStep, readiness, withTransitions } from "./conditions.ts";
import type { HandledRequests } from "./runtime/annotations.ts";
import type { ServerResources } from "./declared.ts";
import { isDeclared } from "./declared.ts";
import type {
  AccountObject,
  AccountStatus,
  CustomObject,
  FileStatus,
  Metadata,
  ServerStatus,
} from "./objects.ts";

/** How a server and its resources stand, to be written to their statuses. */
export interface ServerOutcome {
  readonly server: ServerStatus;
  readonly accounts: ReadonlyMap<string, AccountStatus>;
  readonly files: ReadonlyMap<string, FileStatus>;
  /** Deleted resources whose keys are gone from the server, or were let go: their finalizers may go. */
  readonly released: ReadonlySet<Owner>;
  /** Files that are not as declared. */
  readonly drift: number;
  /** What is to be tried again soon, if anything. */
  readonly error: AsteriskIacError | undefined;
}

/** What was seen of a server. */
export interface Seen {
  readonly pass: Pass;
  readonly spec: AsteriskServerSpec;
  readonly handled: HandledRequests;
  readonly collected: AppliedAll["collected"];
  readonly conditions: Parameters<typeof withTransitions>[1];
}

export function serverStatus(
  { server }: ServerResources,
  { pass, spec, handled, collected, conditions: now }: Seen,
): ServerStatus {
  const { generation } = server.metadata;
  const { record, hostRecord } = pass;
  const outcomes = record === undefined ? undefined : countOutcomes(record);
  return {
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    conditions: withTransitions(server.status?.conditions, now, { generation, at: new Date(), keep: false }),
    asteriskVersion: pass.asteriskVersion,
    ...(spec.updateDirection === undefined ? {} : { updateDirection: spec.updateDirection }),
    activeCalls: pass.activeCalls,
    ...(spec.console?.url === undefined || spec.console.disabled ? {} : { consoleURL: spec.console.url }),
    initialImport: {
      done: record?.state === "Done",
      ...(record?.doneAt === undefined ? {} : { time: record.doneAt }),
      ...(outcomes === undefined ? {} : { files: outcomes.Stored + outcomes.Equal + outcomes.Kept }),
    },
    ...(hostRecord === undefined
      ? {}
      : { lastApplied: { ...lastApplyOf(hostRecord), ...revisionOf(hostRecord) } }),
    ...sourceStatus(pass.declaration.source, collected),
    ...(Object.keys(handled).length === 0 ? {} : { handledRequests: handled }),
  };
}

/** The commit that was applied last. */
function revisionOf({ revision }: HostRecord): Pick<NonNullable<ServerStatus["lastApplied"]>, "revision"> {
  return revision === undefined ? {} : { revision };
}

/** Of a source with a history, where it is, and what waits to be reviewed. */
function sourceStatus({ revision }: Source, collected: Seen["collected"]): Pick<ServerStatus, "source"> {
  const review = collected?.revision?.pullRequest;
  const isOpen = review !== undefined && review.outcome !== "Rejected" && review.outcome !== "Withdrawn";
  if (revision === undefined) return {};
  const { commit, branch } = revision;
  return { source: { commit, branch, ...(isOpen ? { pullRequest: review.url } : {}) } };
}

/** What each AMIAccount and ConfFile says of itself, by what was seen on the server. */
export async function partStatuses(
  pass: Pass,
  { accounts, files }: ServerResources,
  { errors, proofs, plan }: Pick<AppliedAll, "errors" | "proofs" | "plan">,
): Promise<Pick<ServerOutcome, "accounts" | "files">> {
  const declared = pass.declaration.accounts.filter(({ name }) => !errors.has(accountOwner(name)));
  const checks = await checkAccounts(pass, declared);
  const places = new Map(
    Object.entries(pass.hostRecord?.files ?? {}).flatMap(([path, { ownership }]) =>
      Object.keys(ownership?.sections ?? {}).map((owner) => [owner, path] as const),
    ),
  );
  const hashes = new Map(pass.files.map(({ path, hash }) => [path, hash]));
  return {
    accounts: new Map(
      accounts.filter(isDeclared).map(({ metadata, status }) => {
        const owner = accountOwner(metadata.name);
        const spec = declared.find(({ name }) => name === metadata.name)?.spec;
        const loginProved = spec === undefined ? status?.loginProved : provedLogin(spec, proofs, status);
        const seen = checks.get(metadata.name) ?? [];
        const wrong = seen.filter(({ ok }) => !ok);
        const error =
          errors.get(owner) ??
          (wrong.length === 0
            ? undefined
            : new AsteriskIacError(
                "NotVerified",
                wrong
                  .map(({ attribute, declared: to, live }) => `${attribute}: declared ${to}, live ${live}`)
                  .join("; "),
              ));
        const file = places.get(owner);
        return [
          metadata.name,
          {
            ...partStatus(metadata, status, error, inStep("live Asterisk has it as declared")),
            ...(file === undefined ? {} : { file }),
            ...(loginProved === undefined ? {} : { loginProved }),
            verified: seen.filter(({ proved }) => proved).map(({ attribute, live }) => ({ attribute, live })),
          },
        ];
      }),
    ),
    files: new Map(
      files.filter(isDeclared).map(({ metadata, status }) => {
        const declaredFile = pass.declaration.files.find(({ name }) => name === metadata.name);
        const hash = hashes.get(declaredFile?.spec.path ?? "");
        const error = errors.get(confFileOwner(metadata.name));
        const lastApplied = lastWriteOf(pass, declaredFile?.spec.path, status);
        return [
          metadata.name,
          {
            ...partStatus(metadata, status, error, fileReadiness(declaredFile, plan)),
            ...(declaredFile === undefined ? {} : { path: declaredFile.spec.path }),
            ...(hash === undefined ? {} : { hash: pass.key.recorded(hash) }),
            ...(lastApplied === undefined ? {} : { lastApplied }),
          },
        ];
      }),
    ),
  };
}

/**
 * Whether a login with the account's secret worked. It is tried once, when the secret is written and our address is
 * permitted; an account with variables is never logged in to (see account-proof.ts).
 */
function provedLogin(
  { username, variables }: AMIAccountSpec,
  proofs: AppliedAll["proofs"],
  before: AccountStatus | undefined,
): boolean | undefined {
  if (Object.keys(variables).length > 0) return undefined;
  const login = `a login as ${username}`;
  const last = proofs.findLast(
    ({ evidence, unobserved }) =>
      evidence.some(({ source }) => source === login) ||
      unobserved.some((line) => line.startsWith(`${login}: `)),
  );
  return last === undefined ? before?.loginProved : last.evidence.some(({ source }) => source === login);
}

/** The apply that wrote the file last, if it is known: the server's record has the time and plan of its last one only. */
function lastWriteOf(
  { hostRecord }: Pass,
  path: string | undefined,
  before: FileStatus | undefined,
): FileStatus["lastApplied"] {
  const written = path === undefined ? undefined : hostRecord?.files[path]?.generation;
  if (hostRecord === undefined || written === undefined) return undefined;
  if (written !== hostRecord.generation)
    return before?.lastApplied?.generation === written ? before.lastApplied : undefined;
  return lastApplyOf(hostRecord);
}

function lastApplyOf({
  generation,
  appliedAt,
  planHash,
}: HostRecord): NonNullable<FileStatus["lastApplied"]> {
  return { generation, time: appliedAt, planHash };
}

function partStatus(
  { generation }: AccountObject["metadata"],
  before: AccountStatus | FileStatus | undefined,
  error: AsteriskIacError | undefined,
  ready: Plain,
): Pick<AccountStatus, "observedGeneration" | "conditions"> {
  const now =
    error === undefined
      ? [
          ...readiness(ready, { isReconciling: false }),
          { type: "Stalled", status: "False" as const, reason: "Progressing", message: "" },
        ]
      : failed(error);
  return {
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    conditions: withTransitions(before?.conditions, now, { generation, at: new Date(), keep: false }),
  };
}

/** The whole could not be looked at: the server says why, and its resources that they are not known. */
export function failedOutcome(resources: ServerResources, error: AsteriskIacError): ServerOutcome {
  const { server } = resources;
  const { generation } = server.metadata;
  // What was seen last says nothing of what is there now.
  const unseen = {
    type: "InSync",
    status: "Unknown" as const,
    reason: "NotCompared",
    message: error.message,
  };
  const reachable = isUnreachable(error)
    ? [{ type: "Reachable", status: "False" as const, reason: error.code, message: error.message }, unseen]
    : [];
  const conditionsNow = [...failed(error), ...reachable];
  const at = new Date();
  return {
    ...everyPart(resources, (metadata, status) => ({
      ...status,
      conditions: withTransitions(
        status?.conditions,
        [
          ...readiness(
            {
              type: "Ready",
              status: "Unknown",
              reason: "ServerNotReady",
              message: `AsteriskServer ${server.metadata.name}: ${error.message}`,
            },
            { isReconciling: error.next !== "Stalled" },
          ),
        ],
        { generation: metadata.generation, at, keep: true },
      ),
    })),
    server: {
      ...server.status,
      ...(generation === undefined ? {} : { observedGeneration: generation }),
      conditions: withTransitions(server.status?.conditions, conditionsNow, { generation, at, keep: true }),
    },
    released: new Set(),
    drift: 0,
    error,
  };
}

export function suspended(resources: ServerResources): ServerOutcome {
  const { generation } = resources.server.metadata;
  const at = new Date();
  const paused = {
    type: "Ready",
    status: "False" as const,
    reason: "Suspended",
    message: "spec.suspend is true",
  };
  const now = readiness(paused, { isReconciling: false });
  return {
    ...everyPart(resources, (metadata, status) => ({
      ...status,
      conditions: withTransitions(status?.conditions, now, {
        generation: metadata.generation,
        at,
        keep: true,
      }),
    })),
    server: {
      ...resources.server.status,
      ...(generation === undefined ? {} : { observedGeneration: generation }),
      conditions: withTransitions(resources.server.status?.conditions, now, { generation, at, keep: true }),
    },
    released: new Set(),
    drift: 0,
    error: undefined,
  };
}

function everyPart(
  { accounts, files }: ServerResources,
  statusOf: (metadata: Metadata, status: AnyStatus | undefined) => AnyStatus,
): Pick<ServerOutcome, "accounts" | "files"> {
  const each = (objects: readonly CustomObject<AnyStatus>[]): ReadonlyMap<string, AnyStatus> =>
    new Map(
      objects
        .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
        .map(({ metadata, status }) => [metadata.name, statusOf(metadata, status)]),
    );
  return { accounts: each(accounts), files: each(files) };
}

/** What an AMIAccount's and a ConfFile's status have, all of it optional. */
type AnyStatus = AccountStatus & FileStatus;
