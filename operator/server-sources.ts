import { isDeepStrictEqual } from "node:util";
import { AsteriskIacError } from "../core/errors.ts";
import { sharesDirectory } from "../core/resource/index.ts";
import type { AsteriskServerSpec, GitSourceSpec } from "../core/resource/index.ts";
import type { Source } from "../core/source.ts";
import type { GitServer, GitSources } from "../engine/git-source.ts";
import type { ObjectKey } from "./runtime/objects.ts";
import { keyOf } from "./runtime/objects.ts";
import type { SecretsAPI } from "./secrets.ts";
import { KubernetesSecrets } from "./secrets.ts";

interface Held {
  readonly server: GitServer;
  readonly source: Source;
  /** The Secrets as the last pass had them. */
  secrets: SecretsAPI;
  readonly stopListening: () => void;
}

/** The repositories that servers are read from, each asked for new commits as long as such a server is declared. */
export class ServerSources {
  readonly #repositories: Pick<GitSources, "open">;
  readonly #held = new Map<string, Held>();
  readonly #onCommit: (key: string) => void;
  readonly #onAsked: (key: string, secrets: ReadonlySet<string>) => void;

  /**
   * @param onCommit called with the key of a server whose files others changed in their repository
   * @param onAsked called with the key of a server, and those of all Secrets that its files are filled in from, before
   * one is read that was not among them
   */
  constructor(
    repositories: Pick<GitSources, "open">,
    onCommit: (key: string) => void,
    onAsked: (key: string, secrets: ReadonlySet<string>) => void,
  ) {
    this.#repositories = repositories;
    this.#onCommit = onCommit;
    this.#onAsked = onAsked;
  }

  /**
   * The source of a server, the same one while it is declared in the same way. Throws `DuplicateServer` where another
   * server's files are in the same directory.
   */
  open(
    object: ObjectKey,
    { spec, git }: { readonly spec: AsteriskServerSpec; readonly git: GitSourceSpec },
    secrets: SecretsAPI,
  ): Source {
    const key = keyOf(object);
    const held = this.#held.get(key);
    if (
      held !== undefined &&
      isDeepStrictEqual([held.server.git, held.server.spec.files], [git, spec.files])
    ) {
      held.secrets = secrets;
      return held.source;
    }
    this.close(key);
    const server = { name: object.name, spec, git };
    const other = [...this.#held].find(([, { server: each }]) => sharesDirectory(each, server));
    if (other !== undefined) {
      throw new AsteriskIacError(
        "DuplicateServer",
        `${key} and ${other[0]} have the same directory of ${git.url}, or one in the other's`,
        { hint: "Give each a directory of its own with source.git.path." },
      );
    }
    const asked = new Set<string>();
    // The source stays from pass to pass; each reads the Secrets in its own name.
    const latest: SecretsAPI = {
      get: (namespace, name) => {
        const secret = keyOf({ namespace, name });
        if (!asked.has(secret)) this.#onAsked(key, asked.add(secret));
        return opened.secrets.get(namespace, name);
      },
      create: (secret) => opened.secrets.create(secret),
      replace: (secret) => opened.secrets.replace(secret),
    };
    const source = this.#repositories.open(
      server,
      new KubernetesSecrets(latest, object.namespace),
      object.namespace,
    );
    const stopListening = source.onChange(() => this.#onCommit(key));
    const opened: Held = { server, source, secrets, stopListening };
    this.#held.set(key, opened);
    return source;
  }

  close(key: string): void {
    this.#held.get(key)?.stopListening();
    this.#held.delete(key);
  }

  closeAll(): void {
    for (const key of [...this.#held.keys()]) this.close(key);
  }
}
