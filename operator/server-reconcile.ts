import { reload } from "../asterisk/reload.ts";
import { restart } from "../asterisk/restart.ts";
import { conditions } from "../core/conditions.ts";
import type { Take } from "../core/diff.ts";
import type { AsteriskIacError } from "../core/errors.ts";
import { asAsteriskIacError, isUnreachable } from "../core/errors.ts";
import type { Allowance } from "../core/guard.ts";
import { allowances } from "../core/guard.ts";
import type { Plan, PlannedChange } from "../core/plan.ts";
import { asteriskServer, pathPolicy } from "../core/resource/index.ts";
import type { AsteriskServerSpec } from "../core/resource/index.ts";
import type { Source } from "../core/source.ts";
import { assertMerged, importServer } from "../engine/import.ts";
import type { Pass } from "../engine/pass.ts";
import { SeenServers, passOver } from "../engine/pass.ts";
import { planServer } from "../engine/plan.ts";
import type { ServerDeclaration } from "../engine/session.ts";
import { leavesConnections } from "../engine/session.ts";
import type { AppliedAll } from "./apply-all.ts";
import { applyAll, eventsOf, importEvents } from "./apply-all.ts";
import { serverConditions } from "./conditions.ts";
import type { Parts, ServerResources } from "./declared.ts";
import { declaredOf, invalid, refuseElsewhere, releasedOf } from "./declared.ts";
import type { ImportIndex, ImportMemory } from "./import-index.ts";
import { ImportSecret } from "./import-secret.ts";
import { keyOf } from "./runtime/objects.ts";
import type { ClaimedRequests } from "./requests.ts";
import { AskedRequests, takeOf, whenOf } from "./requests.ts";
import type { AnnotationRequest } from "./runtime/annotations.ts";
import { KubernetesSecrets } from "./secrets.ts";
import type { ServerCalls } from "./server-calls.ts";
import type { ServerSessions } from "./server-sessions.ts";
import type { ServerSources } from "./server-sources.ts";
import type { ServerOutcome } from "./status.ts";
import { failedOutcome, partStatuses, serverStatus, suspended } from "./status.ts";

/** Who applies, as a server's record names it. */
const front = "asterisk-iac-operator";

/** What the world is told while a server is worked on. */
export interface ServerReport {
  /**
   * The requests that nobody acted on, noted as handled before anybody does; rejects where that can't be noted, and
   * then nothing happens.
   */
  readonly claimRequests: () => Promise<ClaimedRequests>;
  readonly event: (type: "Normal" | "Warning", reason: string, message: string) => void;
  /** Asked right before anything is written to the server: whether we still lead, and the same is still declared. */
  readonly stillDeclared: () => Promise<boolean>;
}

/** Reconciles servers, each with all of its resources in one commit. It knows the cluster by what it is handed only. */
export class ServerReconciler {
  readonly #sessions: ServerSessions;
  readonly #sources: ServerSources;
  readonly #calls: Pick<ServerCalls, "keep" | "forget">;
  readonly #importPartBytes: number | undefined;
  readonly #seen = new SeenServers();
  /** By server, what is in its import. */
  readonly #imports = new Map<string, ImportIndex>();

  /** By server, what was not applied because a reload hung. */
  readonly #hanging = new Map<string, AppliedAll>();

  constructor(
    sessions: ServerSessions,
    sources: ServerSources,
    calls: Pick<ServerCalls, "keep" | "forget">,
    importPartBytes?: number,
  ) {
    this.#sessions = sessions;
    this.#sources = sources;
    this.#calls = calls;
    this.#importPartBytes = importPartBytes;
  }

  /** The server is no longer declared, or is let alone. */
  async forget(key: string): Promise<void> {
    this.#seen.release(key);
    this.#imports.delete(key);
    this.#hanging.delete(key);
    this.#sources.close(key);
    await this.#sessions.close(key);
    await this.#calls.forget(key);
  }

  /** The server's Asterisk may be another now: what hung in the one before may be asked of it. */
  mayHaveRestarted(key: string): void {
    this.#hanging.delete(key);
  }

  /** Brings one server in step. Never rejects: what went wrong is in the outcome. */
  async reconcile(resources: ServerResources, report: ServerReport): Promise<ServerOutcome> {
    const { server } = resources;
    const key = keyOf(server.metadata);
    const asked = new AskedRequests(server.status?.handledRequests);
    try {
      const parsed = asteriskServer.shape.spec.safeParse(server.spec);
      if (!parsed.success) throw invalid("AsteriskServer", parsed.error);
      const spec = parsed.data;
      refuseElsewhere(spec);
      if (spec.suspend) {
        await this.forget(key);
        return suspended(resources);
      }
      return await this.#reconcileWith(resources, spec, { ...report, asked });
    } catch (thrown) {
      const error = asAsteriskIacError(thrown);
      if (!leavesConnections(error)) await this.#sessions.close(key);
      for (const { verb } of asked.take())
        report.event("Warning", "RequestFailed", `${verb}: ${error.message}`);
      const status = { ...server.status, handledRequests: asked.handled };
      return failedOutcome({ ...resources, server: { ...server, status } }, error);
    }
  }

  async #reconcileWith(
    resources: ServerResources,
    spec: AsteriskServerSpec,
    { asked, ...report }: ServerReport & { readonly asked: AskedRequests },
  ): Promise<ServerOutcome> {
    const { server } = resources;
    const { namespace, annotations } = server.metadata;
    const key = keyOf(server.metadata);
    const secrets = new KubernetesSecrets(resources.secrets, namespace);
    const { accounts, files, errors } = await declaredOf(resources);
    const source = this.#sourceOf(resources, spec);
    const declaration: ServerDeclaration = { name: key, spec, source, accounts, files };
    const stamp = await stampOf(resources, spec);
    const open = () => this.#sessions.open(key, declaration, secrets, stamp);
    // The one that is open, mostly: putting manager.conf back closes it.
    const look = async (importing: boolean, parts: Parts = { accounts, files }): Promise<Pass> =>
      passOver({ ...(await open()), declaration: { ...declaration, ...parts } }, secrets, {
        ...{ seen: this.#seen, writing: true, importing, front },
      });

    // What is asked of a server that can't be reached waits until it can be.
    await open();
    this.#calls.keep(key, declaration, secrets, stamp);
    await asked.claim(report.claimRequests);

    // Where there is no import yet, it needs the record key, which is made if there is none.
    let pass = await look(true);
    if (pass.record?.state !== "Done") {
      const imported = await importServer(pass);
      for (const { type, reason, message } of importEvents(imported)) report.event(type, reason, message);
      assertMerged(imported);
      const { record } = imported;
      // What was imported is what is compared.
      pass = { ...pass, record };
    }
    const released = releasedOf(resources);
    const allow = allowedBy(annotations);
    const choice = await this.#takeOf(pass, asked, annotations);
    const applied =
      (await this.#stillHanging(key, pass, asked)) ??
      (await applyAll(pass, {
        ...{ released, allow, parts: { accounts, files }, waitForCalls: "Later" },
        stillDeclared: () => Promise.resolve(report.stillDeclared()),
        ...(choice === undefined ? {} : { take: choice }),
        again: (parts) => look(false, parts),
      }));
    if (applied.hangs) this.#hanging.set(key, applied);
    else this.#hanging.delete(key);
    for (const { reason, message, type } of eventsOf(applied)) report.event(type, reason, message);
    for (const request of asked.take()) await this.#act(request, pass, report);

    const after = applied.wrote ? await look(false) : pass;
    // What a person chose once is no part of what is still to do.
    const isOther = applied.wrote || choice !== undefined;
    const plan = isOther ? await planOrWhyNot(after) : applied.plan;
    const outcomeErrors = new Map([...errors, ...applied.errors]);
    return {
      server: serverStatus(resources, {
        ...{ pass: after, handled: asked.handled, spec, collected: applied.collected },
        conditions: serverConditions(
          conditions({ record: after.record, updateDirection: spec.updateDirection, plan }),
          applied.error,
        ),
      }),
      ...(await partStatuses(after, resources, { errors: outcomeErrors, proofs: applied.proofs, plan })),
      released: new Set([...released].filter((owner) => !applied.errors.has(owner))),
      drift: plan instanceof Error ? 0 : plan.changes.filter(isDrifted).length,
      error: applied.error,
    };
  }

  #sourceOf({ server, secrets }: ServerResources, spec: AsteriskServerSpec): Source {
    const { namespace, name } = server.metadata;
    const key = keyOf(server.metadata);
    const git = spec.source?.git;
    if (git !== undefined) return this.#sources.open({ namespace, name }, { spec, git }, secrets);
    this.#sources.close(key);
    const directionOf = pathPolicy(spec);
    const holds = (path: string): boolean => {
      const policy = directionOf(path);
      return policy.kind === "Managed" && policy.direction === "FromAsterisk";
    };
    const memory: ImportMemory = {
      recall: (secret) => {
        const index = this.#imports.get(key);
        return secrets.isCurrent(namespace, secret, index?.version) ? index : undefined;
      },
      remember: (index) => this.#imports.set(key, index),
    };
    return new ImportSecret(secrets, namespace, name, holds, this.#importPartBytes, memory);
  }

  /** A reload that hung is not asked for again until something else is to be done, or a person asks for anything. */
  async #stillHanging(key: string, pass: Pass, asked: AskedRequests): Promise<AppliedAll | undefined> {
    const hanging = this.#hanging.get(key);
    if (hanging === undefined || hanging.plan instanceof Error || !asked.isEmpty) return undefined;
    const plan = await planOrWhyNot(pass);
    const isSame = !(plan instanceof Error) && plan.hash === hanging.plan.hash;
    return isSame ? { ...hanging, result: undefined, wrote: false } : undefined;
  }

  async #takeOf(
    pass: Pass,
    asked: AskedRequests,
    annotations: Readonly<Record<string, string>> | undefined,
  ): Promise<Take | undefined> {
    if (asked.has("upload")) return { side: "source", scope: "all", matches: () => true };
    if (asked.has("download")) return { side: "server", scope: "all", matches: () => true };
    const choice = takeOf(annotations);
    if (choice === undefined) return undefined;
    const plan = await planOrWhyNot(pass);
    return !(plan instanceof Error) && plan.hash.startsWith(choice.planHash)
      ? { side: choice.side, scope: "conflicts", matches: () => true }
      : undefined;
  }

  /** What a person asked for once. That it failed is told in an event, and is not tried again. */
  async #act({ verb, requestedAt }: AnnotationRequest, pass: Pass, report: ServerReport): Promise<void> {
    const { session } = pass;
    try {
      if (verb === "test") {
        const { testConnection } = await import("../engine/connection-test.ts");
        const test = await testConnection(session);
        report.event(
          "Normal",
          "Tested",
          `Asterisk ${test.asteriskVersion} answers over SSH in ${test.host.roundTripMs} ms and over AMI in ${test.ami.pingMs} ms`,
        );
      } else if (verb === "reload") {
        const { outcome } = await reload(session, undefined, { deadlineMs: 30_000 });
        report.event(
          outcome === "Reloaded" ? "Normal" : "Warning",
          "Reloaded",
          `reload of all modules: ${outcome}`,
        );
      } else if (verb === "restart") {
        const result = await restart({ session: session.ami, host: session.host }, whenOf(requestedAt), {
          deadlineMs: 300_000,
        });
        report.event("Normal", "Restarted", `Asterisk is up again after ${result.tookMs} ms`);
      }
    } catch (thrown) {
      const { message } = asAsteriskIacError(thrown);
      report.event("Warning", "RequestFailed", `${verb}: ${message}`);
    }
  }
}

/** Of a server that is reached by Secrets, which values of them: another value needs another login. */
async function stampOf(
  { server, secrets }: ServerResources,
  { ssh, ami, calls }: AsteriskServerSpec,
): Promise<unknown> {
  const names = [
    ssh?.credentialsSecretRef?.name,
    ami.credentialsSecretRef.name,
    ami.tls?.caSecretRef?.name,
    calls?.credentialsSecretRef.name,
  ];
  const all = await Promise.all(
    names.map((name) => (name === undefined ? undefined : secrets.get(server.metadata.namespace, name))),
  );
  return all.map((secret) => secret?.metadata.resourceVersion);
}

/** What a person must mend in one resource keeps the plan from being made, but not the others from being applied. */
async function planOrWhyNot(pass: Pass): Promise<Plan | AsteriskIacError> {
  try {
    return await planServer(pass);
  } catch (thrown) {
    const error = asAsteriskIacError(thrown);
    if (error.next === "Stalled" && !isUnreachable(error)) return error;
    throw error;
  }
}

function isDrifted({ change, blocked }: PlannedChange): boolean {
  return blocked === undefined && change.kind !== "Left" && change.kind !== "Unmanaged";
}

function allowedBy(annotations: Readonly<Record<string, string>> | undefined): ReadonlySet<Allowance> {
  const words = (annotations?.["asterisk-iac.dev/allow"] ?? "").split(",").map((word) => word.trim());
  return new Set(allowances.filter((allowance) => words.includes(allowance)));
}
