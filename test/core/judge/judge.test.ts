import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { commandPatterns, privilegedCommands, roles } from "../../../core/judge/commands.ts";
import type { Part, Role } from "../../../core/judge/commands.ts";
import { complete } from "../../../core/judge/completion.ts";
import { judge, maxLineBytes } from "../../../core/judge/judge.ts";
import type { ConsolePolicy, Judging } from "../../../core/judge/judge.ts";

const strict: ConsolePolicy = { privilegedCommands: [], redirectContexts: [], queueInterfaces: [] };
const as = (role: Role, more: Partial<Judging> = {}): Judging => ({
  role,
  policy: strict,
  aliases: new Map(),
  ...more,
});
const sent = (line: string, judging: Judging): string | undefined => {
  const verdict = judge(line, judging);
  return verdict.allowed ? verdict.send : undefined;
};
/** The lowest role that may run a line; undefined where none may. */
const lowest = (line: string): Role | undefined => roles.find((role) => judge(line, as(role)).allowed);

describe("roles", () => {
  test.each<[string, Role | undefined]>([
    ["core show channels", "viewer"],
    ["core show channels concise", "viewer"],
    ["core show channels everything", undefined],
    ["core show channel PJSIP/alice-00000001", "operator"],
    ["pjsip show endpoint alice", "viewer"],
    ["pjsip show auth alice", undefined],
    ["pjsip show auths", undefined],
    ["pjsip show history", undefined],
    ["pjsip show unidentified_requests", undefined],
    ["pjsip show transport transport-tls", undefined],
    ["confbridge show profile user default_user", undefined],
    ["manager show eventq", undefined],
    ["dialplan show", "operator"],
    ["dialplan show internal", "operator"],
    // No context of that name, but Asterisk's own command: variables hold passwords.
    ["dialplan show globals", "admin"],
    ["dialplan show GLOBALS", "admin"],
    ["dialplan show chanvar PJSIP/alice-00000001", undefined],
    ["core reload", "operator"],
    ["pjsip reload", "operator"],
    ["logger reload", "operator"],
    // An other file than logger.conf could write its log anywhere.
    ["logger reload /tmp/evil.conf", undefined],
    ["channel request hangup PJSIP/alice-00000001", "operator"],
    ["core restart now", "admin"],
    ["core stop gracefully", "admin"],
    ["core stop", undefined],
    ["database put a b c", "admin"],
    ["database query select", undefined],
    ["channel redirect PJSIP/alice-00000001 internal,100,1", undefined],
    ["queue add member PJSIP/alice to support", undefined],
    ["dialplan eval function SHELL(id)", undefined],
    ["dialplan set global X FILE(/etc/passwd)", undefined],
    ["channel originate Local/1@x application System id", undefined],
    ["originate Local/1@x application System id", undefined],
    ["module load func_shell.so", undefined],
    ["module unload res_pjsip.so", undefined],
    ["!id", undefined],
    [" !id", undefined],
    ["_command matchesarray x y", undefined],
    ["core sho channels", undefined],
    ["c s c", undefined],
    ["", undefined],
  ])("%s: %s", (line, role) => {
    expect(lowest(line)).toBe(role);
  });

  test("each may do what the one before it may", () => {
    fc.assert(
      fc.property(arbitraryLine, (line) => {
        const [viewer, operator, admin] = roles.map((role) => judge(line, as(role)).allowed);
        expect([viewer && !operator, operator && !admin]).toEqual([false, false]);
      }),
    );
  });
});

describe("what is sent", () => {
  test("is put together anew: single spaces, the command in lower case, arguments as they were", () => {
    expect(sent("  CORE   Show  CHANNELS ", as("viewer"))).toBe("core show channels");
    expect(sent("Pjsip SHOW endpoint Alice", as("viewer"))).toBe("pjsip show endpoint Alice");
  });

  test("never holds quotes, backslashes, control characters or two spaces, and fits Asterisk's buffer", () => {
    fc.assert(
      fc.property(arbitraryLine, fc.constantFrom(...roles), (line, role) => {
        const verdict = judge(line, as(role, { policy: open }));
        if (!verdict.allowed) return;
        expect(verdict.send).not.toMatch(/["\\\x00-\x1f\x7f]| {2}|^ | $|^[!_]/);
        expect(Buffer.byteLength(verdict.send)).toBeLessThanOrEqual(maxLineBytes);
      }),
      { numRuns: 2000 },
    );
  });

  test("is judged the same again: nothing refused hides in what was allowed", () => {
    fc.assert(
      fc.property(arbitraryLine, fc.constantFrom(...roles), (line, role) => {
        const verdict = judge(line, as(role));
        if (verdict.allowed) expect(judge(verdict.send, as(role))).toEqual(verdict);
      }),
      { numRuns: 2000 },
    );
  });

  test("a secret is not in the audit's form of it", () => {
    const verdict = judge("database put cidname 100 hunter22", as("admin"));
    expect(verdict).toEqual({
      allowed: true,
      send: "database put cidname 100 hunter22",
      shown: "database put cidname 100 ********",
    });
  });
});

describe("tricks", () => {
  const dangerous = ["core restart now", "dialplan eval function SHELL(id)", "module load func_shell.so"];
  const tricks: [string, (line: string) => string][] = [
    ["quotes around a word", (line) => line.replace(/^(\S+)/, '"$1"')],
    ["quotes within a word", (line) => `${line.slice(0, 2)}""${line.slice(2)}`],
    ["a backslash", (line) => `${line.slice(0, 2)}\\${line.slice(2)}`],
    ["tabs for spaces", (line) => line.replaceAll(" ", "\t")],
    ["repeated spaces", (line) => line.replaceAll(" ", "   ")],
    ["another case", (line) => line.toUpperCase()],
    ["a no-break space", (line) => line.replace(" ", "\u00a0")],
    ["a line break before it", (line) => `core show version\n${line}`],
    ["a NUL before it", (line) => `core show version\0${line}`],
    ["an escape sequence", (line) => `\x1b[2K${line}`],
    ["a C1 control character", (line) => `\x9b2K${line}`],
    ["abbreviated words", (line) => line.replace(/(\w{3})\w+/, "$1")],
    ["behind a viewer's command", (line) => `core show version ${line}`],
    ["a bang", (line) => `!asterisk -rx '${line}'`],
  ];
  test.each(dangerous.flatMap((line) => tricks.map(([name, trick]) => [line, name, trick(line)] as const)))(
    "%s with %s is refused to a viewer",
    (_line, _name, tricked) => {
      expect(judge(tricked, as("viewer"))).toMatchObject({ allowed: false });
    },
  );

  test.each([
    'core show application "Dial"',
    "core show application Di\\al",
    "core show application Dial\x07",
    "core show application \u00a0Dial",
    "core show help core\tshow",
  ])("an argument as in %j is refused to everybody", (line) => {
    expect(lowest(line)).toBeUndefined();
  });

  test("a line that is longer than Asterisk's buffer is refused", () => {
    const line = (length: number): string => `core show application ${"x".repeat(length - 22)}`;
    expect(judge(line(maxLineBytes), as("viewer")).allowed).toBe(true);
    expect(judge(line(maxLineBytes + 1), as("viewer")).allowed).toBe(false);
    expect(judge(`core show application ${"é".repeat(maxLineBytes / 2)}`, as("viewer")).allowed).toBe(false);
  });
});

describe("aliases of cli_aliases.conf", () => {
  const aliases = new Map<string, string | undefined>([
    ["hangup request", "channel request hangup"],
    ["originate", "channel originate"],
    ["reload", "module reload"],
    ["long", undefined],
    ["core show uptime", "core stop now"],
    ["quoted", 'core show "channels"'],
    ["chain", "hangup request"],
    ["indirect", "core show uptime"],
  ]);
  test.each<[string, Role, string | undefined]>([
    ["Hangup Request PJSIP/a-1", "operator", "channel request hangup PJSIP/a-1"],
    ["hangup request PJSIP/a-1", "viewer", undefined],
    ["reload res_pjsip.so", "operator", "module reload res_pjsip.so"],
    ["originate Local/1@x application System id", "admin", undefined],
    ["long", "admin", undefined],
    ["quoted", "admin", undefined],
    ["chain PJSIP/a-1", "admin", undefined],
    // Asterisk would resolve it once more.
    ["indirect", "viewer", undefined],
    // What looks like a viewer's command is what it stands for.
    ["core show uptime", "viewer", undefined],
    ["core show uptime", "admin", "core stop now"],
  ])("%s as %s", (line, role, expected) => {
    expect(sent(line, as(role, { aliases }))).toBe(expected);
  });
});

describe("what a server declares", () => {
  const declared: ConsolePolicy = {
    privilegedCommands: ["module load"],
    privilegedReason: "new modules are tried on this test server",
    redirectContexts: ["internal"],
    queueInterfaces: ["PJSIP/alice"],
  };
  test.each<[string, boolean]>([
    ["module load func_env.so", true],
    ["module unload func_env.so", false],
    ["channel redirect PJSIP/a-1 internal,100,1", true],
    ["channel redirect PJSIP/a-1 outbound,100,1", false],
    ["channel redirect PJSIP/a-1 100,1", false],
    ["queue add member PJSIP/alice to support", true],
    ["queue add member Local/1@outbound to support", false],
  ])("%s: %s for an admin", (line, allowed) => {
    expect(judge(line, as("admin", { policy: declared })).allowed).toBe(allowed);
    expect(judge(line, as("operator", { policy: declared })).allowed).toBe(false);
  });

  test("a privileged command without a reason stays refused", () => {
    const policy = { ...declared, privilegedReason: "" };
    expect(judge("module load func_env.so", as("admin", { policy })).allowed).toBe(false);
  });
});

describe("completion", () => {
  test("offers the role's own words, and asks Asterisk only for their arguments", () => {
    expect(complete("core re", as("viewer"))).toEqual({ words: [], ask: undefined });
    expect(complete("core re", as("operator")).words).toEqual(["reload"]);
    expect(complete("core re", as("admin")).words).toEqual(["reload", "restart"]);
    expect(complete("core show ch", as("viewer")).words).toEqual(["channels", "channeltype", "channeltypes"]);
    expect(complete("pjsip show endpoint al", as("viewer"))).toEqual({
      words: [],
      ask: { line: "pjsip show endpoint al", word: "al" },
    });
    expect(complete("pjsip show auth al", as("admin"))).toEqual({ words: [], ask: undefined });
    expect(complete("dialplan eval function ", as("admin")).ask).toBeUndefined();
    expect(complete('core show "ch', as("admin"))).toEqual({ words: [], ask: undefined });
    expect(complete("", as("viewer")).words).toContain("core");
  });
});

/** Every privileged command open: what is tested then is the judging of lines alone. */
const open: ConsolePolicy = {
  privilegedCommands,
  privilegedReason: "a test",
  redirectContexts: ["internal"],
  queueInterfaces: ["PJSIP/alice"],
};

/** Words of the table and hostile pieces, in lines that are often right and often nearly so. */
const hostile = [
  "!",
  "_command",
  '"',
  "\\",
  "\t",
  "\0",
  "\n",
  "\x1b[2J",
  "\u00a0",
  "SHELL(id)",
  "é",
  "é".repeat(90),
];
const pieces = [
  ...new Set(commandPatterns.flatMap(({ parts }) => parts.flatMap(wordsOfPart))),
  "PJSIP/alice-1",
  ...hostile,
];
const separator = fc.constantFrom(" ", " ", " ", "  ", "\t", "");
const known = fc
  .constantFrom(...commandPatterns)
  .map(({ parts }) => parts.flatMap((part) => wordsOfPart(part)[0] ?? "x"));
const arbitraryLine = fc
  .tuple(
    fc.oneof(known, fc.array(fc.constantFrom(...pieces), { maxLength: 6 })),
    fc.array(fc.oneof(fc.constantFrom(...pieces), fc.constantFrom(...hostile)), { maxLength: 2 }),
    separator,
  )
  .map(([words, more, between]) => [...words, ...more].join(between === "" ? " " : between));

function wordsOfPart(part: Part): string[] {
  if (part.kind === "word") return [...part.words];
  return part.kind === "optional" ? part.parts.flatMap(wordsOfPart) : ["arg"];
}
