import type { SecretRule } from "../core/conf/secrets.ts";
import { AsteriskIacError, hasErrorCode } from "../core/errors.ts";
import type { GitSourceSpec } from "../core/resource/git-source.ts";
import { rulesWith } from "../core/resource/secret-keys.ts";
import { AgeVault } from "../git/age-vault.ts";
import type { AgeIdentity } from "../git/age-vault.ts";
import type { PreparedVault, SecretValues, Vault } from "../git/secrets.ts";
import { text } from "./account-secret.ts";
import type { Secret, SecretStore } from "./secrets.ts";

/** The secret that holds the key to the vaults in git, and its key there. */
export const ageIdentitySecret = { name: "asterisk-iac", key: "age-identity" };

/** What `source.git` says of secrets. */
export type SourceSecretsSpec = Pick<GitSourceSpec, "secrets" | "ageRecipients" | "secretKeys">;

/**
 * Where the secrets of a server's files are, if they are not in git; undefined where they stand there in the clear.
 * @param server the name of the AsteriskServer
 */
export function vaultOf(server: string, spec: SourceSecretsSpec, secrets: SecretStore): Vault | undefined {
  const rules = rulesWith(spec.secretKeys);
  switch (spec.secrets) {
    case "Plain":
      return undefined;
    case "Age":
      return new AgeVault(server, ageIdentity(secrets), { recipients: spec.ageRecipients, rules });
    case "Secret":
      return new StoreVault(server, secrets, rules);
  }
}

/** Reads a Secret; undefined where there is none of that name. Whatever else is wrong is thrown. */
export async function readSecretIfThere(secrets: SecretStore, name: string): Promise<Secret | undefined> {
  try {
    return await secrets.read(name);
  } catch (thrown) {
    // A folder that is there and can't be read has another cause.
    const { cause } = thrown as { readonly cause?: unknown };
    if (!hasErrorCode(thrown, "SecretMissing") || !(cause === undefined || hasErrorCode(cause, "ENOENT")))
      throw thrown;
    return undefined;
  }
}

function ageIdentity(secrets: SecretStore): AgeIdentity {
  const { name, key } = ageIdentitySecret;
  return {
    place: `the secret ${name}, key ${key}`,
    async read() {
      const value = (await readSecretIfThere(secrets, name))?.get(key);
      return value === undefined ? undefined : identityIn(value);
    },
    async readOrCreate(make) {
      const present = (await readSecretIfThere(secrets, name))?.get(key);
      if (present !== undefined) return identityIn(present);
      const made = Buffer.from(`${await make()}\n`);
      return identityIn(await secrets.readOrCreate(name, key, () => made));
    },
  };
}

/** The key in a file as age-keygen writes it: comments and all. */
function identityIn(value: Buffer): string {
  const lines = text(value).split(/\r?\n/);
  return lines.find((line) => line.startsWith("AGE-SECRET-KEY-")) ?? "";
}

/**
 * A vault in a Secret of its own, `<server>-secrets`. Values are added before a commit refers to them, and never changed or
 * removed here: earlier commits refer to theirs.
 */
class StoreVault implements Vault {
  readonly name: string;
  readonly file = undefined;
  readonly rules: readonly SecretRule[];
  readonly #secrets: SecretStore;

  constructor(server: string, secrets: SecretStore, rules: readonly SecretRule[]) {
    this.name = `${server}-secrets`;
    this.rules = rules;
    this.#secrets = secrets;
  }

  get advice(): string {
    return `Put its value into the secret ${this.name}, or restore that from your backup.`;
  }

  async read(): Promise<SecretValues> {
    const secret = (await readSecretIfThere(this.#secrets, this.name)) ?? new Map<string, Buffer>();
    // What was edited may end in an editor's line end; values from files never do.
    return new Map([...secret].map(([key, value]) => [key, withoutLineEnd(value)]));
  }

  prepare(values: SecretValues): Promise<PreparedVault> {
    return Promise.resolve({ file: undefined, beforePush: () => this.#store(values) });
  }

  async #store(values: SecretValues): Promise<void> {
    const present = await this.read();
    const added = new Map([...values].filter(([key]) => !present.has(key)));
    for (const [key, value] of values) {
      if (present.get(key)?.equals(value) === false)
        throw new AsteriskIacError(
          "ChangedMeanwhile",
          `somebody else stored another value in the secret ${this.name}, key ${key}`,
          { next: "Retry", hint: "Nothing was pushed; the next run starts with what is there." },
        );
    }
    if (added.size === 0) return;
    await this.#secrets.writeAll(this.name, added).catch((cause: unknown) => {
      const size = [...present, ...added].reduce((sum, [, value]) => sum + value.length, 0);
      if (!hasErrorCode(cause, "KubernetesRefused") || size <= largestSecret) throw cause;
      throw new AsteriskIacError("KubernetesRefused", `the secret ${this.name} is full`, {
        cause,
        hint: `Nothing was pushed. Remove from it what no commit that you may go back to refers to, as docs/secrets-in-git.md says, or set source.git.secrets to Age.`,
      });
    });
  }
}

/** What Kubernetes takes in one Secret: 1 MiB of values. Bytes. */
const largestSecret = 1024 * 1024;

function withoutLineEnd(value: Buffer): Buffer {
  const end = value.at(-1) !== 0x0a ? 0 : value.at(-2) === 0x0d ? 2 : 1;
  return value.subarray(0, value.length - end);
}
