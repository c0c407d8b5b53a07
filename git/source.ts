import { AsteriskIacError, hasErrorCode } from "../core/errors.ts";
import { checkPath, isHidden } from "../core/paths.ts";
import { contentHash, parseImportRecord } from "../core/record.ts";
import type { KeptFile, RecordName, Revision, RevisionText, Source, SourceFile } from "../core/source.ts";
import type { GitBranch } from "./branch.ts";
import type { ReadSecret } from "./filled.ts";
import { FilledFiles } from "./filled.ts";
import { committedBefore, keptInHistory } from "./history.ts";
import type { Publisher } from "./publisher.ts";
import type { Vault } from "./secrets.ts";
import type { CommitSignatures } from "./signatures.ts";
import { GitSnapshot, room } from "./snapshot.ts";

export interface GitSourceOptions {
  /** The server's name: commits say it. */
  readonly server: string;
  readonly branch: GitBranch;
  /** The directory of its files in the repository, "" for the root. */
  readonly path: string;
  /** How old what is known of the branch may be. Milliseconds. */
  readonly intervalMs: number;
  /** Where the files' secrets are kept; undefined: in the files, in the clear. */
  readonly vault: Vault | undefined;
  /** The secrets that users' own references name. */
  readonly readSecret: ReadSecret;
  /** Whether a file counts; one that does not may refer to secrets that are not there. */
  readonly isSelected: (path: string) => boolean;
  /** Where commits go; default the branch itself. */
  readonly publisher?: Publisher;
  /** Where only signed commits are believed. */
  readonly signatures?: CommitSignatures;
}

/** What the work under way wrote. */
interface Pending {
  readonly files: Map<string, Buffer | null>;
  /** What `list` says of these: hashed once, for each change looks at the list. */
  readonly listed: Map<string, SourceFile | null>;
  /** By name below `kept`. */
  readonly kept: Map<string, Buffer>;
  readonly records: Map<RecordName, string>;
}

/** No mailbox: nobody is to write to it. */
const email = "asterisk-iac@noreply.invalid";

/**
 * A directory of a git repository as a source. One commit is read as a whole, without a checkout, and what one piece of work
 * writes is one commit, or nothing. Old bytes are kept by the repository's history. Names that begin with a dot are not part
 * of it; links, submodules and pointers of Git LFS are never followed.
 */
export class GitSource implements Source {
  readonly name: string;
  readonly #options: GitSourceOptions;
  readonly #publisher: Publisher;
  #snapshot: GitSnapshot | undefined;
  #filled: Promise<FilledFiles> | undefined;
  #listed: Promise<ReadonlyMap<string, SourceFile>> | undefined;
  #written: Revision | undefined;
  /** The commit that we pushed and have not read: the next one who needs it reads it. */
  #unread: string | undefined;
  #pending: Pending | undefined;

  constructor(options: GitSourceOptions) {
    const { branch, path } = options;
    this.#options = options;
    this.#publisher = options.publisher ?? branch.publisher;
    this.name = `${branch.repository.url}#${branch.name}:${path === "" ? "." : path}`;
  }

  holds(): boolean {
    return true;
  }

  get revision(): Revision | undefined {
    const commit = this.#snapshot?.commit;
    if (this.#written !== undefined) return this.#written;
    return commit === undefined ? undefined : { commit, branch: this.#options.branch.name };
  }

  async refresh(): Promise<void> {
    const { branch, intervalMs } = this.#options;
    await this.#take(await branch.repository.tip(branch.name, intervalMs));
    this.#written = undefined;
  }

  async descendsFrom(commit: string): Promise<boolean> {
    const { repository, name } = this.#options.branch;
    const now = (await this.#current()).commit;
    return now !== undefined && (await repository.isAncestor(commit, now, name));
  }

  onChange(wake: () => void): () => void {
    const { branch, intervalMs } = this.#options;
    return branch.listen(intervalMs, (tip) => {
      // What can't be told is looked at.
      this.#isNews(tip).then((isNews) => isNews && wake(), wake);
    });
  }

  /** Our own commits, and those that leave our directory alone, are none. */
  async #isNews(tip: string | undefined): Promise<boolean> {
    const { branch, path } = this.#options;
    const { commit, treeId } = this.#snapshot === undefined ? {} : await this.#current();
    if (tip === undefined || tip === commit) return tip !== commit;
    return (await branch.repository.objects.treeId(tip, path)) !== treeId;
  }

  async list(): Promise<ReadonlyMap<string, SourceFile>> {
    const files = new Map(await this.#list());
    for (const [path, file] of this.#pending?.listed ?? []) {
      if (file === null) files.delete(path);
      else files.set(path, file);
    }
    return files;
  }

  async secretsFilledIn(): Promise<ReadonlySet<string>> {
    await this.#list();
    return (await this.#fill()).foreignValues;
  }

  async read(path: string): Promise<Buffer> {
    const pending = this.#pending?.files.get(path);
    if (pending === null) throw new AsteriskIacError("SourceUnavailable", `${path} was removed`);
    return pending ?? (await this.#fill()).read(path);
  }

  async write(path: string, bytes: Uint8Array, expected: string | null): Promise<boolean> {
    return this.#change(path, Buffer.from(bytes), expected);
  }

  async remove(path: string, expected: string): Promise<boolean> {
    return this.#change(path, null, expected);
  }

  async #change(path: string, bytes: Buffer | null, expected: string | null): Promise<boolean> {
    checkPath(path);
    if (isHidden(path)) {
      const message = `the path ${JSON.stringify(path)} has a name that begins with a dot`;
      throw new AsteriskIacError("PathRefused", message, { hint: "Such files are not part of a source." });
    }
    const files = await this.list();
    const present = files.get(path);
    const hash = present === undefined ? null : present.problem === undefined ? present.hash : "";
    if (hash !== expected || (expected === null && isInTheWay(path, files))) return false;
    const pending = this.#working();
    pending.files.set(path, bytes);
    pending.listed.set(path, bytes === null ? null : { hash: contentHash(bytes), size: bytes.length });
    return true;
  }

  keep(path: string, bytes: Uint8Array, keepAs: string): Promise<void> {
    checkPath(path);
    this.#working().kept.set(`${keepAs}/${path}`, Buffer.from(bytes));
    return Promise.resolve();
  }

  /** What the last commits overwrote, under the first digits of their ids, and what lies beside the records. */
  async listKept(): Promise<readonly KeptFile[]> {
    const { branch, path } = this.#options;
    const { repository, name } = branch;
    const snapshot = await this.#current();
    const { commit } = snapshot;
    if (commit === undefined) return [];
    const history = await keptInHistory(repository, { branch: name, commit, path });
    const record = await this.readRecord("import");
    const imported = record === undefined ? undefined : parseImportRecord(record, this.recordFile("import"));
    const beside = snapshot.kept().map(({ name: kept, size }): KeptFile => {
      const [id = "", ...rest] = kept.split("/");
      return { id, path: rest.join("/"), size, keptAt: new Date(imported?.doneAt ?? 0) };
    });
    return [...history, ...beside];
  }

  async readKept(id: string, path: string): Promise<Buffer> {
    checkPath(path);
    const { branch, path: directory } = this.#options;
    const { objects } = branch.repository;
    const beside = await (await this.#current()).readKept(`${id}/${path}`);
    if (beside !== undefined) return (await this.#fill()).fill(path, beside);
    const parent = await committedBefore(objects, id);
    if (parent !== undefined)
      return (await this.#open(await GitSnapshot.of(objects, parent, directory))).read(path);
    throw new AsteriskIacError("InvalidArgument", `nothing of ${path} is kept as ${id} in ${this.name}`);
  }

  recordFile(name: RecordName): string {
    return `${this.name}/${room}/${name}.json`;
  }

  async readRecord(name: RecordName): Promise<string | undefined> {
    const pending = this.#pending?.records.get(name);
    return pending ?? (await this.#current()).bytes(`${room}/${name}.json`)?.toString("utf8");
  }

  writeRecord(name: RecordName, text: string): Promise<void> {
    this.#working().records.set(name, text);
    return Promise.resolve();
  }

  async withdraw(): Promise<Revision | undefined> {
    return this.#publisher.withdraw?.();
  }

  async exclusively<T>(work: () => Promise<T>, describe?: (result: T) => RevisionText): Promise<T> {
    await this.#current();
    const pending: Pending = { files: new Map(), listed: new Map(), kept: new Map(), records: new Map() };
    this.#pending = pending;
    try {
      const result = await work();
      await this.#publish(
        pending,
        describe?.(result) ?? { message: `${this.#options.server}: files changed` },
      );
      return result;
    } finally {
      this.#pending = undefined;
    }
  }

  async #publish({ files, kept, records }: Pending, text: RevisionText): Promise<void> {
    const { server, path: directory, signatures } = this.#options;
    const snapshot = await this.#current();
    const { changes: taken, beforePush } = await (await this.#fill()).takeOut({ files, kept });
    const beside = [...records].map(([name, text]) => [`${room}/${name}.json`, Buffer.from(text)] as const);
    const changes = [...taken, ...beside].filter(([path, bytes]) => {
      const before = snapshot.bytes(path);
      return bytes === null ? snapshot.has(path) : before?.equals(bytes) !== true;
    });
    if (changes.length === 0) return;
    await beforePush();
    const inRepository = (path: string): string => (directory === "" ? path : `${directory}/${path}`);
    const revision = await this.#publisher.publish({
      base: snapshot.commit,
      path: directory,
      changes: new Map(changes.map(([path, bytes]) => [inRepository(path), bytes])),
      ...text,
      author: { name: `asterisk-iac ${server}`, email },
      ...(signatures === undefined ? {} : { signatures }),
    });
    // What was proposed is not on the branch yet.
    if (revision.branch === this.#options.branch.name) this.#unread = revision.commit;
    this.#written = revision;
  }

  #working(): Pending {
    if (this.#pending !== undefined) return this.#pending;
    throw new AsteriskIacError("SourceUnavailable", `${this.name} is written to outside of a commit`);
  }

  async #current(): Promise<GitSnapshot> {
    if (this.#snapshot === undefined) await this.refresh();
    else if (this.#unread !== undefined) await this.#take(this.#unread);
    return this.#snapshot as GitSnapshot;
  }

  async #take(tip: string | undefined): Promise<void> {
    const { branch, path, signatures } = this.#options;
    const { repository } = branch;
    const unread = this.#unread;
    const verify = async (commit: string | undefined): Promise<void> => {
      if (commit !== undefined && commit !== this.#snapshot?.commit)
        await signatures?.verify(repository.objects.directory, commit);
    };
    await verify(tip);
    this.#snapshot = await GitSnapshot.of(repository.objects, tip, path, this.#snapshot).catch(
      async (thrown: unknown) => {
        if (!hasErrorCode(thrown, "SourceUnavailable")) throw thrown;
        // The commit was here a moment ago: the cache is broken, or another took its place.
        const now = await repository.fetchAnew(branch.name, tip);
        if (now !== tip) await verify(now);
        return GitSnapshot.of(repository.objects, now, path);
      },
    );
    if (this.#unread === unread) this.#unread = undefined;
    this.#filled = undefined;
    this.#listed = undefined;
  }

  #open(snapshot: GitSnapshot): Promise<FilledFiles> {
    return FilledFiles.open(snapshot, this.#options.vault, this.#options.readSecret);
  }

  async #fill(): Promise<FilledFiles> {
    const snapshot = await this.#current();
    return (this.#filled ??= this.#open(snapshot));
  }

  async #list(): Promise<ReadonlyMap<string, SourceFile>> {
    const filled = await this.#fill();
    return (this.#listed ??= filled.list(this.#options.isSelected));
  }
}

/** Whether a new file would take the place of a directory, or a file is where its directory would be. */
function isInTheWay(path: string, files: ReadonlyMap<string, unknown>): boolean {
  const parts = path.split("/");
  const above = parts.slice(1).map((_, at) => parts.slice(0, at + 1).join("/"));
  return (
    above.some((each) => files.has(each)) || [...files.keys()].some((each) => each.startsWith(`${path}/`))
  );
}
