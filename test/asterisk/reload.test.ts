import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { AMIClient, type AMI, type AMIOptions } from "../../asterisk/ami/client.ts";
import type { Host } from "../../asterisk/host.ts";
import { parseLogFiles, parseLogLines } from "../../asterisk/log-growth.ts";
import { reload } from "../../asterisk/reload.ts";
import { FakeAMI } from "../support/fake-ami.ts";
import { useLab, type LabServer } from "../support/lab.ts";
import { amiOf, sshOf } from "../support/lab-connections.ts";
import { until } from "../support/until.ts";

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0)) await each.close();
});

/** The same AMI, where something happens right before a Reload is sent. */
function beforeReload(ami: AMI, act: () => Promise<void>): AMI {
  return {
    ...{ label: ami.label, fullyBooted: ami.fullyBooted, roundTrips: ami.roundTrips },
    send: async (name, headers, deadlineMs) => {
      if (name === "Reload") await act();
      return ami.send(name, headers, deadlineMs);
    },
    action: (...parameters) => ami.action(...parameters),
    list: (...parameters) => ami.list(...parameters),
    on: (...parameters) => ami.on(...parameters),
    events: (...parameters) => ami.events(...parameters),
    waitForEvent: (...parameters) => ami.waitForEvent(...parameters),
  };
}

describe.each([22, 16] as const)("reloading a live Asterisk %i", (asterisk) => {
  const lab = useLab({ asterisk });
  let server: LabServer;
  let host: Host;
  let ami: AMI;
  beforeEach(async () => {
    const [first] = lab.servers;
    if (first === undefined) throw new Error("the lab has no server");
    server = first;
    host = await sshOf(server);
    ami = await connect();
    open.push(host);
  });

  async function connect(over: Partial<AMIOptions> = {}): Promise<AMIClient> {
    const client = await AMIClient.connect({ ...amiOf(server), ...over });
    open.push(client);
    return client;
  }

  const shell = async (script: string) => {
    const { code, stderr } = await server.run(["sh", "-c", script]);
    expect({ code, stderr }).toMatchObject({ code: 0 });
  };

  test("a module that reloads: the answer, the event and the log say so", async () => {
    const result = await reload({ ami, host }, "manager");
    expect(result).toMatchObject({ module: "manager", outcome: "Reloaded", logErrors: [] });
    const sources = result.evidence.filter(({ observed }) => observed).map(({ source }) => source);
    expect(sources).toEqual(expect.arrayContaining(["AMI Reload", "Reload event"]));
    expect(sources.some((source) => source.startsWith("/var/log/asterisk/messages"))).toBe(true);
  });

  test("everything at once: the event is that of all modules", async () => {
    const result = await reload({ ami, host });
    expect(result).toMatchObject({ module: undefined, outcome: "Reloaded" });
    expect(result.evidence.find(({ source }) => source === "Reload event")?.saw).toBe("status 0 (Reloaded)");
  });

  test.each([
    ["no_such_module", "NotFound"],
    ["app_echo", "Unsupported"],
  ])("%s: %s, not a success", async (module, outcome) => {
    expect(await reload({ ami, host }, module)).toMatchObject({ outcome });
  });

  // Asterisk reports the first as an error and the second as a success: only the log shows that nothing was applied.
  test.each([
    ["extensions.conf", "pbx_config", "Failed"],
    ["manager.conf", "manager", "Reloaded"],
  ])("a %s that Asterisk can't read: its log says so, whatever %s answers", async (file, module, outcome) => {
    const path = `/etc/asterisk/${file}`;
    await shell(`cp -p ${path} /tmp/kept && echo '[broken' >>${path}`);
    try {
      const result = await reload({ ami, host }, module);
      expect(result.outcome).toBe(outcome);
      expect(result.logErrors.map(({ text }) => text)).toEqual(
        expect.arrayContaining([expect.stringMatching(new RegExp(`parse error: no closing .*${path}`))]),
      );
    } finally {
      await shell(`cp -p /tmp/kept ${path} && touch ${path}`);
    }
    expect((await reload({ ami, host }, module)).outcome).toBe("Reloaded");
  });

  test("a log that is rotated in between loses nothing", async () => {
    const rotating = beforeReload(ami, async () => {
      const log = "/var/log/asterisk/messages*";
      await shell(`for f in ${log}; do echo '[x] ERROR[1] old.c: before' >>$f; mv $f $f.1; done`);
      await shell("asterisk -rx 'logger reload'");
      await shell(`for f in /var/log/asterisk/messages /var/log/asterisk/messages.log; do
        [ -f $f ] && echo '[x] WARNING[1] new.c: after' >>$f; done; true`);
    });
    const { logErrors } = await reload({ ami: rotating, host }, "manager");
    expect(logErrors).toEqual([
      { level: "ERROR", text: "[x] ERROR[1] old.c: before" },
      { level: "WARNING", text: "[x] WARNING[1] new.c: after" },
    ]);
  });

  test("a log that is truncated in between: what was in it is said to be gone", async () => {
    const truncating = beforeReload(ami, () =>
      shell("for f in /var/log/asterisk/messages*; do echo '[x] ERROR[1] a.c: b' >>$f; : >$f; done"),
    );
    await shell("for f in /var/log/asterisk/messages*; do echo something >>$f; done");
    const { evidence } = await reload({ ami: truncating, host }, "manager");
    expect(evidence.at(-1)).toMatchObject({
      observed: false,
      saw: expect.stringMatching(/^the end of .*messages.* before it was rotated/) as unknown,
    });
  });

  test("an account that can't see the event: the outcome is only that it was asked", async () => {
    await shell(
      "printf '\\n[blind]\\nsecret=blind-secret\\nread=call\\nwrite=config\\n' >>/etc/asterisk/manager.conf; asterisk -rx 'manager reload'",
    );
    const blind = await connect({ username: "blind", password: "blind-secret", readsSystem: false });
    const result = await reload({ ami: blind, host }, "manager");
    expect(result.outcome).toBe("Asked");
    expect(result.evidence.filter(({ observed }) => !observed).map(({ source }) => source)).toEqual([
      "Reload event",
      "CoreReloadTime",
    ]);
    await shell(
      "sed -i 's/^write=config/write=call/' /etc/asterisk/manager.conf; asterisk -rx 'manager reload'",
    );
    const denied = await connect({ username: "blind", password: "blind-secret", readsSystem: false });
    await expect(reload({ ami: denied, host }, "manager")).rejects.toMatchObject({
      code: "PermissionDenied",
    });
  });

  test("a reload that hangs is given up at the deadline, and was sent once", async () => {
    let sent = 0;
    const signal = (name: string) => shell(`kill -${name} "$(cat /run/asterisk/asterisk.pid)"`);
    const stopping = beforeReload(ami, async () => {
      sent += 1;
      await signal("STOP");
    });
    try {
      await expect(reload({ ami: stopping, host }, "manager", { deadlineMs: 1_000 })).rejects.toMatchObject({
        code: "TimedOut",
        hint: expect.stringContaining("not repeated") as unknown,
      });
    } finally {
      await signal("CONT");
    }
    expect(sent).toBe(1);
  });

  test.each(["", "../x", "a b", "a\r\nAction: Logoff", "ä"])(
    "%j is no module's name: nothing is asked",
    async (bad) => {
      const nothing = {} as AMI & Host;
      await expect(reload({ ami: nothing, host: nothing }, bad)).rejects.toMatchObject({
        code: "InvalidArgument",
      });
    },
  );
});

describe("what Asterisk may answer, by its event", () => {
  /** A host whose logger has no file: the log is then unseen, and said to be. */
  const host: Host = {
    roundTrips: 0,
    run: (_, options) => {
      const nonce = options?.args?.[0] ?? "";
      const table = `${nonce} begin\nChannel  Type  Formatter  Status  Configuration\n\n${nonce} end 0 asterisk\n`;
      return Promise.resolve({ code: 0, stdout: Buffer.from(table), stderr: "" });
    },
    connectTCP: () => Promise.reject(new Error("no TCP")),
    close: () => Promise.resolve(),
  };

  test.each([
    ["0", "Success", "Reloaded"],
    ["1", "Success", "Queued"],
    ["2", "Error", "NotFound"],
    ["3", "Error", "Failed"],
    ["4", "Error", "InProgress"],
    ["5", "Error", "Uninitialized"],
    ["6", "Error", "Unsupported"],
    ["9", "Success", "Asked"],
  ])("status %s after %s is %s", async (status, response, outcome) => {
    const fake = new FakeAMI({
      answer: (action) =>
        action.get("action") === "Reload"
          ? `Event: Reload\r\nModule: Other\r\nStatus: 3\r\n\r\nEvent: Reload\r\nModule: x\r\nStatus: ${status}\r\n\r\n` +
            `Response: ${response}\r\nActionID: ${action.get("actionid")}\r\nMessage: m\r\n\r\n`
          : undefined,
    });
    open.push(fake);
    const transport = { kind: "tcp", host: "127.0.0.1", port: await fake.listen() } as const;
    const { username, password } = FakeAMI;
    const ami = await AMIClient.connect({ transport, username, password, label: "pbx1" });
    open.unshift(ami);
    const result = await reload({ ami, host }, "x");
    expect(result.outcome).toBe(outcome);
    expect(result.evidence.at(-1)).toMatchObject({ source: "Asterisk's log", observed: false });
  });

  test("a connection that breaks meanwhile: the outcome is unknown and said to be", async () => {
    const fake = new FakeAMI({ answer: (action) => (action.get("action") === "Reload" ? "" : undefined) });
    open.push(fake);
    const transport = { kind: "tcp", host: "127.0.0.1", port: await fake.listen() } as const;
    const { username, password } = FakeAMI;
    const ami = await AMIClient.connect({ transport, username, password, label: "pbx1" });
    open.unshift(ami);
    const reloading = expect(reload({ ami, host })).rejects.toMatchObject({
      code: "ConnectionLost",
      hint: expect.stringContaining("not known") as unknown,
    });
    await until(() => fake.actions.some((action) => action.get("action") === "Reload"));
    fake.dropConnections();
    await reloading;
    expect(fake.actions.filter((action) => action.get("action") === "Reload")).toHaveLength(1);
  });
});

describe("reading Asterisk's logger", () => {
  const table = (rows: string[]) =>
    [
      "Logger queue limit: 1000",
      "",
      "Channel".padEnd(36) + "Type     Formatter  Status    Configuration",
      ...rows,
    ].join("\n");
  const row = (name: string, type: string, status: string, levels: string) =>
    `${name.slice(0, 35).padEnd(35)} ${type.padEnd(8)} default    ${status.padEnd(9)}  - ${levels} `;

  test("only enabled files that take errors or warnings count; long names are cut as Asterisk prints them", () => {
    const long = "/var/log/asterisk/a-very-long-name-of-a-log-file.log";
    const shown = table([
      row("/var/log/asterisk/messages.log", "File", "Enabled", "NOTICE WARNING ERROR"),
      row("/var/log/asterisk/debug", "File", "Enabled", "DEBUG VERBOSE"),
      row("/var/log/asterisk/off", "File", "Disabled", "ERROR"),
      row("", "Console", "Enabled", "NOTICE WARNING ERROR"),
      row("syslog:local0", "Syslog", "Enabled", "ERROR"),
      row(long, "File", "Enabled", "ERROR"),
    ]);
    expect(parseLogFiles(shown)).toEqual(["/var/log/asterisk/messages.log", long.slice(0, 35)]);
  });

  test("no table is an error", () => {
    expect(() => parseLogFiles("No such command")).toThrow(/printed no table/);
  });

  test("default, plain, coloured and JSON lines; never a level inside a message", () => {
    const log = [
      "[Nov 22 03:23:13] ERROR[74] pbx.c: a",
      "[Nov 22 03:23:13] \x1b[1;31mWARNING\x1b[0m[74][C-00000001]: pbx.c:12 in x: b",
      "[Nov 22 03:23:13] NOTICE[74] pbx.c: ERROR[1] c",
      "[Nov 22 03:23:13] VERBOSE[74] WARNING[1]",
      '{"hostname":"","logmsg":{"location":{"line":1},"level":"ERROR","message":"d"}}',
      '{"hostname":"","logmsg":{"location":{"line":1},"level":"NOTICE","message":"e"}}',
      "",
    ].join("\n");
    expect(parseLogLines(log).map(({ level }) => level)).toEqual(["ERROR", "WARNING", "ERROR"]);
  });
});
