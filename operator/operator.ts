import type { AsteriskIacError } from "../core/errors.ts";
import { isUnreachable } from "../core/errors.ts";
import { milliseconds } from "../core/resource/duration.ts";
import { accountOwner, confFileOwner } from "../engine/desired.ts";
import type { ToldLine } from "../engine/calls/lines.ts";
import type { GitSources } from "../engine/git-source.ts";
import type { openSession } from "../engine/session.ts";
import type { Cluster } from "./cluster.ts";
import { secretsAPI } from "./cluster.ts";
import { ClusterChanges, declaresTheSame } from "./cluster-changes.ts";
import type { ServerResources } from "./declared.ts";
import type { AccountObject, FileObject, ServerObject } from "./objects.ts";
import { isHeld, isSuspended, partReconciler, releasable, release } from "./parts-controller.ts";
import { passSecrets } from "./pass-secrets.ts";
import { Consulted } from "./remembered.ts";
import { claimRequests } from "./requests.ts";
import type {
  EventRecorder,
  KubernetesObject,
  LeaderElection,
  Metrics,
  ObjectKey,
  Outcome,
  ReconcileResult,
} from "./runtime/index.ts";
import { Controller, WorkQueue, keyOf, parseKey } from "./runtime/index.ts";
import { ServerReconciler } from "./server-reconcile.ts";
import { ServerCalls, counted } from "./server-calls.ts";
import { ServerSessions } from "./server-sessions.ts";
import { ServerSources } from "./server-sources.ts";
import { storeStatus } from "./store-status.ts";
import type { ServerOutcome } from "./status.ts";

export interface OperatorOptions {
  readonly cluster: Cluster;
  readonly events: EventRecorder;
  readonly metrics: Metrics;
  /** Asked before anything is written to a server. */
  readonly leader: Pick<LeaderElection, "isLeading">;
  /** Servers worked on at the same time; default 16. */
  readonly concurrency?: number;
  /** After so long a resource that can't be taken out of its server is let go of; default an hour. */
  readonly deletionTimeoutMs?: number;
  /** Bytes of an import, compressed, that one Secret holds; default 700 KiB. */
  readonly importPartBytes?: number;
  /** Of servers with source.git. */
  readonly repositories: Pick<GitSources, "open">;
  /** How a session is opened; default: as the engine does. */
  readonly openSession?: typeof openSession;
  readonly onError: (controller: string, key: ObjectKey, error: AsteriskIacError) => void;
  /** When a leader before us was there last, as far as is known: RFC 3339. From then on it is not known who told calls. */
  readonly predecessorSeen?: string | undefined;
  /** Takes what is told of calls, of servers that declare `calls`; `server` is NAMESPACE/NAME there. */
  readonly onCallsLine?: (line: ToldLine) => void;
}

const defaultInterval = "10m";
const reconnectWithinMs = 2_000;

/** What one term of leadership runs: three controllers, their queues, and one session a server. */
export class Operator {
  readonly #options: OperatorOptions;
  readonly #serverQueue = new WorkQueue();
  readonly #accountQueue = new WorkQueue();
  readonly #fileQueue = new WorkQueue();
  readonly #sessions: ServerSessions;
  readonly #sources: ServerSources;
  readonly #calls: ServerCalls;
  readonly #reconciler: ServerReconciler;
  readonly #controllers: Controller[];
  readonly #changes: ClusterChanges;
  /**
   * Servers that were there at the start and were not reached since. One that was told to be the same machine as another
   * waits for them, or a new start would swap the two.
   */
  readonly #toReach = new Set<string>();

  constructor(options: OperatorOptions) {
    this.#options = options;
    const { cluster, events, deletionTimeoutMs = 3_600_000 } = options;
    // A reload or a restart on the server is answered at once; what we caused ourselves is in step by then. Servers that
    // were lost all at once are not reached all at once.
    this.#sessions = new ServerSessions((key, why) => {
      if (why !== "Reload") this.#reconciler.mayHaveRestarted(key);
      if (why === "Lost") this.#serverQueue.addAfter(key, Math.random() * reconnectWithinMs);
      else this.#serverQueue.add(key);
    }, options.openSession);
    this.#sources = new ServerSources(
      options.repositories,
      (key) => this.#serverQueue.add(key),
      (key, names) => this.#changes.sourceMentions(key, names),
    );
    const tellCall = counted(options.metrics, options.onCallsLine);
    this.#calls = new ServerCalls({
      // What is told after our term, the next leader's watch may tell.
      tell: (key, line) => options.leader.isLeading && tellCall(key, line),
      onError: (key, error) => options.onError("calls", parseKey(key), error),
    });
    this.#reconciler = new ServerReconciler(
      this.#sessions,
      this.#sources,
      this.#calls,
      options.importPartBytes,
    );
    const parts = {
      ...{ events, deletionTimeoutMs, servers: cluster.caches.servers, isEnding: cluster.isEnding },
      enqueueServer: (key: string) => this.#serverQueue.add(key),
    };
    this.#controllers = [
      this.#controller(
        "AsteriskServer",
        this.#serverQueue,
        (key) => this.#reconcileServer(key),
        options.concurrency ?? 16,
      ),
      this.#controller(
        "AMIAccount",
        this.#accountQueue,
        partReconciler({ ...parts, client: cluster.accounts, cache: cluster.caches.accounts }),
      ),
      this.#controller(
        "ConfFile",
        this.#fileQueue,
        partReconciler({ ...parts, client: cluster.files, cache: cluster.caches.files }),
      ),
    ];
    this.#changes = new ClusterChanges(cluster, {
      server: (key) => this.#serverQueue.add(key),
      part: (part) => this.#enqueuePart(part),
    });
  }

  /** Begins with everything that is there. */
  start(): void {
    const { servers, accounts, files } = this.#options.cluster.caches;
    for (const server of servers.list())
      if (!isDuplicate(server) && !isSuspended(server)) this.#toReach.add(keyOf(server.metadata));
    const lastSeenMs = Date.parse(this.#options.predecessorSeen ?? "");
    for (const { metadata } of servers.list()) {
      if (!Number.isNaN(lastSeenMs)) this.#calls.takeOver(keyOf(metadata), lastSeenMs);
      this.#serverQueue.add(keyOf(metadata));
    }
    for (const { metadata } of accounts.list()) this.#accountQueue.add(keyOf(metadata));
    for (const { metadata } of files.list()) this.#fileQueue.add(keyOf(metadata));
    for (const controller of this.#controllers) controller.start();
  }

  /** Ends what is under way, within a bound, and closes every connection. */
  async stop(boundMs?: number): Promise<void> {
    this.#changes.stop();
    await Promise.all(this.#controllers.map((controller) => controller.stop(boundMs)));
    this.#sources.closeAll();
    await Promise.all([this.#sessions.closeAll(), this.#calls.closeAll()]);
  }

  #controller(
    name: string,
    queue: WorkQueue,
    reconcile: (key: ObjectKey) => Promise<Outcome>,
    concurrency = 8,
  ): Controller {
    const { metrics, onError } = this.#options;
    metrics.watchQueue(name, queue);
    return new Controller({
      ...{ name, queue, reconcile, concurrency },
      stalledAfterMs: (key) => intervalOf(this.#options.cluster.caches.servers.get(keyOf(key))),
      onError: (key, error) => onError(name, key, error),
      onReconciled: (controller: string, result: ReconcileResult, seconds: number) =>
        metrics.reconciled(controller, result, seconds),
    });
  }

  #enqueuePart(part: AccountObject | FileObject): void {
    (part.kind === "AMIAccount" ? this.#accountQueue : this.#fileQueue).add(keyOf(part.metadata));
  }

  async #reconcileServer({ namespace, name }: ObjectKey): Promise<Outcome> {
    const { cluster, events, metrics } = this.#options;
    const key = keyOf({ namespace, name });
    const server = cluster.caches.servers.get(key);
    if (server === undefined || server.metadata.deletionTimestamp !== undefined) {
      this.#toReach.delete(key);
      await this.#reconciler.forget(key);
      metrics.forget({ namespace, server: name });
      for (const part of this.#changes.partsOf(key)) this.#enqueuePart(part);
      return undefined;
    }
    if (isDuplicate(server) && this.#toReach.size > 0) return { requeueAfterMs: 1_000 };
    const parts = this.#changes.partsOf(key).filter(isHeld);
    const isEnding =
      parts.some(({ metadata }) => metadata.deletionTimestamp !== undefined) &&
      (await cluster.isEnding(namespace));
    const standing = isEnding
      ? parts.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
      : parts;
    const secrets = new Consulted(this.#changes.secrets);
    const configMaps = new Consulted(this.#changes.configMaps);
    const resources: ServerResources = {
      server,
      accounts: standing.filter((part): part is AccountObject => part.kind === "AMIAccount"),
      files: standing.filter((part): part is FileObject => part.kind === "ConfFile"),
      secrets: passSecrets(secretsAPI(cluster.secrets), secrets),
      configMap: async (configMap) => (await configMaps.get(namespace, configMap))?.data,
    };
    const outcome = await this.#reconciler.reconcile(resources, {
      claimRequests: () => claimRequests(cluster, server),
      event: (type, reason, message) => events.event(server, type, reason, message),
      stillDeclared: async () =>
        (await this.#isStillDeclared(resources)) &&
        (await secrets.isUnchanged()) &&
        (await configMaps.isUnchanged()),
    });
    if (outcome.error === undefined || !isUnreachable(outcome.error)) this.#toReach.delete(key);
    this.#tellMetrics({ namespace, server: name }, outcome);
    await this.#store(resources, outcome);
    if (outcome.error !== undefined && outcome.error.next !== "Stalled") throw outcome.error;
    const interval = intervalOf(server);
    // Not all at once, however many were declared together.
    return { requeueAfterMs: Math.round(interval * (0.9 + Math.random() / 5)) };
  }

  /** Whether we lead, and the API server, not only our cache, still has what a plan was made from. */
  async #isStillDeclared({ server, accounts, files }: ServerResources): Promise<boolean> {
    const { leader, cluster } = this.#options;
    const isThere = async <T extends KubernetesObject>(
      client: { get(namespace: string, name: string): Promise<T | undefined> },
      object: T & { readonly metadata: { readonly namespace: string } },
    ): Promise<boolean> =>
      declaresTheSame(await client.get(object.metadata.namespace, object.metadata.name), object);
    const all = await Promise.all([
      isThere(cluster.servers, server),
      ...accounts.map((account) => isThere(cluster.accounts, account)),
      ...files.map((file) => isThere(cluster.files, file)),
    ]);
    return leader.isLeading && all.every(Boolean);
  }

  /** Writes what changed of each status, and lets go of what was taken out of the server. */
  async #store({ server, accounts, files }: ServerResources, outcome: ServerOutcome): Promise<void> {
    const { cluster } = this.#options;
    await storeStatus(cluster.servers, cluster.caches.servers, server, outcome.server);
    for (const account of accounts)
      await storeStatus(
        cluster.accounts,
        cluster.caches.accounts,
        account,
        outcome.accounts.get(account.metadata.name),
      );
    for (const file of files)
      await storeStatus(cluster.files, cluster.caches.files, file, outcome.files.get(file.metadata.name));
    for (const account of releasable(accounts, accountOwner, outcome.released))
      await release(cluster.accounts, cluster.caches.accounts, account);
    for (const file of releasable(files, confFileOwner, outcome.released))
      await release(cluster.files, cluster.caches.files, file);
  }

  #tellMetrics(labels: { namespace: string; server: string }, { server, error, drift }: ServerOutcome): void {
    const { metrics } = this.#options;
    const isUp =
      server.conditions?.find(({ type }) => type === "Reachable")?.status !== "False" && error === undefined;
    metrics.setImported(labels, server.initialImport?.done === true);
    metrics.setConnected(labels, "ssh", isUp);
    metrics.setConnected(labels, "ami", isUp);
    metrics.setDrift(labels, drift);
  }
}

/** Whether a server, as it is declared now, was found to be the machine of another. */
function isDuplicate({ metadata, status }: ServerObject): boolean {
  const stalled = status?.conditions?.find(({ type }) => type === "Stalled");
  return (
    stalled?.status === "True" &&
    stalled.reason === "DuplicateServer" &&
    stalled.observedGeneration === metadata.generation
  );
}

function intervalOf(server: ServerObject | undefined): number {
  const text = (server?.spec as { interval?: unknown } | undefined)?.interval;
  return milliseconds(typeof text === "string" ? text : defaultInterval) || milliseconds(defaultInterval);
}
