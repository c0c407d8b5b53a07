import { expect, test } from "@jest/globals";
import { failureMarkdown, planMarkdown } from "../../cli/render/plan-markdown.ts";
import type { PlannedServer } from "../../cli/render/plan-markdown.ts";
import { AsteriskIacError } from "../../core/errors.ts";
import { filesOf, effectiveView } from "../../core/conf/index.ts";
import { differenceOf } from "../../core/difference.ts";
import type { Plan, PlannedChange } from "../../core/plan.ts";
import { makePlan } from "../../core/plan.ts";
import { outsideOfCode } from "../support/markdown.ts";

/** What GitHub takes. */
const longest = 65_536;

function changed(path: string, lines: readonly string[]): PlannedChange {
  return {
    change: { kind: "Write", path, to: "server", cause: "change", creates: false },
    sourceHash: "hmac-sha256:1",
    serverHash: "hmac-sha256:2",
    difference: [
      {
        oldStart: 1,
        newStart: 1,
        lines: lines.map((text) => ({ kind: text.startsWith("`") ? "same" : "added", text })),
      },
    ],
  };
}

function planned(
  changes: readonly PlannedChange[],
  parts: Partial<Plan> = {},
  server = "pbx1",
): PlannedServer {
  const plan = makePlan({
    server,
    updateDirection: "ToAsterisk",
    changes,
    effects: [],
    reloads: { reloads: [], restarts: [], notLoaded: [] },
    ...parts,
  });
  return { server, plan, refusals: [] };
}

const text = (...servers: readonly PlannedServer[]): string => planMarkdown(servers).join("\n");

const view = (content: string) =>
  effectiveView("queues.conf", filesOf(new Map([["queues.conf", Buffer.from(content)]])), {});

test("tells what is noticed first, then restarts and reloads, then the lines of files behind folds", () => {
  const effect = differenceOf(view(""), view("[sales]\nmember => PJSIP/100\n"), "queues.conf");
  const reloads = {
    reloads: [{ module: "app_queue.so", because: ["queues.conf"] }],
    restarts: [{ path: "pjsip.conf", what: "the PJSIP transport [udp]" }],
    notLoaded: [],
  };
  const shown = text(planned([changed("queues.conf", ["[sales]"])], { effects: [effect], reloads }));
  const order = [
    "1 of 1 server would change",
    "What callers, agents and phones notice",
    "queue sales added",
    "**Restart needed:**",
    "reloads <code>app&#95;queue&#46;so</code> for <code>queues&#46;conf</code>",
    "<details><summary>",
    "+[sales]",
    "asteriskctl apply pbx1 --expect ",
  ].map((part) => shown.indexOf(part));
  expect(order).not.toContain(-1);
  expect(order).toEqual([...order].sort((a, b) => a - b));
});

test("what is refused stands on top", () => {
  const one = planned([changed("extensions.conf", ["exten => 1"])]);
  const refused = { ...one, refusals: [{ code: "ConfInvalid", message: "a\nb", hint: "Mend it." }] } as const;
  const shown = text(refused);
  expect(shown).toContain("1 would be refused");
  expect(shown.indexOf("**Would be refused:** <code>b</code>")).toBeLessThan(shown.indexOf("Files ("));
});

const hostile =
  "``` ````` </pre></code><img src=x onerror=alert(1)> @everyone [x](javascript:alert(1)) #1 https://evil.example \u001b[31m \u202e";

test("nothing of a file, a name or a message means anything outside of code", () => {
  const changes = [
    changed(`${hostile}.conf`, ["`````", hostile, "plain\rtext", "\ttab"]),
    { ...changed("linked.conf", []), blocked: hostile },
    { ...changed("wrong.conf", []), error: hostile },
  ];
  const one = {
    ...planned(changes),
    refusals: [{ code: "Conflict", message: hostile, hint: hostile }],
  } as const;
  const limits = [{ what: "Secrets", of: [hostile] }];
  const offline = { base: "abc", head: undefined, modulesSeenAt: hostile, limits };
  const error = new AsteriskIacError("InvalidManifest", hostile, { hint: hostile, where: { file: hostile } });
  const shown = text({ ...one, offline }, { server: "pbx2", error });
  expect(shown).not.toMatch(/[\0-\x08\x0b-\x1f\u202e]/);
  const outside = outsideOfCode(`${shown}\n${failureMarkdown(error).join("\n")}`);
  expect(outside).not.toMatch(/@|onerror|https:|javascript|evil/);
});

test("a comment is never longer than a forge takes, and says how much is left out", () => {
  const long = (count: number): string[] =>
    Array.from({ length: count }, (_, line) => `exten => ${line},1,Answer() ; x`);
  const huge = text(planned([changed("extensions.conf", long(20_000)), changed("queues.conf", ["[sales]"])]));
  expect(huge.length).toBeLessThan(longest - 100);
  expect(huge).toMatch(/\*\*\d+ more lines are left out here\.\*\*/);
  expect(huge).toContain("+[sales]");
  const many = text(
    planned(Array.from({ length: 2000 }, (_, file) => changed(`file-${file}.conf`, long(10)))),
  );
  expect(many.length).toBeLessThan(longest - 100);
  expect(many).toMatch(/\*\*The lines of \d+ more files are left out here\.\*\*/);
  const fleet = text(
    ...Array.from({ length: 500 }, (_, at) => planned([changed("a.conf", long(50))], {}, `pbx${at}`)),
  );
  expect(fleet.length).toBeLessThan(longest - 100);
  expect(fleet).toContain("500 of 500 servers would change");
  expect(fleet).toMatch(/Left out here, for a comment holds no more/);
  const effects = long(3000).map((line, at) => `[queue-${at}]\nmember => ${line}\n`);
  const noticed = text(
    planned([changed("queues.conf", long(10))], {
      effects: [differenceOf(view(""), view(effects.join("")), "queues.conf")],
      reloads: { reloads: [], restarts: [{ path: "pjsip.conf", what: "a transport" }], notLoaded: [] },
    }),
  );
  expect(noticed.length).toBeLessThan(longest - 100);
  expect(noticed).toContain("queue queue&#45;0 added");
  expect(noticed).toContain("+exten => 7");
  expect(noticed).toContain("**Restart needed:**");
  const wide = text(planned([changed("a.conf", ["<".repeat(100_000)])], {}, "pbx1"));
  expect(wide.length).toBeLessThan(longest - 100);
});

test("a plan without hashes names none to apply", () => {
  const one = planned([changed("queues.conf", ["x"])]);
  if (!("plan" in one)) throw new Error("no plan");
  expect(text({ ...one, plan: { ...one.plan, hash: "" } })).not.toContain("--expect");
});

test("servers with nothing to do take one line", () => {
  expect(text(planned([]), planned([], {}, "pbx2"))).toBe(
    "## Asterisk: 0 of 2 servers would change\n\nNothing to do on <code>pbx1</code>, <code>pbx2</code>.\n",
  );
});
