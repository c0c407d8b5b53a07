import { glob, readdir } from "node:fs/promises";
import { join } from "node:path";
import { AsteriskIacError } from "../core/errors.ts";

/** What a PBX needs for calls, queues, conferences and voicemail, by the prefix of the modules' names. */
const wanted: Record<string, string> = {
  app: `agent_pool chanspy confbridge dial directed_pickup directory disa echo exec followme milliwatt mixmonitor
    originate page playback playtones queue read record sayunixtime senddtmf softhangup stack system transfer userevent
    verbose voicemail while`,
  bridge: "builtin_features builtin_interval_features holding native_rtp simple softmix",
  cdr: "csv manager",
  cel: "manager",
  chan: "bridge_media pjsip",
  codec: "a_mu alaw g722 gsm resample ulaw",
  format: "gsm pcm sln wav wav_gsm",
  func: `callerid cdr channel config cut db devstate dialgroup dialplan env extstate global groupcount hangupcause
    logic math md5 pjsip_aor pjsip_contact pjsip_endpoint presencestate rand realtime sha1 shell sprintf strings sysinfo
    timeout uri uuid version vmcount volume`,
  pbx: "ael config loopback lua realtime spool",
  res: `ael_share agi clialiases convert crypto features format_attr_g729 format_attr_opus geolocation http_websocket
    manager_devicestate manager_presencestate musiconhold mutestream parking pjproject pjsip pjsip_acl
    pjsip_authenticator_digest pjsip_caller_id pjsip_config_wizard pjsip_dialog_info_body_generator pjsip_diversion
    pjsip_dlg_options pjsip_dtmf_info pjsip_empty_info pjsip_endpoint_identifier_anonymous
    pjsip_endpoint_identifier_ip pjsip_endpoint_identifier_user pjsip_exten_state pjsip_header_funcs pjsip_history
    pjsip_logger pjsip_messaging pjsip_mwi pjsip_mwi_body_generator pjsip_nat pjsip_notify
    pjsip_outbound_authenticator_digest pjsip_outbound_publish pjsip_outbound_registration pjsip_path
    pjsip_pidf_body_generator pjsip_pubsub pjsip_refer pjsip_registrar pjsip_rfc3326 pjsip_sdp_rtp pjsip_session
    pjsip_xpidf_body_generator realtime rtp_asterisk security_log sorcery_astdb sorcery_config sorcery_memory
    sorcery_realtime speech stasis stasis_device_state timing_timerfd`,
};

/** The modules that a lab's Asterisk loads: of those above, the ones that its version has. Without `.so`. */
export async function labModules(tree: string): Promise<string[]> {
  const present = new Set(await readdir(await moduleDirectory(tree)));
  const names = Object.entries(wanted).flatMap(([prefix, list]) =>
    list.split(/\s+/).map((name) => `${prefix}_${name}`),
  );
  return names.filter((name) => present.has(`${name}.so`));
}

/** Where the package keeps its modules, below the root tree; since Debian 12 in a folder of the architecture. */
export async function moduleDirectory(tree: string): Promise<string> {
  for await (const directory of glob(join(tree, "usr/lib/{asterisk,*/asterisk}/modules"))) return directory;
  throw new AsteriskIacError("LabFailed", `the root tree ${tree} has no folder of Asterisk's modules`, {
    hint: "Remove that folder: the next lab up makes it anew.",
  });
}

/** One `load` line of modules.conf for each module. */
export function loadLines(modules: readonly string[]): string {
  return modules.map((name) => `load => ${name}.so\n`).join("");
}
