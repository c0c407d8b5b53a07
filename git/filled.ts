import { AsteriskIacError, messageOf } from "../core/errors.ts";
import { contentHash } from "../core/record.ts";
import { secretReferences } from "../core/secret-references.ts";
import type { SourceFile } from "../core/source.ts";
import type { ForeignSecrets } from "./secrets-in-files.ts";
import { dropUnused, putInSecrets, takeOutSecrets } from "./secrets-in-files.ts";
import type { PreparedVault, SecretValues, Vault } from "./secrets.ts";
import type { GitSnapshot } from "./snapshot.ts";
import { room } from "./snapshot.ts";

/** Reads a secret by its name: values by key, undefined where there is none of that name. */
export type ReadSecret = (name: string) => Promise<ReadonlyMap<string, Uint8Array> | undefined>;

/** What work on a source wrote: files by path, null for those that are gone; what was kept by its name below `kept`. */
export interface Written {
  readonly files: ReadonlyMap<string, Buffer | null>;
  readonly kept: ReadonlyMap<string, Buffer>;
}

/** The same as a commit has it, by path in the server's directory. */
export interface ToCommit {
  readonly changes: ReadonlyMap<string, Uint8Array | null>;
  /** To be called before the commit is pushed. */
  readonly beforePush: () => Promise<void>;
}

/** The files of a snapshot between what git has, with references, and what the server has, with the values in their place. */
export class FilledFiles {
  readonly #snapshot: GitSnapshot;
  readonly #vault: Vault | undefined;
  readonly #values: SecretValues;
  readonly #readSecret: ReadSecret;
  readonly #secrets = new Map<string, ReturnType<ReadSecret>>();
  /** The values that references to other Secrets were filled in with so far. */
  readonly foreignValues = new Set<string>();

  private constructor(
    snapshot: GitSnapshot,
    vault: Vault | undefined,
    values: SecretValues,
    readSecret: ReadSecret,
  ) {
    this.#snapshot = snapshot;
    this.#vault = vault;
    this.#values = values;
    this.#readSecret = readSecret;
  }

  /** Throws as `Vault.read` does. */
  static async open(
    snapshot: GitSnapshot,
    vault: Vault | undefined,
    readSecret: ReadSecret,
  ): Promise<FilledFiles> {
    const values = vault === undefined ? new Map() : await vault.read(vaultFile(snapshot, vault));
    return new FilledFiles(snapshot, vault, values, readSecret);
  }

  /**
   * Every file, hashed as the server is to have it. Throws for a secret that is not there, where `isSelected` says that the
   * file counts; another file that can't be filled in has a problem.
   */
  async list(isSelected: (path: string) => boolean): Promise<ReadonlyMap<string, SourceFile>> {
    const entries = this.#snapshot.paths().map(async (path): Promise<[string, SourceFile]> => {
      const problem = this.#snapshot.problem(path);
      if (problem !== undefined) return [path, { problem }];
      try {
        const bytes = await this.read(path);
        return [path, { hash: contentHash(bytes), size: bytes.length }];
      } catch (thrown) {
        if (isSelected(path)) throw thrown;
        return [path, { problem: `can't be filled in: ${messageOf(thrown)}` }];
      }
    });
    return new Map(await Promise.all(entries));
  }

  /** A file as the server is to have it. */
  async read(path: string): Promise<Buffer> {
    const bytes = this.#snapshot.bytes(path);
    const problem = this.#snapshot.problem(path);
    if (bytes !== undefined && problem === undefined) return this.fill(path, bytes);
    throw new AsteriskIacError("SourceUnavailable", `${path} ${problem ?? "is not in the repository"}`);
  }

  /** Bytes of git as the server is to have them. Throws as `putInSecrets` does, and for a reference that nothing fills in. */
  async fill(path: string, bytes: Buffer): Promise<Buffer> {
    if (!bytes.includes("@{secret:")) return bytes;
    if (this.#vault === undefined) {
      refuseReferences(path, bytes);
      return bytes;
    }
    return putInSecrets(path, bytes, this.#vault, this.#values, await this.#foreign(path, bytes));
  }

  /** What was written, as a commit is to have it: nothing that is in the clear where it should not be, and nothing lost. */
  async takeOut({ files, kept }: Written): Promise<ToCommit> {
    const keptPaths = [...kept].map(([name, bytes]) => [`${room}/kept/${name}`, bytes] as const);
    const vault = this.#vault;
    if (vault === undefined)
      return { changes: new Map([...files, ...keptPaths]), beforePush: () => Promise.resolve() };
    let values = this.#values;
    const changes = new Map<string, Buffer | null>();
    const proofs: (() => Promise<void>)[] = [];
    const take = async (name: string, path: string, bytes: Buffer, before?: Buffer): Promise<void> => {
      const foreign = before === undefined ? () => undefined : await this.#foreign(path, before);
      const taken = takeOutSecrets(path, bytes, {
        vault,
        values,
        foreign,
        ...(before === undefined ? {} : { before }),
      });
      values = taken.values;
      changes.set(name, taken.bytes);
      proofs.push(async () => {
        const again = await this.#foreign(path, taken.bytes);
        if (putInSecrets(path, taken.bytes, vault, values, again).equals(bytes)) return;
        throw new AsteriskIacError(
          "ConfInvalid",
          "taking the secrets out of a file would not keep its bytes",
          {
            where: { file: path },
            hint: "Nothing was committed. Leave the file out with a rule `unmanaged: true`, and please report it.",
          },
        );
      });
    };
    for (const [path, bytes] of files) {
      if (bytes === null) changes.set(path, null);
      else await take(path, path, bytes, this.#snapshot.bytes(path));
    }
    for (const [name, bytes] of keptPaths) await take(name, name.split("/").slice(3).join("/"), bytes);
    values = dropUnused(vault, values, this.#replaced(changes), await this.#left(changes));
    for (const prove of proofs) await prove();
    const { file = "" } = vault;
    const elsewhere = (): Promise<readonly string[]> => this.#snapshot.elsewhere(`${room}/${file}`);
    const prepared = await vault.prepare(values, vaultFile(this.#snapshot, vault), elsewhere);
    return { changes: withVault(changes, vault, prepared), beforePush: () => prepared.beforePush() };
  }

  /** The files that changes take the place of. */
  #replaced(changes: ReadonlyMap<string, unknown>): Buffer[] {
    return [...changes.keys()].flatMap((path) => this.#snapshot.bytes(path) ?? []);
  }

  /** All files as they are with the changes, those that were kept too. */
  async #left(changes: ReadonlyMap<string, Buffer | null>): Promise<Buffer[]> {
    const others = this.#snapshot.paths().filter((path) => !changes.has(path));
    const kept = this.#snapshot.kept().map(({ name }) => this.#snapshot.readKept(name));
    return [
      ...[...changes.values()].filter((bytes) => bytes !== null),
      ...others.flatMap((path) => this.#snapshot.bytes(path) ?? []),
      ...(await Promise.all(kept)).filter((bytes) => bytes !== undefined),
    ];
  }

  /** The values that a file's references to other Secrets stand for. */
  async #foreign(path: string, bytes: Buffer): Promise<ForeignSecrets> {
    const own = this.#vault?.name;
    const references = secretReferences(bytes.toString("latin1"), path);
    const names = [...new Set(references.map(({ name }) => name))].filter((name) => name !== own);
    const secrets = new Map(
      await Promise.all(names.map(async (name) => [name, await this.#secret(name)] as const)),
    );
    return ({ name, key }) => {
      const value = secrets.get(name)?.get(key);
      if (value !== undefined)
        this.foreignValues.add(
          Buffer.from(value)
            .toString("utf8")
            .replace(/\r?\n$/, ""),
        );
      return value;
    };
  }

  #secret(name: string): ReturnType<ReadSecret> {
    const asked = this.#secrets.get(name) ?? this.#readSecret(name);
    this.#secrets.set(name, asked);
    return asked;
  }
}

/** Without a vault a reference would reach Asterisk as the password itself. */
function refuseReferences(path: string, bytes: Buffer): void {
  const [first] = secretReferences(bytes.toString("latin1"), path);
  if (first === undefined) return;
  throw new AsteriskIacError(
    "SecretMissing",
    `${path} refers to the secret ${first.name}, key ${first.key}, and \`secrets: Plain\` fills in nothing`,
    { hint: "Set source.git.secrets back to Age or Secret, or put the value into the file." },
  );
}

function vaultFile(snapshot: GitSnapshot, { file }: Vault): Buffer | undefined {
  return file === undefined ? undefined : snapshot.bytes(`${room}/${file}`);
}

function withVault(
  changes: ReadonlyMap<string, Buffer | null>,
  { file: name }: Vault,
  { file }: PreparedVault,
): ReadonlyMap<string, Uint8Array | null> {
  return name === undefined || file === undefined
    ? changes
    : new Map([...changes, [`${room}/${name}`, file]]);
}
