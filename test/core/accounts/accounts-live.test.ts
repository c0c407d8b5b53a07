import { readFile, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "@jest/globals";
import { isPermitted, rulesOf } from "../../../core/accounts/address.ts";
import { accountSection } from "../../../core/accounts/section.ts";
import { writeOwned } from "../../../core/conf/owned.ts";
import { useLab, type LabServer } from "../../support/lab.ts";
import { accountOf } from "./support.ts";

const secret = "Zee9phae;0ai\\Quoh=4";

/** Whether a new connection from `source` logs in, as Asterisk answers. A refusal takes it a second. */
function logsIn(port: number, source: string, username: string): Promise<boolean> {
  const host = source.includes(":") ? "::1" : "127.0.0.1";
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  const socket = connect({ host, port, localAddress: source });
  let heard = "";
  socket.setTimeout(20_000, () => socket.destroy(new Error("no answer to a login")));
  socket.on("error", reject);
  socket.on("data", (data) => {
    heard += data.toString("latin1");
    const answer = /Response: (Success|Error)/.exec(heard);
    if (!answer) return;
    socket.destroy();
    resolve(answer[1] === "Success");
  });
  socket.write(`Action: Login\r\nUsername: ${username}\r\nSecret: ${secret}\r\nEvents: off\r\n\r\n`);
  return promise;
}

describe.each([22, 16] as const)("accounts on Asterisk %i", (asterisk) => {
  const lab = useLab({ asterisk });
  let server: LabServer;
  let shipped: Buffer;
  beforeAll(async () => {
    server = lab.servers[0] as LabServer;
    shipped = await readFile(join(server.configDirectory, "manager.conf"));
  });

  /** Has Asterisk read these accounts behind those that the lab ships. */
  async function write(specs: readonly Readonly<Record<string, unknown>>[], before = shipped): Promise<void> {
    const sections = specs.map((spec) => accountSection(accountOf(spec).spec, secret));
    await writeFile(join(server.configDirectory, "manager.conf"), writeOwned(before, sections));
    await server.run(["asterisk", "-rx", "manager reload"]);
  }

  /** What Asterisk shows of an account, without the blanks around each line. */
  async function shown(username: string): Promise<string[]> {
    const { stdout } = await server.run(["asterisk", "-rx", `manager show user ${username}`]);
    return stdout.split("\n").map((line) => line.trim());
  }

  test("all that is declared is there, in order", async () => {
    const username = `a.b-c@d+${"e".repeat(71)}`;
    const spec = {
      username,
      allowMultipleLogin: false,
      displayConnects: false,
      variables: { A: "1", B: "x y" },
    };
    await write([spec]);
    expect((await shown(username)).filter((line) => line !== "")).toEqual([
      `username: ${username}`,
      "secret: <Set>",
      "ACL: yes",
      "read perm: call,cdr",
      "write perm: call",
      "displayconnects: no",
      "allowmultiplelogin: no",
      "Variables:",
      "B = x y",
      "A = 1",
      "ACL: (unnamed)",
      "---------------------------------------------",
      "0:  deny - 0.0.0.0/0.0.0.0",
      "1:  deny - ::/::",
      "2: allow - 127.0.0.1/255.255.255.255",
      "3: allow - 10.20.0.0/255.255.0.0",
      "4: allow - 2001:db8:1::/ffff:ffff:ffff::",
    ]);
    expect(await logsIn(server.amiPort, "127.0.0.1", username)).toBe(true);
  });

  test("what is no longer declared is gone after a reload", async () => {
    const more = {
      write: ["all"],
      allowMultipleLogin: false,
      displayConnects: false,
      permit: ["::1", "10.0.0.1"],
    };
    await write([{ username: "less", ...more }]);
    const before = await shown("less");
    expect(before).toContain("allowmultiplelogin: no");
    expect(before.find((line) => line.startsWith("write perm:"))).toMatch(/: system,.*,all$/);
    await write([{ username: "less", read: [], write: [], permit: ["10.0.0.2"] }]);
    const lines = await shown("less");
    expect(lines).toEqual(
      expect.arrayContaining([
        "read perm: <none>",
        "write perm: <none>",
        "displayconnects: yes",
        "allowmultiplelogin: yes",
        "2: allow - 10.0.0.2/255.255.255.255",
      ]),
    );
    expect(lines.join()).not.toContain("10.0.0.1");
  });

  test("who may log in is who Asterisk lets in", async () => {
    const everything = ["0.0.0.0/0", "::/0"];
    const lists = [
      { deny: [], permit: [] },
      { deny: everything, permit: ["127.0.0.1"] },
      { deny: everything, permit: ["127.0.0.2/255.255.255.255"] },
      { deny: everything, permit: ["127.0.0.0/31"] },
      { deny: everything, permit: ["127.0.0.3/30"] },
      { deny: everything, permit: ["::1"] },
      { deny: everything, permit: ["::/127", "127.0.0.2"] },
      { deny: everything, permit: ["10.0.0.1"] },
      { deny: ["0.0.0.0/0"], permit: ["10.0.0.1"] },
      { deny: ["::/0"], permit: ["2001:db8::/32"] },
      { deny: ["127.0.0.2", "::1"], permit: ["10.0.0.1"] },
      { deny: ["127.0.0.0/8"], permit: ["64.0.0.0/2"] },
    ];
    const listening = Buffer.from(
      shipped.toString("latin1").replace(/^bindaddr *=.*$/m, "bindaddr = ::"),
      "latin1",
    );
    await write(
      lists.map((list, index) => ({ username: `acl${String(index)}`, ...list })),
      listening,
    );
    const tries = lists.flatMap((list, index) =>
      ["127.0.0.1", "127.0.0.2", "::1"].map((source) => ({ list, source, username: `acl${String(index)}` })),
    );
    const answers = await Promise.all(
      tries.map(async ({ list, source, username }) => ({
        list,
        source,
        permitted: await logsIn(server.amiPort, source, username),
      })),
    );
    expect(answers).toEqual(
      tries.map(({ list, source }) => ({ list, source, permitted: isPermitted(rulesOf(list), source) })),
    );
    expect(new Set(answers.map(({ permitted }) => permitted)).size).toBe(2);
  });
});
