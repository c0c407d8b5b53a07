import { AsteriskIacError } from "../core/errors.ts";
import type { Secret, SecretStore } from "./secrets.ts";

/** Secrets by name and key; what begins with `base64:` is bytes. */
export type SecretValues = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** Secrets that a front holds itself; what is made or changed stays in memory, for the front to keep. */
export class MemorySecrets implements SecretStore {
  readonly #secrets = new Map<string, Map<string, Buffer>>();

  constructor(values: SecretValues) {
    for (const [name, keys] of Object.entries(values)) {
      const secret = Object.entries(keys).map(([key, value]) => [key, fromText(value)] as const);
      this.#secrets.set(name, new Map(secret));
    }
  }

  read(name: string): Promise<Secret> {
    const secret = this.#secrets.get(name);
    if (secret !== undefined) return Promise.resolve(secret);
    return Promise.reject(
      new AsteriskIacError("SecretMissing", `the secret ${name} is not there`, {
        hint: "Give its values where the resource is declared.",
      }),
    );
  }

  async readOrCreate(name: string, key: string, make: () => Buffer): Promise<Buffer> {
    const present = this.#secrets.get(name)?.get(key);
    if (present !== undefined) return present;
    const made = make();
    await this.write(name, key, made);
    return made;
  }

  write(name: string, key: string, value: Buffer): Promise<void> {
    return this.writeAll(name, new Map([[key, value]]));
  }

  writeAll(name: string, values: Secret): Promise<void> {
    this.#secrets.set(name, new Map([...(this.#secrets.get(name) ?? []), ...values]));
    return Promise.resolve();
  }

  remove(name: string, key: string): Promise<void> {
    this.#secrets.get(name)?.delete(key);
    return Promise.resolve();
  }

  async appendLine(name: string, key: string, line: string): Promise<void> {
    await this.write(
      name,
      key,
      Buffer.concat([this.#secrets.get(name)?.get(key) ?? Buffer.alloc(0), Buffer.from(`${line}\n`)]),
    );
  }
}

const bytesPrefix = "base64:";

function fromText(value: string): Buffer {
  return value.startsWith(bytesPrefix)
    ? Buffer.from(value.slice(bytesPrefix.length), "base64")
    : Buffer.from(value);
}
