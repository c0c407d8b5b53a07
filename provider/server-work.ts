import type { ErrorCode } from "../core/errors.ts";
import { AsteriskIacError, asAsteriskIacError, isUnreachable } from "../core/errors.ts";
import type { Allowance } from "../core/guard.ts";
import type { Owner } from "../core/ownership.ts";
import { contentHash } from "../core/record.ts";
import { applyServer } from "../engine/apply.ts";
import { applyError } from "../engine/apply-error.ts";
import type { CompareOptions } from "../engine/comparison.ts";
import type { Pass } from "../engine/pass.ts";
import { preparePlan } from "../engine/plan.ts";
import type { ServerResources } from "../engine/session.ts";
import type { Connection } from "./connection.ts";
import { declarationOf, secretsOf } from "./connection.ts";
import { refusalHints } from "./failures.ts";
import type { Part, PartState } from "./part-state.ts";
import { isDeleted, isRead, nothing, statesOf } from "./part-state.ts";
import { sessionOf } from "./shared-session.ts";

interface Request {
  readonly kind: "apply" | "observe";
  readonly part: Part;
  readonly resolve: (state: PartState) => void;
  readonly reject: (reason: unknown) => void;
}

/** Pulumi hands over one by one what it does at the same time: once nothing more comes for so long, that is all. */
const quietMs = 40;
const longestGatherMs = 400;

/** What is wrong with the server beside the way to it, and so with everything that was asked for. */
const ofServer = new Set<ErrorCode>([
  "ListingIncomplete",
  "ListingEmpty",
  "IdentityUnknown",
  "IdentityChanged",
  "RecordInvalid",
  "RecordKeyMissing",
  "ImportNotDone",
  "SourceUnavailable",
  "ChangedMeanwhile",
  "StaleGeneration",
  "WriteInProgress",
]);

const works = new WeakMap<object, Map<string, ServerWork>>();

/** The work on one server, shared by all resources of a run that know it in the same way. */
export function workOn(connection: Connection): ServerWork {
  const session = sessionOf(connection);
  const key = contentHash(Buffer.from(JSON.stringify(connection)));
  const known = works.get(session) ?? new Map<string, ServerWork>();
  const work = known.get(key) ?? new ServerWork(connection);
  works.set(session, known.set(key, work));
  return work;
}

/**
 * What is asked for at the same time is looked at together, written in one commit and reloaded together. Where that fails,
 * each half is tried alone, and its halves, so that only what is at fault fails.
 */
export class ServerWork {
  readonly #connection: Connection;
  readonly #waiting: Request[] = [];
  #gathering: { readonly since: number; timer: NodeJS.Timeout } | undefined;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Makes what a resource declares true, or takes it away. */
  apply(part: Part): Promise<PartState> {
    return this.#ask("apply", part);
  }

  /** Looks how a resource stands. Nothing is written. */
  observe(part: Part): Promise<PartState> {
    return this.#ask("observe", part);
  }

  #ask(kind: Request["kind"], part: Part): Promise<PartState> {
    const { promise, resolve, reject } = Promise.withResolvers<PartState>();
    this.#waiting.push({ kind, part, resolve, reject });
    const since = this.#gathering?.since ?? performance.now();
    clearTimeout(this.#gathering?.timer);
    const rest = Math.min(quietMs, Math.max(0, since + longestGatherMs - performance.now()));
    this.#gathering = { since, timer: setTimeout(() => this.#start(), rest) };
    return promise;
  }

  #start(): void {
    this.#gathering = undefined;
    void sessionOf(this.#connection).exclusively(async () => {
      for (let requests = this.#waiting.splice(0); requests.length > 0;) {
        // The same resource twice is one after the other.
        const seen = new Set<Owner>();
        const now = requests.filter(({ part }) => !seen.has(part.owner) && seen.add(part.owner));
        requests = requests.filter((request) => !now.includes(request));
        await this.#settle(now.filter(({ kind }) => kind === "observe"));
        await this.#settle(now.filter(({ kind, part }) => kind === "apply" && !part.takes));
        await this.#settle(now.filter(({ kind, part }) => kind === "apply" && part.takes));
      }
    });
  }

  async #settle(requests: readonly Request[]): Promise<void> {
    if (requests.length === 0) return;
    const isWriting = requests.some(({ kind }) => kind === "apply");
    const parts = requests.map(({ part }) => part);
    const session = sessionOf(this.#connection);
    const declaration = declarationOf(this.#connection, resourcesOf(parts));
    const secrets = secretsOf(this.#connection);
    try {
      const states = await session.pass(declaration, secrets, { writing: isWriting }, async (pass) => {
        if (!isWriting)
          return statesOf(pass, parts, await preparePlan(pass, { only: optionsOf(parts).only }));
        await this.#apply(pass, parts);
        // What is told of a resource is what is on the server now.
        const after = parts.every(isDeleted) ? undefined : await session.look(declaration, secrets, {});
        return after === undefined
          ? parts.map(() => nothing)
          : statesOf(after, parts, await preparePlan(after, { only: optionsOf(parts).only }));
      });
      requests.forEach((request, at) => answer(request, states[at] ?? nothing, this.#connection));
    } catch (thrown) {
      const error = asAsteriskIacError(thrown);
      if (requests.length === 1 || isUnreachable(error) || ofServer.has(error.code))
        return requests.forEach(({ reject }) => reject(error));
      const clashing = requests.filter(
        ({ part }) => error.code === "OwnedTwice" && isNamed(part.owner, error),
      );
      if (clashing.length > 0) {
        for (const { reject } of clashing) reject(error);
        return this.#settle(requests.filter((request) => !clashing.includes(request)));
      }
      const half = Math.ceil(requests.length / 2);
      await this.#settle(requests.slice(0, half));
      await this.#settle(requests.slice(half));
    }
  }

  async #apply(pass: Pass, parts: readonly Part[]): Promise<void> {
    await refuseOthers(pass, parts);
    // Whoever deletes resources one by one means it.
    const deletes: Allowance[] = parts.every(isDeleted) ? ["large-change"] : [];
    const allow = new Set([...this.#connection.allow, ...deletes]);
    const result = await applyServer(pass, { ...optionsOf(parts), allow });
    const error = applyError(result, refusalHints.part);
    if (error !== undefined) throw error;
  }
}

/** Whether two resources that own the same are this one and another: each alone would take it from the other. */
function isNamed(owner: Owner, { message }: AsteriskIacError): boolean {
  return message.startsWith(`${owner} and `) || message.includes(` and ${owner} both own `);
}

/**
 * A file that is another resource's is adopted where it is equal, as when a resource was renamed: Pulumi makes the new
 * one first. Where it differs, two resources may want it.
 */
async function refuseOthers(pass: Pass, parts: readonly Part[]): Promise<void> {
  const released = new Set(parts.flatMap((part) => [part.owner, part.released]));
  const others = parts.flatMap(({ owner, file, takes }) => {
    if (file?.spec.content === undefined || takes) return [];
    const other = pass.hostRecord?.files[file.spec.path]?.ownership?.content?.owner;
    return other === undefined || released.has(other) ? [] : [{ path: file.spec.path, owner, other }];
  });
  if (others.length === 0) return;
  const { comparison } = await preparePlan(pass, optionsOf(parts));
  for (const { path, owner, other } of others) {
    const kind = comparison.owned.get(path)?.base?.kind;
    if (kind === "InSync" || kind === "Record") continue;
    throw new AsteriskIacError(
      "ApplyRefused",
      `${owner} declares ${path}, which ${other} has, with other bytes`,
      {
        hint: 'Declare it once. If it is that one under another name, give it an alias, or set onConflict: "TakeProgram". Nothing was written.',
      },
    );
  }
}

/** A write that left the server other than declared did not succeed, unless the server's policy is to leave it so. */
function answer({ kind, part, resolve, reject }: Request, state: PartState, { spec }: Connection): void {
  const error = kind === "apply" && !isDeleted(part) ? notDone(part, state, spec.drift) : undefined;
  if (error === undefined) resolve(state);
  else reject(error);
}

function notDone(
  { file }: Part,
  state: PartState,
  policy: "Correct" | "Report",
): AsteriskIacError | undefined {
  if (state.drift === undefined) return undefined;
  if (file !== undefined && isRead(file)) {
    const hint = "Without `content` and `sections` a file is only read. Give it one of them, and it is made.";
    return new AsteriskIacError("NotVerified", `${file.spec.path} is not on the server`, { hint });
  }
  if (policy === "Report") return undefined;
  return new AsteriskIacError("NotVerified", `it is not as declared: ${state.drift}`);
}

function resourcesOf(parts: readonly Part[]): ServerResources {
  return {
    accounts: parts.flatMap(({ account }) => (account === undefined ? [] : [account])),
    files: parts.flatMap(({ file }) => (file === undefined ? [] : [file])),
  };
}

function optionsOf(parts: readonly Part[]): CompareOptions & { readonly only: ReadonlySet<Owner> } {
  const released = new Set(parts.flatMap((part) => (part.released === undefined ? [] : [part.released])));
  const take = { side: "source", scope: "conflicts", matches: () => true } as const;
  return {
    only: new Set([...parts.map(({ owner }) => owner), ...released]),
    released,
    ...(parts.some(({ takes }) => takes) ? { take } : {}),
  };
}
