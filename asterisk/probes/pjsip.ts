/** PJSIP's objects. The CLI cuts the names of endpoints and AORs, AMI does not; AMI would show the secrets of auths. */
import type { Section } from "../../core/conf/index.ts";
import type { ViewChange } from "../../core/reloads.ts";
import type { Expected, Probe } from "./probe.ts";
import { expectSections, judgeNames, namesProbe } from "./probe.ts";

/** The AMI action that lists the objects of a type by their whole names. Needs write=system. */
const lists = { endpoint: "PJSIPShowEndpoints", aor: "PJSIPShowAors" } as const;
/** The command that prints them, and how many characters of a name it shows. */
const commands = {
  auth: { command: "pjsip show auths", width: Infinity },
  transport: { command: "pjsip show transports", width: Infinity },
  registration: { command: "pjsip show registrations", width: 50 },
  identify: { command: "pjsip show identifies", width: Infinity },
} as const;

/** Whether each object of pjsip.conf is live, and what a changed endpoint names is too. */
export function pjsipProbes(change: ViewChange): Probe[] {
  const expected = (type: string): Expected[] => [
    ...expectSections(change, (section) => (isOfType(section, type) ? section.name : undefined)),
    ...references(change, type),
  ];
  const probes: Probe[] = [];
  for (const [type, list] of Object.entries(lists)) {
    const objects = expected(type);
    if (objects.length > 0) probes.push(listProbe(list, type, objects));
  }
  for (const [type, { command, width }] of Object.entries(commands)) {
    const objects = expected(type);
    const isRow = (line: string, name: string) => isCell(line, name, width);
    if (objects.length > 0) probes.push(namesProbe(command, type, objects, isRow));
  }
  return probes;
}

/** The endpoints that pjsip_wizard.conf makes. */
export function wizardProbes(change: ViewChange): Probe[] {
  const expected = expectSections(change, (section) =>
    isOfType(section, "wizard") ? section.name : undefined,
  );
  return [listProbe(lists.endpoint, "endpoint", expected)];
}

function listProbe(list: string, type: string, expected: readonly Expected[]): Probe {
  return {
    title: list,
    ask: { list },
    judge: (names) => {
      const live = new Set(names);
      return judgeNames(type, expected, (name) => live.has(name));
    },
  };
}

function isOfType({ variables }: Section, type: string): boolean {
  return variables.some(({ name, value }) => name.toLowerCase() === "type" && value === type);
}

/**
 * What changed endpoints name. Asterisk takes an endpoint whose auth does not exist without a word, and then refuses
 * its phone.
 */
function references(change: ViewChange, type: string): Expected[] {
  const keys: Partial<Record<string, readonly string[]>> = { auth: ["auth", "outbound_auth"], aor: ["aors"] };
  const isKey = (name: string): boolean => keys[type]?.includes(name.toLowerCase()) ?? false;
  const endpoint = (section: Section) => (isOfType(section, "endpoint") ? section.name : undefined);
  const changed = new Set(
    expectSections(change, endpoint).flatMap(({ name, state }) => (state === "changed" ? [name] : [])),
  );
  return change.after
    .filter((section) => !section.template && isOfType(section, "endpoint") && changed.has(section.name))
    .flatMap(({ name: owner, variables }) =>
      variables
        .filter(({ name }) => isKey(name))
        .flatMap(({ value }) => value.split(","))
        .map((value) => value.trim())
        .filter((value) => value !== "")
        .map((name): Expected => {
          return { name, state: "changed", label: `${type} ${name}, which endpoint ${owner} names` };
        }),
    );
}

/** `Auth:  100/username`, `Transport:  udp   udp …`, ` trunk/sip:host  auth  Registered`. */
function isCell(line: string, name: string, width: number): boolean {
  const cell = line.replace(/^ *(?:(?:I\/O)?Auth|Transport|Identify):/, "").trimStart();
  if (name.length > width) return cell.startsWith(name.slice(0, width));
  return cell.startsWith(name) && /^(?:$|[/\s])/.test(cell.slice(name.length));
}
