import type { OfferedServer, OfferedServers } from "../console/servers.ts";
import { asteriskServer } from "../core/resource/index.ts";
import type { AsteriskServerSpec } from "../core/resource/index.ts";
import { ServerConsole } from "../engine/console.ts";
import { consolePolicyOf } from "../engine/console-session.ts";
import { secretsAPI } from "./cluster.ts";
import { isElsewhere } from "./declared.ts";
import type { ServerObject } from "./objects.ts";
import type { KubernetesAPI } from "./runtime/api.ts";
import type { Informer } from "./runtime/informer.ts";
import type { Secret } from "./runtime/objects.ts";
import { keyOf, kinds } from "./runtime/objects.ts";
import { ResourceClient } from "./runtime/resources.ts";
import type { SecretsAPI } from "./secrets.ts";
import { KubernetesSecrets } from "./secrets.ts";

interface Opened extends OfferedServer {
  readonly withdraw: AbortController;
  /** Which declaration it is of. */
  readonly version: string;
}

/**
 * The AsteriskServers whose consoles are offered, by NAMESPACE/NAME: those of the cache that are sound, not suspended, not
 * being deleted, and whose console is not switched off. A console is a connection of its own, opened when somebody looks;
 * it ends when its server is declared anew.
 */
export class ConsoleServers implements OfferedServers {
  readonly #servers: Pick<Informer<ServerObject>, "get" | "list">;
  readonly #secrets: SecretsAPI;
  readonly #opened = new Map<string, Opened>();

  constructor(servers: Pick<Informer<ServerObject>, "get" | "list" | "on">, api: KubernetesAPI) {
    this.#servers = servers;
    this.#secrets = secretsAPI(new ResourceClient<Secret>(api, kinds.secret));
    servers.on({
      changed: (server) => {
        const key = keyOf(server.metadata);
        const opened = this.#opened.get(key);
        if (opened?.version !== versionOf(server)) void this.#withdraw(key);
      },
      deleted: ({ metadata }) => void this.#withdraw(keyOf(metadata)),
    });
  }

  names(): string[] {
    const offered = this.#servers.list().filter((server) => offeredSpec(server) !== undefined);
    return offered.map(({ metadata }) => keyOf(metadata)).sort();
  }

  find(name: string): OfferedServer | undefined {
    const server = this.#servers.get(name);
    const spec = server && offeredSpec(server);
    if (server === undefined || spec === undefined) return undefined;
    const opened = this.#opened.get(name) ?? this.#open(name, server, spec);
    this.#opened.set(name, opened);
    return opened;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#opened.keys()].map((key) => this.#withdraw(key)));
  }

  #open(name: string, server: ServerObject, spec: AsteriskServerSpec): Opened {
    const declaration = { name, spec };
    const withdraw = new AbortController();
    const secrets = new KubernetesSecrets(this.#secrets, server.metadata.namespace);
    return {
      console: new ServerConsole(declaration, secrets),
      policy: consolePolicyOf(declaration),
      ...{ withdraw, withdrawn: withdraw.signal, version: versionOf(server) },
    };
  }

  async #withdraw(key: string): Promise<void> {
    const opened = this.#opened.get(key);
    this.#opened.delete(key);
    opened?.withdraw.abort();
    await opened?.console.close();
  }
}

/** By object of the cache, which is another one whenever it changes: judging a thousand takes a tenth of a second. */
const judged = new WeakMap<ServerObject, AsteriskServerSpec | "NotOffered">();

/** What is declared of a server whose console is offered. */
function offeredSpec(server: ServerObject): AsteriskServerSpec | undefined {
  const known = judged.get(server) ?? judge(server) ?? "NotOffered";
  judged.set(server, known);
  return known === "NotOffered" ? undefined : known;
}

function judge({ metadata, spec }: ServerObject): AsteriskServerSpec | undefined {
  const parsed = asteriskServer.shape.spec.safeParse(spec).data;
  const isOffered =
    parsed !== undefined &&
    metadata.deletionTimestamp === undefined &&
    !parsed.suspend &&
    parsed.console?.disabled !== true &&
    !isElsewhere(parsed);
  return isOffered ? parsed : undefined;
}

/** Another one whenever something else is declared. */
function versionOf({ metadata: { uid, generation, deletionTimestamp } }: ServerObject): string {
  return [uid, generation, deletionTimestamp].join(" ");
}
