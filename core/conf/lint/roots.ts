/** The files that Asterisk's modules open by themselves: those of its samples, of 16 to 23, without `.conf`. */
const known = new Set(
  [
    "acl adsi aeap agents alarmreceiver alsa amd app_mysql app_skel ari asterisk calendar",
    "ccss cdr cdr_adaptive_odbc cdr_beanstalkd cdr_custom cdr_manager cdr_mysql cdr_odbc cdr_pgsql",
    "cdr_sqlite3_custom cdr_syslog cdr_tds cel cel_beanstalkd cel_custom cel_odbc cel_pgsql",
    "cel_sqlite3_custom cel_tds chan_dahdi chan_mobile chan_websocket cli cli_aliases cli_permissions",
    "codecs confbridge config_test console dnsmgr dsp dundi enum extconfig extensions",
    "extensions_minivm features festival followme func_odbc geolocation hep http iax iaxprov indications",
    "logger manager meetme minivm misdn modules motif musiconhold ooh323 osp oss phone phoneprov",
    "phoneprov_users pjproject pjsip pjsip_notify pjsip_wizard prometheus queuerules queues",
    "res_config_mysql res_config_odbc res_config_sqlite res_config_sqlite3 res_corosync res_curl res_fax",
    "res_http_media_cache res_ldap res_odbc res_parking res_pgsql res_pktccops res_snmp res_stun_monitor",
    "resolver_unbound rtp say sip sip_notify sla smdi sorcery stasis statsd stir_shaken test_sorcery",
    "udptl unistim users voicemail vpb websocket_client xmpp",
  ].flatMap((line) => line.split(" ")),
);

/** Whether a module of Asterisk reads the file of this path (below the configuration directory) by itself. */
export function isKnownRoot(path: string): boolean {
  return path.endsWith(".conf") && known.has(path.slice(0, -".conf".length));
}

/** Files of that directory that are in other formats, for programs beside Asterisk: a shell script's, a daemon's. */
const foreign = new Set(["ast_debug_tools.conf", "dbsep.conf", "muted.conf"]);

/** Whether the file is in the .conf format at all, as far as its name tells. */
export function isConf(path: string): boolean {
  return path.endsWith(".conf") && !foreign.has(path);
}
