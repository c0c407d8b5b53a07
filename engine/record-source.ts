import { AsteriskIacError } from "../core/errors.ts";
import type { KeptFile, RecordName, Source, SourceFile } from "../core/source.ts";

/**
 * The source of a server that has none: what is declared are resources only. It keeps the records of the import and no
 * content; `record` is the text of the import record so far.
 */
export class RecordSource implements Source {
  readonly name: string;
  #record: string | undefined;

  constructor(name: string, record: string | undefined) {
    this.name = name;
    this.#record = record;
  }

  holds(): boolean {
    return false;
  }

  list(): Promise<ReadonlyMap<string, SourceFile>> {
    return Promise.resolve(new Map());
  }

  read(path: string): Promise<Buffer> {
    return Promise.reject(
      new AsteriskIacError("SourceUnavailable", `${this.name} has no source with ${path}`),
    );
  }

  /** Nothing is kept of what the import found. */
  write(): Promise<boolean> {
    return Promise.resolve(true);
  }

  remove(): Promise<boolean> {
    return Promise.resolve(true);
  }

  keep(): Promise<void> {
    return Promise.resolve();
  }

  listKept(): Promise<readonly KeptFile[]> {
    return Promise.resolve([]);
  }

  readKept(id: string, path: string): Promise<Buffer> {
    return this.read(`${id}/${path}`);
  }

  readRecord(name: RecordName): Promise<string | undefined> {
    return Promise.resolve(name === "import" ? this.#record : undefined);
  }

  writeRecord(name: RecordName, text: string): Promise<void> {
    if (name === "import") this.#record = text;
    return Promise.resolve();
  }

  recordFile(name: RecordName): string {
    return `${this.name} (${name} record)`;
  }

  exclusively<T>(work: () => Promise<T>): Promise<T> {
    return work();
  }
}
