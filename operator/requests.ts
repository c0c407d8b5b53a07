import { AsteriskIacError } from "../core/errors.ts";
import type { Cluster } from "./cluster.ts";
import type { ServerObject } from "./objects.ts";
import { newRequests, withHandled } from "./runtime/annotations.ts";
import type { AnnotationRequest, HandledRequests, RequestVerb } from "./runtime/annotations.ts";
import { versionOf } from "./store-status.ts";

/** What a person asked for and nobody did yet, and what the status has as handled, these included. */
export interface ClaimedRequests {
  readonly requests: readonly AnnotationRequest[];
  readonly handled: HandledRequests;
}

/** Asks the API server itself: by our cache, what a leader before us has done already could still be open. */
export async function claimRequests(
  { servers, caches }: Pick<Cluster, "servers" | "caches">,
  { metadata, status: cached }: ServerObject,
): Promise<ClaimedRequests> {
  const { namespace, name, uid, annotations } = metadata;
  const isAsked = newRequests(annotations, cached?.handledRequests).length > 0;
  if (!isAsked) return { requests: [], handled: cached?.handledRequests ?? {} };
  const now = await servers.get(namespace, name);
  if (now === undefined || now.metadata.uid !== uid) return { requests: [], handled: {} };
  const requests = newRequests(now.metadata.annotations, now.status?.handledRequests);
  const handled = requests.reduce(withHandled, now.status?.handledRequests ?? {});
  if (requests.length > 0) {
    const status = { ...now.status, handledRequests: handled };
    caches.servers.wrote(await servers.patchStatus(namespace, name, status, versionOf(now)));
  }
  return { requests, handled };
}

/** What was asked of one server in one reconcile. A request is acted on by whoever takes it. */
export class AskedRequests {
  #claimed: ClaimedRequests;

  constructor(handled: HandledRequests = {}) {
    this.#claimed = { requests: [], handled };
  }

  /** What the status is to have as handled from now on, whatever comes of it. */
  get handled(): HandledRequests {
    return this.#claimed.handled;
  }

  async claim(claim: () => Promise<ClaimedRequests>): Promise<void> {
    this.#claimed = await claim();
  }

  /** Whether nothing was asked that is still to be done. */
  get isEmpty(): boolean {
    return this.#claimed.requests.length === 0;
  }

  has(verb: RequestVerb): boolean {
    return this.#claimed.requests.some((request) => request.verb === verb);
  }

  /** Every request that was not taken before. */
  *take(): Generator<AnnotationRequest> {
    for (;;) {
      const { requests, handled } = this.#claimed;
      const [first, ...others] = requests;
      if (first === undefined) return;
      this.#claimed = { requests: others, handled };
      yield first;
    }
  }
}

/** How a restart was asked for: the annotation's value may end in `/now`, `/gracefully` or `/convenient` (default). */
export function whenOf(value: string): "now" | "gracefully" | "convenient" {
  const when = value.slice(value.lastIndexOf("/") + 1);
  return when === "now" || when === "gracefully" ? when : "convenient";
}

const take = /^(source|server)@([0-9a-f]{8,64})$/;

/** A person's choice for the conflicts of one plan: `asterisk-iac.dev/take: source@<plan hash>`. */
export function takeOf(
  annotations: Readonly<Record<string, string>> | undefined,
): { readonly side: "source" | "server"; readonly planHash: string } | undefined {
  const text = annotations?.["asterisk-iac.dev/take"];
  if (text === undefined || text === "") return undefined;
  const [, side, planHash] = take.exec(text) ?? [];
  if (planHash !== undefined) return { side: side as "source" | "server", planHash };
  throw new AsteriskIacError(
    "InvalidArgument",
    "the annotation asterisk-iac.dev/take is not `source@` or `server@` and a plan's hash",
    {
      hint: "Take the hash from the message of the condition InSync: source@0123abcd…",
    },
  );
}
