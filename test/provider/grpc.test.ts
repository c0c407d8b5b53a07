import { readFile, readdir, rm, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "@jest/globals";
import type { DynamicProvider, Properties, State } from "../support/dynamic-provider.ts";
import { useLab } from "../support/lab.ts";
import type { LabServer } from "../support/lab.ts";
import { serverInputs, useProgram } from "../support/dynamic-program.ts";
import type { Kind } from "../support/pulumi-program.ts";

const lab = useLab();
const program = useProgram();

let pbx: LabServer;
let provider: DynamicProvider;
/** The server without a folder, as the first test of each kind finds it in the state. */
let server: State;
let connection: Properties;

beforeAll(async () => {
  pbx = lab.servers[0] as LabServer;
  provider = await program.start();
  server = await provider.create("AsteriskServer", await serverInputs(pbx));
  connection = server.props["connection"] as Properties;
});

const unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

function file(name: string): string {
  return join(pbx.configDirectory, name);
}

async function onServer(path: string): Promise<string> {
  return readFile(file(path), "latin1");
}

async function everyFile(): Promise<Map<string, string>> {
  const names = (await readdir(pbx.configDirectory, { recursive: true, withFileTypes: true })).filter(
    (each) => each.isFile(),
  );
  return new Map(
    await Promise.all(
      names.map(async ({ name, parentPath }) => {
        const path = join(parentPath, name);
        return [path, await readFile(path, "latin1")] as const;
      }),
    ),
  );
}

async function isChanged(kind: Kind, state: State, inputs: Properties): Promise<boolean> {
  return (await provider.diff(kind, state, await provider.checked(kind, inputs, state.props))).changes;
}

describe("an AsteriskServer without a folder", () => {
  test("keeps the outcome of each file of the import, and nothing of what is in it", async () => {
    const { id, props } = server;
    expect(id).toMatch(/^[0-9a-f]{16}:\/etc\/asterisk$/);
    expect(props["asteriskVersion"]).toMatch(/^22\./);
    expect(props["initialImport"]).toMatchObject({
      done: true,
      revision: 0,
      files: { "queues.conf": "Stored" },
    });
    expect(Object.keys(connection)).not.toContain("files");
    expect(String(connection["importRecord"]).length).toBeLessThan(700);
    expect(JSON.stringify(props)).not.toContain("persistentmembers");
  });

  test("is unchanged right after its creation, after a refresh, and with values that are null", async () => {
    const inputs = await serverInputs(pbx);
    expect(await isChanged("AsteriskServer", server, inputs)).toBe(false);
    const refreshed = await provider.read("AsteriskServer", server);
    expect(await isChanged("AsteriskServer", refreshed, { ...inputs, source: null, prune: null })).toBe(
      false,
    );
    expect(refreshed.props["initialImport"]).toEqual(server.props["initialImport"]);
  });

  test("takes another way in without touching a file, and so does what is on it", async () => {
    const inputs = { name: "queues", server: connection, path: "extensions_ssh.conf", content: "[ssh]\n" };
    const before = await provider.create("ConfFile", inputs);
    const untouched = await everyFile();
    const updated = await provider.update(
      "AsteriskServer",
      server,
      await serverInputs(pbx, {
        ssh: {
          ...((await serverInputs(pbx))["ssh"] as Properties),
          user: pbx.users.admin,
          become: pbx.users.owner,
        },
      }),
    );
    const now = updated.props["connection"] as Properties;
    expect(now["serverId"]).toBe(connection["serverId"]);
    const difference = await provider.diff("ConfFile", before, { ...inputs, server: now });
    expect(difference).toMatchObject({ changes: true, replaces: [] });
    const after = await provider.update("ConfFile", before, { ...inputs, server: now });
    expect(await everyFile()).toEqual(untouched);
    expect(await isChanged("ConfFile", after, { ...inputs, server: now })).toBe(false);
    await provider.delete("ConfFile", after);
  });
});

describe("a ConfFile", () => {
  const path = "extensions_shop.conf";
  const content = "[shop]\nexten => 100,1,NoOp(shop)\n";

  test("is made, unchanged, drifts, is corrected, changed, and gone without a trace", async () => {
    // Nobody declares the file that includes it, and still it is live.
    const dialplan = await onServer("extensions.conf");
    await writeFile(file("extensions.conf"), `${dialplan}\n#tryinclude "${path}"\n`);
    await pbx.run(["asterisk", "-rx", "dialplan reload"]);
    const isLive = async (): Promise<boolean> =>
      (await pbx.run(["asterisk", "-rx", "dialplan show shop"])).stdout.includes("NoOp(shop)");
    const untouched = await everyFile();
    const inputs = { name: "shop", server: connection, path, content };
    let state = await provider.create("ConfFile", inputs);
    expect(await isLive()).toBe(true);
    expect(await onServer(path)).toBe(content);
    expect(state.props).toMatchObject({
      hash: expect.stringMatching(/^hmac-sha256:/),
      effectiveView: [{ name: "shop", variables: [{ name: "exten", value: "100,1,NoOp(shop)" }] }],
    });
    expect(await isChanged("ConfFile", state, inputs)).toBe(false);
    state = await provider.read("ConfFile", state);
    expect(await isChanged("ConfFile", state, { ...inputs, onConflict: null, secrets: null })).toBe(false);

    await writeFile(file(path), "[shop]\nexten => 100,1,Hangup()\n");
    state = await provider.read("ConfFile", state);
    expect(state.props["drifted"]).toBe("drift: the server moved away and is corrected");
    expect(await isChanged("ConfFile", state, inputs)).toBe(true);
    state = await provider.update("ConfFile", state, inputs);
    expect(await onServer(path)).toBe(content);
    expect(await isChanged("ConfFile", state, inputs)).toBe(false);

    await unlink(file(path));
    state = await provider.read("ConfFile", state);
    expect(state.props["drifted"]).toBeDefined();
    state = await provider.update("ConfFile", state, inputs);
    expect(await onServer(path)).toBe(content);
    const more = { ...inputs, content: `${content}exten => 101,1,NoOp()\n` };
    state = await provider.update("ConfFile", state, more);
    expect(await onServer(path)).toBe(more.content);
    await provider.delete("ConfFile", state);
    expect(await everyFile()).toEqual(untouched);
    expect(await isLive()).toBe(false);
    await writeFile(file("extensions.conf"), dialplan);
  });

  test("whose server only reports drift is said to have drifted, and is no change of the program", async () => {
    const more = await serverInputs(pbx, { drift: "Report" });
    const reporting = await provider.update("AsteriskServer", server, more);
    expect(reporting.props["drift"]).toBe("Report");
    expect(await isChanged("AsteriskServer", reporting, more)).toBe(false);
    const inputs = {
      name: "report",
      server: reporting.props["connection"],
      path: "extensions_report.conf",
      content,
    };
    let state = await provider.create("ConfFile", inputs);
    await writeFile(file(inputs.path), "[by-hand]\n");
    state = await provider.read("ConfFile", state);
    expect(state.props["drifted"]).toMatch(/reported only/);
    expect(await isChanged("ConfFile", state, inputs)).toBe(false);
    await provider.delete("ConfFile", state);
    await expect(onServer(inputs.path)).rejects.toThrow("ENOENT");
  });

  test("adopts what is there already and is equal; refuses what differs, unless it may take it", async () => {
    const original = await onServer("queues.conf");
    const equal = { name: "queues", server: connection, path: "queues.conf", content: original };
    const adopted = await provider.create("ConfFile", equal);
    await provider.delete("ConfFile", adopted);
    expect(await onServer("queues.conf")).toBe(original);

    const other = { ...equal, content: "[general]\n[sales]\nstrategy = ringall\n" };
    await expect(provider.create("ConfFile", other)).rejects.toThrow(
      /ConfFile queues \(pbx1\): queues\.conf: conflict: both sides have it, .*\n.*onConflict: "TakeProgram"/,
    );
    expect(await onServer("queues.conf")).toBe(original);

    const taking = { ...other, onConflict: "TakeProgram" };
    const taken = await provider.create("ConfFile", taking);
    expect(await onServer("queues.conf")).toBe(other.content);
    expect(await isChanged("ConfFile", taken, taking)).toBe(false);
    await provider.delete("ConfFile", taken);
    expect(await onServer("queues.conf")).toBe(original);
  });

  test("owns sections beside others', with secrets filled in, and takes only them away again", async () => {
    const original = await onServer("queues.conf");
    const inputs = {
      name: "sales",
      server: connection,
      path: "queues.conf",
      sections: [{ name: "sales", lines: "strategy = @{secret:queue/strategy}\nmember => PJSIP/100" }],
      secrets: { queue: { strategy: "ringall" } },
    };
    let state = await provider.create("ConfFile", inputs);
    expect(await onServer("queues.conf")).toContain("strategy = ringall");
    expect(await isChanged("ConfFile", state, inputs)).toBe(false);
    state = await provider.read("ConfFile", state);
    expect(await isChanged("ConfFile", state, inputs)).toBe(false);

    const byHand = (await onServer("queues.conf")).replace("\nstrategy = ringall", "\nstrategy = random");
    await writeFile(file("queues.conf"), byHand);
    state = await provider.read("ConfFile", state);
    expect(await isChanged("ConfFile", state, inputs)).toBe(true);
    state = await provider.update("ConfFile", state, inputs);
    expect(await onServer("queues.conf")).toContain("strategy = ringall");

    // Under another name it is the same thing.
    const renamed = { ...inputs, name: "sales-queue" };
    state = await provider.update("ConfFile", state, renamed);
    expect(await isChanged("ConfFile", state, renamed)).toBe(false);
    await provider.delete("ConfFile", state);
    expect(await onServer("queues.conf")).toBe(original);
  });

  test("with another path is replaced, the old one first, and nothing is left of it", async () => {
    const untouched = await everyFile();
    const inputs = { name: "moved", server: connection, path: "extensions_old.conf", content };
    const state = await provider.create("ConfFile", inputs);
    const news = { ...inputs, path: "extensions_moved.conf" };
    expect(await provider.diff("ConfFile", state, news)).toEqual({
      changes: true,
      replaces: ["path"],
      deleteBeforeReplace: false,
    });
    await provider.delete("ConfFile", state);
    const moved = await provider.create("ConfFile", news);
    expect(await onServer(news.path)).toBe(content);
    await provider.delete("ConfFile", moved);
    expect(await everyFile()).toEqual(untouched);
  });

  test("where Asterisk is the source is read, and content for it is an error that says why", async () => {
    const updated = await provider.update(
      "AsteriskServer",
      server,
      await serverInputs(pbx, { updateDirection: "FromAsterisk" }),
    );
    const from = updated.props["connection"] as Properties;
    const untouched = await everyFile();
    const inputs = { name: "musiconhold", server: from, path: "musiconhold.conf" };
    await expect(provider.create("ConfFile", { ...inputs, content: "[default]\n" })).rejects.toThrow(
      "ConfFile musiconhold: content: is not taken, since Asterisk is the source of musiconhold.conf (updateDirection: FromAsterisk)",
    );
    let state = await provider.create("ConfFile", inputs);
    expect(state.props["liveContent"]).toBe(await onServer("musiconhold.conf"));
    expect(await isChanged("ConfFile", state, inputs)).toBe(false);

    const original = await onServer("musiconhold.conf");
    await writeFile(file("musiconhold.conf"), `${original};\n`);
    state = await provider.read("ConfFile", state);
    expect(state.props["liveContent"]).toBe(`${original};\n`);
    expect(await isChanged("ConfFile", state, inputs)).toBe(false);
    await writeFile(file("musiconhold.conf"), original);

    await expect(provider.create("ConfFile", { ...inputs, path: "nowhere.conf" })).rejects.toThrow(
      "nowhere.conf is not on the server",
    );
    await provider.delete("ConfFile", state);
    expect(await everyFile()).toEqual(untouched);
  });
});

describe("an AMIAccount", () => {
  const inputs = (): Properties => ({
    name: "crm",
    server: connection,
    username: "crm",
    read: ["call", "cdr"],
    permit: ["127.0.0.1"],
  });

  test("gets a secret of its own that works, keeps it, and has another one once it is rotated", async () => {
    const untouched = await everyFile();
    let state = await provider.create("AMIAccount", inputs());
    const password = String(state.props["password"]);
    expect(password).toHaveLength(32);
    expect(await onServer("manager.conf")).toContain(password);
    expect(state.props).toMatchObject({
      accountFile: "manager.conf",
      verified: { read: "call,cdr", secret: "set" },
    });
    expect(await isChanged("AMIAccount", state, inputs())).toBe(false);
    state = await provider.read("AMIAccount", state);
    expect(state.props["password"]).toBe(password);
    expect(await isChanged("AMIAccount", state, inputs())).toBe(false);

    const more = { ...inputs(), read: ["call"] };
    state = await provider.update("AMIAccount", state, more);
    expect(state.props["password"]).toBe(password);
    const rotated = await provider.update("AMIAccount", state, { ...more, rotate: "2026-11" });
    expect(rotated.props["password"]).not.toBe(password);
    expect(await onServer("manager.conf")).not.toContain(password);
    expect(await isChanged("AMIAccount", rotated, { ...more, rotate: "2026-11" })).toBe(false);

    await provider.delete("AMIAccount", rotated);
    expect(await everyFile()).toEqual(untouched);
  });

  test("is adopted when it is there as declared, refused when it differs, and taken when it may be", async () => {
    const original = await onServer("manager.conf");
    const given = { ...inputs(), secret: "kwUXGy4Kx0Pp2ihSC7vW" };
    const first = await provider.create("AMIAccount", given);
    const written = await onServer("manager.conf");
    expect(first.props["password"]).toBe(given.secret);
    await provider.delete("AMIAccount", first);
    const byHand = async (): Promise<void> => {
      await writeFile(file("manager.conf"), written);
      await pbx.run(["asterisk", "-rx", "manager reload"]);
    };
    await byHand();
    const adopted = await provider.create("AMIAccount", given);
    expect(await onServer("manager.conf")).toBe(written);
    await provider.delete("AMIAccount", adopted);

    await byHand();
    const other = { ...given, secret: "Zq8LrV2mTn5cWx7yBd3J" };
    await expect(provider.create("AMIAccount", other)).rejects.toThrow(/manager\.conf: conflict/);
    expect(await onServer("manager.conf")).toBe(written);
    const taken = await provider.create("AMIAccount", { ...other, onConflict: "TakeProgram" });
    expect(await onServer("manager.conf")).toContain(other.secret);
    await provider.delete("AMIAccount", taken);
    await writeFile(file("manager.conf"), original);
    await pbx.run(["asterisk", "-rx", "manager reload"]);
  });

  test("is replaced where its username changes", async () => {
    const state = { id: "x", props: { ...inputs(), password: "p" } };
    expect(await provider.diff("AMIAccount", state, { ...inputs(), username: "other" })).toEqual({
      changes: true,
      replaces: ["username"],
      deleteBeforeReplace: false,
    });
  });
});

describe("check", () => {
  test("says every mistake at once, in the engine's words, and names no property", async () => {
    const { failures } = await provider.check("AsteriskServer", {
      name: "pbx",
      ssh: { host: "-oProxyCommand=x", port: 70000, credentialsSecretRef: { name: "x" } },
      ami: { username: "", tls: {}, colour: "red" },
      updateDirection: "Sideways",
      onConflict: "Explode",
    });
    const reasons = failures.map(({ reason }) => reason.replace("AsteriskServer pbx: ", "")).sort();
    expect(reasons.map((reason) => reason.slice(0, reason.indexOf(":")))).toEqual([
      "ami.colour",
      "ami.password",
      "ami.username",
      "onConflict",
      "ssh.credentialsSecretRef",
      "ssh.host",
      "ssh.port",
      "updateDirection",
    ]);
    expect(failures.map(({ property }) => property).join("")).toBe("");
    const account = await provider.check("AMIAccount", {
      name: "crm",
      server: connection,
      username: "general",
      permit: ["10.1"],
      generate: true,
      secretRef: { name: "a", key: "b" },
    });
    expect(account.failures.map(({ reason }) => reason).join("\n")).toMatch(
      /username: .*\n.*permit\.0: .*\n.*secretRef: is not for Pulumi: give the value as `secret`\n.*generate: is not for Pulumi/,
    );
    const conf = await provider.check("ConfFile", {
      name: "x",
      server: connection,
      path: "../x.conf",
      content: "@{secret:a/b}",
      contentFrom: { file: "x" },
      sections: [{ name: "", lines: "no variable" }],
    });
    expect(conf.failures).toHaveLength(6);
    expect(conf.failures.map(({ reason }) => reason).join("\n")).toContain("`secrets` does not have: a/b");
  });

  test("passes over what is not known yet, and still says what is wrong elsewhere", async () => {
    const inputs = { name: "x", server: unknown, path: "x.conf", content: unknown, secrets: { a: unknown } };
    expect((await provider.check("ConfFile", inputs)).failures).toEqual([]);
    const { failures } = await provider.check("ConfFile", { ...inputs, path: "/x.conf" });
    expect(failures).toHaveLength(1);
    const server = {
      name: "x",
      ssh: unknown,
      ami: { username: "x", password: unknown },
      source: { directory: unknown },
    };
    expect((await provider.check("AsteriskServer", server)).failures).toEqual([]);
  });
});

describe("state", () => {
  test("of a later version is refused with what to do, without a stack", async () => {
    const later = { name: "x", server: { ...connection, stateVersion: 2 }, path: "x.conf", content: "" };
    const reading = provider.read("ConfFile", { id: "x", props: later });
    await expect(reading).rejects.toThrow(
      /server\.stateVersion: was written by a later version of asterisk-iac/,
    );
    await expect(reading).rejects.not.toThrow(/\n\s+at /);
    expect(provider.stderr).not.toMatch(/\n\s+at /);
  });

  test("of a server that is gone for good can't be deleted, and it is said how to let go of it", async () => {
    const spec = connection["spec"] as { ssh: Properties };
    const gone = { ...connection, spec: { ...spec, ssh: { ...spec.ssh, port: 1 } } };
    const state = { id: "x", props: { name: "x", server: gone, path: "x.conf", content: "x" } };
    await expect(provider.delete("ConfFile", state)).rejects.toThrow(
      /ConfFile x \(pbx1\): .*\n(.*\n)*.*pulumi state delete/,
    );
  });

  test("of another machine is refused, until it is imported anew", async () => {
    const record = JSON.parse(String(connection["importRecord"])) as { identity: Properties };
    const other = { ...record, identity: { ...record.identity, machine: "hmac-sha256:00" } };
    const before = { ...connection, importRecord: JSON.stringify(other), serverId: "before" };
    const state = { id: "before", props: { ...server.props, connection: before } };
    const inputs = await serverInputs(pbx);
    await expect(provider.update("AsteriskServer", state, inputs)).rejects.toThrow(
      /this is not the server that was imported: .*\n.*give `importAgain` of the AsteriskServer a new value/,
    );
    const { props } = await provider.update("AsteriskServer", state, {
      ...inputs,
      importAgain: "reinstalled",
    });
    // What is on it is not replaced: it is written to the new machine.
    expect((props["connection"] as Properties)["serverId"]).toBe("before");
  });
});

describe("an AsteriskServer with a folder", () => {
  test("takes the files in, writes the changes of the folder, and leaves alone what other resources own", async () => {
    const folder = join(program.directory, "pbx1");
    const inputs = await serverInputs(pbx, { source: { directory: "pbx1" }, prune: true });
    let state = await provider.create("AsteriskServer", inputs);
    expect(await readFile(join(folder, "queues.conf"), "latin1")).toBe(await onServer("queues.conf"));
    expect(await isChanged("AsteriskServer", state, inputs)).toBe(false);
    state = await provider.read("AsteriskServer", state);
    expect(await isChanged("AsteriskServer", state, inputs)).toBe(false);

    const on = state.props["connection"] as Properties;
    const account = await provider.create("AMIAccount", {
      name: "crm",
      server: on,
      username: "crm",
      permit: ["127.0.0.1"],
    });
    const section = { name: "sales", lines: "strategy = ringall" };
    const conf = await provider.create("ConfFile", {
      name: "q",
      server: on,
      path: "queues.conf",
      sections: [section],
    });
    const fileInputs = { name: "new", server: on, path: "extensions_new.conf", content: "[new]\n" };
    const whole = await provider.create("ConfFile", fileInputs);
    state = await provider.read("AsteriskServer", state);
    expect(await isChanged("AsteriskServer", state, inputs)).toBe(false);

    await writeFile(join(folder, "extensions_folder.conf"), "[folder]\n");
    expect(await isChanged("AsteriskServer", state, inputs)).toBe(true);
    state = await provider.update("AsteriskServer", state, inputs);
    expect(await onServer("extensions_folder.conf")).toBe("[folder]\n");
    for (const [kind, one] of [
      ["AMIAccount", account],
      ["ConfFile", conf],
      ["ConfFile", whole],
    ] as const) {
      expect((await provider.read(kind, one)).props["drifted"]).toBeUndefined();
      await provider.delete(kind, one);
    }

    await writeFile(file("extensions_folder.conf"), "[by-hand]\n");
    state = await provider.read("AsteriskServer", state);
    expect(state.props["drifted"]).toBe("the server and its folder differ");
    expect(await isChanged("AsteriskServer", state, inputs)).toBe(true);
    state = await provider.update("AsteriskServer", state, inputs);
    expect(await onServer("extensions_folder.conf")).toBe("[folder]\n");
    await rm(join(folder, "extensions_folder.conf"));
    await provider.update("AsteriskServer", state, inputs);
    await expect(onServer("extensions_folder.conf")).rejects.toThrow("ENOENT");
  });
});
