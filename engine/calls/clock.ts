import type { AMI } from "../../asterisk/ami/client.ts";
import { runCommands } from "../../asterisk/asterisk-command.ts";
import type { Host } from "../../asterisk/host.ts";
import { askHostOffsets } from "../../asterisk/host-zone.ts";
import type { ClockSkew, Microseconds, ObservedOffset } from "../../calls/times.ts";
import { clockSkew, momentsOfYear, parseTimestamp, zoneDifferences } from "../../calls/times.ts";

/** What was seen of a server's clock. */
export interface ObservedClock extends ClockSkew {
  readonly offset: string | null;
  readonly differences: readonly string[];
}

/** The server's clock by Ping, which needs no class. `undefined` where its answer has no time. */
export async function askSkew(ami: AMI): Promise<ClockSkew | undefined> {
  const askedMs = Date.now();
  const answer = await ami.action("Ping");
  const server = parseTimestamp(answer.get("Timestamp"));
  return server === undefined ? undefined : clockSkew(server, askedMs, Date.now());
}

/** The server's clock and zone, beside the declared zone. Needs write=reporting or write=call. */
export async function askClock(ami: AMI, declaredZone: string | undefined): Promise<ObservedClock> {
  return observedClock(await askSkew(ami), declaredZone, async (moments) =>
    (await Promise.all(moments.map((at) => askOffset(ami, at)))).flat(),
  );
}

/** The same for an account without those classes, over the host: Asterisk's zone is the machine's. */
export async function askClockOverHost(
  { ami, host }: { readonly ami: AMI; readonly host: Host },
  declaredZone: string | undefined,
): Promise<ObservedClock> {
  return observedClock(await askSkew(ami), declaredZone, async (moments) => {
    const offsets = await askHostOffsets(host, moments.map(secondOf));
    return offsets.flatMap((offset, index) => {
      const at = moments[index];
      return at === undefined ? [] : [{ at, offset }];
    });
  });
}

async function observedClock(
  skew: ClockSkew = { aheadMs: 0, uncertainMs: Infinity },
  declaredZone: string | undefined,
  askOffsets: (moments: readonly Microseconds[]) => Promise<ObservedOffset[]>,
): Promise<ObservedClock> {
  const offsets = await askOffsets(momentsOfYear((Date.now() + skew.aheadMs) * 1000));
  return {
    ...skew,
    offset: offsets[0]?.offset ?? null,
    differences: declaredZone === undefined ? [] : zoneDifferences(declaredZone, offsets),
  };
}

function secondOf(at: Microseconds): number {
  return Math.floor(at / 1_000_000);
}

/** By a number and not by a name: Asterisk's `%Z` stays what it was when it started. */
async function askOffset(ami: AMI, at: Microseconds): Promise<ObservedOffset[]> {
  const answer = await ami.send("Getvar", { Variable: `STRFTIME(${secondOf(at)},,%z)` });
  const offset = answer.get("Value");
  return offset !== undefined && /^[+-]\d{4}$/.test(offset) ? [{ at, offset }] : [];
}

/** What Asterisk puts into every event: `timestampevents` and `channelvars` of manager.conf. */
export interface EventSettings {
  readonly hasTimestamps: boolean;
  readonly hasPresentations: boolean;
}

/** Asks Asterisk's CLI: AMI itself does not tell. */
export async function askEventSettings(host: Host): Promise<EventSettings> {
  const [settings = ""] = await runCommands(host, ["manager show settings"]);
  return {
    hasTimestamps: /^ *Timestamp events: *Yes/m.test(settings),
    hasPresentations: /^ *Channel vars: *(?:.*\n +)*?.*CALLERID\(pres\)/im.test(settings),
  };
}
