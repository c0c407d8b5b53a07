import { afterEach, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { join } from "node:path";
import { contextOf } from "../../cli/context.ts";
import { privilegedCommands, roles } from "../../core/judge/commands.ts";
import { judge } from "../../core/judge/judge.ts";
import { plain } from "../../core/judge/output.ts";
import { ServerConsole } from "../../engine/console.ts";
import { ConsoleSession } from "../../engine/console-session.ts";
import { onlyServer } from "../support/host-sshd.ts";
import { useLab } from "../support/lab.ts";
import { until } from "../support/until.ts";

const lab = useLab();
const consoles: ServerConsole[] = [];
const policy = { privilegedCommands: [], redirectContexts: [], queueInterfaces: [] };

async function newConsole(options: { readonly restMs?: number } = {}): Promise<ServerConsole> {
  const context = await contextOf({ filename: [join(lab.directory, "manifests.yaml")], output: "text" }, []);
  const [server] = context.servers;
  if (server === undefined) throw new Error("the lab declares no server");
  const console = new ServerConsole(server, context.secrets, options);
  consoles.push(console);
  return console;
}
afterEach(() => Promise.all(consoles.splice(0).map((console) => console.close())));

/** How many processes of the console's own are on the server, beside the one that looks. */
const countOnServer = async (pattern: string): Promise<number> => {
  const script = `for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline 2>/dev/null; echo; done | grep -c "^$1"`;
  return Number((await onlyServer(lab).run(["sh", "-c", script, "sh", pattern])).stdout.toString());
};

describe("every command that a live Asterisk 22 lists", () => {
  /** What runs code, writes files, loads modules, or shows passwords: never without being declared. */
  const dangerous = [
    /^agi (exec|dump)/,
    /^channel originate|^originate/,
    /^confbridge record/,
    /^core (clear|reset|waitfullybooted|set trace)/,
    /^database query/,
    /^dialplan (add|remove|save|set|eval|debug)/,
    /^file convert/,
    /^keys init/,
    /^logger (add|remove|set|filter)/,
    /^media cache/,
    /^mixmonitor/,
    /^module (load|unload|refresh)/,
    /^pjsip (export|show (auth|history|unidentified_requests|transport$))/,
    /^realtime/,
    /^test/,
    /^voicemail (forward|move|remove)/,
    /^xmldoc/,
    /^!/,
  ];
  let commands: string[] = [];
  beforeAll(async () => {
    const { output } = await (await newConsole()).run("test", "core show help");
    commands = output
      .toString()
      .split("\n")
      .map((line) => line.split(" -- ")[0]?.trim() ?? "")
      .filter((line) => line !== "");
  });

  /** The forms of a command as Asterisk lists it, `{on|off}` and `[like]` spelled out, with arguments and without. */
  const formsOf = (command: string): string[] => {
    const [, before, choices, after] = /^(.*?)[{[]([^}\]]+)[}\]](.*)$/.exec(command) ?? [];
    if (before === undefined || choices === undefined)
      return ["", " x", " x y", " x y z"].map((more) => command + more);
    return choices.split("|").flatMap((choice) => formsOf(`${before}${choice}${after}`.trim()));
  };

  test("is a role's or nobody's, and none that runs code or writes files is anybody's", () => {
    expect(commands.length).toBeGreaterThan(250);
    const open = commands.filter((command) =>
      formsOf(command).some((line) => judge(line, { role: "admin", policy, aliases: new Map() }).allowed),
    );
    expect(open.filter((command) => dangerous.some((pattern) => pattern.test(command)))).toEqual([]);
    expect(open.length).toBeGreaterThan(100);
  });

  test("a viewer's only show: one who has typed them all has changed nothing", async () => {
    const console = await newConsole();
    const lines = commands
      .flatMap(formsOf)
      .filter((line) => judge(line, { role: "viewer", policy, aliases: new Map() }).allowed);
    const before = await console.run("test", "module show");
    for (const line of lines) await console.run("viewer", line, { maxBytes: 1000 });
    const listing = (bytes: Buffer): string[] =>
      bytes
        .toString()
        .split("\n")
        .map((line) => line.split(" ")[0] ?? "");
    expect(listing((await console.run("test", "module show")).output)).toEqual(listing(before.output));
    expect(lines.every((line) => /\b(show|list|status|help|mute)\b/.test(line))).toBe(true);
  });

  test("what can be declared is a command that Asterisk or one of its modules has", () => {
    const words = commands.map((command) => command.split(/[ {[]/)[0]);
    // Of modules that the lab does not load, or of Asterisk itself at its root console alone.
    const elsewhere = new Set(["channel", "ulimit"]);
    expect(
      privilegedCommands.filter(
        (name) => !words.includes(name.split(" ")[0]) && !elsewhere.has(name.split(" ")[0] ?? ""),
      ),
    ).toEqual([]);
    expect(roles).toEqual(["viewer", "operator", "admin"]);
  });
});

test("what would not be seen as it stands is no completion", async () => {
  const console = await newConsole();
  const output = Buffer.from("a a\u009b2J a\u202eb a\x1b[31m alice _EOF_");
  jest.spyOn(console, "run").mockResolvedValue({ output, omitted: 0 });
  expect(await console.complete("admin", "database get trunks a", "a")).toEqual(["alice"]);
});

describe("many people at one server", () => {
  test("share one connection for the log and a few for commands, and each sees the level that it wants", async () => {
    const console = await newConsole();
    const logs: string[] = Array(20).fill("");
    let connected = 0;
    const sessions = logs.map(
      (_, index) =>
        new ConsoleSession(console, {
          role: "operator",
          policy,
          log: {
            onText: (text) => (logs[index] += text),
            onState: (state) => (connected += state.connected ? 1 : 0),
          },
        }),
    );
    await until(() => connected === sessions.length);
    const answers = await Promise.all(sessions.map((session) => session.line("core show version")));
    expect(
      answers.every((answer) => answer.outcome === "Answered" && answer.text.startsWith("Asterisk 22")),
    ).toBe(true);
    // Two processes each: the log's relay, and those of the commands.
    expect(await countOnServer("perl -e")).toBeLessThanOrEqual(6);
    expect(await sessions[0]?.line("core set verbose 1")).toMatchObject({ outcome: "Answered" });
    await until(async () => {
      await onlyServer(lab).run(["asterisk", "-rx", "dialplan reload"]);
      return logs.slice(1).every((log) => log.includes("Including switch"));
    });
    expect(logs[0]).not.toContain("Including switch");
    expect(new Set(logs.slice(1)).size).toBe(1);
    for (const session of sessions) session.close();
    await until(async () => (await countOnServer("perl -e")) <= 4);
  });

  test("when the last has gone nothing stays open, and the next is served all the same", async () => {
    const console = await newConsole({ restMs: 50 });
    for (let visit = 1; visit <= 2; visit += 1) {
      const states: boolean[] = [];
      const session = new ConsoleSession(console, {
        ...{ role: "viewer", policy },
        log: { onText: () => undefined, onState: (state) => states.push(state.connected) },
      });
      await until(() => states.includes(true));
      expect(await session.line("core show version")).toMatchObject({ outcome: "Answered" });
      expect(await countOnServer("perl -e")).toBeGreaterThan(0);
      session.close();
      await until(async () => (await countOnServer("perl -e")) === 0);
    }
  });

  test("a restart of Asterisk in the middle: the command fails, all else goes on", async () => {
    const console = await newConsole();
    const states: boolean[] = [];
    let log = "";
    const session = new ConsoleSession(console, {
      role: "admin",
      policy,
      log: { onText: (text) => (log += text), onState: (state) => states.push(state.connected) },
    });
    await until(() => states.includes(true));
    expect(await session.line("core restart now")).toMatchObject({ outcome: "Failed" });
    await until(() => states.length === 3);
    expect(states).toEqual([true, false, true]);
    log = "";
    await until(async () => {
      await onlyServer(lab).run(["asterisk", "-rx", "dialplan reload"]);
      return plain(log).includes("Including switch");
    });
    expect(await session.line("core show version")).toMatchObject({ outcome: "Answered" });
    session.close();
  });
});
