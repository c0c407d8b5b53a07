import { isDeepStrictEqual } from "node:util";
import type { AsteriskIacError } from "../core/errors.ts";
import { isUnreachable } from "../core/errors.ts";
import { milliseconds } from "../core/resource/duration.ts";
import { accountOwner, confFileOwner } from "../engine/desired.ts";
import type { openSession } from "../engine/session.ts";
import type { Cluster } from "./cluster.ts";
import { secretsAPI } from "./cluster.ts";
import type { ServerResources } from "./declared.ts";
import type { AccountObject, FileObject, ServerObject } from "./objects.ts";
import { isHeld, isSuspended, partReconciler, releasable, release, serverKeyOf } from "./parts-controller.ts";
import type { ClaimedRequests } from "./requests.ts";
import type {
  EventRecorder,
  Informer,
  KubernetesObject,
  LeaderElection,
  Metrics,
  ObjectKey,
  Outcome,
  ReconcileResult,
} from "./runtime/index.ts";
import { Controller, WorkQueue, keyOf, newRequests, withHandled } from "./runtime/index.ts";
import { managedBy } from "./secrets.ts";
import { ServerReconciler } from "./server-reconcile.ts";
import { ServerSessions } from "./server-sessions.ts";
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
  /** How a session is opened; default: as the engine does. */
  readonly openSession?: typeof openSession;
  readonly onError: (controller: string, key: ObjectKey, error: AsteriskIacError) => void;
}

const defaultInterval = "10m";

/** What one term of leadership runs: three controllers, their queues, and one session a server. */
export class Operator {
  readonly #options: OperatorOptions;
  readonly #serverQueue = new WorkQueue();
  readonly #accountQueue = new WorkQueue();
  readonly #fileQueue = new WorkQueue();
  readonly #sessions: ServerSessions;
  readonly #reconciler: ServerReconciler;
  readonly #controllers: Controller[];
  /**
   * Servers that were there at the start and were not reached since. One that was told to be the same machine as another
   * waits for them, or a new start would swap the two.
   */
  readonly #toReach = new Set<string>();
  #isOver = false;

  constructor(options: OperatorOptions) {
    this.#options = options;
    const { cluster, events, deletionTimeoutMs = 3_600_000 } = options;
    // A reload or a restart on the server is answered at once; what we caused ourselves is in step by then.
    this.#sessions = new ServerSessions((key) => this.#serverQueue.add(key), options.openSession);
    this.#reconciler = new ServerReconciler(
      secretsAPI(cluster.secrets),
      this.#sessions,
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
    this.#follow();
  }

  /** Begins with everything that is there. */
  start(): void {
    const { servers, accounts, files } = this.#options.cluster.caches;
    for (const server of servers.list())
      if (!isDuplicate(server) && !isSuspended(server)) this.#toReach.add(keyOf(server.metadata));
    for (const { metadata } of servers.list()) this.#serverQueue.add(keyOf(metadata));
    for (const { metadata } of accounts.list()) this.#accountQueue.add(keyOf(metadata));
    for (const { metadata } of files.list()) this.#fileQueue.add(keyOf(metadata));
    for (const controller of this.#controllers) controller.start();
  }

  /** Ends what is under way, within a bound, and closes every connection. */
  async stop(boundMs?: number): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#controllers.map((controller) => controller.stop(boundMs)));
    await this.#sessions.closeAll();
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

  /** What changes in the cluster is looked at; what we write to a status is no change. */
  #follow(): void {
    const { servers, accounts, files, secrets, configMaps } = this.#options.cluster.caches;
    const enqueue = <T extends KubernetesObject>(cache: Informer<T>, add: (object: T) => void): void =>
      cache.on({
        added: (object) => this.#isOver || add(object),
        changed: (object, previous) => this.#isOver || isSame(object, previous) || add(object),
        deleted: (object) => this.#isOver || add(object),
      });
    enqueue(servers, ({ metadata }) => {
      this.#serverQueue.add(keyOf(metadata));
      for (const part of this.#partsOf(keyOf(metadata))) this.#enqueuePart(part);
    });
    enqueue(accounts, (account) => this.#accountQueue.add(keyOf(account.metadata)));
    enqueue(files, (file) => this.#fileQueue.add(keyOf(file.metadata)));
    const refer = (object: KubernetesObject): void => this.#referred(object);
    for (const cache of [secrets, configMaps])
      cache.on({
        added: refer,
        deleted: refer,
        changed: (object, previous) =>
          object.metadata.resourceVersion === previous.metadata.resourceVersion || refer(object),
      });
  }

  #enqueuePart(part: AccountObject | FileObject): void {
    (part.kind === "AMIAccount" ? this.#accountQueue : this.#fileQueue).add(keyOf(part.metadata));
  }

  #partsOf(serverKey: string): (AccountObject | FileObject)[] {
    const { accounts, files } = this.#options.cluster.caches;
    return [...accounts.list(), ...files.list()].filter((part) => serverKeyOf(part) === serverKey);
  }

  /** A Secret or ConfigMap changed: the servers that it may be used for are looked at. */
  #referred({ metadata: { namespace, name, labels } }: KubernetesObject): void {
    // Our own imports are written by reconciles and read by nothing else.
    if (
      this.#isOver ||
      (labels?.["app.kubernetes.io/managed-by"] === managedBy["app.kubernetes.io/managed-by"] &&
        /-import(-[ab]\d+)?$/.test(name))
    )
      return;
    const { servers, accounts, files } = this.#options.cluster.caches;
    const mentions = (spec: unknown): boolean => JSON.stringify(spec ?? {}).includes(name);
    for (const server of servers.list())
      if (server.metadata.namespace === namespace && mentions(server.spec))
        this.#serverQueue.add(keyOf(server.metadata));
    for (const part of [...accounts.list(), ...files.list()])
      if (part.metadata.namespace === namespace && (mentions(part.spec) || part.metadata.name === name))
        this.#serverQueue.add(serverKeyOf(part));
  }

  async #reconcileServer({ namespace, name }: ObjectKey): Promise<Outcome> {
    const { cluster, events, metrics } = this.#options;
    const key = keyOf({ namespace, name });
    const server = cluster.caches.servers.get(key);
    if (server === undefined || server.metadata.deletionTimestamp !== undefined) {
      this.#toReach.delete(key);
      await this.#reconciler.forget(key);
      metrics.forget({ namespace, server: name });
      for (const part of this.#partsOf(key)) this.#enqueuePart(part);
      return undefined;
    }
    if (isDuplicate(server) && this.#toReach.size > 0) return { requeueAfterMs: 1_000 };
    const parts = this.#partsOf(key).filter(isHeld);
    const isEnding =
      parts.some(({ metadata }) => metadata.deletionTimestamp !== undefined) &&
      (await cluster.isEnding(namespace));
    const standing = isEnding
      ? parts.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
      : parts;
    const resources: ServerResources = {
      server,
      accounts: standing.filter((part): part is AccountObject => part.kind === "AMIAccount"),
      files: standing.filter((part): part is FileObject => part.kind === "ConfFile"),
      configMap: async (configMap) => (await cluster.configMaps.get(namespace, configMap))?.data,
    };
    const outcome = await this.#reconciler.reconcile(resources, {
      claimRequests: () => this.#claimRequests(server),
      event: (type, reason, message) => events.event(server, type, reason, message),
      stillDeclared: () => this.#isStillDeclared(resources),
    });
    if (outcome.error === undefined || !isUnreachable(outcome.error)) this.#toReach.delete(key);
    this.#tellMetrics({ namespace, server: name }, outcome);
    await this.#store(resources, outcome);
    if (outcome.error !== undefined && outcome.error.next !== "Stalled") throw outcome.error;
    const interval = intervalOf(server);
    // Not all at once, however many were declared together.
    return { requeueAfterMs: Math.round(interval * (0.9 + Math.random() / 5)) };
  }

  /** Asks the API server itself: by our cache, what a leader before us has done already could still be open. */
  async #claimRequests({ metadata, status: cached }: ServerObject): Promise<ClaimedRequests> {
    const { namespace, name, uid, annotations } = metadata;
    const isAsked = newRequests(annotations, cached?.handledRequests).length > 0;
    if (!isAsked) return { requests: [], handled: cached?.handledRequests ?? {} };
    const { servers, caches } = this.#options.cluster;
    const now = await servers.get(namespace, name);
    if (now === undefined || now.metadata.uid !== uid) return { requests: [], handled: {} };
    const requests = newRequests(now.metadata.annotations, now.status?.handledRequests);
    const handled = requests.reduce(withHandled, now.status?.handledRequests ?? {});
    if (requests.length > 0) {
      const status = { ...now.status, handledRequests: handled };
      caches.servers.wrote(
        await servers.patchStatus(namespace, name, status, uid === undefined ? {} : { uid }),
      );
    }
    return { requests, handled };
  }

  /** Whether we lead, and the API server, not only our cache, still has what a plan was made from. */
  async #isStillDeclared({ server, accounts, files }: ServerResources): Promise<boolean> {
    const { leader, cluster } = this.#options;
    const isThere = async <T extends KubernetesObject>(
      client: { get(namespace: string, name: string): Promise<T | undefined> },
      object: T & { readonly metadata: { readonly namespace: string } },
    ): Promise<boolean> => isSame(await client.get(object.metadata.namespace, object.metadata.name), object);
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

/** Stores a status if it says something else than the one that is there. */
async function storeStatus<
  Status extends object,
  T extends KubernetesObject & {
    readonly status?: Status;
    readonly metadata: { readonly namespace: string };
  },
>(
  client: {
    patchStatus(namespace: string, name: string, status: object, precondition?: { uid?: string }): Promise<T>;
  },
  cache: Informer<T>,
  object: T,
  status: Status | undefined,
): Promise<void> {
  const { namespace, name, uid } = object.metadata;
  const now = cache.get(keyOf(object.metadata))?.status ?? object.status;
  if (status === undefined || isDeepStrictEqual(now, status)) return;
  cache.wrote(await client.patchStatus(namespace, name, status, uid === undefined ? {} : { uid }));
}

/** Whether two states of an object declare the same. */
function isSame(a: KubernetesObject | undefined, b: KubernetesObject): boolean {
  if (a === undefined) return false;
  const { uid, generation, annotations, deletionTimestamp } = a.metadata;
  const other = b.metadata;
  return (
    uid === other.uid &&
    generation === other.generation &&
    deletionTimestamp === other.deletionTimestamp &&
    isDeepStrictEqual(annotations, other.annotations)
  );
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
