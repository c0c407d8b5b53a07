import { randomUUID } from "node:crypto";
import { refusal } from "../../../operator/runtime/api-errors.ts";
import type { APIRequest, KubernetesAPI } from "../../../operator/runtime/api.ts";
import type { KubernetesObject } from "../../../operator/runtime/objects.ts";

type Stored = KubernetesObject & { status?: unknown };

interface LogEntry {
  readonly version: number;
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly collection: string;
  readonly object: Stored;
}

/**
 * The Kubernetes API in memory: what the runtime uses of it, with the same answers (the contract tests run against it
 * and against a real API server). One field manager; no schemas; selectors are left out.
 */
export class FakeKubernetes implements KubernetesAPI {
  /** Every request, in order. */
  readonly requests: APIRequest[] = [];
  /** Called before each request and stream; what it throws is the answer. */
  intercept: (request: APIRequest) => void | Promise<void> = () => undefined;
  #version = 100;
  #compactedTo = 100;
  readonly #objects = new Map<string, Stored>();
  readonly #log: LogEntry[] = [];
  readonly #pages = new Map<string, { readonly items: Stored[]; readonly version: number }>();
  #changed = Promise.withResolvers<undefined>();
  #cut = new AbortController();

  /** Forgets what happened so far: who watches from before it gets a 410. */
  compact(): void {
    this.#compactedTo = this.#version;
    this.#log.length = 0;
    this.#pages.clear();
  }

  /** Ends every watch, as a connection that dies. */
  cutWatches(): void {
    this.#cut.abort();
    this.#cut = new AbortController();
  }

  async request(request: APIRequest): Promise<unknown> {
    this.requests.push(request);
    await this.intercept(request);
    // The answer and the store never share an object.
    return structuredClone(this.#answer(copyOf(request)));
  }

  async *stream(request: APIRequest): AsyncIterable<unknown> {
    this.requests.push(request);
    await this.intercept(request);
    const { collection } = partsOf(request.path);
    const cut = this.#cut.signal;
    const { promise: aborted, resolve } = Promise.withResolvers<undefined>();
    for (const signal of [cut, request.signal]) signal?.addEventListener("abort", () => resolve(undefined));
    const isOver = (): boolean => cut.aborted || request.signal?.aborted === true;
    let version = Number(request.query?.["resourceVersion"]);
    while (!isOver()) {
      if (version < this.#compactedTo) {
        yield { type: "ERROR", object: { code: 410, message: "too old resource version" } };
        return;
      }
      const entry = this.#log.find(
        (logged) => logged.version > version && isIn(logged.collection, collection),
      );
      if (entry === undefined) {
        await Promise.race([aborted, this.#changed.promise]);
        continue;
      }
      version = entry.version;
      yield structuredClone({ type: entry.type, object: view(request, entry.object) });
    }
  }

  #answer(request: APIRequest): unknown {
    const { collection, name, subresource } = partsOf(request.path);
    if (name === undefined)
      return request.method === "POST" ? view(request, this.#create(request)) : this.#list(request);
    const key = `${collection}/${name}`;
    const stored = this.#objects.get(key);
    if (stored === undefined) throw refused(request, 404, "NotFound");
    if (request.method === "GET") return view(request, stored);
    const body = request.body as Stored & { preconditions?: { uid?: string; resourceVersion?: string } };
    const { uid, resourceVersion } =
      body.preconditions ?? (body.metadata as Partial<Stored["metadata"]>) ?? {};
    // As the real one does: the uid in an applied status is ignored.
    if (subresource === undefined && uid !== undefined && uid !== stored.metadata.uid)
      throw refused(request, 409, "Conflict");
    if (resourceVersion !== undefined && resourceVersion !== stored.metadata.resourceVersion)
      throw refused(request, 409, "Conflict");
    if (request.method === "DELETE") return this.#delete(key, stored);
    if (subresource === "status") return this.#update(key, stored, { ...stored, status: body.status });
    if (request.method === "PUT") return view(request, this.#update(key, stored, body));
    return this.#update(key, stored, merged(stored, body) as Stored);
  }

  #create(request: APIRequest): Stored {
    const body = request.body as Stored;
    const { collection } = partsOf(request.path);
    const key = `${collection}/${body.metadata.name}`;
    if (this.#objects.has(key)) throw refused(request, 409, "AlreadyExists");
    if (!isName(body.metadata.name)) throw refused(request, 422, "Invalid");
    const namespace = /namespaces\/([^/]+)\//.exec(request.path)?.[1] ?? "";
    const creationTimestamp = new Date().toISOString();
    const metadata = { ...body.metadata, namespace, uid: randomUUID(), creationTimestamp };
    return this.#store("ADDED", key, { ...body, metadata });
  }

  #update(key: string, stored: Stored, next: Stored): Stored {
    const { uid = "", creationTimestamp = "", deletionTimestamp } = stored.metadata;
    const deleting = deletionTimestamp === undefined ? {} : { deletionTimestamp };
    const { resourceVersion = "" } = stored.metadata;
    const updated = {
      ...next,
      metadata: { ...next.metadata, uid, creationTimestamp, ...deleting, resourceVersion },
    };
    if (JSON.stringify(merged(stored, updated)) === JSON.stringify(stored)) return stored;
    if (deletionTimestamp !== undefined && (updated.metadata.finalizers ?? []).length === 0)
      return this.#remove(key, updated);
    return this.#store("MODIFIED", key, updated);
  }

  #delete(key: string, stored: Stored): Stored {
    if ((stored.metadata.finalizers ?? []).length === 0) return this.#remove(key, stored);
    const deletionTimestamp = new Date().toISOString();
    return this.#store("MODIFIED", key, { ...stored, metadata: { ...stored.metadata, deletionTimestamp } });
  }

  #remove(key: string, object: Stored): Stored {
    const removed = this.#store("DELETED", key, object);
    this.#objects.delete(key);
    return removed;
  }

  #store(type: LogEntry["type"], key: string, object: Stored): Stored {
    const version = ++this.#version;
    const stored = { ...object, metadata: { ...object.metadata, resourceVersion: String(version) } };
    this.#objects.set(key, stored);
    this.#log.push({ version, type, collection: key.slice(0, key.lastIndexOf("/")), object: stored });
    this.#changed.resolve(undefined);
    this.#changed = Promise.withResolvers();
    return stored;
  }

  #list(request: APIRequest): unknown {
    const { collection } = partsOf(request.path);
    const { limit, continue: token } = request.query ?? {};
    if (token !== undefined && !this.#pages.has(String(token))) throw refused(request, 410, "Expired");
    const all = [...this.#objects].filter(([key]) => isIn(key.slice(0, key.lastIndexOf("/")), collection));
    const { items, version } = this.#pages.get(String(token)) ?? {
      items: all.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, object]) => object),
      version: this.#version,
    };
    const most = limit === undefined ? items.length : Number(limit);
    const rest = items.slice(most);
    const next = rest.length === 0 ? undefined : randomUUID();
    if (next !== undefined) this.#pages.set(next, { items: rest, version });
    return {
      metadata: { resourceVersion: String(version), continue: next },
      items: items.slice(0, most).map((object) => view(request, object)),
    };
  }
}

/** A DNS-1123 subdomain. */
function isName(name: string): boolean {
  return (
    name.length <= 253 && name.split(".").every((label) => /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(label))
  );
}

/** Without its signal, which can't be copied and which nobody who answers needs. */
function copyOf({ method, path, query = {}, body, accept = "" }: APIRequest): APIRequest {
  return structuredClone({ method, path, query, body, accept });
}

/** Leaves the content out where only metadata was asked for. */
function view(request: APIRequest, object: Stored): Stored {
  if (request.accept?.includes("PartialObjectMetadata") !== true) return object;
  return { apiVersion: "meta.k8s.io/v1", kind: "PartialObjectMetadata", metadata: object.metadata };
}

function partsOf(path: string): { collection: string; name?: string; subresource?: string } {
  const match =
    /^(\/api\/[^/]+|\/apis\/[^/]+\/[^/]+)(\/namespaces\/[^/]+)?\/([^/]+)(?:\/([^/]+))?(?:\/([^/]+))?$/.exec(
      path,
    );
  if (match === null) throw new Error(`no path of the API: ${path}`);
  const [, root = "", namespace = "", plural = "", name, subresource] = match;
  return {
    collection: `${root}${namespace}/${plural}`,
    ...(name === undefined ? {} : { name }),
    ...(subresource === undefined ? {} : { subresource }),
  };
}

/** Whether a namespace's collection is this one or one of a list over all namespaces. */
function isIn(collection: string, wanted: string): boolean {
  return collection === wanted || collection.replace(/\/namespaces\/[^/]+/, "") === wanted;
}

function refused(request: APIRequest, status: number, reason: string): Error {
  return refusal(request, {
    status,
    headers: {},
    text: JSON.stringify({ reason, message: "said by the fake" }),
  });
}

/** A JSON merge patch (RFC 7396). */
function merged(target: unknown, patch: unknown): unknown {
  if (typeof patch !== "object" || patch === null || Array.isArray(patch)) return patch;
  const result = new Map(Object.entries(target ?? {}));
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) result.delete(name);
    else if (value !== undefined) result.set(name, merged(result.get(name), value));
  }
  return Object.fromEntries(result);
}
