import { connect, type Socket } from "node:net";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { AMIClient } from "../../asterisk/ami/client.ts";
import type { Host } from "../../asterisk/host.ts";
import {
  addressOfSession,
  kickManagerSessions,
  listManagerSessions,
  mayBeOf,
  parseManagerSessions,
} from "../../asterisk/manager-sessions.ts";
import { parseManagerUser, parseUsernames } from "../../asterisk/manager-output.ts";
import {
  listManagerUsers,
  observeManagerUsers,
  proveLogin,
  showManagerUsers,
} from "../../asterisk/manager-users.ts";
import { managerProbes } from "../../asterisk/probes/manager.ts";
import { verifyAccount } from "../../core/accounts/verification.ts";
import type { Section } from "../../core/conf/index.ts";
import { effectiveView, filesOf } from "../../core/conf/index.ts";
import { useLab, type LabServer } from "../support/lab.ts";
import { amiOf, sshOf } from "../support/lab-connections.ts";

/** Entries of permit in every form, each of which Asterisk takes. */
const entries = [
  "10.0.0.0/8",
  "192.168.1.77/24",
  "192.168.1.77/255.255.255.0",
  "10.0.0.0/255.0.255.0",
  "010.0.0.1",
  "1.2.3",
  "0.0.0.0/0",
  "::/0",
  "::/1",
  "::1",
  "::2/128",
  "::1.2.3.4",
  "::ffff:1.2.3.4",
  "fe80::1/64",
  "0:0:0:1::",
  "2001:DB8:0:0:0:0:0:1",
  "2001:db8:1:0:0:1:0:0",
  "2001:db8:0:1:0:1:0:1",
  "1:0:2:3:4:5:6:7",
  "1:0:0:2:0:0:3:4",
  "2001:db8::ffff/29",
  "2001:db8::/ffff:ffff::",
];

const everywhere = "deny=0.0.0.0/0\ndeny=::/0\n";
const accounts = `
[forms]
secret=forms-secret
${everywhere}${entries.map((entry) => `permit=${entry}\n`).join("")}
read=system,call
write=none
displayconnects=no
allowmultiplelogin=no

[bare]
read=all

[named]
secret=named-secret
acl=office
acl=nowhere
permit=10.0.0.1

[broken]
secret=x
permit=10.0.0.0/33

[local]
secret=local-secret
${everywhere}permit=127.0.0.1
read=none
write=none

[caller]
secret=caller-secret
${everywhere}permit=127.0.0.1
read=user
write=user

[single]
secret=single-secret
${everywhere}permit=127.0.0.0/8
allowmultiplelogin=no

[several]
secret=several-secret
${everywhere}permit=127.0.0.0/8
allowmultiplelogin=yes
`;

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0)) await each.close();
});

describe.each([22, 16] as const)("AMI accounts of a live Asterisk %i", (asterisk) => {
  const lab = useLab({ asterisk });
  let server: LabServer;
  let host: Host;
  beforeAll(async () => {
    server = lab.servers[0] as LabServer;
    await server.run(["sh", "-c", "cat >>/etc/asterisk/acl.conf"], {
      input: "\n[office]\ndeny=0.0.0.0/0\npermit=10.0.0.0/8\n",
    });
    await server.run(["sh", "-c", "cat >>/etc/asterisk/manager.conf"], { input: accounts });
    await server.run(["asterisk", "-rx", "module reload acl"]);
    await server.run(["asterisk", "-rx", "manager reload"]);
  });
  beforeEach(async () => {
    host = await sshOf(server);
    open.push(host);
  });

  const optionsOf = (username: string, password = `${username}-secret`) => ({
    ...amiOf(server),
    username,
    password,
    readsSystem: false,
  });
  async function logIn(username: string): Promise<AMIClient> {
    const client = await AMIClient.connect(optionsOf(username));
    open.push(client);
    return client;
  }

  describe("what it shows", () => {
    test("an account with all its rows, in the forms that verification expects, in one round trip", async () => {
      const before = host.roundTrips;
      const live = await showManagerUsers(host, ["forms", "bare", "named", "broken", "nobody"]);
      expect(host.roundTrips - before).toBe(1);
      const forms = live.get("forms");
      expect(forms).toMatchObject({
        username: "forms",
        hasSecret: true,
        read: ["system", "call"],
        write: [],
        displayConnects: false,
        allowMultipleLogin: false,
        namedACLs: [],
      });
      expect(forms?.acl.slice(0, 3)).toEqual([
        { sense: "deny", address: "0.0.0.0/0.0.0.0" },
        { sense: "deny", address: "::/::" },
        { sense: "permit", address: "10.0.0.0/255.0.0.0" },
      ]);
      const checks = verifyAccount(
        {
          username: "forms",
          deny: ["0.0.0.0/0", "::/0"],
          permit: entries,
          read: ["call", "system"],
          write: ["none"],
          displayConnects: false,
          allowMultipleLogin: false,
          variables: {},
        },
        forms,
      );
      expect(checks.filter(({ ok }) => !ok)).toEqual([]);
      expect(live.get("bare")).toMatchObject({ hasSecret: false, acl: [], write: [] });
      expect(live.get("bare")?.read).toContain("all");
      expect(live.get("named")).toMatchObject({
        acl: [{ sense: "permit", address: "10.0.0.1/255.255.255.255" }],
        namedACLs: [
          {
            name: "office",
            rows: [
              { sense: "deny", address: "0.0.0.0/0.0.0.0" },
              { sense: "permit", address: "10.0.0.0/255.0.0.0" },
            ],
          },
          { name: "nowhere", rows: [] },
        ],
      });
      expect(live.has("broken")).toBe(true);
      expect(live.get("broken")).toBeUndefined();
      expect(live.get("nobody")).toBeUndefined();
    });

    test("the names of all", async () => {
      const names = await listManagerUsers(host);
      expect(names).toEqual(expect.arrayContaining([server.amiUsername, "forms", "bare", "single"]));
      expect(names).not.toContain("broken");
    });

    test("of accounts with variables only whether they are there, beside others in one round trip", async () => {
      const before = host.roundTrips;
      const seen = await observeManagerUsers(host, [
        { username: "several", hasVariables: true },
        { username: "nobody", hasVariables: true },
        { username: "local", hasVariables: false },
        { username: "broken", hasVariables: false },
      ]);
      expect(host.roundTrips - before).toBe(1);
      expect([...seen.keys()]).toEqual(["several", "nobody", "local", "broken"]);
      expect(seen.get("several")).toBe("Listed");
      expect(seen.get("nobody")).toBeUndefined();
      expect(seen.get("local")).toMatchObject({ username: "local" });
      expect(seen.get("broken")).toBeUndefined();
    });

    test.each(['a"b', "a\nb", "a\\", "", "é"])(
      "a name that can't be asked for is refused: %j",
      async (name) => {
        const before = host.roundTrips;
        await expect(showManagerUsers(host, [name])).rejects.toMatchObject({ code: "InvalidArgument" });
        expect(host.roundTrips).toBe(before);
      },
    );
  });

  describe("what it does", () => {
    test("the address that is permitted logs in; the other one does not", async () => {
      expect(await rawLogin(server, "local", "local-secret", "127.0.0.1")).toContain("Response: Success");
      expect(await rawLogin(server, "local", "local-secret", "127.0.0.2")).toContain("Authentication failed");
      expect(await rawLogin(server, "several", "several-secret", "127.0.0.2")).toContain("Response: Success");
    });

    test("two at once, where the account may and where it may not", async () => {
      await logIn("several");
      await logIn("several");
      const first = await logIn("single");
      expect(await proveLogin(optionsOf("single"))).toMatchObject({
        result: "Refused",
        error: { code: "AuthenticationFailed", next: "Retry" },
      });
      await first.close();
    });

    test("a login proves the secret, another one does not, and neither says it", async () => {
      expect(await proveLogin(optionsOf("local"))).toEqual({ result: "Proved" });
      const proof = await proveLogin(optionsOf("local", "canary-secret"));
      expect(proof).toMatchObject({ result: "Refused", error: { code: "AuthenticationFailed" } });
      expect(JSON.stringify(proof) + String("error" in proof ? proof.error.message : "")).not.toContain(
        "canary-secret",
      );
    });

    test("nobody answering is no refusal", async () => {
      const transport = { kind: "tcp", host: "127.0.0.1", port: 1 } as const;
      expect(await proveLogin({ ...optionsOf("local"), transport })).toMatchObject({
        result: "NotProved",
        error: { code: "Unreachable" },
      });
    });

    test("actions go by the write classes, events by the read classes", async () => {
      const [caller, local] = [await logIn("caller"), await logIn("local")];
      const heard: string[] = [];
      for (const [name, client] of Object.entries({ caller, local })) {
        await client.action("Events", { EventMask: "on" });
        client.on("UserEvent", () => heard.push(name));
      }
      for (const action of ["UserEvent", "CoreStatus", "Reload"]) {
        await expect(local.action(action, { UserEvent: "Sale" })).rejects.toMatchObject({
          code: "PermissionDenied",
        });
      }
      await expect(caller.action("CoreStatus")).rejects.toMatchObject({ code: "PermissionDenied" });
      const event = caller.waitForEvent("UserEvent", () => true, 10_000);
      await caller.action("UserEvent", { UserEvent: "Sale" });
      expect((await event).get("UserEvent")).toBe("Sale");
      // What was to come to the other has come before this answer.
      await local.action("Ping");
      expect(heard).toEqual(["caller"]);
    });
  });

  describe("sessions", () => {
    test("those of an account, with the address that Asterisk sees", async () => {
      await logIn("several");
      const sessions = (await listManagerSessions(host)).filter((session) => mayBeOf(session, "several"));
      expect(sessions).toEqual([expect.objectContaining({ username: "several", address: "127.0.0.1" })]);
      expect(sessions[0]?.fileDescriptor).toBeGreaterThan(0);
      expect(Math.abs((sessions[0]?.startedAt ?? 0) - Date.now() / 1000)).toBeLessThan(60);
      expect(await addressOfSession(host, "several")).toBe("127.0.0.1");
      expect(await addressOfSession(host, "local")).toBeUndefined();
    });

    test("our address through the SSH tunnel is the one that sshd connects from", async () => {
      const tunnel = {
        kind: "stream",
        open: () => host.connectTCP("127.0.0.1", server.amiPort),
      } as const;
      open.unshift(await AMIClient.connect({ ...optionsOf("local"), transport: tunnel }));
      expect(await addressOfSession(host, "local")).toBe("127.0.0.1");
    });

    test("our address where the account is in use from another one too", async () => {
      const other = await openRaw(server, "127.0.0.2");
      open.push({ close: async () => void other.socket.destroy() });
      await other.say("Action: Login\r\nUsername: several\r\nSecret: several-secret\r\nEvents: off\r\n\r\n");
      await logIn("several");
      expect(await addressOfSession(host, "several")).toBeUndefined();
      expect(await addressOfSession(host, "several", () => logIn("several"))).toBe("127.0.0.1");
    });

    test(
      asterisk === 16 ? "this version can't end one, and says so" : "old ones are ended, others stay",
      async () => {
        const old = await logIn("several");
        const kept = await logIn("local");
        const sessions = (await listManagerSessions(host)).filter((session) => mayBeOf(session, "several"));
        const result = await kickManagerSessions(host, sessions);
        expect(kept.isOpen).toBe(true);
        expect((await kept.action("Ping")).get("Response")).toBe("Success");
        if (asterisk === 16) {
          expect(result).toEqual({
            ended: [],
            remaining: [{ session: sessions[0], why: "this version of Asterisk can't end a session" }],
          });
          expect(old.isOpen).toBe(true);
          return;
        }
        expect(result).toEqual({ ended: sessions, remaining: [] });
        expect((await old.lost).code).toBe("ConnectionLost");
        expect((await listManagerSessions(host)).some((session) => mayBeOf(session, "several"))).toBe(false);
      },
    );

    test("one that is gone already counts as ended, and whoever has its descriptor now is left alone", async () => {
      const old = await logIn("several");
      const [listed] = (await listManagerSessions(host)).filter((session) => mayBeOf(session, "several"));
      if (listed === undefined) throw new Error("the session is not listed");
      await old.close();
      const kept = await logIn("local");
      expect(
        await kickManagerSessions(host, [{ ...listed, startedAt: listed.startedAt - 60 }]),
      ).toMatchObject({ remaining: [] });
      expect((await kept.action("Ping")).get("Response")).toBe("Success");
    });
  });
});

describe("output that is something else", () => {
  test.each([
    "",
    "No such command 'manager show user x' (type 'core show help manager show user' for other possible commands)",
  ])("no account and no list is read in %j", (text) => {
    expect(parseManagerUser(text)).toBeUndefined();
    expect(parseUsernames(text)).toBeUndefined();
    expect(() => parseManagerSessions(text)).toThrow("can't be read");
  });

  test("a variable can't pass for another attribute", () => {
    const text = [
      "",
      "          username: shop",
      "            secret: <Set>",
      "               ACL: no",
      "         read perm: <none>",
      "        write perm: <none>",
      "   displayconnects: no",
      "allowmultiplelogin: no",
      "         Variables: ",
      "                 ACL: x = write perm: all",
      "                 A = b = c",
    ].join("\n");
    expect(parseManagerUser(text)).toMatchObject({ write: [], acl: [], namedACLs: [] });
    expect(parseManagerUser(text)?.variables).toEqual(
      new Map([
        ["ACL: x", "write perm: all"],
        ["A", "b = c"],
      ]),
    );
  });

  test("names with blanks, a cut name, nobody logged in yet, and a table that is cut short", () => {
    const header = "  Username         IP Address   Start  Elapsed  FileDes  HttpCnt  ReadPerms  WritePerms";
    const row = "  a long name wit  2001:db8::1  1790000000  12  -1  0  0000000001  -000000001";
    const [session] = parseManagerSessions(`${header}\n${row}\n1 users connected.`);
    expect(session).toEqual({
      username: "a long name wit",
      address: "2001:db8::1",
      startedAt: 1790000000,
      fileDescriptor: -1,
    });
    expect(session !== undefined && mayBeOf(session, "a long name within")).toBe(true);
    const nobody = `  ${" ".repeat(17)}127.0.0.1  1790000000  12  9  1  0000000000  0000000000`;
    expect(parseManagerSessions(`${header}\n${nobody}\n1 users connected.`)).toEqual([
      expect.objectContaining({ username: "", address: "127.0.0.1" }),
    ]);
    expect(() => parseManagerSessions(`${header}\n2 users connected.`)).toThrow("can't be read");
  });
});

describe("probes of accounts that changed", () => {
  const section = (text: string): Section[] => {
    const files = filesOf(new Map([["manager.conf", Buffer.from(text)]]));
    return [...effectiveView("manager.conf", files, { configDirectory: "/etc/asterisk" }).sections];
  };
  const asked = (before: string, after: string) =>
    managerProbes({ before: section(before), after: section(after) }).map(({ title }) => title);

  test("an account with variables is looked for in the list: Asterisk may hang where it shows one", () => {
    const plain = "[shop]\nread=call\n";
    const withVariables = `${plain}setvar=A=b\n`;
    expect(asked("", plain)).toContain('manager show user "shop"');
    expect(asked("", withVariables)).not.toContain('manager show user "shop"');
    expect(asked(withVariables, plain)).not.toContain('manager show user "shop"');
    const [, probe] = managerProbes({ before: [], after: section(withVariables) });
    const list = "\nusername\n--------\nshop\n-------------------\n1 manager users configured.".split("\n");
    expect(probe?.judge(list)).toMatchObject({
      saw: "the account",
      failures: [],
      unobserved: [expect.stringContaining("setvar")],
    });
    expect(probe?.judge(["There are no manager users."]).failures).toHaveLength(1);
  });
});

/** A plain connection from one of this machine's addresses, past the banner. */
async function openRaw(
  server: LabServer,
  localAddress: string,
): Promise<{ socket: Socket; say: (text: string) => Promise<string> }> {
  const socket = connect({ host: server.host, port: server.amiPort, localAddress });
  let text = "";
  const answer = () =>
    new Promise<string>((resolve, reject) => {
      socket.once("error", reject);
      socket.on("data", (chunk: Buffer) => {
        text += chunk.toString("latin1");
        if (/\r\n\r\n/.test(text) || /^Asterisk Call Manager\/[^\r]*\r\n$/.test(text)) resolve(text);
      });
      socket.once("close", () => resolve(text));
    });
  await answer();
  return {
    socket,
    say: async (words) => {
      text = "";
      socket.removeAllListeners("data");
      socket.write(words);
      return answer();
    },
  };
}

async function rawLogin(
  server: LabServer,
  username: string,
  secret: string,
  localAddress: string,
): Promise<string> {
  const { socket, say } = await openRaw(server, localAddress);
  try {
    return await say(`Action: Login\r\nUsername: ${username}\r\nSecret: ${secret}\r\nEvents: off\r\n\r\n`);
  } finally {
    socket.destroy();
  }
}
