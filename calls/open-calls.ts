import type { Attempt, Gap, Leg, ObservedCall, QueueVisit, Transfer } from "./observed-call.ts";

/** Of each kind of thing in one call; more are counted, not kept. */
const mostOfOne = 200;

/** A call that is not over yet. */
export class OpenCall implements ObservedCall {
  linkedIDs = new Set<string>();
  legs: Leg[] = [];
  attempts: Attempt[] = [];
  visits: QueueVisit[] = [];
  transfers: Transfer[] = [];
  gaps: Gap[] = [];
  omitted = 0;
  isGivenUp = false;

  /** Adds a thing, unless there are too many of its kind. */
  add<Thing>(list: Thing[], thing: Thing): void {
    if (list.length < mostOfOne) list.push(thing);
    else this.omitted += 1;
  }

  get isOver(): boolean {
    return this.legs.every((leg) => leg.hangup !== undefined);
  }
}

/**
 * The calls that are not over, by Linkedid: legs that were ever seen to share one are one call. Asterisk gives a leg
 * another Linkedid when calls are joined; the calls of both are one from then on.
 */
export class OpenCalls {
  readonly #byLink = new Map<string, OpenCall>();
  readonly #legs = new Map<string, { readonly leg: Leg; call: OpenCall }>();

  get legCount(): number {
    return this.#legs.size;
  }

  /** Each call once, in the order in which they began. */
  all(): OpenCall[] {
    return [...new Set(this.#byLink.values())];
  }

  find(legID: string | undefined): { readonly leg: Leg; readonly call: OpenCall } | undefined {
    return legID === undefined ? undefined : this.#legs.get(legID);
  }

  open(leg: Leg): OpenCall {
    const call = this.#callOf(leg.linkedID);
    call.legs.push(leg);
    this.#legs.set(leg.id, { leg, call });
    return call;
  }

  /** A known leg was seen with this Linkedid: what has it and what the leg belongs to is one call. */
  join(legID: string, linkedID: string): void {
    const known = this.#legs.get(legID);
    if (known === undefined || known.call.linkedIDs.has(linkedID)) return;
    const other = this.#byLink.get(linkedID);
    if (other === undefined) this.#name(known.call, linkedID);
    else this.#merge(known.call, other);
  }

  close(call: OpenCall): void {
    for (const linkedID of call.linkedIDs) this.#byLink.delete(linkedID);
    for (const leg of call.legs) this.#legs.delete(leg.id);
  }

  #callOf(linkedID: string): OpenCall {
    const known = this.#byLink.get(linkedID);
    if (known !== undefined) return known;
    const call = new OpenCall();
    this.#name(call, linkedID);
    return call;
  }

  #name(call: OpenCall, linkedID: string): void {
    call.linkedIDs.add(linkedID);
    this.#byLink.set(linkedID, call);
  }

  #merge(into: OpenCall, from: OpenCall): void {
    for (const linkedID of from.linkedIDs) this.#name(into, linkedID);
    for (const leg of from.legs) {
      into.legs.push(leg);
      this.#legs.set(leg.id, { leg, call: into });
    }
    for (const attempt of from.attempts) into.add(into.attempts, attempt);
    for (const visit of from.visits) into.add(into.visits, visit);
    for (const transfer of from.transfers) into.add(into.transfers, transfer);
    for (const gap of from.gaps) if (!into.gaps.includes(gap)) into.gaps.push(gap);
    into.omitted += from.omitted;
  }
}
