import { constants } from "node:fs";
import { appendFile, link, mkdir, open, readFile, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { randomBytes } from "node:crypto";
import { AsteriskIacError, hasErrorCode } from "../core/errors.ts";
import type { Secret, SecretStore } from "../engine/secrets.ts";

/**
 * Secrets as the CLI has them: `kind: Secret` documents of the manifests, and `DIR/<name>/<key>`, the layout of
 * mounted Kubernetes secrets. What is created goes to the directory (0700, files 0600).
 */
export class SecretDirectory implements SecretStore {
  readonly #directory: string;
  readonly #documents: ReadonlyMap<string, Secret>;

  constructor(directory: string, documents: ReadonlyMap<string, Secret> = new Map()) {
    this.#directory = directory;
    this.#documents = documents;
  }

  /** Where a value is, or would be stored. */
  placeOf(name: string, key: string): string {
    const isDocument = this.#documents.get(name)?.has(key) === true;
    return isDocument ? `${key} of the Secret ${name} in the manifests` : join(this.#directory, name, key);
  }

  async read(name: string): Promise<Secret> {
    const document = this.#documents.get(name);
    if (document !== undefined) return document;
    const folder = join(this.#directory, name);
    let keys: string[];
    try {
      keys = await readdir(folder);
    } catch (cause) {
      throw new AsteriskIacError(
        "SecretMissing",
        `the secret ${name} is not there: ${folder} can't be read`,
        {
          cause,
          hint: `Create the folder with one file a key, or name the secrets' folder with --secrets.`,
        },
      );
    }
    const values = new Map<string, Buffer>();
    for (const key of keys) {
      if (key.startsWith(".")) continue;
      const file = join(folder, key);
      if ((await stat(file)).isFile()) values.set(key, await readFile(file));
    }
    return values;
  }

  async readOrCreate(name: string, key: string, make: () => Buffer): Promise<Buffer> {
    const document = this.#documents.get(name)?.get(key);
    if (document !== undefined) return document;
    const file = join(this.#directory, name, key);
    const present = await readFile(file).catch(() => undefined);
    if (present !== undefined) return present;
    await this.#store(name, key, make(), async (temporary) => {
      // link(2) leaves the file of a run that came first.
      await link(temporary, file).catch((cause: unknown) => {
        if (!hasErrorCode(cause, "EEXIST")) throw cause;
      });
    });
    return readFile(file);
  }

  async write(name: string, key: string, value: Buffer): Promise<void> {
    this.#refuseDocument(name);
    await this.#store(name, key, value, (temporary) => rename(temporary, join(this.#directory, name, key)));
  }

  async writeAll(name: string, values: Secret): Promise<void> {
    for (const [key, value] of values) await this.write(name, key, value);
  }

  async remove(name: string, key: string): Promise<void> {
    this.#refuseDocument(name);
    await rm(join(this.#directory, name, key), { force: true });
  }

  /** A secret that stands in a manifest is the user's to change. */
  #refuseDocument(name: string): void {
    if (!this.#documents.has(name)) return;
    throw new AsteriskIacError(
      "SecretMissing",
      `the secret ${name} is a document of the manifests, and is not written`,
      {
        hint: `Move it to ${join(this.#directory, name)}, one file a key.`,
      },
    );
  }

  /** Writes a value durably beside its place, and has `settle` put it there. */
  async #store(
    name: string,
    key: string,
    value: Buffer,
    settle: (temporary: string) => Promise<void>,
  ): Promise<void> {
    const folder = join(this.#directory, name);
    const temporary = join(folder, `.${key}-${randomBytes(8).toString("hex")}`);
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const handle = await open(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
      await handle.writeFile(value);
      await handle.sync();
      await handle.close();
      await settle(temporary);
    } catch (cause) {
      throw new AsteriskIacError("SecretMissing", `${join(folder, key)} can't be written`, {
        cause,
        hint: "Make the secrets' folder writable, or name another with --secrets.",
      });
    } finally {
      await rm(temporary, { force: true });
    }
  }

  async appendLine(name: string, key: string, line: string): Promise<void> {
    const folder = join(this.#directory, name);
    const file = join(folder, key);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const present = await readFile(file, "utf8").catch(() => "");
    const separator = present === "" || present.endsWith("\n") ? "" : "\n";
    await appendFile(file, `${separator}${line}\n`, { mode: 0o600 });
  }
}
