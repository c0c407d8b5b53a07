import { randomUUID } from "node:crypto";
import { AsteriskIacError } from "../core/errors.ts";
import type { ContentHash } from "../core/record.ts";
import { contentHash } from "../core/record.ts";
import type { KeptFile, RecordName, Source, SourceFile } from "../core/source.ts";
import type { ImportContents, ImportMemory } from "./import-index.ts";
import { pack, unpack } from "./import-index.ts";
import type { Archive, Kept } from "./import-archive.ts";
import { compressed, emptyArchive, readArchive } from "./import-archive.ts";
import type { KubernetesSecret, SecretsAPI } from "./secrets.ts";
import { managedBy } from "./secrets.ts";

/** A Secret holds 1 MiB at most, and etcd 1.5 MiB a request. Bytes of one part, compressed. */
const defaultPartBytes = 700 * 1024;
/** Old bytes are let go of, the oldest first, beyond so much. Bytes, as they are. */
const mostKept = 4 * 1024 * 1024;

/**
 * A server's import as one compressed Secret, `<server>-import`, and further ones (`<server>-import-a2`, …) where it is too
 * large for one. Of what resources declare nothing is here; the files of which the server is the source of truth are
 * kept as they are there. What `exclusively` runs is written at its end, all of it or nothing.
 */
export class ImportSecret implements Source {
  readonly name: string;
  readonly #api: SecretsAPI;
  readonly #namespace: string;
  readonly #holds: (path: string) => boolean;
  readonly #partBytes: number;
  readonly #memory: ImportMemory | undefined;
  #archive: Archive | undefined;
  #loading: Promise<Archive> | undefined;
  /** Without the contents: enough where nothing differs. */
  #contents: ImportContents | undefined;
  /** By part: the Secret as it was read. */
  #parts: KubernetesSecret[] = [];

  /**
   * @param holds whether the server is the source of truth of a path
   * @param partBytes how much one Secret holds, compressed
   * @param memory what is known from the pass before; without it, the Secret is read
   */
  constructor(
    api: SecretsAPI,
    namespace: string,
    server: string,
    holds: (path: string) => boolean,
    partBytes = defaultPartBytes,
    memory?: ImportMemory,
  ) {
    this.#api = api;
    this.#namespace = namespace;
    this.name = `${server}-import`;
    this.#holds = holds;
    this.#partBytes = partBytes;
    this.#memory = memory;
  }

  holds(path: string): boolean {
    return this.#holds(path);
  }

  async list(): Promise<ReadonlyMap<string, SourceFile>> {
    const { files } = await this.#look();
    return new Map(Object.entries(files).filter(([path]) => this.#holds(path)));
  }

  async read(path: string): Promise<Buffer> {
    const content = (await this.#load()).files.get(path);
    if (content !== undefined) return content;
    throw new AsteriskIacError("SourceUnavailable", `${path} is not in the Secret ${this.name}`);
  }

  async write(path: string, bytes: Uint8Array, expected: string | null, keepAs: string): Promise<boolean> {
    const archive = await this.#load();
    if (!isExpected(archive, path, expected)) return false;
    this.#take({ ...withKept(archive, path, keepAs), files: archive.files.set(path, Buffer.from(bytes)) });
    return true;
  }

  async remove(path: string, expected: string, keepAs: string): Promise<boolean> {
    const archive = await this.#load();
    if (!isExpected(archive, path, expected)) return false;
    const kept = withKept(archive, path, keepAs);
    archive.files.delete(path);
    this.#take(kept);
    return true;
  }

  async keep(path: string, bytes: Uint8Array, keepAs: string): Promise<void> {
    const archive = await this.#load();
    const content = Buffer.from(bytes);
    this.#take({ ...archive, kept: keptWith(archive.kept, { id: keepAs, path, content }) });
  }

  async listKept(): Promise<readonly KeptFile[]> {
    const { kept } = await this.#load();
    return kept.map(({ id, path, content, keptAt }) => ({
      id,
      path,
      size: content.length,
      keptAt: new Date(keptAt),
    }));
  }

  async readKept(id: string, path: string): Promise<Buffer> {
    const found = (await this.#load()).kept.find((each) => each.id === id && each.path === path);
    if (found !== undefined) return found.content;
    throw new AsteriskIacError(
      "InvalidArgument",
      `nothing of ${path} is kept as ${id} in the Secret ${this.name}`,
    );
  }

  async readRecord(name: RecordName): Promise<string | undefined> {
    return (await this.#look()).records[name];
  }

  async writeRecord(name: RecordName, text: string): Promise<void> {
    const archive = await this.#load();
    this.#take({ ...archive, records: { ...archive.records, [name]: text } });
  }

  recordFile(name: RecordName): string {
    return `Secret ${this.name} (${name} record)`;
  }

  async exclusively<T>(work: () => Promise<T>): Promise<T> {
    // What was read of it a moment ago does: whoever wrote since makes ours fail. What is remembered does not.
    await this.#load();
    try {
      const result = await work();
      await this.#store();
      return result;
    } catch (error) {
      this.#archive = undefined;
      this.#contents = undefined;
      throw error;
    }
  }

  /** What is there, from memory where nothing newer is known. What is written afterwards is expected to be so. */
  async #look(): Promise<ImportContents> {
    if (this.#contents !== undefined) return this.#contents;
    const known = this.#archive === undefined ? this.#memory?.recall(this.name) : undefined;
    return (this.#contents = known === undefined ? contentsOf(await this.#load()) : await unpack(known));
  }

  /** What is there, or is to be written when `exclusively` ends. */
  #take(archive: Archive): Archive {
    this.#contents = undefined;
    return (this.#archive = archive);
  }

  async #remember(): Promise<void> {
    const version = this.#parts[0]?.metadata.resourceVersion;
    if (this.#memory === undefined || version === undefined) return;
    this.#memory.remember(await pack(await this.#look(), version));
  }

  /** All of it. Whoever asks while it is read gets the same: one pass may read a hundred files side by side. */
  async #load(): Promise<Archive> {
    if (this.#archive !== undefined) return this.#archive;
    this.#loading ??= this.#readAll().finally(() => (this.#loading = undefined));
    return this.#loading;
  }

  async #readAll(): Promise<Archive> {
    const [first, ...others] = await this.#readParts();
    this.#parts = first === undefined ? [] : [first, ...others];
    // Without a hash it was reserved, and nothing was stored yet.
    if (first?.data?.["hash"] === undefined) return this.#take(emptyArchive());
    const bytes = Buffer.concat(
      this.#parts.map(({ data = {} }) => Buffer.from(data["import"] ?? "", "base64")),
    );
    const { parts: expected, hash } = describedBy(first);
    const isWhole = expected === this.#parts.length && contentHash(bytes) === hash;
    if (!isWhole && (await this.#isOlder(first))) return this.#readAll();
    let archive: Archive;
    try {
      if (!isWhole) throw new Error("parts do not belong together");
      archive = this.#take(await readArchive(bytes));
    } catch (cause) {
      throw new AsteriskIacError("RecordInvalid", `the Secret ${this.name} can't be read`, {
        cause,
        hint: `Restore ${this.name} and its further parts together from your backup of the cluster, or delete them for a new import.`,
      });
    }
    await this.#remember();
    return archive;
  }

  /** Whether somebody wrote the first part since it was read, so that its further parts may be later ones. */
  async #isOlder({ metadata }: KubernetesSecret): Promise<boolean> {
    const now = await this.#api.get(this.#namespace, this.name);
    return now?.metadata.resourceVersion !== metadata.resourceVersion;
  }

  async #readParts(): Promise<KubernetesSecret[]> {
    const first = await this.#api.get(this.#namespace, this.name);
    if (first === undefined) return [];
    const { parts, set } = describedBy(first);
    const others = await this.#readFurther(set, parts);
    return [first, ...others.filter((part) => part !== undefined)];
  }

  /** The further parts of a set, as far as they are there. */
  #readFurther(set: string, parts: number): Promise<(KubernetesSecret | undefined)[]> {
    const names = Array.from({ length: parts - 1 }, (_, at) => this.#partName(set, at + 1));
    return Promise.all(names.map((name) => this.#api.get(this.#namespace, name)));
  }

  /**
   * The further parts are written first, into Secrets that nothing refers to: until the first part names them, what was
   * there before is whole.
   */
  async #store(): Promise<void> {
    const bytes = await compressed(this.#archive ?? emptyArchive());
    const count = Math.max(1, Math.ceil(bytes.length / this.#partBytes));
    const set = this.#parts[0] !== undefined && describedBy(this.#parts[0]).set === "a" ? "b" : "a";
    const partOf = (at: number): string =>
      bytes.subarray(at * this.#partBytes, (at + 1) * this.#partBytes).toString("base64");
    const others: KubernetesSecret[] = [];
    if (count > 1) {
      const before = await this.#readFurther(set, count);
      await this.#reserve();
      for (const [at, part] of before.entries())
        others.push(await this.#put(this.#partName(set, at + 1), part, { import: partOf(at + 1) }));
    }
    const described = { parts: base64(String(count)), hash: base64(contentHash(bytes)), set: base64(set) };
    const first = await this.#put(this.name, this.#parts[0], { import: partOf(0), ...described });
    this.#parts = [first, ...others];
    await this.#remember();
  }

  /**
   * Of several that write at the same time, the others fail from here on: their first part is no longer as they read it,
   * and the further parts that they read before it are replaced by ours, so that they never overwrite those.
   */
  async #reserve(): Promise<void> {
    const [first, ...others] = this.#parts;
    const writing = base64(randomUUID());
    this.#parts = [await this.#put(this.name, first, { ...first?.data, writing }), ...others];
  }

  #put(
    name: string,
    before: KubernetesSecret | undefined,
    data: Record<string, string>,
  ): Promise<KubernetesSecret> {
    if (before !== undefined) return this.#api.replace({ ...before, data });
    const metadata = { name, namespace: this.#namespace, labels: managedBy };
    return this.#api.create({ type: "asterisk-iac.dev/import", metadata, data });
  }

  #partName(set: string, at: number): string {
    return `${this.name}-${set}${at + 1}`;
  }
}

function contentsOf({ files, records }: Archive): ImportContents {
  const listed = [...files].map(([path, content]): [string, SourceFile] => [
    path,
    { hash: hashOf(content), size: content.length },
  ]);
  return { files: Object.fromEntries(listed), records };
}

function describedBy({ data = {} }: KubernetesSecret): { parts: number; hash: string; set: string } {
  const text = (key: string): string => Buffer.from(data[key] ?? "", "base64").toString("utf8");
  return { parts: Number(text("parts")) || 1, hash: text("hash"), set: text("set") };
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

function isExpected({ files }: Archive, path: string, expected: string | null): boolean {
  const content = files.get(path);
  return (content === undefined ? null : hashOf(content)) === expected;
}

/** By content of an archive, which never changes in place. */
const hashes = new WeakMap<Buffer, ContentHash>();

function hashOf(content: Buffer): ContentHash {
  const known = hashes.get(content) ?? contentHash(content);
  hashes.set(content, known);
  return known;
}

function withKept(archive: Archive, path: string, id: string): Archive {
  const content = archive.files.get(path);
  return content === undefined
    ? archive
    : { ...archive, kept: keptWith(archive.kept, { id, path, content }) };
}

function keptWith(kept: readonly Kept[], one: Omit<Kept, "keptAt">): readonly Kept[] {
  const all = [{ ...one, keptAt: new Date().toISOString() }, ...kept];
  let size = 0;
  return all.filter(({ content }, at) => (size += content.length) <= mostKept || at === 0);
}
