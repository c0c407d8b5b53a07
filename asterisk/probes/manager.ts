/** AMI's own accounts, against `manager show user` and `manager show settings` (main/manager.c). */
import type { Section } from "../../core/conf/index.ts";
import { isTrue } from "../../core/reloads.ts";
import type { ViewChange } from "../../core/reloads.ts";
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

function accountProbe({ name, state }: Expected, { after }: ViewChange): Probe[] {
  const word = cliWord(name);
  if (word === undefined) return [];
  const command = `manager show user ${word}`;
  const judge = (lines: readonly string[]): Judgement => {
    const shown = new Map(
      lines.flatMap((line) => {
        const [, label, value] = /^ *([a-z ]+): ?(.*)$/i.exec(line) ?? [];
        return label === undefined || value === undefined
          ? []
          : [[label.toLowerCase(), value.trim()] as const];
      }),
    );
    const isThere = shown.get("username") === name;
    if (state === "gone") {
      const still = { expected: `no AMI account ${name}`, saw: "it is still there" };
      return {
        saw: isThere ? "it is there" : "it is gone",
        failures: isThere ? [still] : [],
        unobserved: [],
      };
    }
    if (!isThere) {
      const saw = "no such account";
      return { saw, failures: [{ expected: `AMI account ${name}`, saw }], unobserved: [] };
    }
    const failures = (["read", "write"] as const).flatMap((kind) =>
      comparePermissions(kind, settingOf(after, name.toLowerCase(), kind), shown.get(`${kind} perm`)),
    );
    const unobserved = [`the secret of AMI account ${name}: Asterisk shows only that it has one`];
    return { saw: "the account, with its permissions", failures, unobserved };
  };
  return [{ title: command, ask: { command }, judge }];
}

/** Compared only where every class is written as Asterisk writes it; anything else has meanings of its own. */
function comparePermissions(
  kind: string,
  written: string | undefined,
  shown: string | undefined,
): Omit<Failure, "probe">[] {
  const wanted = written?.split(",") ?? [];
  if (shown === undefined || !wanted.every((word) => classes.has(word))) return [];
  const live = new Set(shown.split(","));
  const fits = wanted.includes("all") ? live.has("all") : sameSet(new Set(wanted), live);
  return fits ? [] : [{ expected: `${kind}=${wanted.join(",")}`, saw: `${kind}=${shown}` }];
}

function sameSet(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  return a.size === b.size && [...a].every((each) => b.has(each));
}
