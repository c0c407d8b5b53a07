import type { ViewChange } from "../core/reloads.ts";
import { dialplanProbe } from "./probes/dialplan.ts";
import { managerProbes } from "./probes/manager.ts";
import { pjsipProbes, wizardProbes } from "./probes/pjsip.ts";
import type { Probe } from "./probes/probe.ts";
import {
  accessListProbes,
  callEventProbes,
  callRecordProbes,
  conferenceProbes,
  featureProbes,
  httpProbes,
  iaxProbes,
  loggerProbes,
  musicProbes,
  parkingProbes,
  queueProbes,
  rtpProbes,
  udptlProbes,
  voicemailProbes,
} from "./probes/settings.ts";

export type { Failure, Judgement, Probe } from "./probes/probe.ts";

/** How each kind of file is seen on a live Asterisk. What is not here is parsed, and not observed. */
const table: Readonly<Record<string, (change: ViewChange) => Probe[]>> = {
  "acl.conf": accessListProbes,
  "cdr.conf": callRecordProbes,
  "cel.conf": callEventProbes,
  "confbridge.conf": conferenceProbes,
  "extensions.conf": (change) => [dialplanProbe(change)],
  "features.conf": featureProbes,
  "http.conf": httpProbes,
  "iax.conf": iaxProbes,
  "logger.conf": loggerProbes,
  "manager.conf": managerProbes,
  "musiconhold.conf": musicProbes,
  "pjsip.conf": pjsipProbes,
  "pjsip_wizard.conf": wizardProbes,
  "queues.conf": queueProbes,
  "res_parking.conf": parkingProbes,
  "rtp.conf": rtpProbes,
  "udptl.conf": udptlProbes,
  "voicemail.conf": voicemailProbes,
};

/** The probes for a root file that changed; none where Asterisk shows nothing of it. Pure. */
export function probesFor(root: string, change: ViewChange): Probe[] {
  return table[root]?.(change) ?? [];
}
