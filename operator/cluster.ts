import type { AccountObject, FileObject, ServerObject } from "./objects.ts";
import type { KubernetesAPI } from "./runtime/api.ts";
import { Informer } from "./runtime/informer.ts";
import type { ConfigMap, KubernetesObject, Secret } from "./runtime/objects.ts";
import { kinds } from "./runtime/objects.ts";
import { ResourceClient } from "./runtime/resources.ts";
import type { AsteriskIacError } from "../core/errors.ts";
import type { KubernetesSecret, SecretsAPI } from "./secrets.ts";

/** The kinds that the operator works on, as clients and as caches that follow the API server. */
export interface Cluster {
  readonly servers: ResourceClient<ServerObject>;
  readonly accounts: ResourceClient<AccountObject>;
  readonly files: ResourceClient<FileObject>;
  readonly secrets: ResourceClient<Secret>;
  readonly configMaps: ResourceClient<ConfigMap>;
  readonly caches: {
    readonly servers: Informer<ServerObject>;
    readonly accounts: Informer<AccountObject>;
    readonly files: Informer<FileObject>;
    /** Metadata only: what is in Secrets and ConfigMaps is read when it is needed. */
    readonly secrets: Informer<KubernetesObject>;
    readonly configMaps: Informer<KubernetesObject>;
  };
  /** Whether a namespace is being deleted, or is gone. */
  isEnding(namespace: string): Promise<boolean>;
}

/** @param namespace the only one that is watched; all of them without it */
export function clusterOf(
  api: KubernetesAPI,
  namespace: string | undefined,
  onError: (error: AsteriskIacError) => void,
): Cluster {
  const where = namespace === undefined ? {} : { namespace };
  const follow = <T extends KubernetesObject>(
    client: ResourceClient<T>,
    metadataOnly: boolean,
  ): Informer<T> => new Informer({ client, ...where, metadataOnly, onError });
  const servers = new ResourceClient<ServerObject>(api, kinds.asteriskServer);
  const accounts = new ResourceClient<AccountObject>(api, kinds.amiAccount);
  const files = new ResourceClient<FileObject>(api, kinds.confFile);
  const secrets = new ResourceClient<Secret>(api, kinds.secret, { storesAsSent: true });
  const configMaps = new ResourceClient<ConfigMap>(api, kinds.configMap);
  return {
    ...{ servers, accounts, files, secrets, configMaps },
    caches: {
      servers: follow(servers, false),
      accounts: follow(accounts, false),
      files: follow(files, false),
      secrets: follow(new ResourceClient<KubernetesObject>(api, kinds.secret), true),
      configMaps: follow(new ResourceClient<KubernetesObject>(api, kinds.configMap), true),
    },
    isEnding: async (name) => {
      const found = (await api.request({
        method: "GET",
        path: `/api/v1/namespaces/${encodeURIComponent(name)}`,
      })) as {
        status?: { phase?: string };
      };
      return found.status?.phase === "Terminating";
    },
  };
}

/** The Secrets of the cluster as the engine's stores want them. */
export function secretsAPI(client: ResourceClient<Secret>): SecretsAPI {
  return {
    get: async (namespace, name) => (await client.get(namespace, name)) as KubernetesSecret | undefined,
    create: async (secret) => (await client.create(secret as Secret)) as KubernetesSecret,
    replace: async (secret) => (await client.replace(secret as Secret)) as KubernetesSecret,
  };
}
