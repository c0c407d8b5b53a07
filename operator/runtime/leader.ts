import { randomUUID } from "node:crypto";
import type { ErrorDetails } from "../../core/errors.ts";
import { AsteriskIacError, asAsteriskIacError } from "../../core/errors.ts";
import type { KubernetesAPI } from "./api.ts";
import { noAnswer } from "./api.ts";
import type { Clock } from "./clock.ts";
import { sleep, systemClock } from "./clock.ts";
import type { Lease } from "./objects.ts";
import { kinds } from "./objects.ts";
import { ResourceClient, hasCode } from "./resources.ts";

export interface LeaderElectionOptions {
  readonly api: KubernetesAPI;
  /** The Lease's. */
  readonly namespace: string;
  readonly name: string;
  /** Who we are, for people, e.g. the pod's name; a random part is added, so that no two runs are ever the same. */
  readonly identity: string;
  /** How long others leave a holder alone that says nothing; whole seconds; default 15 s. */
  readonly leaseMs?: number;
  /** A leader that could not renew for so long stops leading; less than `leaseMs`; default 10 s. */
  readonly renewMs?: number;
  /** Between two tries; default 2 s. */
  readonly retryMs?: number;
  readonly clock?: Clock;
  /** Told of every try that failed. */
  readonly onError?: (error: AsteriskIacError) => void;
}

/** Begins the work of a term: with a signal that is aborted at its end, and its fencing token. */
export type StartLeading = (term: AbortSignal, fencingToken: number) => Promise<void> | void;

/** A term as a leader. */
interface Term {
  readonly token: number;
  readonly over: AbortController;
  /** The clock's time just before the last renewal was sent. */
  renewedAt: number;
  cancelExpiry: () => void;
}

/**
 * Election of one leader by a Lease, as client-go does it. Others' clocks are never trusted: a holder is given up when
 * its Lease did not change for its duration by our own clock. Whoever was paused finds its term over by its own clock
 * before it does anything; what it had sent before, the fencing token refuses.
 */
export class LeaderElection {
  readonly identity: string;
  readonly #leases: ResourceClient<Lease>;
  readonly #options: LeaderElectionOptions;
  readonly #clock: Clock;
  readonly #leaseMs: number;
  readonly #renewMs: number;
  readonly #retryMs: number;
  readonly #stopping = new AbortController();
  /** The Lease as it was last seen, and when it was seen to change. */
  #seen: { readonly lease: Lease; readonly at: number } | undefined;
  #term: Term | undefined;
  #predecessorSeen: string | undefined;
  #running: Promise<void> | undefined;

  constructor(options: LeaderElectionOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#leaseMs = options.leaseMs ?? 15_000;
    this.#renewMs = options.renewMs ?? 10_000;
    this.#retryMs = options.retryMs ?? 2_000;
    if (this.#leaseMs % 1_000 !== 0 || this.#renewMs >= this.#leaseMs || this.#retryMs >= this.#renewMs) {
      throw new AsteriskIacError(
        "InvalidArgument",
        `leader election: leaseMs ${this.#leaseMs}, renewMs ${this.#renewMs}, retryMs ${this.#retryMs} do not fit`,
        { hint: "leaseMs is in whole seconds, and leaseMs > renewMs > retryMs." },
      );
    }
    this.identity = `${options.identity}_${randomUUID()}`;
    // A connection that is dead must leave time for another try before the term is over.
    this.#leases = new ResourceClient<Lease>(
      withDeadline(options.api, this.#clock, this.#renewMs / 2),
      kinds.lease,
    );
  }

  /** Whether we lead, by the clock at this moment, whether or not a timer had its turn yet. */
  get isLeading(): boolean {
    return this.fencingToken !== undefined;
  }

  /**
   * The Lease's `leaseTransitions` in our term: each term of anybody has a greater one, unless somebody deletes the
   * Lease. Undefined: not leading.
   */
  get fencingToken(): number | undefined {
    return this.#term !== undefined && !this.#hasLapsed(this.#term) ? this.#term.token : undefined;
  }

  /**
   * When the leader before us, or we in an earlier term, renewed the Lease last: RFC 3339, by that leader's own clock, so
   * for what is told to people. It led for at most as long as a Lease afterwards. Undefined: there was none.
   */
  get predecessorSeen(): string | undefined {
    return this.#predecessorSeen;
  }

  #hasLapsed({ renewedAt }: Term): boolean {
    return this.#clock.now() - renewedAt >= this.#renewMs;
  }

  /** Throws NotLeading unless we lead. To be called right before every write. */
  assertLeading(): void {
    if (this.isLeading) return;
    const details: ErrorDetails = { next: "Retry", hint: "The replica that leads now does this." };
    throw new AsteriskIacError("NotLeading", `${this.identity} does not lead, so it writes nothing`, details);
  }

  /**
   * Stands for election until `stop`. With each term `onStartedLeading` is called; its signal is aborted at the end
   * of the term, then `onStoppedLeading` is called. No new term begins before what `onStartedLeading` answered has
   * settled; if that fails, the term ends and the Lease is given up.
   */
  run(onStartedLeading: StartLeading, onStoppedLeading: () => void = () => undefined): Promise<void> {
    this.#running ??= this.#run(onStartedLeading, onStoppedLeading);
    return this.#running;
  }

  /** Ends our term, waits for its work, and gives the Lease up, so that another leads at once. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(onStartedLeading: StartLeading, onStoppedLeading: () => void): Promise<void> {
    const { signal } = this.#stopping;
    for (;;) {
      const term = await this.#campaign(signal);
      if (term === undefined) return;
      const work = this.#work(term, onStartedLeading);
      await this.#keep(term, signal);
      onStoppedLeading();
      await work;
      await this.#release();
      // Work that fails at once must not make us campaign without a pause.
      await sleep(this.#clock, this.#retryMs, signal);
    }
  }

  /** The work of a term. A leader whose work failed would lead without doing anything, so its term ends. */
  async #work(term: Term, onStartedLeading: StartLeading): Promise<void> {
    try {
      await onStartedLeading(term.over.signal, term.token);
    } catch (thrown) {
      this.#options.onError?.(asAsteriskIacError(thrown));
      this.#end(term);
    }
  }

  /** Tries until we hold the Lease; undefined if we stop. */
  async #campaign(signal: AbortSignal): Promise<Term | undefined> {
    while (!signal.aborted) {
      const sentAt = this.#clock.now();
      const token = await this.#try(() => this.#acquire());
      if (token !== undefined) {
        const term: Term = {
          token,
          over: new AbortController(),
          renewedAt: sentAt,
          cancelExpiry: () => undefined,
        };
        this.#term = term;
        this.#renewed(term, sentAt);
        return term;
      }
      // Not all at the same moment.
      await sleep(this.#clock, this.#retryMs * (1 + Math.random() * 0.2), signal);
    }
    return undefined;
  }

  /** Renews until the term is over or we stop. */
  async #keep(term: Term, stopping: AbortSignal): Promise<void> {
    const end = AbortSignal.any([term.over.signal, stopping]);
    await sleep(this.#clock, this.#retryMs, end);
    while (!end.aborted) {
      const sentAt = this.#clock.now();
      const renewed = await this.#try(() => this.#renew(term));
      // A term that lapsed is over, even if the Lease was still ours to renew: for a while somebody saw us not lead.
      if (renewed === false || this.#hasLapsed(term)) break;
      if (renewed === true && !end.aborted) this.#renewed(term, sentAt);
      await sleep(this.#clock, this.#retryMs, end);
    }
    this.#end(term);
  }

  #renewed(term: Term, sentAt: number): void {
    term.renewedAt = sentAt;
    term.cancelExpiry();
    term.cancelExpiry = this.#clock.timer(sentAt + this.#renewMs - this.#clock.now(), () => this.#end(term));
  }

  #end(term: Term): void {
    term.cancelExpiry();
    if (this.#term === term) this.#term = undefined;
    term.over.abort();
  }

  /** Takes the Lease if it is free: its fencing token, or undefined. */
  async #acquire(): Promise<number | undefined> {
    const lease = await this.#look();
    if (lease === undefined) {
      const { namespace, name } = this.#options;
      const spec = this.#held(1, microTime());
      this.#see(await this.#leases.create({ metadata: { namespace, name }, spec }));
      return 1;
    }
    if (!this.#isFree(lease)) return undefined;
    const token = (lease.spec?.leaseTransitions ?? 0) + 1;
    this.#see(await this.#leases.replace({ ...lease, spec: this.#held(token, microTime()) }));
    this.#predecessorSeen = lease.spec?.renewTime;
    return token;
  }

  /** True: ours for another while. False: no longer ours. */
  async #renew(term: Term): Promise<boolean> {
    const lease = await this.#look();
    if (lease?.spec?.holderIdentity !== this.identity || lease.spec.leaseTransitions !== term.token)
      return false;
    const spec = this.#held(term.token, lease.spec.acquireTime ?? microTime());
    this.#see(await this.#leases.replace({ ...lease, spec }));
    return true;
  }

  /** Nobody holds it, we did in an earlier term, or its holder was silent for its whole duration. */
  #isFree({ spec = {} }: Lease): boolean {
    const { holderIdentity = "", leaseDurationSeconds = this.#leaseMs / 1_000 } = spec;
    if (holderIdentity === "" || holderIdentity === this.identity) return true;
    return this.#clock.now() - (this.#seen?.at ?? 0) > leaseDurationSeconds * 1_000;
  }

  async #look(): Promise<Lease | undefined> {
    const { namespace, name } = this.#options;
    const lease = await this.#leases.get(namespace, name);
    if (lease !== undefined) this.#see(lease);
    return lease;
  }

  #see(lease: Lease): void {
    if (this.#seen?.lease.metadata.resourceVersion === lease.metadata.resourceVersion) return;
    this.#seen = { lease, at: this.#clock.now() };
  }

  #held(token: number, acquireTime: string): NonNullable<Lease["spec"]> {
    return {
      holderIdentity: this.identity,
      leaseDurationSeconds: this.#leaseMs / 1_000,
      acquireTime,
      renewTime: microTime(),
      leaseTransitions: token,
    };
  }

  /** Undefined after an error; to lose a race to another candidate is none. */
  async #try<Result>(action: () => Promise<Result>): Promise<Result | undefined> {
    try {
      return await action();
    } catch (thrown) {
      if (!hasCode(thrown, "KubernetesConflict")) this.#options.onError?.(asAsteriskIacError(thrown));
      return undefined;
    }
  }

  async #release(): Promise<void> {
    await this.#try(async () => {
      const lease = await this.#look();
      if (lease?.spec?.holderIdentity !== this.identity) return;
      await this.#leases.replace({
        ...lease,
        spec: { ...lease.spec, holderIdentity: "", leaseDurationSeconds: 1 },
      });
    });
  }
}

/**
 * The API for the work of a leader: reads as ever, but a write is refused with NotLeading, unsent, unless we lead, and
 * a write under way ends when the term does.
 */
export function whileLeading(
  api: KubernetesAPI,
  election: Pick<LeaderElection, "assertLeading">,
  term: AbortSignal,
): KubernetesAPI {
  return {
    stream: (request) => api.stream(request),
    request: async (request) => {
      if (request.method === "GET") return api.request(request);
      election.assertLeading();
      const signal = request.signal === undefined ? term : AbortSignal.any([request.signal, term]);
      return api.request({ ...request, signal });
    },
  };
}

/** The same API; a request that has no answer after `milliseconds` is given up, and its connection with it. */
function withDeadline(api: KubernetesAPI, clock: Clock, milliseconds: number): KubernetesAPI {
  return {
    stream: (request) => api.stream(request),
    request: async (request) => {
      const deadline = new AbortController();
      const cancel = clock.timer(milliseconds, () => deadline.abort(noAnswer()));
      try {
        return await api.request({ ...request, signal: deadline.signal });
      } finally {
        cancel();
      }
    },
  };
}

/** Now, as the API has times of leases: RFC 3339 with six digits of seconds. For people; nothing is decided by it. */
function microTime(): string {
  return new Date().toISOString().replace("Z", "000Z");
}
