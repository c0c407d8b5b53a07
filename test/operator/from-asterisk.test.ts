import { chownSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { secretsAPI } from "../../operator/cluster.ts";
import { ImportSecret } from "../../operator/import-secret.ts";
import { ResourceClient, type KubernetesObject } from "../../operator/runtime/index.ts";
import type { ServerObject } from "../../operator/objects.ts";
import { snapshot } from "../support/configuration-snapshot.ts";
import { hostRecordText } from "../support/host-record.ts";
import { useKubernetes } from "../support/kubernetes.ts";
import { outputOf } from "../support/lab.ts";
import { installAccount } from "../support/operator-account.ts";
import {
  Namespace,
  apiOf,
  conditionOf,
  readyOf,
  startOperator,
  useOperatorLab,
  waitUntil,
  type Manifest,
  type RunningOperator,
} from "../support/operator.ts";

const lab = useOperatorLab({ freepbx: true });
const elsewhere = useKubernetes();
let team: Namespace;
let operator: RunningOperator;
/** All that was live before the operator came. */
let before: Record<string, string>;

const file = (path: string): string => join(lab.servers[0]?.configDirectory ?? "", path);
const live = (path: string): string => readFileSync(file(path), "latin1");
const write = (path: string, text: string): void => {
  const { uid, gid } = statSync(file("asterisk.conf"));
  writeFileSync(file(path), text);
  chownSync(file(path), uid, gid);
};
const reloadSomething = (): Promise<unknown> =>
  lab.servers[0]?.run(["asterisk", "-rx", "module reload res_rtp_asterisk"]) ?? Promise.resolve();
const imported = (): ImportSecret =>
  new ImportSecret(secretsAPI(lab.cluster.secrets), "team", "pbx1", () => true);
const importHas = async (path: string): Promise<string> => {
  const source = imported();
  return (await source.list()).has(path) ? (await source.read(path)).toString("latin1") : "nothing";
};
const spec = {
  updateDirection: "FromAsterisk",
  rules: [{ files: "*_custom.conf", updateDirection: "ToAsterisk" }],
};

beforeAll(async () => {
  before = await snapshot(lab.servers[0]?.configDirectory ?? "");
  team = await Namespace.create(lab, "team", lab.manifestsOf(0, "team", spec));
  operator = await startOperator(lab.operatorAPI, { namespace: "team" });
});
afterAll(() => operator.stop());

/** What differs from how it was, of what is not a test's own. */
const changed = async (): Promise<string[]> => {
  const now = await snapshot(lab.servers[0]?.configDirectory ?? "");
  return Object.keys({ ...before, ...now }).filter((path) => before[path] !== now[path]);
};

describe("a FreePBX server with FromAsterisk", () => {
  test("is imported, and nothing of it is written", async () => {
    const server = await team.isReady("servers", "pbx1");
    expect(server.status?.updateDirection).toBe("FromAsterisk");
    expect(await importHas("extensions_additional.conf")).toBe(live("extensions_additional.conf"));
    expect(await changed()).toEqual([]);
  });

  test("is followed by the import, the bytes before kept", async () => {
    const old = live("extensions_additional.conf");
    write("extensions_additional.conf", `${old}; a button was pressed\n`);
    await reloadSomething();
    await waitUntil(async () =>
      (await importHas("extensions_additional.conf")).endsWith("; a button was pressed\n"),
    );
    const [kept] = await imported().listKept();
    expect((await imported().readKept(kept?.id ?? "", "extensions_additional.conf")).toString("latin1")).toBe(
      old,
    );
    await team.isReady("servers", "pbx1");
    before = await snapshot(lab.servers[0]?.configDirectory ?? "");
  });

  test("takes ConfFiles where a rule says so; every other file stays byte for byte", async () => {
    await team.createFile("hours", {
      path: "extensions_custom.conf",
      content: "[hours]\nexten => s,1,NoOp()\n",
    });
    await team.isReady("files", "hours");
    expect(live("extensions_custom.conf")).toBe("[hours]\nexten => s,1,NoOp()\n");
    expect(await changed()).toEqual(["extensions_custom.conf"]);
  });

  test("refuses a ConfFile elsewhere, naming the rule to add, and still follows the server", async () => {
    await team.createFile("wrong", { path: "queues_post.conf", content: "; no\n" });
    const wrong = await team.sees(
      "files",
      "wrong",
      (object) => conditionOf(object, "Stalled")?.status === "True",
    );
    expect(conditionOf(wrong, "Ready")?.message).toMatch(/rule/);
    write("extensions_override_freepbx.conf", "; by hand\n");
    await reloadSomething();
    await waitUntil(async () => (await importHas("extensions_override_freepbx.conf")) === "; by hand\n");
    await team.patch("files", "hours", { spec: { content: "[hours]\nexten => s,1,Answer()\n" } });
    await team.isReady("files", "hours");
    expect(live("extensions_custom.conf")).toContain("Answer");
    await team.delete("files", "wrong");
    await team.isGone("files", "wrong");
  });
});

describe("a download that is asked for, of files that were changed by hand while nobody looked", () => {
  const asked = "asterisk-iac.dev/download-requested-at";
  const byHand = "[hours]\nexten => s,1,Hangup()\n";
  const declared = (): string => live("extensions_custom.conf");
  /** Resolves once the first pass after the changes ended, to what the server says of it. */
  const downloaded = async (at: string, changes: () => void): Promise<ServerObject> => {
    await team.patch("servers", "pbx1", { spec: { suspend: true } });
    await team.sees("servers", "pbx1", (server) => readyOf(server) === "Suspended");
    changes();
    await team.annotate("servers", "pbx1", { [asked]: at });
    await team.patch("servers", "pbx1", { spec: { suspend: false } });
    return team.sees(
      "servers",
      "pbx1",
      (server) => server.status?.handledRequests?.download === at && readyOf(server) !== "Suspended",
    );
  };

  test("takes what the import follows, and leaves what was imported of a file that goes the other way", async () => {
    const [old, custom] = [live("extensions_override_freepbx.conf"), live("queues_custom.conf")];
    const server = await downloaded("1", () => {
      write("extensions_override_freepbx.conf", "; by hand again\n");
      write("queues_custom.conf", `${custom}; by hand\n`);
    });
    expect(readyOf(server)).toBe("True");
    expect(await importHas("extensions_override_freepbx.conf")).toBe("; by hand again\n");
    const [kept] = await imported().listKept();
    expect((await imported().readKept(kept?.id ?? "", "extensions_override_freepbx.conf")).toString()).toBe(
      old,
    );
    expect([live("queues_custom.conf"), await importHas("queues_custom.conf")]).toEqual([
      `${custom}; by hand\n`,
      custom,
    ]);
  });

  test("never writes into a ConfFile: it says so, and what was written by hand is kept when it is put back", async () => {
    const before = declared();
    const last = (await team.isReady("servers", "pbx1")).status?.lastApplied;
    const server = await downloaded("2", () => write("extensions_custom.conf", byHand));
    expect(conditionOf(server, "Ready")).toMatchObject({
      status: "False",
      reason: "Drift",
      message: expect.stringMatching(/a ConfFile declares others.*\n.*put it into the ConfFile/),
    });
    expect(conditionOf(server, "InSync")?.reason).toBe("Drift");
    expect(server.status?.lastApplied).toEqual(last);
    await waitUntil(async () =>
      (await team.events("pbx1", /^ApplyRefused$/)).some((event) =>
        /ConfFile hours: extensions_custom\.conf: .* a ConfFile declares others/.test(event),
      ),
    );
    await team.annotate("servers", "pbx1", { "asterisk-iac.dev/reconcile-requested-at": "2" });
    await team.isReady("servers", "pbx1");
    const { spec } = await team.isReady("files", "hours");
    expect([declared(), spec]).toEqual([before, expect.objectContaining({ content: before })]);
    const spool = "/var/spool/asterisk/asterisk-iac";
    expect(await outputOf(lab.servers[0], "grep", "-rlF", "Hangup()", spool)).toContain(
      "extensions_custom.conf",
    );
  });
});

test("a restore of the cluster: on a new API server the import is not repeated, and nothing is written", async () => {
  const ready = await team.isReady("servers", "pbx1");
  await operator.stop();
  const live = await snapshot(lab.servers[0]?.configDirectory ?? "");
  const record = await hostRecordText(lab.servers[0]);
  expect(record).toBeDefined();
  const kinds = ["secrets", "asteriskservers", "conffiles", "amiaccounts"].join(",");
  const { items } = await lab.kubernetes.get<{
    items: (Manifest & { type?: string; data?: object; metadata: { labels?: object } })[];
  }>(["-n", "team", kinds]);
  await elsewhere.kubectl(["apply", "--server-side", "-f", new URL("../../crds", import.meta.url).pathname]);
  await elsewhere.kubectl(["wait", "--for=condition=Established", "crd", "--all"]);
  await elsewhere.kubectl(["create", "namespace", "team"]);
  const api = apiOf(elsewhere.kubeconfig);
  for (const { apiVersion, kind, metadata, spec, data, type } of items) {
    const { name, namespace, labels } = metadata;
    const object = {
      metadata: { name, namespace, labels },
      ...(spec === undefined ? { data, type } : { spec }),
    };
    const plural = `${kind.toLowerCase()}s`;
    await new ResourceClient(api, { apiVersion, kind, plural }).create(object as KubernetesObject);
  }
  const { kubeconfig } = await installAccount(elsewhere);
  const restored = await startOperator(apiOf(kubeconfig), { namespace: "team" });
  await elsewhere.kubectl([
    "-n",
    "team",
    "wait",
    "--for=condition=Ready",
    "asteriskserver/pbx1",
    "conffile/hours",
    "--timeout=30s",
  ]);
  const server = await elsewhere.get<typeof ready>(["-n", "team", "asteriskserver", "pbx1"]);
  await restored.stop();
  expect(readyOf(server)).toBe("True");
  expect(server.status?.initialImport).toEqual(ready.status?.initialImport);
  expect(await snapshot(lab.servers[0]?.configDirectory ?? "")).toEqual(live);
  expect(await hostRecordText(lab.servers[0])).toBe(record);
  operator = await startOperator(lab.operatorAPI, { namespace: "team" });
});
