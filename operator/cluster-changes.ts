import { isDeepStrictEqual } from "node:util";
import type { Cluster } from "./cluster.ts";
import type { AccountObject, FileObject, ServerObject } from "./objects.ts";
import { serverKeyOf } from "./parts-controller.ts";
import { References, mentionedIn } from "./references.ts";
import { Remembered } from "./remembered.ts";
import type { ConfigMap, Informer, KubernetesObject, Secret } from "./runtime/index.ts";
import { keyOf } from "./runtime/index.ts";
import { managedBy } from "./secrets.ts";

type Part = AccountObject | FileObject;

/** What is to be looked at: a server by its key, or one of its resources. */
export interface Looks {
  readonly server: (key: string) => void;
  readonly part: (part: Part) => void;
}

/** Follows the cluster for one term of leadership: what changes is looked at, and whatever may be made from it. */
export class ClusterChanges {
  /** What was read of Secrets and ConfigMaps, for as long as it is current. */
  readonly secrets: Remembered<Secret>;
  readonly configMaps: Remembered<ConfigMap>;
  readonly #caches: Cluster["caches"];
  readonly #look: Looks;
  /** By Secret or ConfigMap, the servers that it may be used for; by server, its resources. */
  readonly #usedBy = new References();
  readonly #parts = new References();
  #isOver = false;

  constructor({ caches, secrets, configMaps }: Cluster, look: Looks) {
    this.#caches = caches;
    this.#look = look;
    this.secrets = new Remembered(secrets, caches.secrets);
    this.configMaps = new Remembered(configMaps, caches.configMaps);
    this.#follow(
      caches.servers,
      (server) => {
        this.#usedBy.set(nameOf(server), mentionedIn(server), keyOf(server.metadata));
        this.#lookAt(server);
      },
      (server) => {
        this.#usedBy.delete(nameOf(server));
        this.#usedBy.delete(`source ${keyOf(server.metadata)}`);
        this.#lookAt(server);
      },
    );
    this.#followParts(caches.accounts);
    this.#followParts(caches.files);
    this.#followNamed(caches.secrets, this.secrets);
    this.#followNamed(caches.configMaps, this.configMaps);
  }

  /** Nothing is looked at any more. */
  stop(): void {
    this.#isOver = true;
  }

  /** A server's resources. */
  partsOf(serverKey: string): Part[] {
    return [...this.#parts.to(serverKey)].flatMap((name): Part[] => {
      const [kind, key = ""] = name.split(" ");
      const part = kind === "AMIAccount" ? this.#caches.accounts.get(key) : this.#caches.files.get(key);
      return part === undefined ? [] : [part];
    });
  }

  /** A server's source has the server made from these Secrets too, and from no others. */
  sourceMentions(serverKey: string, names: ReadonlySet<string>): void {
    this.#usedBy.set(`source ${serverKey}`, names, serverKey);
  }

  /** What we write to a status is no change. */
  #follow<T extends KubernetesObject>(
    cache: Informer<T>,
    take: (object: T) => void,
    gone: (object: T) => void,
  ): void {
    cache.on({
      added: (object) => this.#isOver || take(object),
      changed: (object, previous) => this.#isOver || declaresTheSame(object, previous) || take(object),
      deleted: (object) => this.#isOver || gone(object),
    });
  }

  #followParts<T extends Part>(cache: Informer<T>): void {
    this.#follow(
      cache,
      (part) => {
        this.#usedBy.set(nameOf(part), mentionedIn(part), serverKeyOf(part));
        this.#parts.set(nameOf(part), new Set([serverKeyOf(part)]), nameOf(part));
        this.#look.part(part);
      },
      (part) => {
        this.#usedBy.delete(nameOf(part));
        this.#parts.delete(nameOf(part));
        this.#look.part(part);
      },
    );
  }

  #followNamed(cache: Informer<KubernetesObject>, remembered: { forget(key: string): void }): void {
    const refer = (object: KubernetesObject): void => this.#referred(object);
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

  #lookAt({ metadata }: ServerObject): void {
    this.#look.server(keyOf(metadata));
    for (const part of this.partsOf(keyOf(metadata))) this.#look.part(part);
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
    for (const server of this.#usedBy.to(keyOf(metadata))) this.#look.server(server);
  }
}

/** Whether two states of an object declare the same. */
export function declaresTheSame(a: KubernetesObject | undefined, b: KubernetesObject): boolean {
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

/** An object of ours among those of other kinds. */
function nameOf({ kind = "", metadata }: KubernetesObject): string {
  return `${kind} ${keyOf(metadata)}`;
}
