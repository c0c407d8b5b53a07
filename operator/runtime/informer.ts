import type { AsteriskIacError } from "../../core/errors.ts";
import { AsteriskIacError as Failure, asAsteriskIacError } from "../../core/errors.ts";
import { noAnswer } from "./api.ts";
import type { BackoffOptions } from "./backoff.ts";
import { backoffMs } from "./backoff.ts";
import type { Clock } from "./clock.ts";
import { sleep, systemClock } from "./clock.ts";
import type { KubernetesObject } from "./objects.ts";
import { isOlder, keyOf } from "./objects.ts";
import type { ResourceClient, Selection, WatchEvent } from "./resources.ts";
import { hasCode } from "./resources.ts";

/** What is called as the cache changes, after it changed. An error of one is reported and ends nothing. */
export interface InformerHandlers<T> {
  readonly added?: (current: T) => void;
  readonly changed?: (current: T, previous: T) => void;
  /** With the object as it was last seen. */
  readonly deleted?: (previous: T) => void;
}

export interface InformerOptions<T extends KubernetesObject> extends Omit<Selection, "signal"> {
  readonly client: ResourceClient<T>;
  /** A watch without traffic for so long is taken for dead; default 30 s. */
  readonly idleMs?: number;
  /** The waits after errors; default 200 ms to 30 s. */
  readonly backoff?: BackoffOptions;
  readonly clock?: Clock;
  /** Told of every error; the informer goes on. */
  readonly onError?: (error: AsteriskIacError) => void;
}

/**
 * A cache of one kind of objects that follows the API server: a list, then a watch from where the list was made. An
 * end of the watch is resumed where it was; a 410 means that events were missed, so everything is listed again and
 * what is no longer there is deleted here too. It stops for nothing but `stop`.
 */
export class Informer<T extends KubernetesObject> {
  readonly #options: InformerOptions<T>;
  readonly #clock: Clock;
  readonly #backoff: BackoffOptions;
  readonly #objects = new Map<string, T>();
  readonly #handlers: InformerHandlers<T>[] = [];
  readonly #stopping = new AbortController();
  readonly #firstList = Promise.withResolvers<undefined>();
  /** Where to watch from; undefined: list first. */
  #resourceVersion: string | undefined;
  #hasSynced = false;
  #running: Promise<void> | undefined;
  #failures = 0;

  constructor(options: InformerOptions<T>) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#backoff = options.backoff ?? { firstMs: 200, mostMs: 30_000 };
  }

  /** Whether everything was listed once. */
  get hasSynced(): boolean {
    return this.#hasSynced;
  }

  /** Resolves once everything was listed; rejects if it is stopped before. */
  synced(): Promise<void> {
    return this.#firstList.promise;
  }

  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  list(): T[] {
    return [...this.#objects.values()];
  }

  resourceVersionOf(key: string): string | undefined {
    return this.#objects.get(key)?.metadata.resourceVersion;
  }

  /** Calls the handlers from now on; `added` first for what is there already. */
  on(handlers: InformerHandlers<T>): void {
    this.#handlers.push(handlers);
    for (const object of this.#objects.values()) this.#call(() => handlers.added?.(object));
  }

  /**
   * Takes the answer to a write of ours into the cache before the watch tells of it, so that nobody acts on what we
   * just changed as it was before. Only what is there and older is replaced, so nothing deleted comes back.
   */
  wrote(object: T): void {
    const cached = this.#objects.get(keyOf(object.metadata));
    if (cached !== undefined && cached.metadata.uid === object.metadata.uid) this.#store(object);
  }

  start(): void {
    // Nobody has to wait for the first list.
    this.#firstList.promise.catch(() => undefined);
    this.#running ??= this.#run();
  }

  /** Ends the watch; resolves when nothing of it is left. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
    this.#firstList.reject(new Failure("KubernetesUnavailable", "the informer was stopped before its list"));
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        if (this.#resourceVersion === undefined) await this.#relist(signal);
        await this.#follow(this.#resourceVersion ?? "", signal);
      } catch (thrown) {
        if (signal.aborted) return;
        if (hasCode(thrown, "KubernetesExpired")) this.#resourceVersion = undefined;
        const error = asAsteriskIacError(thrown, "KubernetesUnavailable");
        this.#options.onError?.(error);
        await sleep(this.#clock, error.retryAfterMs ?? backoffMs(this.#backoff, this.#failures++), signal);
      }
    }
  }

  /** Lists everything, from the API server's store and not from its cache, which may be behind what we have. */
  async #relist(signal: AbortSignal): Promise<void> {
    const { items, resourceVersion } = await this.#options.client.list({ ...this.#selection(), signal });
    const found = new Set(items.map(({ metadata }) => keyOf(metadata)));
    for (const [key, object] of this.#objects) if (!found.has(key)) this.#remove(object);
    for (const object of items) this.#store(object);
    this.#resourceVersion = resourceVersion;
    this.#hasSynced = true;
    this.#firstList.resolve(undefined);
  }

  /** Follows one watch to its end. One that ends before anything came counts as a failure, for it may go on so. */
  async #follow(resourceVersion: string, stopping: AbortSignal): Promise<void> {
    const idle = new AbortController();
    const { idleMs = 30_000, client } = this.#options;
    const giveUp = (): void => idle.abort(noAnswer());
    let cancel = this.#clock.timer(idleMs, giveUp);
    const signal = AbortSignal.any([stopping, idle.signal]);
    let events = 0;
    try {
      for await (const event of client.watch({ ...this.#selection(), resourceVersion, signal })) {
        cancel();
        cancel = this.#clock.timer(idleMs, giveUp);
        this.#take(event);
        events++;
        this.#failures = 0;
      }
    } finally {
      cancel();
    }
    if (events === 0 && !signal.aborted) {
      throw new Failure("KubernetesUnavailable", `the watch of ${client.kind.plural} ended at once`, {
        next: "Retry",
      });
    }
  }

  #take(event: WatchEvent<T>): void {
    if (event.type === "ERROR") {
      const { code, message = "no reason given" } = event.object;
      throw new Failure(
        code === 410 ? "KubernetesExpired" : "KubernetesUnavailable",
        `the watch of ${this.#options.client.kind.plural} failed: ${message}`,
        { next: "Retry" },
      );
    }
    if (event.type === "DELETED") this.#remove(event.object);
    else if (event.type !== "BOOKMARK") this.#store(event.object);
    this.#resourceVersion = event.object.metadata.resourceVersion ?? this.#resourceVersion;
  }

  #store(object: T): void {
    const key = keyOf(object.metadata);
    const previous = this.#objects.get(key);
    const { resourceVersion, uid } = object.metadata;
    if (previous === undefined) {
      this.#objects.set(key, object);
      this.#tell((handlers) => handlers.added?.(object));
      return;
    }
    if (previous.metadata.uid !== uid) {
      this.#remove(previous);
      this.#store(object);
      return;
    }
    if (previous.metadata.resourceVersion === resourceVersion) return;
    if (isOlder(resourceVersion, previous.metadata.resourceVersion)) return;
    this.#objects.set(key, object);
    this.#tell((handlers) => handlers.changed?.(object, previous));
  }

  #remove(object: T): void {
    const key = keyOf(object.metadata);
    const previous = this.#objects.get(key);
    // A deletion of an earlier object of this name is told late.
    if (previous === undefined || previous.metadata.uid !== object.metadata.uid) return;
    this.#objects.delete(key);
    this.#tell((handlers) => handlers.deleted?.(object));
  }

  #tell(call: (handlers: InformerHandlers<T>) => void): void {
    for (const handlers of this.#handlers) this.#call(() => call(handlers));
  }

  #call(handler: () => void): void {
    try {
      handler();
    } catch (thrown) {
      this.#options.onError?.(asAsteriskIacError(thrown));
    }
  }

  #selection(): Selection {
    const { namespace, labelSelector, fieldSelector, metadataOnly } = this.#options;
    return {
      ...(namespace === undefined ? {} : { namespace }),
      ...(labelSelector === undefined ? {} : { labelSelector }),
      ...(fieldSelector === undefined ? {} : { fieldSelector }),
      ...(metadataOnly === undefined ? {} : { metadataOnly }),
    };
  }
}
