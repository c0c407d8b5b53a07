import { createHash } from "node:crypto";
import { hasErrorCode } from "../core/errors.ts";
import { pendingOf, text } from "./account-secret.ts";
import type { Secret, SecretStore } from "./secrets.ts";

/**
 * Secrets for a plan that may not have them: where a value is not there, something stands for it that is the same in every
 * run and for every use, says nothing of the value, and passes for a good one. Nothing is ever written.
 */
export class PlaceholderSecrets implements SecretStore {
  /** What was asked for and not there, as `name/key`. */
  readonly missing = new Set<string>();
  /** Every value that was given, real or not; none may be shown. */
  readonly given = new Set<string>();
  readonly #store: SecretStore;
  readonly #provided = new Map<string, Secret>();

  /** @param store where real values may be */
  constructor(store: SecretStore) {
    this.#store = store;
  }

  /** The values of a secret that is kept elsewhere. */
  provide(name: string, values: Secret): void {
    this.#provided.set(name, values);
  }

  async read(name: string): Promise<Secret> {
    return new SecretWithPlaceholders(await this.#real(name), name, this);
  }

  /** Nothing is made: whoever needs the value reads it. */
  async readOrCreate(name: string, key: string): Promise<Buffer> {
    return (await this.readReal(name, key)) ?? Buffer.alloc(0);
  }

  /** A value that is really there. */
  async readReal(name: string, key: string): Promise<Buffer | undefined> {
    return (await this.#real(name)).get(key);
  }

  async #real(name: string): Promise<Secret> {
    const provided = this.#provided.get(name);
    if (provided !== undefined) return provided;
    return this.#store.read(name).catch((cause: unknown) => {
      if (hasErrorCode(cause, "SecretMissing")) return new Map<string, Buffer>();
      throw cause;
    });
  }

  write(): Promise<void> {
    return Promise.resolve();
  }

  writeAll(): Promise<void> {
    return Promise.resolve();
  }

  remove(): Promise<void> {
    return Promise.resolve();
  }

  appendLine(): Promise<void> {
    return Promise.resolve();
  }
}

class SecretWithPlaceholders extends Map<string, Buffer> implements Secret {
  readonly #name: string;
  readonly #store: PlaceholderSecrets;

  constructor(real: Secret, name: string, store: PlaceholderSecrets) {
    super();
    for (const [key, value] of real) this.set(key, value);
    this.#name = name;
    this.#store = store;
  }

  override get(key: string): Buffer | undefined {
    const real = super.get(key);
    // A next value, which is there while a rotation is under way, is none that a declaration asks for.
    if (real === undefined && key.endsWith(pendingOf(""))) return undefined;
    if (real === undefined) this.#store.missing.add(`${this.#name}/${key}`);
    const value = real ?? Buffer.from(placeholder(this.#name, key));
    this.#store.given.add(text(value));
    return value;
  }
}

/** 32 characters that stand for the value of a secret. */
export function placeholder(name: string, key: string): string {
  return createHash("sha256").update(`placeholder ${name}/${key}`).digest("base64url").slice(0, 32);
}
