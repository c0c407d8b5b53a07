import { constants } from "node:fs";
import { appendFile, link, mkdir, open, readFile, readdir, rm, stat } from "node:fs/promises";
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
    const folder = join(this.#directory, name);
    const file = join(folder, key);
    const present = await readFile(file).catch(() => undefined);
    if (present !== undefined) return present;
    const temporary = join(folder, `.${key}-${randomBytes(8).toString("hex")}`);
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const handle = await open(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
      await handle.writeFile(make());
      await handle.sync();
      await handle.close();
      // link(2) leaves the file of a run that came first.
      await link(temporary, file).catch((cause: unknown) => {
        if (!hasErrorCode(cause, "EEXIST")) throw cause;
      });
    } catch (cause) {
      throw new AsteriskIacError(
        "SecretMissing",
        `the secret ${name} has no key ${key}, and ${file} can't be made`,
        {
          cause,
          hint: "Make the secrets' folder writable for this first run, or name another with --secrets.",
        },
      );
    } finally {
      await rm(temporary, { force: true });
    }
    return readFile(file);
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
