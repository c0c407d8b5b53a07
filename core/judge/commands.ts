/**
 * The commands of Asterisk's console that a role may use: an allow-list. What is not in it is refused, whatever it is.
 *
 * A line reads as Asterisk's own usage: words in lower case are the command's, `a|b` is one of both, `[…]` may be left
 * out, a word in capitals stands for one argument of any text and `WORD...` for one or more. Three arguments are
 * limited by what the server declares: CONTEXT,EXTENSION,PRIORITY and INTERFACE. SECRET is never written to the audit.
 */

/** Each role may do what the one before it may. */
export const roles = ["viewer", "operator", "admin"] as const;
export type Role = (typeof roles)[number];

/** What shows, and shows no password: `pjsip show auth` and the details of a transport or a conference's user do. */
const viewer = `
  bridge show NAME
  bridge technology show
  cdr show active|status
  cel show status
  config list
  confbridge list [CONFERENCE]
  confbridge show menus
  confbridge show menu NAME
  confbridge show profile bridges|users
  confbridge show profile bridge NAME
  core show applications [like|describing WORD...]
  core show application NAME
  core show calls [uptime]
  core show channels [concise|verbose|count]
  core show channeltypes
  core show channeltype NAME
  core show codecs [audio|video|image|text]
  core show codec NUMBER
  core show config mappings
  core show file|image formats
  core show functions [like WORD]
  core show function NAME
  core show help [WORD...]
  core show hints
  core show hint EXTENSION
  core show license
  core show settings
  core show sounds
  core show switches
  core show sysinfo
  core show taskprocessors [like WORD]
  core show threads
  core show translation [paths [CODEC [RATE]]]
  core show uptime [seconds]
  core show version
  core show warranty
  features show
  local show channels
  logger mute
  logger show channels
  logger show levels
  manager show commands
  manager show command NAME...
  manager show connected
  manager show events
  manager show event NAME
  manager show settings
  manager show users
  manager show user NAME
  module show [like WORD]
  moh show classes
  moh show files
  parking show [LOT]
  pjsip list aors|auths|channels|ciphers|contacts|endpoints|identifies|registrations|transports
  pjsip list subscriptions inbound|outbound [like WORD]
  pjsip show aors|channels|channelstats|contacts|endpoints|identifiers|identifies|registrations|transports
  pjsip show aor|channel|contact|endpoint|identify|registration NAME
  pjsip show qualify aor|endpoint NAME
  pjsip show scheduled_tasks
  pjsip show settings
  pjsip show subscriptions inbound|outbound [like WORD]
  pjsip show transport-monitors
  pjsip show version
  queue show [QUEUE]
  queue show rules
  rtp show settings
  voicemail show users [for CONTEXT]
`;

/** What an operation needs: reloads, hangups, members of queues and conferences, and what may show a variable. */
const operator = `
  bridge kick BRIDGE CHANNEL
  channel request hangup CHANNEL...
  confbridge kick|mute|unmute CONFERENCE CHANNEL
  confbridge lock|unlock CONFERENCE
  core reload
  core set verbose LEVEL
  core show channel CHANNEL
  dialplan reload
  dialplan show [CONTEXT]
  logger reload
  logger rotate
  manager reload
  module reload NAME...
  moh reload
  pjsip qualify ENDPOINT
  pjsip send register|unregister REGISTRATION
  queue pause|unpause member INTERFACE_NAME [queue QUEUE [reason WORD]]
  queue reload all|members|parameters|rules
  queue remove member INTERFACE_NAME from QUEUE
  voicemail reload
`;

/** What else is safe to give to a person who runs the server: it runs no code and writes no file. */
const admin = `
  channel redirect CHANNEL CONTEXT,EXTENSION,PRIORITY
  core abort shutdown
  core restart gracefully|now
  core restart when convenient
  core set debug [atleast] LEVEL [MODULE]
  core stop gracefully|now
  core stop when convenient
  database del FAMILY KEY
  database deltree FAMILY [KEY]
  database get FAMILY KEY
  database put FAMILY KEY SECRET
  database show [FAMILY [KEY]]
  devstate change DEVICE STATE
  dialplan show globals
  pjsip set logger on|off
  pjsip set logger host ADDRESS
  presencestate change ENTITY STATE
  queue add member INTERFACE to QUEUE [penalty NUMBER [as NAME]]
  rtcp|rtp set debug on|off
  rtcp|rtp set debug ip ADDRESS
`;

/** What runs code or writes files, or shows passwords: only an admin, only where the server declares it with a reason. */
const privileged = `
  agi dump html PATH
  agi exec CHANNEL COMMAND [ID]
  channel originate CHANNEL application|extension WORD...
  confbridge record start CONFERENCE [PATH]
  confbridge record stop CONFERENCE
  database query WORD...
  dialplan add extension|ignorepat|include WORD...
  dialplan eval function WORD...
  dialplan remove context|extension|ignorepat|include WORD...
  dialplan save [PATH...]
  dialplan set chanvar CHANNEL NAME SECRET...
  dialplan set global NAME SECRET...
  file convert PATH PATH
  keys init
  logger add channel NAME LEVELS
  media cache create|delete|refresh WORD...
  mixmonitor start|stop|list CHANNEL [WORD...]
  module load NAME...
  module refresh NAME...
  module unload [-f|-h] NAME...
  pjsip export config_wizard primitives [to PATH]
  pjsip set logger pcap PATH
  pjsip show auth NAME
  realtime destroy|load|store|update|update2 WORD...
  test execute all
  test generate results xml|txt [PATH]
  ulimit WORD...
  xmldoc dump PATH
`;

/** Typed by habit, though only some servers know them, by an alias: sent as what stands after the arrow. */
const shorthands = `
  help -> core show help
  pjsip reload -> module reload res_pjsip.so
`;

/** One word of a line of the table. */
export type Part =
  | { readonly kind: "word"; readonly words: readonly string[] }
  | { readonly kind: "argument"; readonly name: string; readonly many: boolean }
  | { readonly kind: "optional"; readonly parts: readonly Part[] };

/** One line of the table. */
export interface CommandPattern {
  readonly parts: readonly Part[];
  readonly role: Role;
  /** The command's own words where it must be declared, as they are declared: `module load`. */
  readonly privileged?: string;
}

/** The whole table. */
export const commandPatterns: readonly CommandPattern[] = [
  ...lines(viewer).map((text) => ({ parts: parseParts(text), role: "viewer" as const })),
  ...lines(operator).map((text) => ({ parts: parseParts(text), role: "operator" as const })),
  ...lines(admin).map((text) => ({ parts: parseParts(text), role: "admin" as const })),
  ...lines(privileged).map((text) => ({
    parts: parseParts(text),
    role: "admin" as const,
    privileged: leadingWords(text),
  })),
];

/** The commands that an AsteriskServer can allow its admins by name. */
export const privilegedCommands: readonly string[] = [
  ...new Set(lines(privileged).map((text) => leadingWords(text))),
].sort();

/** A whole line, and what is sent for it. */
export const shorthandCommands: ReadonlyMap<string, string> = new Map(
  lines(shorthands).map((text) => text.split(" -> ") as [string, string]),
);

function lines(table: string): string[] {
  return table
    .trim()
    .split("\n")
    .map((line) => line.trim());
}

/** The words up to the first that differs between the forms of a command. */
function leadingWords(text: string): string {
  const words = text.split(" ");
  const end = words.findIndex((word) => !/^[a-z_]+$/.test(word));
  return words.slice(0, end === -1 ? words.length : end).join(" ");
}

/** Reads one line; brackets nest. */
function parseParts(text: string): Part[] {
  const stack: Part[][] = [[]];
  for (const token of text.match(/[[\]]|[^\s[\]]+/g) ?? []) {
    const open = stack.at(-1) ?? [];
    if (token === "[") stack.push([]);
    else if (token === "]") {
      stack.pop();
      stack.at(-1)?.push({ kind: "optional", parts: open });
    } else if (/^[A-Z]/.test(token))
      open.push({ kind: "argument", name: token.replace(/\.\.\.$/, ""), many: token.endsWith("...") });
    else open.push({ kind: "word", words: token.split("|") });
  }
  return stack[0] ?? [];
}
