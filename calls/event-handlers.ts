import type { CallEvent, Leg, QueueVisit } from "./observed-call.ts";
import { isLocal } from "./observed-call.ts";
import type { OpenCall, OpenCalls } from "./open-calls.ts";
import type { Microseconds } from "./times.ts";

export type Handler = (calls: OpenCalls, event: CallEvent, at: Microseconds) => void;

/** Of one leg: those in which somebody consults come early. */
const mostBridges = 50;

/** What single events mean, by their name in lower case. */
export const handlers: Readonly<Record<string, Handler>> = {
  newcallerid(calls, event) {
    const leg = calls.find(event.get("Uniqueid"))?.leg;
    const presentation = event.get("CID-CallingPres");
    if (leg === undefined) return;
    if (presentation !== undefined) leg.presentations.add(presentation.toLowerCase());
    if (isNothing(leg.callerNumber)) leg.callerNumber = event.get("CallerIDNum");
    if (isNothing(leg.callerName)) leg.callerName = event.get("CallerIDName");
  },
  dialbegin(calls, event, at) {
    const dialled = calls.find(event.get("DestUniqueid"));
    if (dialled === undefined) return;
    const callerLegID = event.get("Uniqueid");
    const linkedID = event.get("Linkedid");
    if (linkedID !== undefined) calls.join(dialled.leg.id, linkedID);
    const { leg, call } = calls.find(dialled.leg.id) ?? dialled;
    call.add(call.attempts, {
      legID: leg.id,
      callerLegID,
      dialString: event.get("DialString") ?? "",
      startedAt: at,
      status: undefined,
      endedAt: undefined,
    });
  },
  dialend(calls, event, at) {
    const known = calls.find(event.get("DestUniqueid"));
    const status = event.get("DialStatus");
    if (known === undefined || status === undefined) return;
    const { call, leg } = known;
    const attempt = call.attempts.find((each) => each.legID === leg.id);
    // Queue sends it twice; the first counts.
    if (attempt === undefined || attempt.status !== undefined) return;
    attempt.status = status;
    attempt.endedAt = at;
    const forward = event.get("Forward");
    if (forward === undefined || forward === "") return;
    call.add(call.transfers, { kind: "Forward", at, byLegID: leg.id, to: forward, toLegID: undefined });
  },
  bridgeenter(calls, event) {
    const leg = calls.find(event.get("Uniqueid"))?.leg;
    const bridge = event.get("BridgeUniqueid");
    if (bridge !== undefined && (leg?.bridges.size ?? 0) < mostBridges) leg?.bridges.add(bridge);
  },
  hanguprequest: noteHangupRequest,
  softhanguprequest: noteHangupRequest,
  hangup(calls, event, at) {
    const leg = calls.find(event.get("Uniqueid"))?.leg;
    if (leg === undefined || leg.hangup !== undefined) return;
    leg.hangup = {
      at,
      cause: integer(event.get("Cause")),
      causeText: event.get("Cause-txt"),
      techCause: integer(event.get("TechCause")),
    };
  },
  queuecallerjoin(calls, event, at) {
    const known = calls.find(event.get("Uniqueid"));
    if (known === undefined) return;
    known.call.add(known.call.visits, {
      queue: event.get("Queue") ?? "",
      legID: known.leg.id,
      joinedAt: at,
      leftAt: undefined,
      answeredAt: undefined,
      agent: undefined,
      gaveUp: undefined,
    });
  },
  queuecallerleave(calls, event, at) {
    const visit = lastVisit(calls, event);
    if (visit !== undefined) visit.leftAt ??= at;
  },
  queuecallerabandon(calls, event, at) {
    const visit = lastVisit(calls, event);
    if (visit === undefined) return;
    const requestedAt = calls.find(event.get("Uniqueid"))?.leg.hangupRequestedAt;
    visit.gaveUp = requestedAt !== undefined && requestedAt <= at ? "Abandoned" : "TimedOut";
    visit.leftAt ??= at;
  },
  agentconnect(calls, event, at) {
    const visit = lastVisit(calls, event);
    if (visit === undefined) return;
    visit.answeredAt ??= at;
    visit.agent ??= {
      name: event.get("MemberName") ?? null,
      interface: event.get("Interface") ?? null,
    };
  },
  blindtransfer(calls, event, at) {
    const by = event.get("TransfererUniqueid");
    const known = calls.find(by);
    if (known === undefined || event.get("Result") !== "Success") return;
    const to = event.get("Extension");
    known.call.add(known.call.transfers, { kind: "Blind", at, byLegID: by, to, toLegID: undefined });
  },
  attendedtransfer(calls, event, at) {
    const by = event.get("OrigTransfererUniqueid");
    if (event.get("Result") !== "Success") return;
    const named = ["OrigTransferer", "SecondTransferer", "Transferee", "TransferTarget"]
      .map((prefix) => event.get(`${prefix}Uniqueid`))
      .filter((id) => calls.find(id) !== undefined);
    const [first] = named;
    if (first === undefined) return;
    // Their calls are one from here on, whatever their Linkedids say.
    for (const id of named) {
      const link = calls.find(id)?.leg.linkedID;
      if (link !== undefined) calls.join(first, link);
    }
    const known = calls.find(first);
    // With two dialogs the transferer dialled on the second; with a feature code Asterisk did, through a Local channel.
    const second = event.get("SecondTransfererUniqueid");
    const consulting = second === by ? undefined : calls.find(second)?.leg;
    const target = calls.find(event.get("TransferTargetUniqueid"))?.leg ?? consulted(known?.call, event);
    known?.call.add(known.call.transfers, {
      kind: "Attended",
      at,
      byLegID: by,
      to: isLocal(target?.channel ?? "") ? target?.exten : consulting?.exten,
      toLegID: target?.id,
    });
  },
  pickup(calls, event, at) {
    const by = event.get("Uniqueid");
    const target = event.get("TargetUniqueid");
    const targetLink = calls.find(target)?.leg.linkedID;
    if (by === undefined || targetLink === undefined) return;
    calls.join(by, targetLink);
    const known = calls.find(by);
    known?.call.add(known.call.transfers, {
      kind: "Pickup",
      at,
      byLegID: target,
      to: undefined,
      toLegID: by,
    });
  },
};

/** Who the transferer spoke with, where the event does not name the leg: its Local channel has gone already. */
function consulted(call: OpenCall | undefined, event: CallEvent): Leg | undefined {
  const bridge = event.get("SecondBridgeUniqueid");
  const others = [event.get("SecondTransfererUniqueid"), event.get("TransfereeUniqueid")];
  if (bridge === undefined) return undefined;
  const there = call?.legs.filter((leg) => leg.bridges.has(bridge) && !others.includes(leg.id));
  return there?.find((leg) => !isLocal(leg.channel)) ?? there?.[0];
}

function noteHangupRequest(calls: OpenCalls, event: CallEvent, at: Microseconds): void {
  const leg = calls.find(event.get("Uniqueid"))?.leg;
  if (leg !== undefined) leg.hangupRequestedAt ??= at;
}

function lastVisit(calls: OpenCalls, event: CallEvent): QueueVisit | undefined {
  const id = event.get("Uniqueid");
  const queue = event.get("Queue");
  return calls.find(id)?.call.visits.findLast((visit) => visit.legID === id && visit.queue === queue);
}

function isNothing(text: string | undefined): boolean {
  return text === undefined || text === "" || text === "<unknown>";
}

function integer(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

/** `s`, `h` and the like are places in the dialplan, not what somebody dialled. */
export function realExten(exten: string | undefined): string | undefined {
  return exten === undefined || /^(|<unknown>|s|h|i|t|o|a|e|failed)$/.test(exten) ? undefined : exten;
}
