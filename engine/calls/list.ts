import type { CallRecord } from "../../calls/call-record.ts";
import { callRecord } from "../../calls/call-record.ts";
import { groupCDRs } from "../../calls/cdr-csv.ts";
import { recordContext } from "../../calls/record-context.ts";
import { recoveredCall } from "../../calls/recovered.ts";
import { CallTracker } from "../../calls/tracker.ts";
import type { SecretStore } from "../secrets.ts";
import type { ServerDeclaration } from "../session.ts";
import { connectAs, openHost } from "../session.ts";
import { readCDRs } from "./cdr-evidence.ts";
import type { ObservedClock } from "./clock.ts";
import { askClock } from "./clock.ts";
import { callsCredentials } from "./credentials.ts";

/** The calls of one server: those that are up, and those that Asterisk's CDR file has. */
export interface ListedCalls {
  /** By start; `disposition` is `Up`. */
  readonly up: readonly CallRecord[];
  /** By end; null where Asterisk writes no file that can be read. */
  readonly ended: readonly CallRecord[] | null;
  readonly clock: ObservedClock;
}

/** Looks once: at the calls that are up, and at the CDRs of those that ended in the last `sinceMs`. */
export async function listCalls(
  declaration: ServerDeclaration,
  secrets: SecretStore,
  { sinceMs }: { readonly sinceMs: number },
): Promise<ListedCalls> {
  const context = recordContext(declaration.name, declaration.spec);
  const host = await openHost(declaration, secrets);
  try {
    const client = await connectAs(host, declaration, secrets, callsCredentials(declaration));
    try {
      const [clock, live] = await Promise.all([
        askClock(client, declaration.spec.timeZone),
        client.list("Status", { Variables: "CDR(start,u),CDR(answer,u),CALLERID(pres)" }),
      ]);
      const now = (Date.now() + clock.aheadMs) * 1000;
      const tracker = new CallTracker();
      tracker.resume(live.events, { from: undefined, to: now }, new Set());
      const rows = await readCDRs(host, context.timeZone, now - sinceMs * 1000);
      const over = rows?.filter(({ uniqueID }) => !tracker.has(uniqueID));
      return {
        up: tracker.up().map((call) => callRecord(call, context)),
        ended: over === undefined ? null : groupCDRs(over).map((group) => recoveredCall(group, context)),
        clock,
      };
    } finally {
      await client.close();
    }
  } finally {
    await host.close();
  }
}
