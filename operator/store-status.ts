import { isDeepStrictEqual } from "node:util";
import type { CustomObject } from "./objects.ts";
import type { Informer } from "./runtime/informer.ts";
import type { KubernetesObject } from "./runtime/objects.ts";
import { keyOf } from "./runtime/objects.ts";
import type { Precondition, ResourceClient } from "./runtime/resources.ts";

/** Stores a status if it says something else than the one that is there: one request, none where nothing is new. */
export async function storeStatus<T extends CustomObject<object>>(
  client: Pick<ResourceClient<NoInfer<T>>, "patchStatus">,
  cache: Informer<T>,
  object: T,
  status: T["status"],
): Promise<void> {
  const { namespace, name, uid } = object.metadata;
  const cached = cache.get(keyOf(object.metadata));
  // Another object of this name has a status of its own.
  const now = cached?.metadata.uid === uid ? (cached ?? object) : object;
  if (status === undefined || isDeepStrictEqual(now.status, status)) return;
  cache.wrote(await client.patchStatus(namespace, name, status, versionOf(now)));
}

/** The very object that was seen: a status is not stored for another one of its name. */
export function versionOf({ metadata: { uid, resourceVersion } }: KubernetesObject): Precondition {
  return {
    ...(uid === undefined ? {} : { uid }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
  };
}
