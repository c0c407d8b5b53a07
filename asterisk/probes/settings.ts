/** Kinds of files whose probe is a few settings or names in one printed page. */
import type { Section } from "../../core/conf/index.ts";
import { isTrue } from "../../core/reloads.ts";
import type { ViewChange } from "../../core/reloads.ts";
import type { Expected, Failure, Probe } from "./probe.ts";
import {
  expectKeys,
  expectSections,
  isPlain,
  judgeNames,
  namesProbe,
  notAnswered,
  settingOf,
} from "./probe.ts";

/** A setting and the line that shows it. Not judged where the file does not give it, or not clearly. */
interface Setting {
  readonly name: string;
  readonly expected: string | undefined;
  /** Gives what the line shows, as its first group. */
  readonly line: RegExp;
}

const named =
  (...not: string[]) =>
  ({ name }: Section): string | undefined =>
    not.includes(name.toLowerCase()) ? undefined : name;

/** Queues, and the members that the file gives them. */
export function queueProbes(change: ViewChange): Probe[] {
  const queues = expectSections(change, named("general"));
  const members = expectKeys(membersOf(change.before), membersOf(change.after)).filter(
    ({ state }) => state !== "gone",
  );
  const command = "queue show";
  const isQueue = (line: string, name: string): boolean => line.startsWith(`${name} has `);
  return [
    namesProbe(command, "queue", queues, isQueue),
    {
      title: `${command}: members`,
      ask: { command },
      judge: (lines) => {
        const found = new Set<string>();
        let queue = "";
        for (const line of lines) {
          queue = /^(\S.*) has \d+ calls? /.exec(line)?.[1] ?? queue;
          const member = /^ {6,}(?:.* \()?([^\s()]+\/[^\s()]*)/.exec(line)?.[1];
          if (member !== undefined) found.add(`${member} in ${queue}`);
        }
        return notAnswered(lines) ?? judgeNames("queue member", members, (member) => found.has(member));
      },
    },
  ];
}

/** `member => PJSIP/100,0,Anna` of every queue, as `PJSIP/100 in support`. */
function membersOf(sections: readonly Section[]): Map<string, string> {
  const members = new Map<string, string>();
  for (const section of sections) {
    if (section.template) continue;
    for (const { name, value } of section.variables) {
      const device = value.split(",", 1)[0]?.trim() ?? "";
      // Others than technology/name are not recognised in what Asterisk prints.
      if (name.toLowerCase() === "member" && /^[^\s()]+\/[^\s()]+$/.test(device))
        members.set(`${device} in ${section.name}`, value);
    }
  }
  return members;
}

/** Mailboxes, as `context mailbox`. */
export function voicemailProbes({ before, after }: ViewChange): Probe[] {
  const boxes = (sections: readonly Section[]): Map<string, string> =>
    new Map(
      sections
        .filter(({ name, template }) => !template && !/^(general|zonemessages|aliases)$/i.test(name))
        .flatMap((section) =>
          section.variables.map(({ name, value }) => [`${section.name} ${name}`, value] as const),
        ),
    );
  const isRow = (line: string, name: string): boolean => line.split(/\s+/, 2).join(" ") === name;
  return [namesProbe("voicemail show users", "mailbox", expectKeys(boxes(before), boxes(after)), isRow)];
}

/** Classes of music on hold. One without a single file is no class to Asterisk, however right its section. */
export function musicProbes(change: ViewChange): Probe[] {
  const expected = expectSections(change, named("general"));
  const command = "moh show classes";
  const isRow = (line: string, name: string): boolean => line === `Class: ${name}`;
  return [
    {
      title: command,
      ask: { command },
      judge: (lines) => {
        const { saw, failures, unobserved } = namesProbe(command, "music class", expected, isRow).judge(
          lines,
        );
        const missing = failures.filter((failure) => !failure.expected.startsWith("no "));
        return {
          saw,
          failures: failures.filter((failure) => !missing.includes(failure)),
          unobserved: [
            ...unobserved,
            ...missing.map((failure) => `${failure.expected}: it is not there; it may have no files to play`),
          ],
        };
      },
    },
  ];
}

/** The log files of logger.conf. Asterisk prints 35 characters of their paths. */
export function loggerProbes({ before, after }: ViewChange): Probe[] {
  // Of two sections of that name Asterisk reads the first.
  const files = (sections: readonly Section[]): Map<string, string> =>
    new Map(
      (sections.find(({ name, template }) => !template && name.toLowerCase() === "logfiles")?.variables ?? [])
        .filter(({ name }) => !/^(console|syslog\.)/i.test(name))
        .map(({ name, value }) => [name, value]),
    );
  const isRow = (line: string, name: string): boolean => {
    const shown = line.slice(0, 35).trimEnd();
    if (!shown.startsWith("/")) return false;
    if (shown.length === 35) return name.startsWith("/") ? name.startsWith(shown) : true;
    return shown === name || shown.endsWith(`/${name}`);
  };
  return [namesProbe("logger show channels", "log file", expectKeys(files(before), files(after)), isRow)];
}

/** Conference bridges, users and menus. */
export function conferenceProbes(change: ViewChange): Probe[] {
  const types = { bridge: "profile bridges", user: "profile users", menu: "menus" };
  return Object.entries(types).flatMap(([type, what]) => {
    const expected = expectSections(change, (section) =>
      section.variables.some(({ name, value }) => name.toLowerCase() === "type" && value === type)
        ? section.name
        : undefined,
    );
    const isRow = (line: string, name: string): boolean => line.trim() === name;
    return expected.length === 0
      ? []
      : [namesProbe(`confbridge show ${what}`, `conference ${type}`, expected, isRow)];
  });
}

/** Parking lots; `[default]` is one whether it is written or not. */
export function parkingProbes(change: ViewChange): Probe[] {
  const lots = keepDefault(expectSections(change, named("general")));
  return [namesProbe("parking show", "parking lot", lots, (line, name) => line === `Parking Lot: ${name}`)];
}

function keepDefault(lots: readonly Expected[]): Expected[] {
  return lots.filter(({ name, state }) => !(state === "gone" && name === "default"));
}

/** Features of [applicationmap]. Asterisk prints a long name and what follows it without a gap of its own. */
export function featureProbes({ before, after }: ViewChange): Probe[] {
  const features = (sections: readonly Section[]): Map<string, string> =>
    new Map(
      sections
        .filter(({ name, template }) => !template && name.toLowerCase() === "applicationmap")
        .flatMap(({ variables }) => variables.map(({ name, value }) => [name, value])),
    );
  const isRow = (line: string, name: string): boolean => line.startsWith(`${name} `);
  return [namesProbe("features show", "feature", expectKeys(features(before), features(after)), isRow)];
}

/** Named ACLs. */
export function accessListProbes(change: ViewChange): Probe[] {
  const lists = expectSections(change, named("general"));
  return [namesProbe("acl show", "ACL", lists, (line, name) => line.trim() === name)];
}

/** Peers of chan_iax2, of which it prints 15 characters. (`iax2 show users` would print their secrets.) */
export function iaxProbes(change: ViewChange): Probe[] {
  const peers = expectSections(change, ({ name, variables }) =>
    variables.some(
      (variable) => variable.name.toLowerCase() === "type" && /^(peer|friend)$/i.test(variable.value),
    )
      ? name
      : undefined,
  );
  const isRow = (line: string, name: string): boolean =>
    line.slice(0, 15).split(/[\s/]/, 1)[0] === name.slice(0, 15);
  return [namesProbe("iax2 show peers", "IAX peer", peers, isRow)];
}

/** Whether the HTTP server runs. */
export function httpProbes({ after }: ViewChange): Probe[] {
  const expected = enabledWord(settingOf(after, "general", "enabled"), "Disabled");
  return [
    settingsProbe("http show status", [{ name: "HTTP", expected, line: /^Server (Enabled|Disabled)/ }]),
  ];
}

/** The range of RTP's ports. */
export function rtpProbes({ after }: ViewChange): Probe[] {
  return [
    settingsProbe("rtp show settings", [
      { name: "rtpstart", expected: settingOf(after, "general", "rtpstart"), line: /^ *Port start: +(\d+)$/ },
      { name: "rtpend", expected: settingOf(after, "general", "rtpend"), line: /^ *Port end: +(\d+)$/ },
    ]),
  ];
}

/** The range of UDPTL's ports. */
export function udptlProbes({ after }: ViewChange): Probe[] {
  const setting = (name: string): Setting => {
    return { name, expected: settingOf(after, "general", name), line: new RegExp(`^${name}: +(\\d+)$`) };
  };
  return [settingsProbe("udptl show config", [setting("udptlstart"), setting("udptlend")])];
}

/** Whether call detail records are written. */
export function callRecordProbes({ after }: ViewChange): Probe[] {
  const expected = enabledWord(settingOf(after, "general", "enable"), undefined);
  return [settingsProbe("cdr show status", [{ name: "CDR logging", expected, line: /^ *Logging: +(\w+)$/ }])];
}

/** Whether channel events are logged. */
export function callEventProbes({ after }: ViewChange): Probe[] {
  const expected = enabledWord(settingOf(after, "general", "enable"), "Disabled");
  return [
    settingsProbe("cel show status", [{ name: "CEL logging", expected, line: /^CEL Logging: (\w+)$/ }]),
  ];
}

/** How Asterisk prints a yes or no; `byDefault` where the file does not say. */
function enabledWord(value: string | undefined, byDefault: string | undefined): string | undefined {
  if (value === undefined) return undefined;
  if (value === "") return byDefault;
  return isTrue(value) ? "Enabled" : "Disabled";
}

function settingsProbe(command: string, settings: readonly Setting[]): Probe {
  return {
    title: command,
    ask: { command },
    judge: (lines) => {
      const unknown = notAnswered(lines);
      if (unknown !== undefined) return unknown;
      const failures: Omit<Failure, "probe">[] = [];
      const seen: string[] = [];
      for (const { name, expected, line } of settings) {
        const shown = lines.map((text) => line.exec(text)?.[1]).find((value) => value !== undefined);
        if (expected === undefined || expected === "" || !isPlain(expected)) continue;
        if (shown === expected) seen.push(`${name} ${shown}`);
        else failures.push({ expected: `${name} ${expected}`, saw: shown ?? "nothing" });
      }
      return { saw: seen.join(", ") || "the page", failures, unobserved: [] };
    },
  };
}
