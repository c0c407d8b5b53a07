import { AsteriskIacError } from "../../core/errors.ts";
import type { APIRequest, KubernetesAPI } from "./api.ts";
import type { KubernetesObject, ObjectKey, ResourceKind } from "./objects.ts";

/** What a list or a watch is about; everything by default. */
export interface Selection {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Leaves everything but apiVersion, kind and metadata out of the answers: content stays on the API server. */
  readonly metadataOnly?: boolean;
  readonly signal?: AbortSignal;
}

export interface ObjectList<T> {
  readonly items: readonly T[];
  /** From where to watch. */
  readonly resourceVersion: string;
}

/** An event of a watch, as the API sends it. */
export type WatchEvent<T> =
  | { readonly type: "ADDED" | "MODIFIED" | "DELETED"; readonly object: T }
  | { readonly type: "BOOKMARK"; readonly object: KubernetesObject }
  | { readonly type: "ERROR"; readonly object: { readonly code?: number; readonly message?: string } };

/** A write is refused with KubernetesConflict unless the object is still this one. */
export interface Precondition {
  readonly uid?: string;
  readonly resourceVersion?: string;
}

export interface MetadataPatch {
  /** The whole new list. */
  readonly finalizers?: readonly string[];
  /** Null removes one; those not named stay. */
  readonly annotations?: Readonly<Record<string, string | null>>;
}

export interface ResourceClientOptions {
  /** The name under which the API server notes our fields; default `asterisk-iac`. */
  readonly fieldManager?: string;
  /** Objects a page of a list; default 500. */
  readonly pageSize?: number;
  /** Of what is created or replaced, the answer is its metadata; the rest is as it was sent: for kinds without defaults. */
  readonly storesAsSent?: boolean;
}

const mostStatusAttempts = 5;
const mostListAttempts = 3;

/** One kind of namespaced objects on the API server. Errors as KubernetesAPI has them. */
export class ResourceClient<T extends KubernetesObject> {
  readonly kind: ResourceKind;
  readonly #api: KubernetesAPI;
  readonly #fieldManager: string;
  readonly #pageSize: number;
  readonly #storesAsSent: boolean;

  constructor(api: KubernetesAPI, kind: ResourceKind, options: ResourceClientOptions = {}) {
    this.#api = api;
    this.kind = kind;
    this.#fieldManager = options.fieldManager ?? "asterisk-iac";
    this.#pageSize = options.pageSize ?? 500;
    this.#storesAsSent = options.storesAsSent ?? false;
  }

  /** The object as it is now, read past every cache; undefined if there is none. */
  async get(namespace: string, name: string, signal?: AbortSignal): Promise<T | undefined> {
    try {
      const request: APIRequest = { method: "GET", path: this.#path(namespace, name) };
      return (await this.#api.request(signal === undefined ? request : { ...request, signal })) as T;
    } catch (thrown) {
      if (hasCode(thrown, "KubernetesNotFound")) return undefined;
      throw thrown;
    }
  }

  /** Every object, page by page, as of one moment; starts over if the API server forgets that moment half way. */
  async list(selection: Selection = {}): Promise<ObjectList<T>> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#listOnce(selection);
      } catch (thrown) {
        if (!hasCode(thrown, "KubernetesExpired") || attempt === mostListAttempts) throw thrown;
      }
    }
  }

  async #listOnce(selection: Selection): Promise<ObjectList<T>> {
    const items: T[] = [];
    for (let token: string | undefined; ;) {
      const answer = (await this.#api.request(
        this.#select(selection, { limit: this.#pageSize, continue: token }),
      )) as { metadata?: { resourceVersion?: string; continue?: string }; items?: T[] };
      for (const item of answer.items ?? []) items.push(this.#received(item));
      token = answer.metadata?.continue || undefined;
      if (token === undefined) return { items, resourceVersion: answer.metadata?.resourceVersion ?? "" };
    }
  }

  /** What happens after a resourceVersion, with bookmarks, until the API server or the signal ends it. */
  async *watch(selection: Selection & { readonly resourceVersion: string }): AsyncIterable<WatchEvent<T>> {
    const { resourceVersion } = selection;
    const query = { watch: true, allowWatchBookmarks: true, resourceVersion };
    const events = this.#api.stream(this.#select(selection, query)) as AsyncIterable<WatchEvent<T>>;
    for await (const event of events) {
      const isBare = event.type === "ERROR" || event.type === "BOOKMARK";
      yield isBare ? event : { ...event, object: this.#received(event.object) };
    }
  }

  /**
   * One of many objects, to be kept: with its kind, which a list of a built-in kind leaves out, and without
   * `managedFields`, which can be larger than all the rest.
   */
  #received(object: T): T {
    const { apiVersion, kind } = this.kind;
    return { ...object, apiVersion, kind, metadata: { ...object.metadata, managedFields: undefined } };
  }

  /** Creates the object; KubernetesConflict if there is one. Answers it as stored. */
  async create(object: T): Promise<T> {
    const { apiVersion, kind } = this.kind;
    const body = { ...object, apiVersion, kind };
    return this.#store({ method: "POST", path: this.#path(namespaceOf(object)), body });
  }

  /** Stores the whole object if it is still at the resourceVersion in it; else KubernetesConflict. */
  async replace(object: T): Promise<T> {
    const { name, resourceVersion } = object.metadata;
    const path = this.#path(namespaceOf(object), name);
    if (resourceVersion === undefined) {
      throw new AsteriskIacError("InvalidArgument", `${path}: no replacing without a resourceVersion`);
    }
    const { apiVersion, kind } = this.kind;
    const body = { ...object, apiVersion, kind };
    return this.#store({ method: "PUT", path, body });
  }

  /** Deletes the object; false if there was none. */
  async delete(namespace: string, name: string, preconditions: Precondition = {}): Promise<boolean> {
    const body = { apiVersion: "v1", kind: "DeleteOptions", preconditions };
    try {
      await this.#api.request({ method: "DELETE", path: this.#path(namespace, name), body });
      return true;
    } catch (thrown) {
      if (hasCode(thrown, "KubernetesNotFound")) return false;
      throw thrown;
    }
  }

  /**
   * Makes this our part of the status, by server-side apply: fields that we set before and that are not in it go.
   * After a 409 the object is read again and the same status sent again, so that nobody repeats the work that the
   * status tells of. With `uid`, an object that was deleted and made anew meanwhile is KubernetesNotFound; give the
   * resourceVersion that was seen with it, else the object is read first.
   */
  async patchStatus(
    namespace: string,
    name: string,
    status: object,
    precondition: Precondition = {},
  ): Promise<T> {
    const { apiVersion, kind } = this.kind;
    const { uid } = precondition;
    // The API server ignores a uid in an applied status, but not a resourceVersion.
    let version = uid === undefined ? undefined : precondition.resourceVersion;
    for (let attempt = 1; ; attempt++) {
      if (uid !== undefined && version === undefined) version = await this.#versionOf(namespace, name, uid);
      try {
        return await this.#write({
          method: "PATCH",
          path: `${this.#path(namespace, name)}/status`,
          query: { force: true },
          contentType: "application/apply-patch+yaml",
          body: { apiVersion, kind, metadata: { namespace, name, resourceVersion: version }, status },
        });
      } catch (thrown) {
        if (!hasCode(thrown, "KubernetesConflict") || attempt === mostStatusAttempts) throw thrown;
        version = undefined;
      }
    }
  }

  /** The present resourceVersion of the object with this uid. */
  async #versionOf(namespace: string, name: string, uid: string): Promise<string | undefined> {
    const { metadata } = (await this.get(namespace, name)) ?? {};
    if (metadata?.uid === uid) return metadata.resourceVersion;
    throw new AsteriskIacError(
      "KubernetesNotFound",
      `${this.kind.kind} ${namespace}/${name}: deleted before its status was stored`,
    );
  }

  /**
   * Changes finalizers and annotations of an object that is still at this resourceVersion (else KubernetesConflict,
   * and nothing is changed). Answers it as stored, or undefined if it is gone, as it is once its last finalizer went.
   */
  async patchMetadata(key: ObjectKey, patch: MetadataPatch, resourceVersion: string): Promise<T | undefined> {
    try {
      return await this.#write({
        method: "PATCH",
        path: this.#path(key.namespace, key.name),
        contentType: "application/merge-patch+json",
        body: { metadata: { ...patch, resourceVersion } },
      });
    } catch (thrown) {
      if (hasCode(thrown, "KubernetesNotFound")) return undefined;
      throw thrown;
    }
  }

  /** A JSON merge patch of the whole object, without a precondition: for counters of our own. */
  async merge({ namespace, name }: ObjectKey, body: object): Promise<T> {
    return this.#write({
      method: "PATCH",
      path: this.#path(namespace, name),
      contentType: "application/merge-patch+json",
      body,
    });
  }

  async #store(request: APIRequest & { readonly body: T }): Promise<T> {
    if (!this.#storesAsSent) return this.#write(request);
    const { metadata } = await this.#write({ ...request, accept: metadataOf("PartialObjectMetadata") });
    return { ...request.body, metadata };
  }

  async #write(request: APIRequest): Promise<T> {
    const query = { ...request.query, fieldManager: this.#fieldManager };
    return (await this.#api.request({ ...request, query })) as T;
  }

  #select(selection: Selection, query: NonNullable<APIRequest["query"]>): APIRequest {
    const { namespace, labelSelector, fieldSelector, metadataOnly = false, signal } = selection;
    const list = query["watch"] === true ? "PartialObjectMetadata" : "PartialObjectMetadataList";
    return {
      method: "GET",
      path: this.#path(namespace),
      query: { labelSelector, fieldSelector, ...query },
      ...(metadataOnly ? { accept: metadataOf(list) } : {}),
      ...(signal === undefined ? {} : { signal }),
    };
  }

  #path(namespace?: string, name?: string): string {
    const { apiVersion, plural } = this.kind;
    const root = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
    const within = namespace === undefined ? "" : `/namespaces/${segment(namespace)}`;
    return `${root}${within}/${plural}${name === undefined ? "" : `/${segment(name)}`}`;
  }
}

function metadataOf(as: "PartialObjectMetadata" | "PartialObjectMetadataList"): string {
  return `application/json;as=${as};g=meta.k8s.io;v=v1`;
}

/** A name as a part of a path. An empty one would make the request one about every object, `..` about another. */
function segment(name: string): string {
  if (name === "" || name === "." || name === "..") {
    throw new AsteriskIacError("InvalidArgument", `"${name}" is no name of an object`);
  }
  return encodeURIComponent(name);
}

function namespaceOf({ metadata }: KubernetesObject): string {
  return metadata.namespace ?? "";
}

/** Whether this was thrown with one of these codes. */
export function hasCode(thrown: unknown, ...codes: AsteriskIacError["code"][]): thrown is AsteriskIacError {
  return thrown instanceof AsteriskIacError && codes.includes(thrown.code);
}
