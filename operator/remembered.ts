import type { KubernetesObject } from "./runtime/objects.ts";
import { isOlder, keyOf } from "./runtime/objects.ts";

/** Larger objects are read each time: what a server is reached with is small. Characters of all values together. */
const largest = 16 * 1024;

/** A Secret or a ConfigMap. */
type Holder = KubernetesObject & { readonly data?: Readonly<Record<string, string>> };

/** Reads objects of one kind past every cache. */
interface Reader<T> {
  get(namespace: string, name: string): Promise<T | undefined>;
}

/** Which version of an object a cache of metadata has. */
interface Versions {
  resourceVersionOf(key: string): string | undefined;
}

/**
 * Secrets or ConfigMaps that were read before, for as long as our cache of their metadata has no newer version: a pass
 * over a server that did not change asks the API server for nothing.
 */
export class Remembered<T extends Holder> {
  readonly #reader: Reader<T>;
  readonly #versions: Versions;
  readonly #kept = new Map<string, T>();

  constructor(reader: Reader<T>, versions: Versions) {
    this.#reader = reader;
    this.#versions = versions;
  }

  /** Whether nothing newer than this version is known of. */
  isCurrent(key: string, version: string | undefined): boolean {
    const known = this.#versions.resourceVersionOf(key);
    if (version === undefined || known === undefined) return false;
    return known === version || isOlder(known, version);
  }

  async get(namespace: string, name: string): Promise<T | undefined> {
    const kept = this.#kept.get(keyOf({ namespace, name }));
    if (kept !== undefined && this.isCurrent(keyOf({ namespace, name }), kept.metadata.resourceVersion))
      return kept;
    return this.read(namespace, name);
  }

  /** Asks the API server itself. */
  async read(namespace: string, name: string): Promise<T | undefined> {
    const object = await this.#reader.get(namespace, name);
    if (object === undefined) this.forget(keyOf({ namespace, name }));
    else this.wrote(object);
    return object;
  }

  /** Takes what was just read or written. */
  wrote(object: T): void {
    const key = keyOf(object.metadata);
    const kept = { ...object, metadata: { ...object.metadata, managedFields: undefined } };
    const size = Object.values(object.data ?? {}).reduce((sum, value) => sum + value.length, 0);
    if (size > largest) this.#kept.delete(key);
    else this.#kept.set(key, kept);
  }

  forget(key: string): void {
    this.#kept.delete(key);
  }
}

/** Of one kind, what one pass was made from, and in which version. */
export class Consulted<T extends Holder> {
  readonly #remembered: Remembered<T>;
  readonly #versions = new Map<
    string,
    { readonly namespace: string; readonly name: string; version?: string }
  >();

  constructor(remembered: Remembered<T>) {
    this.#remembered = remembered;
  }

  async get(namespace: string, name: string): Promise<T | undefined> {
    const object = await this.#remembered.get(namespace, name);
    this.#note(namespace, name, object?.metadata.resourceVersion);
    return object;
  }

  /** Whether nothing newer is known than what somebody else remembers of an object; then the pass is made from that. */
  isCurrent(namespace: string, name: string, version: string | undefined): boolean {
    const isCurrent = this.#remembered.isCurrent(keyOf({ namespace, name }), version);
    if (isCurrent) this.#note(namespace, name, version);
    return isCurrent;
  }

  /** Takes what the pass itself wrote. */
  wrote(object: T): T {
    const { namespace = "", name, resourceVersion } = object.metadata;
    this.#remembered.wrote(object);
    this.#note(namespace, name, resourceVersion);
    return object;
  }

  /** Asks the API server whether all of it is still as the pass has it. */
  async isUnchanged(): Promise<boolean> {
    const all = [...this.#versions.values()].map(async ({ namespace, name, version }) => {
      const now = await this.#remembered.read(namespace, name);
      return now?.metadata.resourceVersion === version;
    });
    return (await Promise.all(all)).every(Boolean);
  }

  #note(namespace: string, name: string, version: string | undefined): void {
    const key = keyOf({ namespace, name });
    this.#versions.set(key, { namespace, name, ...(version === undefined ? {} : { version }) });
  }
}
