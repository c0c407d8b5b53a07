import { AsteriskIacError } from "../core/errors.ts";
import type { Secret, SecretStore } from "../engine/secrets.ts";

/** A Secret as the API server has it; values are base64. */
export interface KubernetesSecret {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly resourceVersion?: string | undefined;
    readonly labels?: Readonly<Record<string, string>> | undefined;
  };
  readonly type?: string | undefined;
  readonly data?: Readonly<Record<string, string>> | undefined;
}

/** The Secrets of a cluster. `replace` rejects with `KubernetesConflict` where somebody else wrote since. */
export interface SecretsAPI {
  get(namespace: string, name: string): Promise<KubernetesSecret | undefined>;
  create(secret: KubernetesSecret): Promise<KubernetesSecret>;
  replace(secret: KubernetesSecret): Promise<KubernetesSecret>;
}

/** What the operator makes is marked so. */
export const managedBy = { "app.kubernetes.io/managed-by": "asterisk-iac" } as const;

/** So often a Secret is read again when somebody else writes it at the same time. */
const attempts = 5;

/** The Secrets of one namespace, for the engine. */
export class KubernetesSecrets implements SecretStore {
  readonly #api: SecretsAPI;
  readonly #namespace: string;

  constructor(api: SecretsAPI, namespace: string) {
    this.#api = api;
    this.#namespace = namespace;
  }

  async read(name: string): Promise<Secret> {
    const secret = await this.#api.get(this.#namespace, name);
    if (secret !== undefined) return valuesOf(secret);
    throw new AsteriskIacError(
      "SecretMissing",
      `there is no Secret ${name} in the namespace ${this.#namespace}`,
      {
        hint: `Create it: kubectl -n ${this.#namespace} create secret generic ${name} --from-literal=KEY=VALUE`,
      },
    );
  }

  async readOrCreate(name: string, key: string, make: () => Buffer): Promise<Buffer> {
    const value = await this.#change(name, (values) => {
      const present = values.get(key);
      if (present !== undefined) return undefined;
      return new Map(values).set(key, make());
    });
    const found = value.get(key);
    if (found === undefined) throw new Error(`the Secret ${name} has no ${key} after it was made`);
    return found;
  }

  async write(name: string, key: string, value: Buffer): Promise<void> {
    await this.writeAll(name, new Map([[key, value]]));
  }

  async writeAll(name: string, values: Secret): Promise<void> {
    await this.#change(name, (before) => new Map([...before, ...values]));
  }

  async remove(name: string, key: string): Promise<void> {
    await this.#change(name, (values) =>
      values.has(key) ? new Map([...values].filter(([each]) => each !== key)) : undefined,
    );
  }

  async appendLine(name: string, key: string, line: string): Promise<void> {
    await this.#change(name, (values) => {
      const before = values.get(key)?.toString("utf8") ?? "";
      const separator = before === "" || before.endsWith("\n") ? "" : "\n";
      return new Map(values).set(key, Buffer.from(`${before}${separator}${line}\n`));
    });
  }

  /** Reads, changes and writes a Secret, again where somebody else did meanwhile. What is there afterwards. */
  async #change(
    name: string,
    change: (values: Secret) => ReadonlyMap<string, Buffer> | undefined,
  ): Promise<Secret> {
    for (let attempt = 1; ; attempt++) {
      const before = await this.#api.get(this.#namespace, name);
      const values = before === undefined ? new Map<string, Buffer>() : valuesOf(before);
      const changed = change(values);
      if (changed === undefined) return values;
      const data = Object.fromEntries([...changed].map(([key, value]) => [key, value.toString("base64")]));
      const metadata = before?.metadata ?? { name, namespace: this.#namespace, labels: managedBy };
      try {
        if (before === undefined) await this.#api.create({ type: "Opaque", metadata, data });
        else await this.#api.replace({ ...before, data });
        return changed;
      } catch (error) {
        const isConflict = error instanceof AsteriskIacError && error.code === "KubernetesConflict";
        if (!isConflict || attempt === attempts) throw error;
      }
    }
  }
}

function valuesOf({ data = {} }: KubernetesSecret): Secret {
  return new Map(Object.entries(data).map(([key, value]) => [key, Buffer.from(value, "base64")]));
}
