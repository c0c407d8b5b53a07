/** What lint says Asterisk does, beside what live Asterisk does. */
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { filesOf } from "../../../core/conf/document.ts";
import { lintDirectory } from "../../../core/conf/lint.ts";
import type { Diagnostic } from "../../../core/conf/lint.ts";
import { parsePermissions, permissionClasses } from "../../../core/conf/lint/permissions.ts";
import { openSession, put } from "../../support/compare-with-asterisk.ts";
import { contentsOf, type GetConfigSession } from "../../support/get-config.ts";
import { type LabServer, useLab } from "../../support/lab.ts";
import { until } from "../../support/until.ts";
import { diagnose } from "./lint-helpers.ts";

/** Access lists: good, nearly good and bad ones. */
const good = fc.constantFrom(
  ...["1.2.3.4", "1.2", "0x7f.1", "::1", "[::1]x", "::ffff:1.2.3.4", "1:2:3:4:5:6:7:8", "::1%7"],
  ...["1.2.3.4/8", "1.2.3.4/+8", "1.2.3.4/ 8", "1.2.3.4/8 # x", "1.2.3.4/8/8", "::/0", "[::1]/[ffff::]"],
);
const address = fc.constantFrom(
  ...["1", "010.1.1.1", "08.1", "1.2.3.256", "1.2.3.4.5", "256.1", "4294967295", "4294967296", "0x.1", "1."],
  ...["::", "1::2::3", "::1.2.3", "12345::", "::1:", ":1::", "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:7:1.2.3.4"],
  ...[
    "1:2:3:4:5:6:7::",
    "::01.2.3.4",
    "fe80::1%lo",
    "::1%lo",
    "::1%",
    "localhost",
    "",
    " 1.2.3.4",
    "1.2.3.4 ",
  ],
  ...["1.2.3.4:5", "1:2", "[1.2.3.4]", "[::1", "*"],
);
const mask = fc.constantFrom(
  ...["", "/", "/0", "/8", "/32", "/33", "/+8", "/-1", "/ 8", "/8 # x", "/8 # x.y", "/0x8", "/255.255.0.0"],
  ...["/255.255.255.255 # x", "/ffff::", "/128", "/129", "/[ffff::]", "/::ffff:255.0.0.0", "/abc", "/8/8"],
);
const entry = fc.oneof(
  good,
  fc.tuple(fc.constantFrom("", "!", "!!"), address, mask).map((parts) => parts.join("")),
);
const list = fc.oneof(
  entry,
  fc.tuple(entry, good).map((entries) => entries.join(",")),
);

const token = fc.constantFrom(
  "",
  ...permissionClasses,
  "a",
  "c",
  "s",
  "x",
  " call",
  "call ",
  "Call",
  "calls",
);
const tokens = fc.array(token, { minLength: 1, maxLength: 4 }).map((parts) => parts.join(","));

const name = fc.constantFrom("exten", "exten", "exten", "same", "same", " same", "samedi", "EXTEN");
const extension = fc.constantFrom(
  "1",
  "2",
  "3",
  "1-2",
  "12",
  "_X.",
  "_[1-3]X",
  "",
  "4/55",
  "5,",
  "i",
  "[6,7]",
);
const priority = fc.constantFrom(
  "1",
  "n",
  "n",
  "n",
  "next",
  "s",
  "same",
  "hint",
  "0",
  "",
  "7",
  "1x",
  "-1",
  "+2",
  "foo",
  "n(x)",
  "n+2",
  "n(y",
  "2(z)",
  " n ",
);
const application = fc.constantFrom(
  ",NoOp()",
  ",NoOp",
  ",Set(a=(b)",
  ",Dial(a",
  ",",
  "",
  ",${A}(b",
  ",NoOp() ; x",
);
const extenLine = fc
  .tuple(name, extension, priority, application)
  .map(([key, number, at, rest]) => `${key} => ${/exten/i.test(key) ? `${number},` : ""}${at}${rest}`);
const context = fc.array(extenLine, { minLength: 1, maxLength: 8 });

const errorsOf = (diagnostics: readonly Diagnostic[]) =>
  diagnostics.filter((one) => one.severity === "error");

describe("beside FreePBX", () => {
  const lab = useLab({ freepbx: true });

  test("its fragments are judged where they are included, and every error is one that Asterisk confirms", async () => {
    const server = lab.servers[0] as LabServer;
    const contents = new Map<string, Buffer>();
    for (const path of await readdir(server.configDirectory, { recursive: true })) {
      // Links lead to the web server's folders, which only the server sees.
      const { code, stdout } = await server.run(["cat", `/etc/asterisk/${path}`]);
      if (code === 0) contents.set(path, Buffer.from(stdout));
    }
    const errors = errorsOf(lintDirectory(contents.keys(), filesOf(contents)));
    expect(errors.map(({ file, rule }) => ({ file, rule }))).toEqual([
      { file: "cel_sqlite3_custom.conf", rule: "no-section" },
    ]);
    const fragment = new Map([...contents].filter(([path]) => path !== "rtp.conf"));
    const alone = lintDirectory(fragment.keys(), filesOf(fragment)).filter(({ file }) => /^rtp/.test(file));
    expect(alone).toMatchObject([{ file: "rtp_additional.conf", rule: "no-section", severity: "warning" }]);
  });
});

describe.each([22, 16] as const)("beside Asterisk %i", (asterisk) => {
  const lab = useLab({ asterisk });
  let server: LabServer;
  let session: GetConfigSession;
  let shipped: string;

  beforeAll(async () => {
    server = lab.servers[0] as LabServer;
    session = await openSession(server);
    shipped = await readFile(join(server.configDirectory, "manager.conf"), "latin1");
  });
  afterAll(() => {
    session.close();
  });

  async function console(command: string): Promise<string> {
    return (await server.run(["asterisk", "-rx", command])).stdout;
  }

  /** Replaces manager.conf; the answers of AMI's listener and accounts are those of `text` from then on. */
  async function reloadManager(text: string): Promise<void> {
    await writeFile(join(server.configDirectory, "manager.conf"), text, "latin1");
    await console("manager reload");
  }

  /** What Asterisk logs while `work` runs. */
  async function logged(work: () => Promise<void>): Promise<string> {
    const read = async () => {
      const names = (await readdir(server.logDirectory)).filter((file) => /^messages/.test(file)).sort();
      const texts = names.map((file) => readFile(join(server.logDirectory, file), "latin1"));
      return (await Promise.all(texts)).join("");
    };
    const before = await read();
    await work();
    // Asterisk writes its log by and by, in order: what stands behind the last of it comes last.
    const last = `no_such_module_${before.length}`;
    await console(`module load ${last}`);
    let log = "";
    await until(async () => (log = (await read()).slice(before.length)).includes(last));
    return log.slice(0, log.indexOf(last));
  }

  test("every error in the shipped files is one that Asterisk confirms", async () => {
    const contents = new Map<string, Buffer>();
    const entries = await readdir(server.configDirectory, { recursive: true, withFileTypes: true });
    for (const file of entries.filter((one) => one.isFile())) {
      const path = join(file.parentPath, file.name);
      contents.set(relative(server.configDirectory, path), await readFile(path));
    }
    const files = filesOf(contents);
    const roots = errorsOf(lintDirectory(contents.keys(), files)).map((diagnostic) => {
      expect(diagnostic.message).toContain(`refuses all of ${diagnostic.file}`);
      return diagnostic.file;
    });
    expect(roots).toEqual(asterisk === 22 ? ["cel_sqlite3_custom.conf"] : []);
    const answers = await session.getConfig(roots);
    expect(answers).toEqual(roots.map(() => "invalid"));
  });

  test("the users that we say are deleted are the ones that are not there", async () => {
    const values = fc.sample(list, { numRuns: 600, seed: asterisk });
    const text = values.map((value, index) => `[u${index}]\nsecret = x\npermit =${value}\n`).join("");
    await reloadManager(`${shipped}\n${text}`);
    const users = new Set((await console("manager show users")).split("\n").map((line) => line.trim()));
    const refused = new Set(
      diagnose({ "manager.conf": text }, "manager.conf").flatMap(({ rule, line }) =>
        rule === "acl-invalid" ? [(line - 3) / 3] : [],
      ),
    );
    expect(refused.size).toBeGreaterThan(100);
    expect(refused.size).toBeLessThan(500);
    for (const [index, value] of values.entries()) {
      expect({ value, deleted: refused.has(index) }).toEqual({ value, deleted: !users.has(`u${index}`) });
    }
  });

  test("the permissions that we say are granted are the ones that Asterisk shows", async () => {
    const values = [...new Set(fc.sample(tokens, { numRuns: 60, seed: asterisk }))];
    await reloadManager(
      `${shipped}\n${values.map((value, index) => `[u${index}]\nread =${value}\n`).join("")}`,
    );
    for (const [index, value] of values.entries()) {
      const shown = /read perm: (.*)/.exec(await console(`manager show user u${index}`))?.[1] ?? "";
      const trimmed = value.replace(/^[\0-\x20]+|[\0-\x20]+$/g, "");
      const granted = new Set(parsePermissions(trimmed).flatMap(({ grants }) => grants));
      if (granted.has("all")) permissionClasses.forEach((one) => granted.add(one));
      granted.delete("none");
      const expected = permissionClasses.filter((one) => granted.has(one)).join(",");
      expect({ value, shown }).toEqual({ value, shown: expected === "" ? "<none>" : expected });
    }
  });

  test.each([
    "localhost",
    "127.0.0.1 # x",
    "127.0.0.1:99",
    "127.1",
    "[::1] # x",
    "1.2.3.4.5",
    "127.0.0.1:1:2",
    "",
  ])("an address to listen on: %j", async (value) => {
    await reloadManager(shipped.replace(/^bindaddr =.*$/m, `bindaddr = ${value}`));
    const bound = /TCP Bindaddress: +(\S+)/.exec(await console("manager show settings"))?.[1];
    const text = `[general]\nenabled = yes\nbindaddr = ${value}\n`;
    const rules = errorsOf(diagnose({ "manager.conf": text }, "manager.conf")).map(({ rule }) => rule);
    const port = String(server.amiPort);
    if (rules.includes("bindaddr-invalid")) expect(bound).toBe(`[::]:${port}`);
    else expect([`127.0.0.1:${port}`, `[::1]:${port}`]).toContain(bound);
  });

  test("the dialplan's lines that we say are skipped are the ones that are not there", async () => {
    const contexts = fc.sample(context, { numRuns: 150, seed: asterisk });
    const lines = contexts.flatMap((section, index) => [`[c${index}]`, ...section]);
    const text = `${lines.join("\n")}\n`;
    await put(server, contentsOf("", [["extensions.conf", text]]));
    await console("dialplan reload");
    const shown = (await console("dialplan show")).matchAll(/\[extensions\.conf:(\d+)\]/g);
    const registered = new Set([...shown].map((match) => Number(match[1])));
    const skipped = new Set(
      diagnose({ "extensions.conf": text }, "extensions.conf").flatMap(({ rule, line }) =>
        rule === "exten-skipped" || rule === "priority-taken" ? [line] : [],
      ),
    );
    expect(skipped.size).toBeGreaterThan(100);
    for (const [index, line] of lines.entries()) {
      if (line.startsWith("[")) continue;
      const number = index + 1;
      const before = lines.slice(
        lines.lastIndexOf(lines.findLast((one, at) => at < index && /^\[c/.test(one)) ?? ""),
        index,
      );
      expect({ before, line, skipped: skipped.has(number) }).toEqual({
        before,
        line,
        skipped: !registered.has(number),
      });
    }
  });

  test("what a file looks like and what Asterisk makes of it", async () => {
    const cases: readonly [string, string, object | undefined][] = [
      ["header-text", "[t](!)\nx=1\n[a] (t)\n", { name: "a", lines: [] }],
      ["unknown-parent", "[t](!)\nx=1\n[a]( t)\n", undefined],
      ["block-comment-stray-end", "[a]\nx=1\n--;\ny=2\n[b\n", { name: "a", lines: ["x=1"] }],
      ["block-comment-unterminated", "[a]\nx=1\n;--\ny=2\n", { name: "a", lines: ["x=1"] }],
      ["empty-parent", "[t]\nx=1\n[a]()\n", { name: "a", lines: ["x=1"] }],
      ["append-arrow", "[a]\nx=1\nx +=> 2\n", { name: "a", lines: ["x=1> 2"] }],
      ["hash-text", "[a]\nx=1 # 2\n", { name: "a", lines: ["x=1 # 2"] }],
      ["slash-text", "[a]\nx=1 // 2\n", { name: "a", lines: ["x=1 // 2"] }],
      ["unknown-directive", "[a]\n# x=1\n", { name: "a", lines: [] }],
      ["include-missing", "[a]\n#include none.d/*.conf\n", undefined],
      ["no-section", "x=1\n", undefined],
      ["header-unclosed", "[a\n", undefined],
      ["invalid-escape", "[a]\n\\ x=1\n", undefined],
      ["line-too-long", `[a]\nx=${"y".repeat(8189)}\n`, { name: "a", lines: [] }],
      ["byte-order-mark", "[a]\n\xEF\xBB\xBF[b]\nx=1\n", { name: "a", lines: ["x=1"] }],
      ["nul-byte", "[a]\nx=1\0 2\n", { name: "a", lines: ["x=1"] }],
    ];
    const paths = cases.map((_, index) => `lint/${index}.conf`);
    await put(
      server,
      contentsOf(
        "",
        cases.map(([, text], index) => [paths[index] ?? "", text] as const),
      ),
    );
    const answers = await session.getConfig(paths);
    for (const [index, [rule, text, expected]] of cases.entries()) {
      const found = diagnose({ "queues.conf": text }, "queues.conf");
      expect(found.map((diagnostic) => diagnostic.rule)).toContain(rule);
      const answer = answers[index];
      const last = Array.isArray(answer) ? answer.at(-1) : undefined;
      const refused = found.some(({ message }) => message.includes("refuses all of queues.conf"));
      expect({ rule, refused }).toEqual({ rule, refused: answer === "invalid" });
      if (expected === undefined) expect(answer).toBe("invalid");
      else expect(last).toMatchObject(expected);
    }
  });

  // Asterisk 16 knows no criteria, and says nothing when it refuses a filter.
  if (asterisk === 16) return;
  test.each([
    ["eventfilter=XX[X", true],
    ["eventfilter=a(b", true],
    ["eventfilter=!", true],
    ["eventfilter()=XXX", true],
    ["eventfilter(method(yyy))=XXX", true],
    ["eventfilter(nnnn(yyy))=XXX", true],
    ["eventfilter(action(include)=", true],
    ["eventfilter(action(include))=", true],
    ["eventfilter(action(drop),name(A))=", true],
    ["eventfilter(name(A))=X", true],
    ["eventfilter(name(A),method(exact))=", true],
    ["eventfilter=!Channel: DAHDI/[[:digit:]]+", false],
    ["eventfilter=[]a]", false],
    ["eventfilter=a)b", false],
    ["eventfilter(name(VarSet),header(Channel),method(starts_with))=AB", false],
    ["eventfilter(name(VarSet))=", false],
    ["eventfilter(action(exclude),name(Newchannel),method(regex))=X[XYZ]X", false],
  ])("%s: refused: %s", async (line, isRefused) => {
    const text = `[u]\nsecret=Zee9phae0aiQuoh4\n${line}\n`;
    const log = await logged(() => reloadManager(`${shipped}\n${text}`));
    expect(/WARNING.*manager\.c/.test(log)).toBe(isRefused);
    const rules = errorsOf(diagnose({ "manager.conf": text }, "manager.conf")).map(({ rule }) => rule);
    expect(rules).toEqual(isRefused ? ["event-filter-invalid"] : []);
  });
});
