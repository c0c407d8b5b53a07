/** AMI's own accounts, against `manager show user` and `manager show settings` (main/manager.c). */
import type { Section } from "../../core/conf/index.ts";
import { isTrue } from "../../core/reloads.ts";
import type { ViewChange } from "../../core/reloads.ts";
import { parseManagerUser, parseUsernames } from "../manager-output.ts";
import type { Expected, Failure, Judgement, Probe } from "./probe.ts";
import { cliWord, expectSections, settingOf } from "./probe.ts";

/** AMI's classes, as manager.conf and `manager show user` write them. */
const classes = new Set(
  (
    "system call log verbose command agent user config dtmf reporting cdr dialplan originate agi cc aoc test security " +
    "message all"
  ).split(" "),
);

/** Every account that changed or went away, and the settings. */
export function managerProbes(change: ViewChange): Probe[] {
  const accounts = expectSections(change, ({ name }) => (/^general$/i.test(name) ? undefined : name));
  return [
    settingsProbe(change.after),
    ...accounts.filter(({ state }) => state !== "same").flatMap((account) => accountProbe(account, change)),
  ];
}

function settingsProbe(after: readonly Section[]): Probe {
  const written = settingOf(after, "general", "enabled");
  const enabled = isTrue(written);
  return {
    title: "manager show settings",
    ask: { command: "manager show settings" },
    judge: (lines) => {
      const live = lines.find((line) => line.includes("Manager (AMI):"))?.trim() ?? "nothing";
      const fits = written === undefined || live.endsWith(enabled ? "Yes" : "No");
      const expected = `AMI ${enabled ? "enabled" : "disabled"}`;
      return { saw: live, failures: fits ? [] : [{ expected, saw: live }], unobserved: [] };
    },
  };
}

function accountProbe({ name, state }: Expected, change: ViewChange): Probe[] {
  const word = cliWord(name);
  if (word === undefined) return [];
  // `manager show user` of an account with variables can hang Asterisk after a reload (docs/ami-classes.md).
  if (hasVariables(name, change.before) || hasVariables(name, change.after)) {
    const why = `the classes of AMI account ${name}: Asterisk can't safely show an account that has setvar`;
    const judge = (lines: readonly string[]): Judgement =>
      judgePresence(name, state, parseUsernames(lines.join("\n"))?.includes(name) ?? false, [why]);
    return [{ title: "manager show users", ask: { command: "manager show users" }, judge }];
  }
  const command = `manager show user ${word}`;
  const judge = (lines: readonly string[]): Judgement => {
    const live = parseManagerUser(lines.join("\n"));
    const isThere = live?.username === name;
    const unobserved = [`the secret of AMI account ${name}: Asterisk shows only that it has one`];
    const presence = judgePresence(name, state, isThere, unobserved);
    if (!isThere || state === "gone") return presence;
    const failures = (["read", "write"] as const).flatMap((kind) =>
      comparePermissions(kind, settingOf(change.after, name.toLowerCase(), kind), live[kind]),
    );
    return { ...presence, saw: "the account, with its permissions", failures };
  };
  return [{ title: command, ask: { command }, judge }];
}

function hasVariables(account: string, sections: readonly Section[]): boolean {
  return sections.some(
    ({ name, variables }) =>
      name.toLowerCase() === account.toLowerCase() &&
      variables.some((variable) => variable.name.toLowerCase() === "setvar"),
  );
}

function judgePresence(
  name: string,
  state: Expected["state"],
  isThere: boolean,
  unobserved: readonly string[],
): Judgement {
  if (state === "gone") {
    const still = { expected: `no AMI account ${name}`, saw: "it is still there" };
    return { saw: isThere ? "it is there" : "it is gone", failures: isThere ? [still] : [], unobserved: [] };
  }
  if (isThere) return { saw: "the account", failures: [], unobserved };
  const saw = "no such account";
  return { saw, failures: [{ expected: `AMI account ${name}`, saw }], unobserved: [] };
}

/** Compared only where every class is written as Asterisk writes it; anything else has meanings of its own. */
function comparePermissions(
  kind: string,
  written: string | undefined,
  shown: readonly string[],
): Omit<Failure, "probe">[] {
  const wanted = written?.split(",") ?? [];
  if (!wanted.every((word) => classes.has(word))) return [];
  const live = new Set(shown);
  const fits = wanted.includes("all") ? live.has("all") : sameSet(new Set(wanted), live);
  return fits
    ? []
    : [{ expected: `${kind}=${wanted.join(",")}`, saw: `${kind}=${shown.join(",") || "<none>"}` }];
}

function sameSet(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  return a.size === b.size && [...a].every((each) => b.has(each));
}
