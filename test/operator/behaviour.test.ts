import { chownSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { secretsAPI } from "../../operator/cluster.ts";
import { ImportSecret } from "../../operator/import-secret.ts";
import type { APIRequest, KubernetesAPI } from "../../operator/runtime/index.ts";
import { outputOf } from "../support/lab.ts";
import {
  Namespace,
  conditionOf,
  readyOf,
  startOperator,
  useOperatorLab,
  waitUntil,
  type RunningOperator,
} from "../support/operator.ts";

const lab = useOperatorLab();
let team: Namespace;
let operator: RunningOperator;
/** Every request of the operator, in order. */
const requests: APIRequest[] = [];

const file = (path: string): string => join(lab.servers[0]?.configDirectory ?? "", path);
const live = (path: string): string => readFileSync(file(path), "latin1");
const onPBX = (...command: string[]): Promise<string> => outputOf(lab.servers[0], ...command);
/** A reload of a module that no file of ours is read by: all that it does is to tell. */
const reloadSomething = (): Promise<string> => onPBX("asterisk", "-rx", "module reload res_rtp_asterisk");

function recorded(api: KubernetesAPI): KubernetesAPI {
  return {
    stream: (request) => api.stream(request),
    request: (request) => {
      requests.push(request);
      return api.request(request);
    },
  };
}

/** Resolves after so many more passes over servers have ended, by default the one that an action leads to. */
async function passes(
  count: number,
  action: () => Promise<unknown> = () => Promise.resolve(),
): Promise<void> {
  const from = operator.passes;
  await action();
  await waitUntil(() => operator.passes >= from + count);
}

/** What a server that is in step says, once it says so. */
const serverIs = (reason: string, type = "Ready") =>
  team.sees("servers", "pbx1", (server) => {
    const condition = conditionOf(server, type);
    return condition?.reason === reason && server.status?.observedGeneration === server.metadata.generation;
  });
const fileIs = (name: string, reason: string) =>
  team.sees("files", name, (object) => conditionOf(object, "Ready")?.reason === reason);

beforeAll(async () => {
  team = await Namespace.create(lab, "team", lab.manifestsOf(0, "team"));
  operator = await startOperator(recorded(lab.operatorAPI), { namespace: "team" });
});
afterAll(() => operator.stop());

test("a server is imported into one Secret, and `kubectl wait` and `kubectl get` tell that it is ready", async () => {
  const wait = ["-n", "team", "wait", "--for=condition=Ready", "asteriskserver/pbx1", "--timeout=60s"];
  await lab.kubernetes.kubectl(wait);
  expect(await lab.kubernetes.kubectl(["-n", "team", "get", "asteriskservers"])).toMatch(
    /NAME +READY +DIRECTION +IMPORTED +IN SYNC +VERSION +AGE\npbx1 +True +ToAsterisk +True +True +22\./,
  );
  const server = await team.isReady("servers", "pbx1");
  expect(server.status).toMatchObject({
    observedGeneration: 1,
    initialImport: { done: true },
    activeCalls: 0,
  });
  for (const type of ["Stalled", "Reconciling"])
    expect(conditionOf(server, type)).toMatchObject({ status: "False", observedGeneration: 1 });
  expect(server.status?.lastApplied).toBeUndefined();
  await waitUntil(async () =>
    (await team.events("pbx1")).some((event) => /^Imported: \d+ files/.test(event)),
  );
});

describe("what is declared", () => {
  test("is live, verified and told of", async () => {
    await team.createAccount("crm");
    await team.createFile("extra", { path: "extra.conf", content: "; one\n" });
    const account = await team.isReady("accounts", "crm");
    expect(account.status?.verified?.length).toBeGreaterThan(0);
    expect(live(account.status?.file ?? "")).toContain("[crm]");
    expect(await onPBX("asterisk", "-rx", "manager show user crm")).toContain("username: crm");
    expect(account.status?.loginProved).toBe(true);
    const { status } = await team.isReady("files", "extra");
    expect(status?.lastApplied).toMatchObject({ planHash: expect.stringMatching(/^[0-9a-f]{64}$/) });
    expect(live("extra.conf")).toBe("; one\n");
    await waitUntil(async () => (await team.events("pbx1")).some((event) => event.startsWith("Applied: ")));
  });

  test("and changed by `kubectl apply` is live again", async () => {
    await team.createFile("other", { path: "other.conf", content: "; other\n" });
    const other = (await team.isReady("files", "other")).status?.lastApplied;
    await team.patch("files", "extra", { spec: { content: "; two\n" } });
    const { status } = await team.isReady("files", "extra");
    expect(status?.observedGeneration).toBe(2);
    expect(live("extra.conf")).toBe("; two\n");
    const server = await team.isReady("servers", "pbx1");
    expect(readyOf(server)).toBe("True");
    // Each tells of the apply that wrote it last.
    expect(status?.lastApplied).toEqual(server.status?.lastApplied);
    expect((await team.isReady("files", "other")).status?.lastApplied).toEqual(other);
    expect(other?.generation).toBeLessThan(status?.lastApplied?.generation ?? 0);
    expect((await team.isReady("accounts", "crm")).status?.loginProved).toBe(true);
  });

  test("an account that may not log in from here is live, and its login is not said to be proved", async () => {
    await team.createAccount("far", { permit: ["192.0.2.7"] });
    const { status } = await team.isReady("accounts", "far");
    expect(status?.verified?.length).toBeGreaterThan(0);
    expect(status?.loginProved).not.toBe(true);
  });

  test("and changed by hand on the PBX is put back at once after a reload there", async () => {
    writeFileSync(file("extra.conf"), "; by hand\n");
    await reloadSomething();
    await waitUntil(() => live("extra.conf") === "; two\n", 20_000);
  });

  test("and changed by hand is put back after a restart of Asterisk, whose session comes back by itself", async () => {
    writeFileSync(file("extra.conf"), "; before a restart\n");
    await onPBX("asterisk", "-rx", "core restart now");
    await waitUntil(() => live("extra.conf") === "; two\n");
    expect(readyOf(await team.isReady("servers", "pbx1"))).toBe("True");
  });

  test("and changed by hand without a reload is put back at the interval", async () => {
    await team.patch("servers", "pbx1", { spec: { interval: "1s" } });
    await team.isReady("servers", "pbx1");
    writeFileSync(file("extra.conf"), "; unseen\n");
    await waitUntil(() => live("extra.conf") === "; two\n", 20_000);
  });

  test("and in step asks the API server for nothing, pass after pass", async () => {
    await passes(2);
    const from = requests.length;
    await passes(3);
    expect(requests.slice(from).map(({ method, path }) => `${method} ${path}`)).toEqual([]);
    await team.patch("servers", "pbx1", { spec: { interval: "10m" } });
    await team.isReady("servers", "pbx1");
  });

  test("one by one: a ConfFile that Asterisk would refuse waits, with `kubectl wait` on Stalled, and the others do not", async () => {
    await team.createFile("broken", { path: "extensions_broken.conf", content: "[no end\n" });
    await team.patch("files", "extra", { spec: { content: "; three\n" } });
    await lab.kubernetes.kubectl([
      "-n",
      "team",
      "wait",
      "--for=condition=Stalled",
      "conffile/broken",
      "--timeout=30s",
    ]);
    await team.isReady("files", "extra");
    expect(live("extra.conf")).toBe("; three\n");
    expect(() => live("extensions_broken.conf")).toThrow();
    expect(readyOf(await serverIs("ConfInvalid"))).toBe("ConfInvalid");
    await team.delete("files", "broken");
    await team.isGone("files", "broken");
    await team.isReady("servers", "pbx1");
  });
});

describe("values elsewhere", () => {
  test("a Secret and a ConfigMap that are changed change the file", async () => {
    await team.createSecret("door", { pin: "1111" });
    await team.create({
      ...{ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "texts" } },
      data: { "greeting.conf": "; hello\n" },
    } as Parameters<Namespace["create"]>[0]);
    await team.createFile("pins", { path: "pins.conf", content: "; @{secret:door/pin}\n" });
    await team.createFile("greeting", {
      ...{ path: "greeting.conf", contentFrom: { configMapKeyRef: { name: "texts", key: "greeting.conf" } } },
    });
    await team.isReady("files", "pins");
    await team.isReady("files", "greeting");
    expect([live("pins.conf"), live("greeting.conf")]).toEqual(["; 1111\n", "; hello\n"]);
    await team.patch("secrets", "door", { stringData: { pin: "2222" } });
    await waitUntil(() => live("pins.conf") === "; 2222\n");
    await team.patch("configMaps", "texts", { data: { "greeting.conf": "; goodbye\n" } });
    await waitUntil(() => live("greeting.conf") === "; goodbye\n");
    expect(JSON.stringify(await team.isReady("files", "pins"))).not.toContain('2222\\n"}');
  });

  test("rotated: with the new AMI password, and with the new SSH key, the server is ready; until then it says why", async () => {
    const [ssh, ami] = lab.manifestsOf(0, "team").map(({ stringData }) => stringData ?? {});
    const { password = "", username = "" } = ami ?? {};
    await team.patch("secrets", "pbx1-ami", { stringData: { password: "another-password-1" } });
    expect(conditionOf(await serverIs("AuthenticationFailed"), "Reachable")).toMatchObject({
      status: "False",
    });
    writeFileSync(file("manager.conf"), live("manager.conf").replaceAll(password, "another-password-1"));
    await onPBX("asterisk", "-rx", "manager reload");
    expect(await onPBX("asterisk", "-rx", "manager show users")).toContain(username);
    await team.annotate("servers", "pbx1", { "asterisk-iac.dev/reconcile-requested-at": "rotated" });
    await team.isReady("servers", "pbx1");

    await team.patch("secrets", "pbx1-ssh", { stringData: { "ssh-privatekey": "not a key" } });
    const broken = await team.sees("servers", "pbx1", (server) => readyOf(server) !== "True");
    expect(conditionOf(broken, "InSync")?.status).not.toBe("False");
    await team.patch("secrets", "pbx1-ssh", {
      stringData: { "ssh-privatekey": ssh?.["ssh-privatekey"] ?? "" },
    });
    await team.isReady("servers", "pbx1");
  });
});

describe("both sides moved", () => {
  const conflict = async (content: string, byHand: string): Promise<string> => {
    await team.patch("servers", "pbx1", { spec: { suspend: true } });
    await serverIs("Suspended");
    await team.patch("files", "extra", { spec: { content } });
    writeFileSync(file("extra.conf"), byHand);
    await team.patch("servers", "pbx1", { spec: { suspend: false } });
    const server = await serverIs("Conflict", "InSync");
    expect(readyOf(server)).not.toBe("True");
    expect(live("extra.conf")).toBe(byHand);
    return /plan ([0-9a-f]{12})/.exec(conditionOf(server, "InSync")?.message ?? "")?.[1] ?? "no hash";
  };
  const take = "asterisk-iac.dev/take";

  test("is a conflict: nothing is written until somebody takes a side of this very plan", async () => {
    const hash = await conflict("; declared\n", "; by hand\n");
    await passes(1, () => team.annotate("servers", "pbx1", { [take]: "source@00000000" }));
    await serverIs("Conflict", "InSync");
    expect(live("extra.conf")).toBe("; by hand\n");
    await team.annotate("servers", "pbx1", { [take]: `source@${hash}` });
    await team.isReady("servers", "pbx1");
    expect(live("extra.conf")).toBe("; declared\n");
  });

  test("while it is suspended nothing is put back, and resources say so", async () => {
    await team.patch("servers", "pbx1", { spec: { suspend: true } });
    expect(readyOf(await fileIs("extra", "Suspended"))).toBe("Suspended");
    writeFileSync(file("extra.conf"), "; while suspended\n");
    await reloadSomething();
    await team.patch("files", "extra", { spec: { content: "; while suspended\n" } });
    await team.patch("servers", "pbx1", { spec: { suspend: false } });
    await team.isReady("files", "extra");
    expect(live("extra.conf")).toBe("; while suspended\n");
  });
});

describe("the directions", () => {
  test("without one nothing is written, and Ready says DirectionNotSet", async () => {
    await team.patch("servers", "pbx1", { spec: { updateDirection: null } });
    await serverIs("DirectionNotSet");
    await team.patch("files", "extra", { spec: { content: "; later\n" } });
    await passes(1);
    await serverIs("DirectionNotSet");
    expect(live("extra.conf")).toBe("; while suspended\n");
    await team.patch("servers", "pbx1", { spec: { updateDirection: "ToAsterisk" } });
    await team.isReady("files", "extra");
    expect(live("extra.conf")).toBe("; later\n");
  });

  test("with `drift: Report` an edit by hand is told and left", async () => {
    await team.patch("servers", "pbx1", { spec: { drift: "Report" } });
    await team.isReady("servers", "pbx1");
    writeFileSync(file("extra.conf"), "; drifted\n");
    await reloadSomething();
    await serverIs("Drift");
    await fileIs("extra", "Drift");
    expect(live("extra.conf")).toBe("; drifted\n");
    await team.annotate("servers", "pbx1", { "asterisk-iac.dev/upload-requested-at": "1" });
    await team.isReady("servers", "pbx1");
    await team.isReady("files", "extra");
    expect(live("extra.conf")).toBe("; later\n");
    await team.patch("servers", "pbx1", { spec: { drift: "Correct" } });
    await team.isReady("servers", "pbx1");
  });
});

describe("the form's buttons", () => {
  const asked = (verb: string): string => `asterisk-iac.dev/${verb}-requested-at`;
  const handled = (verb: string, at: string) =>
    team.sees("servers", "pbx1", ({ status }) => status?.handledRequests?.[verb as "test"] === at);

  test("test, reconcile and reload are done and told", async () => {
    await team.annotate("servers", "pbx1", {
      [asked("test")]: "1",
      [asked("reconcile")]: "1",
      [asked("reload")]: "1",
    });
    await handled("reload", "1");
    await waitUntil(async () => {
      const events = (await team.events("pbx1")).join("\n");
      return /^Tested: Asterisk 22/m.test(events) && /^Reloaded: /m.test(events);
    });
  });

  const startedAt = async (): Promise<string> =>
    /Startup time: .*/.exec(await onPBX("asterisk", "-rx", "core show settings"))?.[0] ?? "not up";

  test("a restart is done once, whatever is looked at afterwards", async () => {
    const before = await startedAt();
    await team.annotate("servers", "pbx1", { [asked("restart")]: "1/now" });
    await waitUntil(async () => (await team.events("pbx1")).some((event) => event.startsWith("Restarted: ")));
    const after = await startedAt();
    expect(after).not.toBe(before);
    await passes(1, () => team.annotate("servers", "pbx1", { [asked("reconcile")]: "2" }));
    await handled("reconcile", "2");
    expect(await startedAt()).toBe(after);
  });

  test("upload and download go against the direction once, and afterwards it is as it was, and a new operator does nothing of it again", async () => {
    const rules = [{ files: "collected.conf", updateDirection: "FromAsterisk" }];
    const { uid, gid } = statSync(file("asterisk.conf"));
    writeFileSync(file("collected.conf"), "; imported\n");
    chownSync(file("collected.conf"), uid, gid);
    await team.patch("servers", "pbx1", { spec: { rules } });
    const collected = async (): Promise<string> => {
      const source = new ImportSecret(secretsAPI(lab.cluster.secrets), "team", "pbx1", () => true);
      return (await source.list()).has("collected.conf")
        ? (await source.read("collected.conf")).toString()
        : "nothing";
    };
    await passes(1, () => team.annotate("servers", "pbx1", { [asked("download")]: "1" }));
    await handled("download", "1");
    await waitUntil(async () => (await collected()) === "; imported\n");

    // Both are there while nobody looks: the request decides, against the direction of the file.
    const whileSuspended = async (verb: string, at: string): Promise<void> => {
      await team.patch("servers", "pbx1", { spec: { suspend: true } });
      await serverIs("Suspended");
      writeFileSync(file("collected.conf"), `; by hand ${at}\n`);
      writeFileSync(file("extra.conf"), `; by hand ${at}\n`);
      await team.annotate("servers", "pbx1", { [asked(verb)]: at });
      await team.patch("servers", "pbx1", { spec: { suspend: false } });
      await handled(verb, at);
      await serverIs("InSync");
    };
    await whileSuspended("upload", "2");
    expect([live("collected.conf"), live("extra.conf")]).toEqual(["; imported\n", "; later\n"]);
    const done = [
      await startedAt(),
      await team.events("pbx1", /^(Tested|Reloaded|Restarted|RequestFailed)$/),
    ];
    writeFileSync(file("collected.conf"), "; newer\n");
    await operator.stop();
    operator = await startOperator(recorded(lab.operatorAPI), { namespace: "team" });
    await waitUntil(async () => (await collected()) === "; newer\n");
    await serverIs("InSync");
    expect(live("collected.conf")).toBe("; newer\n");
    expect([
      await startedAt(),
      await team.events("pbx1", /^(Tested|Reloaded|Restarted|RequestFailed)$/),
    ]).toEqual(done);
  });
});

describe("refused", () => {
  test("two AsteriskServers of one machine: the second is stalled, and the first goes on, also after a new start", async () => {
    const [, , server] = lab.manifestsOf(0, "team");
    await team.create({
      ...server,
      apiVersion: "asterisk-iac.dev/v1alpha1",
      kind: "AsteriskServer",
      metadata: { name: "again" },
    });
    await team.sees("servers", "again", (object) => readyOf(object) === "DuplicateServer");
    for (let start = 0; start < 3; start++) {
      await operator.stop();
      operator = await startOperator(recorded(lab.operatorAPI), { namespace: "team" });
      await waitUntil(() => operator.passes >= 2);
      expect(readyOf(await team.isReady("servers", "pbx1"))).toBe("True");
    }
    expect(conditionOf(await team.sees("servers", "again", () => true), "Stalled")?.reason).toBe(
      "DuplicateServer",
    );
    await team.delete("servers", "again");
    await team.isReady("servers", "pbx1");
  });

  test.each([
    ["local", { local: {}, ssh: null }],
    ["a source directory", { source: { directory: "/srv" } }],
    [
      "a Secret of another namespace",
      { ami: { credentialsSecretRef: { name: "../../kube-system/secrets/x" } } },
    ],
  ])("%s", async (_, spec) => {
    const other = lab.manifestsOf(0, "team", spec).at(-1);
    const create = team.create({
      ...other,
      apiVersion: "asterisk-iac.dev/v1alpha1",
      kind: "AsteriskServer",
      metadata: { name: "other" },
    });
    const refused = await create.then(
      async () =>
        readyOf(
          await team.sees("servers", "other", (object) => conditionOf(object, "Stalled")?.status === "True"),
        ),
      (error: { code: string }) => error.code,
    );
    expect(["KubernetesRefused", "InvalidManifest"]).toContain(refused);
    await team.delete("servers", "other");
  });

  test("a reference to another namespace: there is no way to write one", async () => {
    await expect(
      team.createFile("far", { path: "far.conf", content: "" }, "other/pbx1"),
    ).rejects.toMatchObject({
      code: "KubernetesRefused",
    });
    await team.createFile("far", { path: "far.conf", content: "; @{secret:other/door/pin}\n" });
    await team.sees("files", "far", (object) => conditionOf(object, "Stalled")?.status === "True");
    expect(() => live("far.conf")).toThrow();
    await team.patch("files", "extra", { spec: { content: "; the others go on\n" } });
    await team.isReady("files", "extra");
    expect(live("extra.conf")).toBe("; the others go on\n");
  });
});
