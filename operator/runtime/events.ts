import { createHash } from "node:crypto";
import type { AsteriskIacError } from "../../core/errors.ts";
import { asAsteriskIacError } from "../../core/errors.ts";
import type { KubernetesAPI } from "./api.ts";
import type { Clock } from "./clock.ts";
import { systemClock } from "./clock.ts";
import type { KubernetesObject } from "./objects.ts";
import { kinds } from "./objects.ts";
import { ResourceClient, hasCode } from "./resources.ts";
import type { RateLimit } from "./token-bucket.ts";
import { TokenBucket } from "./token-bucket.ts";

export type EventType = "Normal" | "Warning";

export interface EventRecorderOptions {
  readonly api: KubernetesAPI;
  /** Who says it; default `asterisk-iac-operator`. */
  readonly component?: string;
  /** Of all events about one object; default 25 at once, then one in five minutes, as client-go has it. */
  readonly rateLimit?: RateLimit;
  readonly clock?: Clock;
  /** Told of every event that could not be stored. */
  readonly onError?: (error: AsteriskIacError) => void;
}

/** What we read and write of a core/v1 Event. */
interface Event extends KubernetesObject {
  readonly involvedObject: Readonly<Record<string, string | undefined>>;
  readonly type: EventType;
  readonly reason: string;
  readonly message: string;
  readonly count: number;
  readonly firstTimestamp: string;
  readonly lastTimestamp: string;
  readonly source: { readonly component: string };
  readonly reportingComponent: string;
  readonly reportingInstance: string;
}

const mostMessageBytes = 1_024;
const mostWaiting = 1_000;
const mostObjects = 4_096;

/**
 * Tells of objects by events, as `kubectl describe` shows them. What was said before is counted, across restarts too:
 * an event's name follows from what it says. Nobody waits for an event or fails for one.
 */
export class EventRecorder {
  readonly #events: ResourceClient<Event>;
  readonly #options: EventRecorderOptions;
  readonly #component: string;
  readonly #clock: Clock;
  /** By uid of the object, the one used longest ago first. */
  readonly #buckets = new Map<string, TokenBucket>();
  #waiting = 0;
  #sent: Promise<void> = Promise.resolve();

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#component = options.component ?? "asterisk-iac-operator";
    this.#clock = options.clock ?? systemClock;
    this.#events = new ResourceClient<Event>(options.api, kinds.event);
  }

  /**
   * Says something about an object. `reason` is one word in CamelCase; the message is cut to 1 KiB and must hold no
   * secret. Dropped when there are too many.
   */
  event(object: KubernetesObject, type: EventType, reason: string, message: string): void {
    if (this.#waiting >= mostWaiting || this.#bucketOf(object).take() > 0) return;
    const event = this.#eventOf(object, type, reason, cut(message));
    this.#waiting++;
    this.#sent = this.#sent
      .then(() => this.#store(event))
      .catch((thrown: unknown) => this.#options.onError?.(asAsteriskIacError(thrown)))
      .finally(() => this.#waiting--);
  }

  /** Resolves when everything that was said is stored or dropped. */
  flush(): Promise<void> {
    return this.#sent;
  }

  async #store(event: Event): Promise<void> {
    try {
      await this.#events.create(event);
    } catch (thrown) {
      if (!hasCode(thrown, "KubernetesConflict")) throw thrown;
      const { namespace = "", name } = event.metadata;
      const said = await this.#events.get(namespace, name);
      const { lastTimestamp } = event;
      await this.#events.merge({ namespace, name }, { count: (said?.count ?? 0) + 1, lastTimestamp });
    }
  }

  #eventOf(object: KubernetesObject, type: EventType, reason: string, message: string): Event {
    const { apiVersion, kind, metadata } = object;
    const { name, namespace = "default", uid, resourceVersion } = metadata;
    const now = new Date().toISOString();
    // Each part of a name between two dots ends in a letter or digit.
    const begin = name.slice(0, 230).replace(/[-.]+$/, "");
    const what = createHash("sha256")
      .update(JSON.stringify([this.#component, apiVersion, kind, uid, type, reason, message]))
      .digest("hex");
    return {
      metadata: { namespace, name: `${begin}.${what.slice(0, 16)}` },
      involvedObject: { apiVersion, kind, namespace, name, uid, resourceVersion },
      type,
      reason,
      message,
      count: 1,
      firstTimestamp: now,
      lastTimestamp: now,
      source: { component: this.#component },
      reportingComponent: this.#component,
      reportingInstance: this.#component,
    };
  }

  #bucketOf({ metadata }: KubernetesObject): TokenBucket {
    const key = metadata.uid ?? `${metadata.namespace}/${metadata.name}`;
    const limit = this.#options.rateLimit ?? { perSecond: 1 / 300, burst: 25 };
    const bucket = this.#buckets.get(key) ?? new TokenBucket(limit, this.#clock);
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    const [oldest] = this.#buckets.keys();
    if (this.#buckets.size > mostObjects && oldest !== undefined) this.#buckets.delete(oldest);
    return bucket;
  }
}

/** At most 1 KiB of UTF-8, no character cut in two. */
function cut(message: string): string {
  const bytes = Buffer.from(message);
  if (bytes.length <= mostMessageBytes) return message;
  const mark = Buffer.byteLength("…");
  let end = mostMessageBytes - mark;
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return `${bytes.subarray(0, end).toString()}…`;
}
