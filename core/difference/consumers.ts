/** What Asterisk's modules make of the sections of their files. */
import type { EffectiveView, Section, Variable } from "../conf/index.ts";
import { parsePermissions } from "../conf/lint/permissions.ts";
import { dialplanThings } from "./dialplan.ts";
import type { Fact, Thing } from "./thing.ts";
import { fact, mask, secret, variableFact } from "./thing.ts";

/** What was made of a view, by root: several questions are asked of one view. */
const made = new WeakMap<object, Map<string, readonly Thing[]>>();

/** The things that the module which opens `root` makes of its view. Templates, which it never sees, are left out. */
export function thingsOf(root: string, view: Pick<EffectiveView, "sections">): readonly Thing[] {
  const ofView = made.get(view) ?? new Map<string, readonly Thing[]>();
  made.set(view, ofView);
  const things = ofView.get(root) ?? read(root, view);
  ofView.set(root, things);
  return things;
}

function read(root: string, view: Pick<EffectiveView, "sections">): readonly Thing[] {
  const sections = view.sections.filter(({ template }) => !template);
  const name = root.slice(root.lastIndexOf("/") + 1);
  if (name === "extensions.conf") return dialplan(sections);
  const consumer = consumers.get(name) ?? [plainSection];
  return sections.flatMap((section) => {
    for (const read of consumer) {
      const things = read(section);
      if (things !== undefined) return things;
    }
    return plainSection(section);
  });
}

function dialplan(sections: readonly Section[]): Thing[] {
  const isGeneral = ({ name }: Section) => name.toLowerCase() === "general";
  return [
    ...sections.filter(isGeneral).flatMap((section) => object("general settings", section)),
    ...dialplanThings(sections.filter((section) => !isGeneral(section))),
  ];
}

/** The track of all lines of a section that stands for itself. */
export const plainTrack = "lines";

/** A section that stands for itself: all its lines in their order, for nobody told us that order is free. */
export function plainThing(kind: string, section: Section): Thing {
  const { name, file, line } = section;
  const facts = section.variables.map((variable) => variableFact(variable, plainTrack));
  return { kind, name, ordered: true, file, line, facts };
}

/** Reads a section, or leaves it to the next reader. */
type SectionReader = (section: Section) => Thing[] | undefined;

const plainSection = (section: Section): Thing[] => [plainThing("section", section)];

/** Which settings work on each other, so that their order counts: access lists and codec lists. */
const tracks: readonly (readonly [RegExp, string])[] = [
  [/^(deny|permit|acl)$/, "rules"],
  [/^contact_?(deny|permit|acl)$/, "contact rules"],
  [/^(allow|disallow|bandwidth)$/, "codecs"],
];

/** A variable of a module that looks at names without regard to case, and each name by itself. */
function setting(variable: Variable): Fact {
  const name = variable.name.toLowerCase();
  const track = tracks.find(([names]) => names.test(name))?.[1];
  return variableFact({ ...variable, name }, track);
}

function object(kind: string, section: Section, facts = section.variables.map(setting)): Thing[] {
  const { name, file, line } = section;
  return [{ kind, name, file, line, facts }];
}

/** Every section is a `kind`, its settings as `factsOf` reads them. */
function every(kind: string, factsOf = (variable: Variable): Fact => setting(variable)): SectionReader {
  return (section) => object(kind, section, section.variables.map(factsOf));
}

/** The section `name` is a `kind` of things. */
function only(name: string, read: SectionReader): SectionReader {
  return (section) => (section.name.toLowerCase() === name ? read(section) : undefined);
}

const general = only("general", every("general settings"));

/** Things called after their `type`, with a word in front where the type alone says too little. */
function byType(prefix = ""): SectionReader {
  return (section) => {
    const type = typeOf(section);
    return type === undefined ? undefined : object(prefix + type, section);
  };
}

/** What the section's `type` says, in lower case; undefined where it has none. */
function typeOf(section: Section): string | undefined {
  const type = section.variables.find(({ name }) => name.toLowerCase() === "type")?.value;
  return type === "" ? undefined : type?.toLowerCase();
}

/** Each variable is a thing of its own. */
function variables(kind: string, factName: string): SectionReader {
  return (section) =>
    section.variables.map((variable) => {
      const { name, value, file, line } = variable;
      return { kind, name, file, line, facts: [fact(factName, value, variable)] };
    });
}

/** `member => interface,penalty,name,…`, told apart by the interface. */
function queueFact(variable: Variable): Fact {
  if (variable.name.toLowerCase() !== "member") return setting(variable);
  const [device = "", ...rest] = variable.value.split(",");
  const name = `member ${device.trim()}`;
  return fact(name, rest.join(","), variable, { track: "members" });
}

/** Permissions as the classes that they grant; of several `read` or `write` lines the last counts. */
function account(section: Section): Thing[] {
  const facts = section.variables.flatMap((variable, index) => {
    const name = variable.name.toLowerCase();
    if (name !== "read" && name !== "write") return [setting(variable)];
    const later = section.variables.slice(index + 1).some((other) => other.name.toLowerCase() === name);
    return later ? [] : permissions(name, variable);
  });
  return object("account", section, facts);
}

function permissions(name: string, variable: Variable): Fact[] {
  const classes = new Set(parsePermissions(variable.value).flatMap(({ grants }) => grants));
  return [...classes]
    .sort()
    .map((granted) => fact(name, granted, variable, { track: `${name} ${granted}`, granted: true }));
}

const mailboxFields = ["password", "name", "e-mail", "pager", "options"] as const;

/** `number => password,name,e-mail,pager,options` in any section but the two special ones. */
function mailboxes(section: Section): Thing[] {
  const boxes = section.variables.map((variable): Thing => {
    const { name, value, file, line } = variable;
    const fields = value.split(",");
    const facts = mailboxFields.flatMap((field, index) => {
      const text = (index === 4 ? fields.slice(4).join(",") : (fields[index] ?? "")).trim();
      if (text === "") return [];
      const shown = field === "password" ? secret : mask(file, field, text);
      return [fact(field, text, variable, { shown })];
    });
    return { kind: "mailbox", name, context: section.name, file, line, facts };
  });
  return [...object("context", section, []), ...boxes];
}

/** By file name; a section goes to the first reader that takes it, and else stands for itself. */
const consumers: ReadonlyMap<string, readonly SectionReader[]> = new Map([
  ["pjsip.conf", [byType()]],
  ["pjsip_wizard.conf", [byType()]],
  ["queues.conf", [general, every("queue", queueFact)]],
  ["manager.conf", [general, account]],
  ["voicemail.conf", [general, only("zonemessages", variables("zone", "message")), mailboxes]],
  ["iax.conf", [general, only("callnumberlimits", plainSection), peers]],
  ["sip.conf", [general, only("authentication", plainSection), peers]],
  ["musiconhold.conf", [general, every("music class")]],
  ["confbridge.conf", [general, confbridge]],
  ["res_parking.conf", [general, every("parking lot")]],
  ["acl.conf", [every("access list")]],
  ["ari.conf", [general, byType("ARI ")]],
  [
    "features.conf",
    [
      general,
      only("featuremap", variables("feature", "code")),
      only("applicationmap", variables("dynamic feature", "definition")),
      every("feature group"),
    ],
  ],
  ["logger.conf", [general, only("logfiles", variables("logger channel", "levels"))]],
]);

/** SIP and IAX2 look for a match among their peers in the file's order. */
function peers(section: Section): Thing[] {
  return object("peer", section).map((peer): Thing => ({ ...peer, ordered: true }));
}

/** Bridge and user profiles, and menus, whose names are the keys that callers press. */
function confbridge(section: Section): Thing[] | undefined {
  const type = typeOf(section);
  if (type === "menu") return object("menu", section);
  return type === "bridge" || type === "user" ? object(`${type} profile`, section) : undefined;
}
