/** One secret: values by key, as bytes. */
export type Secret = ReadonlyMap<string, Buffer>;

/** Where a front keeps its secrets: a folder, Kubernetes, Pulumi's configuration. */
export interface SecretStore {
  /** Throws `SecretMissing`. */
  read(name: string): Promise<Secret>;
  /** The value of a key; made by `make` and stored for good where there is none yet. */
  readOrCreate(name: string, key: string, make: () => Buffer): Promise<Buffer>;
  /** Stores a value for good, in the place of another. Throws `SecretMissing` where that can't be done. */
  write(name: string, key: string, value: Buffer): Promise<void>;
  /** Stores several values of one secret for good, in the place of others. Throws `SecretMissing` where that can't be done. */
  writeAll(name: string, values: Secret): Promise<void>;
  /** Removes a value. */
  remove(name: string, key: string): Promise<void>;
  /** Adds one line to a text value, e.g. a host key that was seen for the first time to `known_hosts`. */
  appendLine(name: string, key: string, line: string): Promise<void>;
}
