/**
 * Which modules of Asterisk read which file, and can read it again: what the modules' own sources say, 16 to 23.
 * Names are as `module show` prints them; a module that is built in has no `.so`.
 */
const readers: Readonly<Record<string, readonly string[]>> = {
  "acl.conf": ["acl"],
  "adsi.conf": ["res_adsi.so"],
  "aeap.conf": ["res_aeap.so"],
  "agents.conf": ["app_agent_pool.so"],
  "alarmreceiver.conf": ["app_alarmreceiver.so"],
  "amd.conf": ["app_amd.so"],
  "ari.conf": ["res_ari.so"],
  "calendar.conf": ["res_calendar.so"],
  "cdr.conf": ["cdr", "cdr_csv.so"],
  "cel.conf": ["cel", "cel_manager.so"],
  "chan_dahdi.conf": ["chan_dahdi.so"],
  "chan_websocket.conf": ["chan_websocket.so"],
  "cli_aliases.conf": ["res_clialiases.so"],
  "codecs.conf": ["plc", "codec_dahdi.so", "codec_speex.so"],
  "confbridge.conf": ["app_confbridge.so"],
  "console.conf": ["chan_console.so"],
  "dnsmgr.conf": ["dnsmgr"],
  "dsp.conf": ["dsp"],
  "dundi.conf": ["pbx_dundi.so"],
  "enum.conf": ["enum"],
  "extconfig.conf": ["extconfig"],
  "extensions.ael": ["pbx_ael.so"],
  "extensions.conf": ["pbx_config.so"],
  "extensions.lua": ["pbx_lua.so"],
  "features.conf": ["features"],
  "followme.conf": ["app_followme.so"],
  "func_odbc.conf": ["func_odbc.so"],
  "geolocation.conf": ["res_geolocation.so"],
  "hep.conf": ["res_hep.so"],
  "http.conf": ["http", "res_http_post.so"],
  "iax.conf": ["chan_iax2.so"],
  "iaxprov.conf": ["chan_iax2.so"],
  "indications.conf": ["indications"],
  "logger.conf": ["logger"],
  "manager.conf": ["manager"],
  "meetme.conf": ["app_meetme.so"],
  "mgcp.conf": ["chan_mgcp.so"],
  "minivm.conf": ["app_minivm.so"],
  "motif.conf": ["chan_motif.so"],
  "musiconhold.conf": ["res_musiconhold.so"],
  "phoneprov.conf": ["res_phoneprov.so"],
  "phoneprov_users.conf": ["res_phoneprov.so"],
  "pjproject.conf": ["res_pjproject.so"],
  "pjsip.conf": [
    "res_pjsip.so",
    "res_pjsip_authenticator_digest.so",
    "res_pjsip_config_wizard.so",
    "res_pjsip_endpoint_identifier_ip.so",
    "res_pjsip_geolocation.so",
    "res_pjsip_mwi.so",
    "res_pjsip_notify.so",
    "res_pjsip_outbound_publish.so",
    "res_pjsip_outbound_registration.so",
    "res_pjsip_phoneprov_provider.so",
    "res_pjsip_publish_asterisk.so",
  ],
  "pjsip_notify.conf": ["res_pjsip_notify.so"],
  "pjsip_wizard.conf": ["res_pjsip_config_wizard.so"],
  "prometheus.conf": ["res_prometheus.so"],
  "queuerules.conf": ["app_queue.so"],
  "queues.conf": ["app_queue.so"],
  "res_config_odbc.conf": ["res_config_odbc.so"],
  "res_config_sqlite3.conf": ["res_config_sqlite3.so"],
  "res_curl.conf": ["res_config_curl.so"],
  "res_fax.conf": ["res_fax.so"],
  "res_ldap.conf": ["res_config_ldap.so"],
  "res_odbc.conf": ["res_odbc.so"],
  "res_parking.conf": ["res_parking.so"],
  "res_pgsql.conf": ["res_config_pgsql.so"],
  "res_stun_monitor.conf": ["res_stun_monitor.so"],
  "resolver_unbound.conf": ["res_resolver_unbound.so"],
  "rtp.conf": ["res_rtp_asterisk.so"],
  "say.conf": ["app_playback.so"],
  "sip.conf": ["chan_sip.so"],
  "sip_notify.conf": ["chan_sip.so"],
  "skinny.conf": ["chan_skinny.so"],
  "sla.conf": ["app_meetme.so", "app_sla.so"],
  "smdi.conf": ["res_smdi.so"],
  "statsd.conf": ["res_statsd.so"],
  "stir_shaken.conf": ["res_stir_shaken.so"],
  "udptl.conf": ["udptl"],
  "unistim.conf": ["chan_unistim.so"],
  "users.conf": [
    "app_voicemail.so",
    "chan_dahdi.so",
    "chan_iax2.so",
    "chan_sip.so",
    "manager",
    "pbx_config.so",
    "res_phoneprov.so",
  ],
  "voicemail.conf": ["app_voicemail.so", "app_voicemail_imap.so", "app_voicemail_odbc.so"],
  "websocket_client.conf": ["res_websocket_client.so"],
  "xmpp.conf": ["res_xmpp.so"],
};

/** The modules that read this file (a path below the configuration directory) and can do so again, loaded or not. */
export function knownReaders(path: string): readonly string[] {
  const own = readers[path];
  if (own !== undefined) return own;
  // cdr_custom.conf, cel_odbc.conf, …: backends are named like their file.
  return /^(cdr|cel)_\w+\.conf$/.test(path) ? [path.replace(/conf$/, "so")] : [];
}

/** What a reload leaves as it is in these files, in words. */
export const restartFiles: ReadonlyMap<string, string> = new Map([
  ["asterisk.conf", "Asterisk's own options and directories"],
  ["ccss.conf", "call completion"],
  ["cli.conf", "the commands that run at start-up"],
  ["modules.conf", "which modules are loaded"],
  ["sorcery.conf", "where objects are kept"],
  ["stasis.conf", "the message bus and its thread pool"],
]);

/**
 * The order of reloads: what others build upon first (res_pjsip before the modules that extend it), AMI last, because
 * it may cut the connection that asks. Between them by name.
 */
export function compareModules(a: string, b: string): number {
  return rank(a) - rank(b) || (a < b ? -1 : a > b ? 1 : 0);
}

const first = ["extconfig", "logger", "acl", "dnsmgr", "res_odbc.so", "res_geolocation.so", "res_pjsip.so"];

function rank(module: string): number {
  if (module === "manager") return first.length + 1;
  const at = first.indexOf(module);
  return at === -1 ? first.length : at;
}
