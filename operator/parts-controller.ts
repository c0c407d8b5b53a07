import type { Owner } from "../core/ownership.ts";
import type { Cluster } from "./cluster.ts";
import { readiness, withTransitions } from "./conditions.ts";
import type { AccountObject, FileObject, ServerObject } from "./objects.ts";
import type { EventRecorder } from "./runtime/events.ts";
import type { Informer } from "./runtime/informer.ts";
import type { ObjectKey } from "./runtime/objects.ts";
import { keyOf } from "./runtime/objects.ts";
import type { ResourceClient } from "./runtime/resources.ts";
import { storeStatus } from "./store-status.ts";

/** Keeps a resource until what it wrote to the server was taken out again, or let go. */
export const finalizer = "asterisk-iac.dev/release";

/** Set to `orphan`: the resource goes at once, and what it wrote stays. */
export const onDelete = "asterisk-iac.dev/on-delete";

type Part = AccountObject | FileObject;

export interface PartsOptions<T extends Part> {
  readonly client: ResourceClient<T>;
  readonly cache: Informer<T>;
  readonly servers: Informer<ServerObject>;
  readonly isEnding: Cluster["isEnding"];
  readonly events: EventRecorder;
  /** Looks at a server, which does the work of its resources. */
  readonly enqueueServer: (key: string) => void;
  /** A resource that can't be taken out of its server is let go of after so long. Milliseconds. */
  readonly deletionTimeoutMs: number;
}

/**
 * What one AMIAccount or ConfFile needs beside its server's work: a finalizer while it stands, to be let go where its
 * server can't or shall not be written any more, and a word where there is no such server.
 */
export function partReconciler<T extends Part>(
  options: PartsOptions<T>,
): (key: ObjectKey) => Promise<{ requeueAfterMs?: number } | undefined> {
  const { client, cache, servers, enqueueServer } = options;
  return async (key) => {
    const object = cache.get(keyOf(key));
    if (object === undefined) return undefined;
    const serverKey = serverKeyOf(object);
    const server = servers.get(serverKey);
    if (object.metadata.deletionTimestamp === undefined) {
      await hold(object);
      if (server === undefined) await tellMissing(object, serverKey);
      else enqueueServer(serverKey);
      return undefined;
    }
    if (!isHeld(object)) return undefined;
    const reason = await letGoReason(object, server);
    if (reason !== undefined) {
      options.events.event(object, reason.type, "Released", reason.message);
      await release(client, cache, object);
      return undefined;
    }
    enqueueServer(serverKey);
    return { requeueAfterMs: Math.max(1_000, dueIn(object)) };
  };

  async function hold(object: T): Promise<void> {
    const { namespace, name, finalizers = [], resourceVersion } = object.metadata;
    if (isHeld(object) || resourceVersion === undefined) return;
    const held = await client.patchMetadata(
      { namespace, name },
      { finalizers: [...finalizers, finalizer] },
      resourceVersion,
    );
    if (held !== undefined) cache.wrote(held);
  }

  async function tellMissing(object: T, serverKey: string): Promise<void> {
    const { namespace, generation } = object.metadata;
    const ready = {
      type: "Ready",
      status: "False" as const,
      reason: "ServerNotFound",
      message: `there is no AsteriskServer ${serverKey.slice(namespace.length + 1)} in the namespace ${namespace}`,
    };
    const conditions = withTransitions(
      object.status?.conditions,
      [...readiness(ready, { isReconciling: false }), { ...ready, type: "Stalled", status: "True" }],
      { generation, at: new Date(), keep: false },
    );
    const observed = generation === undefined ? {} : { observedGeneration: generation };
    await storeStatus(client, cache, object, { ...object.status, ...observed, conditions });
  }

  async function letGoReason(
    object: T,
    server: ServerObject | undefined,
  ): Promise<{ type: "Normal" | "Warning"; message: string } | undefined> {
    const stays = "what it wrote stays on the server";
    if (server === undefined) return { type: "Normal", message: `its AsteriskServer is gone: ${stays}` };
    if (server.metadata.deletionTimestamp !== undefined)
      return { type: "Normal", message: `its AsteriskServer is being deleted: ${stays}` };
    if (isSuspended(server)) return { type: "Normal", message: `its AsteriskServer is suspended: ${stays}` };
    if (object.metadata.annotations?.[onDelete] === "orphan")
      return { type: "Normal", message: `${onDelete} is orphan: ${stays}` };
    if (await options.isEnding(object.metadata.namespace))
      return { type: "Normal", message: `its namespace is being deleted: ${stays}` };
    if (dueIn(object) <= 0)
      return { type: "Warning", message: `it could not be taken out of the server in time: ${stays}` };
    return undefined;
  }

  function dueIn({ metadata: { deletionTimestamp } }: T): number {
    const since = deletionTimestamp === undefined ? 0 : Date.parse(deletionTimestamp);
    return since + options.deletionTimeoutMs - Date.now();
  }
}

/** Takes our finalizer off, so that the API server lets the object go. */
export async function release<T extends Part>(
  client: ResourceClient<T>,
  cache: Informer<T>,
  object: T,
): Promise<void> {
  const { namespace, name, finalizers = [], resourceVersion } = object.metadata;
  if (!isHeld(object) || resourceVersion === undefined) return;
  const others = finalizers.filter((each) => each !== finalizer);
  const left = await client.patchMetadata({ namespace, name }, { finalizers: others }, resourceVersion);
  if (left !== undefined) cache.wrote(left);
}

/**
 * Whether a resource is ours to work on: before it has our finalizer it could go without what it wrote, and after it lost
 * it, it was let go.
 */
export function isHeld({ metadata: { finalizers = [] } }: Part): boolean {
  return finalizers.includes(finalizer);
}

/** Whether a server is let alone, as far as that can be told before its spec is judged. */
export function isSuspended({ spec }: ServerObject): boolean {
  return (spec as { suspend?: boolean } | undefined)?.suspend === true;
}

/** The key of the AsteriskServer that a resource refers to, in its own namespace. */
export function serverKeyOf({ metadata: { namespace }, spec }: Part): string {
  const name = (spec as { serverRef?: { name?: string } } | undefined)?.serverRef?.name ?? "";
  return keyOf({ namespace, name });
}

/** By owner, the resources of one server that are being deleted and may go. */
export function releasable<T extends Part>(
  objects: readonly T[],
  ownerOf: (name: string) => Owner,
  released: ReadonlySet<Owner>,
): T[] {
  return objects.filter(
    ({ metadata }) => metadata.deletionTimestamp !== undefined && released.has(ownerOf(metadata.name)),
  );
}
