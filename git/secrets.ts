/** How the secrets of a server's files are kept out of the repository that holds the files. */
import type { SecretRule } from "../core/conf/secrets.ts";

/**
 * Values by key, as their bytes stand in the files. Never empty, never with a line end. A key that something refers to never
 * gets another value: what was committed, or kept, goes on meaning what it meant.
 */
export type SecretValues = ReadonlyMap<string, Buffer>;

/**
 * Where the values are that `takeOutSecrets` takes from one server's files, and `putInSecrets` puts back. A source without a
 * vault keeps its files as they are, secrets in the clear (`secrets: Plain`).
 *
 * To read: `values = await vault.read(bytes of vault.file)`, then `putInSecrets` for each file. To commit: `takeOutSecrets`
 * for each file, one after the other, each with the values that the one before returned; `dropUnused`; `prepare`; the file
 * that it gives into the same commit; `beforePush`; the push.
 */
export interface Vault {
  /** The Secret's name in the references, `<server>-secrets`. */
  readonly name: string;
  /** The name of its own file in the folder of the server's records; undefined where it has none. */
  readonly file: string | undefined;
  /** What holds a secret. */
  readonly rules: readonly SecretRule[];
  /** What to do where a value is missing: a sentence or two for people. */
  readonly advice: string;
  /**
   * The values.
   * @param file the bytes of `file` in the commit, if it is there
   * @throws `RecordInvalid` for a file that can't be read, `SecretMissing` without the key to it
   */
  read(file: Uint8Array | undefined): Promise<SecretValues>;
  /**
   * Makes ready to commit the values.
   * @param file the bytes of `file` in the commit that the new one comes after
   * @param elsewhere the paths of other servers' files of that name in that commit; default none
   * @throws `SecretMissing` where others have a key that is not here: a second one would hide that the first is lost
   */
  prepare(
    values: SecretValues,
    file: Uint8Array | undefined,
    elsewhere?: () => Promise<readonly string[]>,
  ): Promise<PreparedVault>;
}

/** What is to be done with a commit. */
export interface PreparedVault {
  /** The new bytes of the vault's file, for the same commit: the ones that are there where no value changed. */
  readonly file: Uint8Array | undefined;
  /** Stores what the commit refers to and the repository does not hold. To be done before it is pushed; may be done twice. */
  beforePush(): Promise<void>;
}
