import type { Consulted } from "./remembered.ts";
import type { Secret } from "./runtime/objects.ts";
import type { KubernetesSecret, SecretsAPI } from "./secrets.ts";

/** The Secrets of the cluster as one pass over a server has them. */
export interface PassSecrets extends SecretsAPI {
  /** Whether nothing newer is known than what is remembered of a Secret from this version. */
  isCurrent(namespace: string, name: string, version: string | undefined): boolean;
}

/** Asks for what is not remembered, and writes; what the pass read and wrote is noted in `consulted`. */
export function passSecrets(api: SecretsAPI, consulted: Consulted<Secret>): PassSecrets {
  const noted = (secret: KubernetesSecret): KubernetesSecret => {
    consulted.wrote(secret as Secret);
    return secret;
  };
  return {
    get: async (namespace, name) => (await consulted.get(namespace, name)) as KubernetesSecret | undefined,
    create: async (secret) => noted(await api.create(secret)),
    replace: async (secret) => noted(await api.replace(secret)),
    isCurrent: (namespace, name, version) => consulted.isCurrent(namespace, name, version),
  };
}
