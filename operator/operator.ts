import { isDeepStrictEqual } from "node:util";
import type { AsteriskIacError } from "../core/errors.ts";
import { isUnreachable } from "../core/errors.ts";
import { milliseconds } from "../core/resource/duration.ts";
import { accountOwner, confFileOwner } from "../engine/desired.ts";
import type { ToldLine } from "../engine/calls/lines.ts";
import type { GitSources } from "../engine/git-source.ts";
import type { openSession } from "../engine/session.ts";
import type { Cluster } from "./cluster.ts";
import { secretsAPI } from "./cluster.ts";
import type { ServerResources } from "./declared.ts";
import type { AccountObject, FileObject, ServerObject } from "./objects.ts";
import { isHeld, isSuspended, partReconciler, releasable, release, serverKeyOf } from "./parts-controller.ts";
import { passSecrets } from "./pass-secrets.ts";
import { References, mentionedIn } from "./references.ts";
import { Consulted, Remembered } from "./remembered.ts";
import type { ClaimedRequests } from "./requests.ts";
import type {
  ConfigMap,
  EventRecorder,
  Informer,
  KubernetesObject,
  LeaderElection,
  Metrics,
  ObjectKey,
  Outcome,
  ReconcileResult,
  Secret,
} from "./runtime/index.ts";
import { Controller, WorkQueue, keyOf, newRequests, parseKey, withHandled } from "./runtime/index.ts";
import { managedBy } from "./secrets.ts";
import { ServerReconciler } from "./server-reconcile.ts";
import { ServerCalls } from "./server-calls.ts";
import { ServerSessions } from "./server-sessions.ts";
import { ServerSources } from "./server-sources.ts";
import { storeStatus, versionOf } from "./store-status.ts";
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
  readonly #secrets: Remembered<Secret>;
  readonly #configMaps: Remembered<ConfigMap>;
  /** By Secret or ConfigMap, the servers that it may be used for; by server, its resources. */
  readonly #usedBy = new References();
  readonly #parts = new References();
  /**
   * Servers that were there at the start and were not reached since. One that was told to be the same machine as another
   * waits for them, or a new start would swap the two.
   */
  readonly #toReach = new Set<string>();
  #isOver = false;

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
      (key, names) => this.#usedBy.set(`source ${key}`, names, key),
    );
    this.#calls = new ServerCalls({
      tell: (key, line) => this.#called(key, line),
      onError: (key, error) => options.onError("calls", parseKey(key), error),
    });
    this.#reconciler = new ServerReconciler(
      this.#sessions,
      this.#sources,
      this.#calls,
      options.importPartBytes,
    );
    this.#secrets = new Remembered(cluster.secrets, cluster.caches.secrets);
    this.#configMaps = new Remembered(cluster.configMaps, cluster.caches.configMaps);
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
    this.#sources.closeAll();
    await Promise.all([this.#sessions.closeAll(), this.#calls.closeAll()]);
  }

  /** A line of a server's calls: counted, and handed on. */
  #called(key: string, line: ToldLine): void {
    const { namespace, name } = parseKey(key);
    const { metrics, onCallsLine } = this.#options;
    const server = { namespace, server: name };
    if (line.kind === "Call") metrics.called(server, line);
    if (line.kind === "Gap")
      metrics.unwatched(server, (Date.parse(line.to.utc) - Date.parse(line.from.utc)) / 1000);
    onCallsLine?.(line);
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
    const follow = <T extends KubernetesObject>(
      cache: Informer<T>,
      take: (object: T) => void,
      gone: (object: T) => void,
    ): void =>
      cache.on({
        added: (object) => this.#isOver || take(object),
        changed: (object, previous) => this.#isOver || isSame(object, previous) || take(object),
        deleted: (object) => this.#isOver || gone(object),
      });
    const look = ({ metadata }: ServerObject): void => {
      this.#serverQueue.add(keyOf(metadata));
      for (const part of this.#partsOf(keyOf(metadata))) this.#enqueuePart(part);
    };
    follow(
      servers,
      (server) => {
        this.#usedBy.set(nameOf(server), mentionedIn(server), keyOf(server.metadata));
        look(server);
      },
      (server) => {
        this.#usedBy.delete(nameOf(server));
        this.#usedBy.delete(`source ${keyOf(server.metadata)}`);
        look(server);
      },
    );
    for (const cache of [accounts, files] as Informer<AccountObject | FileObject>[])
      follow(
        cache,
        (part) => {
          this.#usedBy.set(nameOf(part), mentionedIn(part), serverKeyOf(part));
          this.#parts.set(nameOf(part), new Set([serverKeyOf(part)]), nameOf(part));
          this.#enqueuePart(part);
        },
        (part) => {
          this.#usedBy.delete(nameOf(part));
          this.#parts.delete(nameOf(part));
          this.#enqueuePart(part);
        },
      );
    const refer = (object: KubernetesObject): void => this.#referred(object);
    for (const [cache, remembered] of [
      [secrets, this.#secrets],
      [configMaps, this.#configMaps],
    ] as const)
      cache.on({
        added: refer,
        deleted: (object) => {
          remembered.forget(keyOf(object.metadata));
          refer(object);
        },
        changed: (object, previous) =>
          object.metadata.resourceVersion === previous.metadata.resourceVersion || refer(object),
      });
  }

  #enqueuePart(part: AccountObject | FileObject): void {
    (part.kind === "AMIAccount" ? this.#accountQueue : this.#fileQueue).add(keyOf(part.metadata));
  }

  #partsOf(serverKey: string): (AccountObject | FileObject)[] {
    const { accounts, files } = this.#options.cluster.caches;
    return [...this.#parts.to(serverKey)].flatMap((name): (AccountObject | FileObject)[] => {
      const [kind, key = ""] = name.split(" ");
      const part = kind === "AMIAccount" ? accounts.get(key) : files.get(key);
      return part === undefined ? [] : [part];
    });
  }

  /** A Secret or ConfigMap changed: the servers that it may be used for are looked at. */
  #referred({ metadata }: KubernetesObject): void {
    const { name, labels } = metadata;
    // Our own imports are written by reconciles and read by nothing else.
    if (
      this.#isOver ||
      (labels?.["app.kubernetes.io/managed-by"] === managedBy["app.kubernetes.io/managed-by"] &&
        /-import(-[ab]\d+)?$/.test(name))
    )
      return;
    for (const server of this.#usedBy.to(keyOf(metadata))) this.#serverQueue.add(server);
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
    const secrets = new Consulted(this.#secrets);
    const configMaps = new Consulted(this.#configMaps);
    const resources: ServerResources = {
      server,
      accounts: standing.filter((part): part is AccountObject => part.kind === "AMIAccount"),
      files: standing.filter((part): part is FileObject => part.kind === "ConfFile"),
      secrets: passSecrets(secretsAPI(cluster.secrets), secrets),
      configMap: async (configMap) => (await configMaps.get(namespace, configMap))?.data,
    };
    const outcome = await this.#reconciler.reconcile(resources, {
      claimRequests: () => this.#claimRequests(server),
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
      caches.servers.wrote(await servers.patchStatus(namespace, name, status, versionOf(now)));
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

/** An object of ours among those of other kinds. */
function nameOf({ kind = "", metadata }: KubernetesObject): string {
  return `${kind} ${keyOf(metadata)}`;
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
