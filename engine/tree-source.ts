import { AsteriskIacError, messageOf } from "../core/errors.ts";
import { isHidden } from "../core/paths.ts";
import { contentHash } from "../core/record.ts";
import type { KeptFile, RecordName, Source, SourceFile } from "../core/source.ts";
import type { RepositoryFiles } from "./repository-files.ts";

/** The bytes of a file of a source as they are to be on a server: its references to secrets filled in. */
export type Fill = (path: string, bytes: Buffer) => Promise<Buffer>;

type Contents = ReadonlyMap<string, Buffer | { readonly problem: string }>;

/** How the files of a directory become those of a server. */
export interface Filling {
  readonly fill: Fill;
  /** Whether a file counts: one that does not, and can't be filled in, has a problem; no more. */
  readonly isSelected: (path: string) => boolean;
}

const asTheyAre: Filling = { fill: (_, bytes) => Promise.resolve(bytes), isSelected: () => true };

/** A directory of a repository as a source that is only read. */
export class TreeSource implements Source {
  readonly name: string;
  readonly #files: RepositoryFiles;
  readonly #directory: string;
  readonly #filling: Filling;
  #contents: Promise<Contents> | undefined;

  /** @param directory the source's path in the repository; empty for its root */
  constructor(files: RepositoryFiles, directory: string, filling = asTheyAre) {
    this.name = directory === "" ? files.name : `${directory} of ${files.name}`;
    this.#files = files;
    this.#directory = directory;
    this.#filling = filling;
  }

  holds(): boolean {
    return true;
  }

  async list(): Promise<ReadonlyMap<string, SourceFile>> {
    return new Map(
      [...(await this.#read())].map(([path, content]) => [
        path,
        Buffer.isBuffer(content) ? { hash: contentHash(content), size: content.length } : content,
      ]),
    );
  }

  async read(path: string): Promise<Buffer> {
    const content = (await this.#read()).get(path);
    if (Buffer.isBuffer(content)) return content;
    throw new AsteriskIacError("SourceUnavailable", `${path} is not a file of ${this.name}`);
  }

  /** What a file held before it was removed, where that is known. */
  async removed(path: string): Promise<Buffer | undefined> {
    const bytes = await this.#files.removed?.(this.#at(path));
    return bytes === undefined ? undefined : this.#filling.fill(path, bytes);
  }

  #read(): Promise<Contents> {
    return (this.#contents ??= this.#readAll());
  }

  async #readAll(): Promise<Contents> {
    const entries = [...(await this.#files.list(this.#directory))].filter(([path]) => !isHidden(path));
    const paths = entries.flatMap(([path, entry]) => (entry === "file" ? [path] : []));
    const bytes = await this.#files.read(paths.map((path) => this.#at(path)));
    const filled = paths.map(
      async (path) => [path, await this.#filled(path, bytes.get(this.#at(path)) ?? Buffer.alloc(0))] as const,
    );
    return new Map<string, Buffer | { readonly problem: string }>([
      ...entries.flatMap(([path, entry]) => (entry === "file" ? [] : [[path, entry] as const])),
      ...(await Promise.all(filled)),
    ]);
  }

  async #filled(path: string, bytes: Buffer): Promise<Buffer | { readonly problem: string }> {
    const { fill, isSelected } = this.#filling;
    return fill(path, bytes).catch((thrown: unknown) => {
      if (isSelected(path)) throw thrown;
      return { problem: `can't be filled in: ${messageOf(thrown)}` };
    });
  }

  #at(path: string): string {
    return this.#directory === "" ? path : `${this.#directory}/${path}`;
  }

  async readRecord(name: RecordName): Promise<string | undefined> {
    const file = `.asterisk-iac/${name}.json`;
    if ((await this.#files.list(this.#directory)).get(file) !== "file") return undefined;
    return (await this.#files.read([this.#at(file)])).get(this.#at(file))?.toString("utf8");
  }

  recordFile(name: RecordName): string {
    return `${this.#at(`.asterisk-iac/${name}.json`)} of ${this.#files.name}`;
  }

  write(): Promise<boolean> {
    return this.#refuse();
  }

  remove(): Promise<boolean> {
    return this.#refuse();
  }

  keep(): Promise<void> {
    return this.#refuse();
  }

  listKept(): Promise<readonly KeptFile[]> {
    return Promise.resolve([]);
  }

  readKept(): Promise<Buffer> {
    return this.#refuse();
  }

  writeRecord(): Promise<void> {
    return this.#refuse();
  }

  exclusively<T>(): Promise<T> {
    return this.#refuse();
  }

  #refuse(): Promise<never> {
    return Promise.reject(new AsteriskIacError("SourceUnavailable", `${this.name} is only read`));
  }
}
