/** A server's secrets as one file beside its records, encrypted with age (https://age-encryption.org/v1). */
import { z } from "zod";
import type { SecretRule } from "../core/conf/secrets.ts";
import { secretRules } from "../core/conf/secrets.ts";
import { AsteriskIacError } from "../core/errors.ts";
import { comparePaths } from "../core/record.ts";
import type { PreparedVault, SecretValues, Vault } from "./secrets.ts";

/** The name of the vault's file in the folder of the server's records. */
const ageFile = "secrets.age";

/** The secret key that opens the vault, wherever the front keeps its secrets. */
export interface AgeIdentity {
  /** `AGE-SECRET-KEY-1…`, or undefined where there is none. */
  read(): Promise<string | undefined>;
  /** The same, made by `make` and stored for good where there is none. */
  readOrCreate(make: () => Promise<string>): Promise<string>;
  /** Where it is kept, for messages: `the secret asterisk-iac, key age-identity`. */
  readonly place: string;
}

/** What else a vault is told. */
export interface AgeOptions {
  /** Who else can open it: `age1…`. */
  readonly recipients?: readonly string[];
  readonly rules?: readonly SecretRule[];
}

/** Loaded when it is wanted: most servers have no vault, and its mathematics takes 20 MiB. */
const loadAge = () => import("age-encryption");

const payload = z.object({
  version: z.literal(1),
  recipients: z.array(z.string()),
  values: z.record(z.string(), z.string()),
});
type Payload = z.infer<typeof payload>;

/** Lengths are rounded up to so much, and so much is allowed for each value. Bytes. */
const blockLength = 4096;
const valueLength = 256;
/** In front of a value that is no text. */
const bytesPrefix = "base64:";

/** A vault in a file of the repository, that the holder of one secret key, and whoever else is named, can open. */
export class AgeVault implements Vault {
  readonly name: string;
  readonly file = ageFile;
  readonly rules: readonly SecretRule[];
  readonly #identity: AgeIdentity;
  readonly #recipients: readonly string[];

  constructor(
    server: string,
    identity: AgeIdentity,
    { recipients = [], rules = secretRules }: AgeOptions = {},
  ) {
    this.name = `${server}-secrets`;
    this.rules = rules;
    this.#identity = identity;
    this.#recipients = recipients;
  }

  get advice(): string {
    return `Its value belongs into ${ageFile} beside the server's records: put it in with age, or take the file from a commit that has it.`;
  }

  async read(file: Uint8Array | undefined): Promise<SecretValues> {
    return file === undefined ? new Map() : valuesOf(await this.#open(file));
  }

  async prepare(
    values: SecretValues,
    file: Uint8Array | undefined,
    elsewhere: () => Promise<readonly string[]> = () => Promise.resolve([]),
  ): Promise<PreparedVault> {
    const beforePush = (): Promise<void> => Promise.resolve();
    if (file === undefined && values.size === 0) return { file, beforePush };
    if (file === undefined && (await this.#identity.read()) === undefined)
      this.#refuseSecondKey(await elsewhere());
    // Whoever has a file has had its key: another would open nothing of what is there.
    const before = file === undefined ? undefined : await this.#open(file);
    const recipients = await this.#allRecipients();
    const after: Payload = { version: 1, recipients, values: textsOf(values) };
    if (before !== undefined && format(before) === format(after)) return { file, beforePush };
    const { Encrypter, armor } = await loadAge();
    const encrypter = new Encrypter();
    for (const recipient of recipients) encrypter.addRecipient(recipient);
    return { file: Buffer.from(armor.encode(await encrypter.encrypt(format(after)))), beforePush };
  }

  async #allRecipients(): Promise<string[]> {
    const { generateX25519Identity, identityToRecipient } = await loadAge();
    const identity = await this.#identity.readOrCreate(generateX25519Identity);
    const own = await this.#understood(() => identityToRecipient(identity.trim()));
    for (const recipient of this.#recipients) await checkRecipient(recipient);
    return [...new Set([own, ...[...this.#recipients].sort(comparePaths)])];
  }

  async #open(file: Uint8Array): Promise<Payload> {
    const text = Buffer.from(file).toString("latin1");
    if (/^(<{7}|={7}|>{7})/m.test(text))
      throw this.#unreadable("holds the marks of a merge conflict", {
        hint: `Take one side of it whole (git checkout --ours or --theirs): values that only the other has are told by name, and put in with age.`,
      });
    const { Decrypter, armor, identityToRecipient } = await loadAge();
    const decrypter = new Decrypter();
    const identity = (await this.#readIdentity()).trim();
    await this.#understood(() => decrypter.addIdentity(identity));
    let encrypted: Uint8Array;
    try {
      encrypted = text.startsWith("age-encryption.org/") ? file : armor.decode(text);
    } catch (cause) {
      throw this.#unreadable("is no file that age made", { cause });
    }
    let plain: string;
    try {
      plain = await decrypter.decrypt(encrypted, "text");
    } catch (cause) {
      throw this.#unreadable(`can't be opened with ${this.#identity.place}`, {
        cause,
        hint: `Put back the key that it was made for, or have somebody who can open it encrypt it for ${await identityToRecipient(identity)} too.`,
      });
    }
    try {
      return payload.parse(JSON.parse(plain));
    } catch {
      // The cause would quote what is in it.
      throw this.#unreadable("holds something else than a vault's values", {
        hint: 'It is JSON: {"version": 1, "recipients": ["age1…"], "values": {"KEY": "VALUE"}}, each value in quotes.',
      });
    }
  }

  /** Only the first file of a repository comes with a new key: the key of those that are there was lost, or is elsewhere. */
  #refuseSecondKey(files: readonly string[]): void {
    const [first, ...others] = files;
    if (first === undefined) return;
    const which = others.length === 0 ? first : `${first} and ${String(others.length)} more`;
    throw new AsteriskIacError(
      "SecretMissing",
      `the key to the secrets of other servers in the repository is not there: ${this.#identity.place}`,
      {
        hint:
          `It opens ${which}: restore it from your backup, or copy it from where these are written. ` +
          `For a key of its own, make one with age-keygen and store that there.`,
      },
    );
  }

  async #readIdentity(): Promise<string> {
    const identity = await this.#identity.read();
    if (identity !== undefined) return identity;
    throw new AsteriskIacError(
      "SecretMissing",
      `the key to ${ageFile} is not there: ${this.#identity.place}`,
      {
        hint: "Restore it from your backup: without it nobody but the other recipients can read the values.",
      },
    );
  }

  /** What fails on a key fails without showing it. */
  async #understood<T>(use: () => T | Promise<T>): Promise<T> {
    try {
      return await use();
    } catch {
      throw new AsteriskIacError("SecretMissing", `${this.#identity.place} is no secret key of age`, {
        hint: "It is one line that begins with AGE-SECRET-KEY-1, as age-keygen makes it.",
      });
    }
  }

  #unreadable(why: string, details: { hint?: string; cause?: unknown } = {}): AsteriskIacError {
    return new AsteriskIacError("RecordInvalid", `the vault ${this.name} ${why}`, {
      where: { file: ageFile },
      hint: "Restore it from an earlier commit: git checkout COMMIT -- FILE.",
      ...details,
    });
  }
}

/**
 * Sorted, so that the same values give the same text; so many blanks behind it that its length tells how many values of which
 * names there are, and nothing of how long they are, up to 256 bytes each on average.
 */
function format({ recipients, values }: Payload): string {
  const sorted = Object.entries(values).sort(([a], [b]) => comparePaths(a, b));
  const text = JSON.stringify({ version: 1, recipients, values: Object.fromEntries(sorted) }, undefined, 2);
  const allowed = sorted.reduce((sum, [key]) => sum + key.length + valueLength, 0);
  let length = Math.ceil((allowed + 1) / blockLength) * blockLength;
  while (length <= Buffer.byteLength(text)) length *= 2;
  return `${text}${" ".repeat(length - Buffer.byteLength(text) - 1)}\n`;
}

function textsOf(values: SecretValues): Record<string, string> {
  return Object.fromEntries([...values].map(([key, value]) => [key, toText(value)]));
}

function valuesOf({ values }: Payload): SecretValues {
  return new Map(Object.entries(values).map(([key, value]) => [key, fromText(value)]));
}

function toText(value: Buffer): string {
  const text = value.toString("utf8");
  const isText = Buffer.from(text).equals(value) && !text.startsWith(bytesPrefix);
  return isText ? text : bytesPrefix + value.toString("base64");
}

function fromText(text: string): Buffer {
  return text.startsWith(bytesPrefix)
    ? Buffer.from(text.slice(bytesPrefix.length), "base64")
    : Buffer.from(text);
}

async function checkRecipient(recipient: string): Promise<void> {
  const { Encrypter } = await loadAge();
  try {
    new Encrypter().addRecipient(recipient);
  } catch (cause) {
    throw new AsteriskIacError("InvalidManifest", `${recipient} is no recipient of age`, {
      cause,
      hint: "ageRecipients takes public keys, as `age-keygen -y` prints them: age1…",
    });
  }
}
