import { setTimeout as delay } from "node:timers/promises";
import type { AsteriskIacError } from "../core/errors.ts";
import { asAsteriskIacError } from "../core/errors.ts";
import { asteriskServer } from "../core/resource/index.ts";
import type { GitSources } from "../engine/git-source.ts";
import type { WebhookReceiver } from "../engine/webhook.ts";
import { serveWebhook } from "../engine/webhook.ts";
import { secretsAPI } from "./cluster.ts";
import type { ServerObject } from "./objects.ts";
import type { KubernetesAPI } from "./runtime/api.ts";
import type { Informer } from "./runtime/informer.ts";
import type { Lease, ObjectKey, Secret } from "./runtime/objects.ts";
import { kinds } from "./runtime/objects.ts";
import { ResourceClient, hasCode } from "./runtime/resources.ts";
import { KubernetesSecrets } from "./secrets.ts";

/** On the Lease: by branch of a repository, when it was last told to have new commits (ISO 8601). */
const annotation = "asterisk-iac.dev/pushed";

/** Whoever was told of a push longer ago has looked since, or never will. Milliseconds. */
const rememberedMs = 60_000;

/** A delivery is to be live within two seconds. Milliseconds. */
const pollMs = 500;

/** So often others may write in between. */
const mostTries = 5;

type Pushed = Readonly<Record<string, string>>;

/**
 * What webhooks told, for all replicas: a delivery comes to any of them, and only the leader reads repositories. It is
 * handed over by a Lease, which they may write anyway.
 */
export class Deliveries {
  readonly #api: KubernetesAPI;
  readonly #leases: ResourceClient<Lease>;
  readonly #lease: ObjectKey;

  constructor(api: KubernetesAPI, lease: ObjectKey) {
    this.#api = api;
    this.#leases = new ResourceClient<Lease>(api, kinds.lease);
    this.#lease = lease;
  }

  /**
   * Listens for webhooks, signed with the key `webhook-secret` of the Secret `asterisk-iac` in the Lease's namespace. Those
   * for a branch that a server is read from are noted. Rejects as `serveWebhook` does.
   */
  async receive(
    address: { readonly host: string; readonly port: number },
    servers: Pick<Informer<ServerObject>, "list">,
    onError: (error: AsteriskIacError) => void,
  ): Promise<WebhookReceiver> {
    const secrets = secretsAPI(new ResourceClient<Secret>(this.#api, kinds.secret));
    return serveWebhook(address, new KubernetesSecrets(secrets, this.#lease.namespace), {
      look: async (isMeant) => {
        const branches = servers.list().flatMap(({ spec }) => {
          const git = asteriskServer.shape.spec.safeParse(spec).data?.source?.git;
          return git !== undefined && isMeant(git.url, git.branch) ? [nameOf(git.url, git.branch)] : [];
        });
        await this.#note(branches).catch((thrown: unknown) => onError(asAsteriskIacError(thrown)));
      },
    });
  }

  /** Asks for new commits wherever any replica was told of some, until the signal is aborted. */
  async follow(
    repositories: Pick<GitSources, "look">,
    signal: AbortSignal,
    onError: (error: AsteriskIacError) => void,
  ): Promise<void> {
    // What was told before is looked at anyway: everything is at the start.
    let seen: Pushed | undefined;
    while (!signal.aborted) {
      try {
        const now = pushedOf(await this.#leases.get(this.#lease.namespace, this.#lease.name, signal));
        const before = seen ?? now;
        const news = new Set(Object.keys(now).filter((branch) => now[branch] !== before[branch]));
        seen = now;
        if (news.size > 0) await repositories.look((url, branch) => news.has(nameOf(url, branch)));
      } catch (thrown) {
        if (!signal.aborted) onError(asAsteriskIacError(thrown));
      }
      await delay(pollMs, undefined, { signal }).catch(() => undefined);
    }
  }

  async #note(branches: readonly string[]): Promise<void> {
    if (branches.length === 0) return;
    const { namespace, name } = this.#lease;
    for (let tries = 1; ; tries++) {
      const lease = await this.#leases.get(namespace, name);
      const now = Date.now();
      const recent = Object.entries(pushedOf(lease)).filter(([, at]) => now - Date.parse(at) < rememberedMs);
      const told = branches.map((branch) => [branch, new Date(now).toISOString()]);
      const annotations = { [annotation]: JSON.stringify(Object.fromEntries([...recent, ...told])) };
      try {
        if (lease === undefined) await this.#leases.create({ metadata: { namespace, name, annotations } });
        else await this.#leases.replace({ ...lease, metadata: { ...lease.metadata, annotations } });
        return;
      } catch (thrown) {
        if (!hasCode(thrown, "KubernetesConflict") || tries === mostTries) throw thrown;
      }
    }
  }
}

function nameOf(url: string, branch: string): string {
  return `${url} ${branch}`;
}

function pushedOf(lease: Lease | undefined): Pushed {
  return JSON.parse(lease?.metadata.annotations?.[annotation] ?? "{}") as Pushed;
}
