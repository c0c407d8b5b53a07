import type { AsteriskIacError } from "../core/errors.ts";
import { asAsteriskIacError } from "../core/errors.ts";
import { BranchPublisher } from "./publisher.ts";
import type { GitRepository } from "./repository.ts";

/** Who is told of a new tip. */
interface Listener {
  readonly intervalMs: number;
  readonly onTip: (tip: string | undefined) => void;
}

/** A branch, as all servers of a run share it: one question to the remote, and one push, is for all of them. */
export class GitBranch {
  readonly repository: GitRepository;
  readonly name: string;
  readonly publisher: BranchPublisher;
  readonly #listeners = new Set<Listener>();
  #timer: NodeJS.Timeout | undefined;
  #lookedAt = performance.now();

  constructor(repository: GitRepository, name: string) {
    this.repository = repository;
    this.name = name;
    this.publisher = new BranchPublisher(repository, name);
  }

  /** Calls `onTip` after each look, at least once an interval, until what it returns is called. */
  listen(intervalMs: number, onTip: (tip: string | undefined) => void): () => void {
    const listener = { intervalMs, onTip };
    this.#listeners.add(listener);
    this.#schedule();
    return () => {
      this.#listeners.delete(listener);
      this.#schedule();
    };
  }

  /** Asks now, as a webhook says to, and tells all who listen. What fails is told by the next one who needs the branch. */
  async look(): Promise<AsteriskIacError | undefined> {
    try {
      this.#lookedAt = performance.now();
      const tip = await this.repository.fetch(this.name);
      for (const { onTip } of this.#listeners) onTip(tip);
      return undefined;
    } catch (thrown) {
      return asAsteriskIacError(thrown, "SourceUnavailable");
    } finally {
      this.#schedule();
    }
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    const interval = Math.min(...[...this.#listeners].map(({ intervalMs }) => intervalMs));
    if (!Number.isFinite(interval)) return;
    // Whoever comes or goes in between delays nothing. A watch lives as long as its signal; this timer keeps nothing alive.
    const wait = Math.max(0, this.#lookedAt + interval - performance.now());
    this.#timer = setTimeout(() => void this.look(), wait).unref();
  }
}

/** The repositories of a run, each once for all who read it in the same way. */
export class GitRepositories {
  readonly #branches = new Map<string, GitBranch>();
  readonly #repositories = new Map<string, GitRepository>();

  /** The branch of a repository; `open` makes the repository where none is known under `key`. */
  branch(key: string, name: string, open: () => GitRepository): GitBranch {
    const repository = this.#repositories.get(key) ?? open();
    this.#repositories.set(key, repository);
    const id = `${key}\n${name}`;
    const branch = this.#branches.get(id) ?? new GitBranch(repository, name);
    this.#branches.set(id, branch);
    return branch;
  }

  /** The branches of a repository that somebody works with. */
  branchesOf(isMeant: (url: string, branch: string) => boolean): GitBranch[] {
    return [...this.#branches.values()].filter(({ repository, name }) => isMeant(repository.url, name));
  }
}
