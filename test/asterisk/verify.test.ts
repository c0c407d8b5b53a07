import { readFile, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { AMIClient, type AMIOptions } from "../../asterisk/ami/client.ts";
import type { Host } from "../../asterisk/host.ts";
import { askModules } from "../../asterisk/modules.ts";
import { runReloads, type ReloadRun } from "../../asterisk/reload-run.ts";
import { verify, type Expectation, type VerifyResult } from "../../asterisk/verify.ts";
import { effectiveView, filesOf, type Section } from "../../core/conf/index.ts";
import { contentHash } from "../../core/record.ts";
import { planReloads, type LiveModules } from "../../core/reloads.ts";
import { knownReaders, restartFiles } from "../../core/reload-table.ts";
import { FakeAMI } from "../support/fake-ami.ts";
import { useLab, type LabServer } from "../support/lab.ts";
import { amiOf, sshOf } from "../support/lab-connections.ts";

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0)) await each.close();
});

const configDirectory = "/etc/asterisk";

/** Files that no module of Asterisk reads by itself are read through these. */
const rootOf = (path: string): string => (path === "probe_include.conf" ? "extensions.conf" : path);

interface Applied {
  readonly run: ReloadRun;
  readonly expectation: Expectation;
  readonly result: VerifyResult;
}

describe.each([22, 16] as const)("verifying on a live Asterisk %i", (asterisk) => {
  const lab = useLab({ asterisk });
  let server: LabServer;
  let host: Host;
  let shipped: Map<string, Buffer>;
  beforeEach(async () => {
    const [first] = lab.servers;
    if (first === undefined) throw new Error("the lab has no server");
    server = first;
    host = await sshOf(server);
    open.push(host);
    shipped = await contents();
  });
  afterEach(async () => {
    const now = await contents();
    const changed: string[] = [];
    for (const path of new Set([...now.keys(), ...shipped.keys()])) {
      const [was, is] = [shipped.get(path), now.get(path)];
      if (was === undefined) await rm(join(server.configDirectory, path));
      else if (is === undefined || !was.equals(is)) await writeFile(join(server.configDirectory, path), was);
      else continue;
      changed.push(path);
    }
    // Asterisk 16 and 22 deadlock where AMI is enabled again by the CLI while a session of before is open.
    for (const each of open.splice(0)) await each.close();
    if (changed.length === 0) return;
    expect(await server.run(["asterisk", "-rx", "core reload"])).toMatchObject({ code: 0 });
    await amiIsBack();
  });

  async function amiIsBack(): Promise<void> {
    for (const until = Date.now() + 10_000; ; await delay(50)) {
      const back = await login().catch((error: unknown) => error);
      if (back instanceof AMIClient) return back.close();
      if (Date.now() > until) throw back;
    }
  }

  async function contents(): Promise<Map<string, Buffer>> {
    const all = await readdir(server.configDirectory, { recursive: true });
    const names = all.filter((name) => name.endsWith(".conf"));
    const read = async (name: string) => [name, await readFile(join(server.configDirectory, name))] as const;
    return new Map(await Promise.all(names.map(read)));
  }

  const login = (over: Partial<AMIOptions> = {}) => AMIClient.connect({ ...amiOf(server), ...over });

  /** Writes files (`null`: removes them), reloads what they need, and verifies. */
  async function apply(changes: Record<string, string | null>): Promise<Applied> {
    const before = await contents();
    for (const [path, text] of Object.entries(changes)) {
      const file = join(server.configDirectory, path);
      if (text === null) await rm(file);
      else await writeFile(file, text);
    }
    const after = await contents();
    const viewOf = (root: string, files: ReadonlyMap<string, Buffer>): readonly Section[] =>
      effectiveView(root, filesOf(files)).sections;
    const changed = Object.keys(changes);
    const views = new Map(
      changed.map(rootOf).map((root) => [root, { before: viewOf(root, before), after: viewOf(root, after) }]),
    );
    const ami = await login();
    open.push(ami);
    const live = await askModules(host, configDirectory);
    const { reloads } = planReloads({ changed, roots: (path) => [rootOf(path)], live, views });
    const run = await runReloads({ ami, host }, reloads);
    const files = changed.map((path) => {
      const text = changes[path] ?? null;
      return { path, hash: text === null ? null : contentHash(Buffer.from(text)) };
    });
    const expectation = { configDirectory, files, views, run };
    return { run, expectation, result: await verify({ host, openAMI: () => login() }, expectation) };
  }

  const added = (path: string, text: string): Record<string, string> => ({
    [path]: `${shipped.get(path)?.toString("latin1") ?? ""}\n${text}`,
  });

  const hasFailure = (result: VerifyResult, expected: string): boolean =>
    result.failures.some((failure) => failure.expected === expected);

  test("the static table and what Asterisk says of its files agree", async () => {
    const live = await askModules(host, configDirectory);
    expect(live.loaded).toContain("res_pjsip.so");
    expect(live.loaded).toContain("manager");
    expect(live.mappings).toEqual([]);
    const known = new Set([...live.readBy.keys()].flatMap(knownReaders));
    for (const [path, readers] of live.readBy) {
      if (path.includes("/") || restartFiles.has(path) || path === "cli_permissions.conf") continue;
      const table = knownReaders(path).filter((module) => live.loaded.has(module));
      expect({ path, table }).toEqual({
        path,
        table: expect.arrayContaining([expect.any(String)]) as unknown,
      });
      for (const reader of readers) {
        const module = [reader, `${reader}.so`].find((name) => live.loaded.has(name));
        if (module !== undefined)
          expect({ path, known: table.includes(module) }).toEqual({ path, known: true });
      }
    }
    expect(known.size).toBeGreaterThan(20);
  });

  test("every module that the table would reload here can reload", async () => {
    const live: LiveModules = await askModules(host, configDirectory);
    const ami = await login();
    open.push(ami);
    const changed = [...shipped.keys()].filter((path) => !restartFiles.has(path));
    const { reloads } = planReloads({ changed, roots: (path) => [path], live });
    const { modules } = await runReloads({ ami, host }, reloads);
    expect(modules.length).toBeGreaterThan(25);
    const outcomes = modules.map(({ module, outcome }) => ({ module, outcome }));
    expect(outcomes.filter(({ outcome }) => outcome !== "Reloaded")).toEqual(
      [
        // Before 18 it has no reload of its own: it follows res_pjsip's.
        ...(asterisk === 16 ? [{ module: "res_pjsip_config_wizard.so", outcome: "Unsupported" }] : []),
        { module: "cli", outcome: "Asked" },
      ].toSorted((a, b) => (a.module < b.module ? -1 : 1)),
    );
    expect(ami.roundTrips).toBe(2);
  });

  test("a good change of many kinds of files is seen, each by its own probe", async () => {
    const long = "a-very-long-name-that-goes-on-and-on-and-on-0123456789-0123456789";
    const { result } = await apply({
      ...added(
        "extensions.conf",
        "[with a space]\nexten => 100,1(start),NoOp(a\\;b)\n same => n,Answer()\nexten => 100,hint,PJSIP/100\n" +
          "exten => _[1-3]X-X.,1,NoOp()\nexten => 200/5551234,1,NoOp()\n[empty]\n" +
          '#include "probe_include.conf"\n',
      ),
      "probe_include.conf": `[included]\nexten => ${long},1,NoOp(${"x".repeat(300)})\n`,
      ...added(
        "pjsip.conf",
        `[${long}]\ntype=endpoint\nauth=${long}-auth\naors=${long}\n[${long}]\ntype=aor\n` +
          `[${long}-auth]\ntype=auth\nusername=u\npassword=the-secret\n[who]\ntype=identify\nendpoint=${long}\nmatch=10.1.1.1\n` +
          "[loop]\ntype=transport\nprotocol=udp\nbind=127.0.0.1:0\n" +
          `[trunk]\ntype=registration\nserver_uri=sip:127.0.0.1:9\nclient_uri=sip:a@127.0.0.1:9\n`,
      ),
      ...added(
        "queues.conf",
        `[support]\nmember => Local/100@x,0,Anna,PJSIP/100\nmember => PJSIP/7\n[${long}]\n`,
      ),
      ...added("voicemail.conf", `[${asterisk}]\n7${long} => 4321,Somebody\n`),
      ...added("confbridge.conf", `[room]\ntype=bridge\n[${long}]\ntype=user\n[keys]\ntype=menu\n`),
      ...added("acl.conf", "[office]\npermit=10.0.0.0/8\n"),
      ...added("res_parking.conf", "[second]\ncontext=second\nparkext=800\nparkpos=801-820\n"),
      ...added("features.conf", "[applicationmap](+)\nnine => *9,peer,NoOp\n"),
      ...added("logger.conf", "[logfiles](+)\nmore.log => error\n"),
      ...added("manager.conf", "[reader]\nsecret=the-secret\nread=call,user\nwrite=\n"),
      "rtp.conf": "[general]\nrtpstart=12000\nrtpend=12100\n",
      "udptl.conf": "[general]\nudptlstart=4100\nudptlend=4300\n",
      ...added("musiconhold.conf", "[jazz]\nmode=files\ndirectory=/usr/share/asterisk/moh\n"),
      ...added("dnsmgr.conf", "; nothing\n"),
    });
    expect(result.failures).toEqual([]);
    expect(result.ok).toBe(true);
    const seen = result.evidence.filter(({ observed }) => observed).map(({ source }) => source);
    expect(seen).toEqual(
      expect.arrayContaining([
        "files",
        "a new AMI login",
        "dialplan show",
        "PJSIPShowEndpoints",
        "pjsip show auths",
        "pjsip show registrations",
        "queue show: members",
        'manager show user "reader"',
        "rtp show settings",
      ]),
    );
    expect(result.evidence.find(({ source }) => source === "queue show: members")?.saw).toMatch(/^2 of 2 /);
    expect(result.unobserved).toEqual(
      expect.arrayContaining([
        "dnsmgr.conf: parsed, not observed",
        expect.stringContaining("music class jazz"),
      ]),
    );
    expect(JSON.stringify(result)).not.toContain("the-secret");
  });

  test("what was removed is seen to be gone", async () => {
    await apply({
      ...added("extensions.conf", "[first]\nexten => 1,1,NoOp()\nexten => 2,1,NoOp()\n[second]\n"),
      ...added("pjsip.conf", "[100]\ntype=endpoint\n"),
      ...added("manager.conf", "[reader]\nsecret=the-secret\nread=call\nwrite=none\n"),
    });
    const { result } = await apply({
      ...added("extensions.conf", "[first]\nexten => 2,1,NoOp()\n"),
      "pjsip.conf": shipped.get("pjsip.conf")?.toString("latin1") ?? "",
      "manager.conf": shipped.get("manager.conf")?.toString("latin1") ?? "",
    });
    expect(result.failures).toEqual([]);
    expect(result.evidence).toContainEqual({
      source: 'manager show user "reader"',
      observed: true,
      saw: "it is gone",
    });
  });

  test("an extension that the dialplan did not take", async () => {
    const { result } = await apply(
      added("extensions.conf", "[x]\nexten => 1,1,NoOp()\nexten => 200,n(a,NoOp()\n"),
    );
    expect(result.ok).toBe(false);
    expect(result.failures).toContainEqual({
      probe: "dialplan show",
      expected: "extension 200 in x",
      saw: "no such extension",
    });
  });

  test("a dialplan that was written and not reloaded: each stale line is named", async () => {
    const first = await apply(added("extensions.conf", "[x]\nexten => 1,1,NoOp(old)\n"));
    expect(first.result.failures).toEqual([]);
    const text = added("extensions.conf", "[x]\nexten => 1,1,NoOp(new)\n[y]\n");
    await writeFile(join(server.configDirectory, "extensions.conf"), text["extensions.conf"] ?? "");
    const sections = effectiveView("extensions.conf", filesOf(await contents())).sections;
    const views = new Map([["extensions.conf", { before: [], after: sections }]]);
    const run = { ...first.run, modules: [] };
    const result = await verify({ host, openAMI: () => login() }, { configDirectory, files: [], views, run });
    expect(hasFailure(result, "context y")).toBe(true);
    expect(result.failures).toContainEqual({
      probe: "dialplan show",
      expected: "extension 1 in x",
      saw: expect.stringMatching(/^another line is live, from extensions\.conf:\d+$/) as unknown,
    });
  });

  test("an endpoint that PJSIP dropped: it is missing, and the log says why", async () => {
    const { result } = await apply(added("pjsip.conf", "[100]\ntype=endpoint\nno_such_option=1\n"));
    expect(hasFailure(result, "endpoint 100")).toBe(true);
    expect(result.failures).toContainEqual({
      probe: "Asterisk's log",
      expected: "no new error",
      saw: expect.stringContaining("Could not create an object of type 'endpoint' with id '100'") as unknown,
    });
  });

  test("an endpoint whose auth does not exist, which Asterisk takes without a word", async () => {
    const { result } = await apply(added("pjsip.conf", "[100]\ntype=endpoint\nauth=nobody\naors=nowhere\n"));
    expect(result.failures.map(({ expected }) => expected)).toEqual([
      "aor nowhere, which endpoint 100 names",
      "auth nobody, which endpoint 100 names",
    ]);
  });

  test("a fault that was there before fails nothing, and is said", async () => {
    const fault = "[100]\ntype=endpoint\nno_such_option=1\n";
    await apply(added("pjsip.conf", fault));
    const { expectation } = await apply(added("pjsip.conf", `${fault}[101]\ntype=endpoint\n`));
    const quiet = { ...expectation.run, logs: { marks: [], unseen: [] } };
    const result = await verify({ host, openAMI: () => login() }, { ...expectation, run: quiet });
    expect(result.failures).toEqual([]);
    expect(result.unobserved).toContain(
      "endpoint 100: it is not there; it did not change, so it may not have been before",
    );
  });

  test("a manager account that a bad ACL deleted", async () => {
    const account =
      "[reader]\nsecret=the-secret\npermit=1.2.3.4/255.255.255.255 # office\nread=call\nwrite=none\n";
    const { result } = await apply(added("manager.conf", account));
    expect(hasFailure(result, "AMI account reader")).toBe(true);
    expect(JSON.stringify(result)).not.toContain("the-secret");
  });

  test("permissions that are others than written", async () => {
    const account = (read: string) => `[reader]\nsecret=the-secret\nread=${read}\nwrite=none\n`;
    await apply(added("manager.conf", account("call")));
    const kept = added("manager.conf", account("call,agent"));
    await writeFile(join(server.configDirectory, "manager.conf"), kept["manager.conf"] ?? "");
    const after = effectiveView("manager.conf", filesOf(await contents())).sections;
    const run: ReloadRun = { modules: [], logs: { marks: [], unseen: [] } };
    const views = new Map([["manager.conf", { before: [], after }]]);
    const result = await verify({ host, openAMI: () => login() }, { configDirectory, files: [], views, run });
    expect(result.failures).toContainEqual({
      probe: 'manager show user "reader"',
      expected: "read=call,agent",
      saw: "read=call",
    });
  });

  test.each([
    // On Asterisk 16 no reload would bring it back for the next test.
    ...(asterisk === 16 ? [] : [["disabled", "enabled = yes", "enabled = no"] as const]),
    ["bound elsewhere", "bindaddr = 127.0.0.1", "bindaddr = 127.0.0.9"] as const,
  ])("row 7: manager.conf leaves AMI %s: a new login fails within seconds", async (_, from, to) => {
    const text = shipped.get("manager.conf")?.toString("latin1") ?? "";
    expect(text).toContain(from);
    const startedAt = performance.now();
    const { result } = await apply({ "manager.conf": text.replace(from, to) });
    expect(performance.now() - startedAt).toBeLessThan(15_000);
    expect(result.failures.map(({ probe }) => probe)).toContain("a new AMI login");
  });

  test("bytes that another program changed, and a file that is still there", async () => {
    const { expectation } = await apply(added("dnsmgr.conf", "; ours\n"));
    await writeFile(join(server.configDirectory, "dnsmgr.conf"), "; theirs\n");
    const files = [
      ...expectation.files,
      { path: "manager.conf", hash: null },
      { path: "gone.conf", hash: null },
    ];
    const result = await verify({ host, openAMI: () => login() }, { ...expectation, files });
    expect(result.failures).toEqual([
      { probe: "files", expected: "the bytes of dnsmgr.conf that were written", saw: "other bytes" },
      { probe: "files", expected: "no file manager.conf", saw: "other bytes" },
    ]);
  });

  test("a module that is not loaded, and one that can't be reloaded", async () => {
    const ami = await login();
    open.push(ami);
    const reloads = ["app_echo.so", "no_such_module.so"].map((module) => ({ module, because: [] }));
    const run = await runReloads({ ami, host }, reloads);
    const expectation = { configDirectory, files: [], views: new Map(), run };
    const result = await verify({ host, openAMI: () => login() }, expectation);
    expect(result.failures.map(({ probe }) => probe)).toEqual(["reload of no_such_module.so"]);
    expect(result.unobserved).toEqual([
      expect.stringContaining("reload of app_echo.so: it can't be reloaded"),
    ]);
  });
});

describe("an error in Asterisk's log", () => {
  const marks = [{ file: "/var/log/asterisk/messages", inode: "1", size: 0 }];
  const run: ReloadRun = {
    modules: [{ module: "manager", outcome: "Reloaded", evidence: [], tookMs: 1 }],
    logs: { marks, unseen: [] },
  };

  /** Verifies where nothing but this was logged. */
  async function logged(line: string): Promise<VerifyResult> {
    const host: Host = {
      roundTrips: 0,
      run: () => Promise.resolve({ code: 0, stdout: Buffer.from(`[x] ERROR[1] ${line}\n`), stderr: "" }),
      connectTCP: () => Promise.reject(new Error("no TCP")),
      close: () => Promise.resolve(),
    };
    const openAMI = () => Promise.resolve({ close: () => Promise.resolve() } as AMIClient);
    const views = new Map([["pjsip.conf", { before: [], after: [] }]]);
    const result = await verify({ host, openAMI }, { configDirectory, files: [], views, run });
    expect(JSON.stringify(result)).toContain(line.slice(0, 10));
    return result;
  }

  test.each([
    "res_sorcery_config.c: Could not create an object from configuration file 'pjsip.conf'",
    "manager.c: Something about AMI",
  ])("that names a changed file or a reloaded module is a failure: %s", async (line) => {
    expect((await logged(line)).failures).toHaveLength(1);
  });

  test.each(["chan_pjsip.c: A call failed", "cdr_manager.c: Not AMI itself", "x.c: old_pjsip.conf"])(
    "of something else is said, and fails nothing: %s",
    async (line) => {
      expect((await logged(line)).failures).toEqual([]);
    },
  );

  test("is shown without the secret in it", async () => {
    const { failures } = await logged(
      "config_options.c: Error parsing password=the-secret at line 3 of pjsip.conf",
    );
    expect(failures).toHaveLength(1);
    expect(JSON.stringify(failures)).not.toContain("the-secret");
  });
});

describe("row 40: a reload that hangs", () => {
  const host: Host = {
    roundTrips: 0,
    run: () => Promise.reject(new Error("nothing runs")),
    connectTCP: () => Promise.reject(new Error("no TCP")),
    close: () => Promise.resolve(),
  };
  const logs = { marks: [], unseen: [] };

  test("is given up, is asked for once, and stops what comes after", async () => {
    const fake = new FakeAMI({
      answer: (action) =>
        action.get("action") === "Reload" && action.get("module") !== "acl"
          ? ""
          : action.get("action") === "Reload"
            ? `Response: Success\r\nActionID: ${action.get("actionid") ?? ""}\r\nMessage: m\r\n\r\n` +
              "Event: Reload\r\nModule: acl\r\nStatus: 0\r\n\r\n"
            : undefined,
    });
    open.push(fake);
    const transport = { kind: "tcp", host: "127.0.0.1", port: await fake.listen() } as const;
    const { username, password } = FakeAMI;
    const ami = await AMIClient.connect({ transport, username, password, label: "pbx1" });
    open.unshift(ami);
    const reloads = ["acl", "app_queue.so", "manager"].map((module) => ({ module, because: [] }));
    const run = await runReloads({ ami, host }, reloads, { deadlineMs: 500, logs });
    expect(run.modules.map(({ outcome }) => outcome)).toEqual(["Reloaded", "Unanswered", "NotAsked"]);
    expect(run.stopped).toMatchObject({
      code: "TimedOut",
      hint: expect.stringContaining("not repeated") as unknown,
    });
    const sent = fake.actions.filter((action) => action.get("action") === "Reload");
    expect(sent.map((action) => action.get("module"))).toEqual(["acl", "app_queue.so"]);
  });

  test("a login that never ends is a failure at the deadline, and closed when it comes", async () => {
    const late = Promise.withResolvers<AMIClient>();
    let closed = 0;
    const expectation = { configDirectory, files: [], views: new Map(), run: { modules: [], logs } };
    const result = await verify({ host, openAMI: () => late.promise }, expectation, { deadlineMs: 50 });
    expect(result.failures).toEqual([
      { probe: "a new AMI login", expected: "an answer", saw: "AMI did not let us in within 50 ms." },
    ]);
    late.resolve({ close: () => Promise.resolve(void (closed += 1)) } as AMIClient);
    await late.promise;
    await new Promise(setImmediate);
    expect(closed).toBe(1);
  });
});
