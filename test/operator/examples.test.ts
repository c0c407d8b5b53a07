import { readFileSync, statSync, writeFileSync, chownSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { parseAllDocuments } from "yaml";
import { writeResources } from "../../lab/kubernetes/resources.ts";
import { snapshot } from "../support/configuration-snapshot.ts";
import { messageOf } from "../../core/errors.ts";
import { outputOf, useLab, type LabServer } from "../support/lab.ts";
import { operatorRequests } from "../support/operator-account.ts";
import { startOperatorProcess, type OperatorProcess } from "../support/operator-process.ts";
import { Namespace, useOperatorLab, waitUntil, type Manifest } from "../support/operator.ts";

const namespace = "telephony";
const lab = useOperatorLab();
const freepbx = useLab({ freepbx: true });
let team: Namespace;
let operator: OperatorProcess;

const kubectl = (...args: string[]): Promise<string> => lab.kubernetes.kubectl(["-n", namespace, ...args]);
const manifestsIn = (yaml: string): Manifest[] =>
  parseAllDocuments(yaml).map((document) => document.toJS() as Manifest);
const example = async (name: string): Promise<Manifest[]> =>
  manifestsIn(await readFile(new URL(`../../examples/kubernetes/${name}`, import.meta.url), "utf8"));

/** An example as its author would apply it, but for the addresses: those are of a lab's only server. */
async function applyExample(name: string, labDirectory: string): Promise<void> {
  const file = join(labDirectory, "as-kubernetes.yaml");
  await writeResources(labDirectory, file);
  const [ssh, ami, real] = manifestsIn(await readFile(file, "utf8"));
  const manifests = await example(name);
  const server = manifests.find(({ kind }) => kind === "AsteriskServer");
  const merged = (declared: unknown, way: unknown): object => {
    const { host, port } = way as { host: string; port: number };
    return { ...(declared as object), host, port };
  };
  const withAddresses = {
    ...server,
    spec: {
      ...server?.spec,
      ssh: { ...merged(server?.spec?.["ssh"], real?.spec?.["ssh"]), user: "admin" },
      ami: merged(server?.spec?.["ami"], real?.spec?.["ami"]),
    },
  };
  const called = server?.metadata.name ?? "";
  const secrets = [ssh, ami].map((secret, index) => ({
    ...secret,
    metadata: { name: `${called}-${["ssh", "ami"][index] ?? ""}`, namespace },
  }));
  const items = [...secrets, withAddresses, ...manifests.filter((manifest) => manifest !== server)];
  await lab.kubernetes.kubectl(["-n", namespace, "apply", "-f", "-"], {
    input: JSON.stringify({ apiVersion: "v1", kind: "List", items }),
  });
}

/** Rejects with what their conditions say if they are not. */
async function areReady(...objects: string[]): Promise<void> {
  try {
    await kubectl("wait", "--for=condition=Ready", ...objects, "--timeout=30s");
  } catch (error) {
    const said = await kubectl("get", ...objects, "-o", "jsonpath={.items[*].status.conditions[0]}");
    throw new Error(`${messageOf(error)}: ${said}`, { cause: error });
  }
}

beforeAll(async () => {
  team = await Namespace.create(lab, namespace);
  operator = startOperatorProcess({
    ...{ kubeconfig: lab.account.kubeconfig, lease: "examples" },
  });
  await operator.says('"leading"');
});
afterAll(async () => {
  operator.kill("SIGTERM");
  await operator.ended;
});

describe("company.yaml", () => {
  const pbx = (command: string): Promise<string> => outputOf(lab.servers[0], "asterisk", "-rx", command);

  test("is live as it stands there, with `kubectl apply` and `kubectl wait`", async () => {
    await team.createSecret("phones", {
      "100": "reception-Secret-1",
      "101": "ada-Secret-22",
      "102": "unused-33",
    });
    await applyExample("company.yaml", lab.directory);
    const names = ["conffile/phones", "conffile/support-queue", "conffile/dialplan", "amiaccount/crm"];
    await areReady("asteriskserver/pbx", ...names);
    expect(await pbx("pjsip show endpoints")).toMatch(/100\/100[\s\S]*101\/101/);
    expect(await pbx("pjsip show auth 100-auth")).toContain("reception-Secret-1");
    expect(await pbx("dialplan show internal")).toMatch(/'100' =>[\s\S]*'101' =>[\s\S]*'200' =>/);
    expect(await pbx("queue show support")).toMatch(/'rrmemory' strategy[\s\S]*PJSIP\/101/);
    expect(await pbx("manager show user crm")).toMatch(/username: crm[\s\S]*originate/);
    const crm = await lab.kubernetes.get<{ data: Record<string, string> }>([
      "-n",
      namespace,
      "secret",
      "crm",
    ]);
    expect(Object.keys(crm.data).sort()).toEqual(["password", "username"]);
  });

  test("goes as it says: the queue and the account are taken out, the dialplan stays", async () => {
    await kubectl("delete", "conffile/support-queue", "conffile/dialplan", "amiaccount/crm", "--timeout=30s");
    expect(await pbx("queue show support")).toContain("No such queue");
    expect(await pbx("manager show user crm")).not.toContain("username: crm");
    expect(await pbx("dialplan show internal")).toContain("'200' =>");
  });
});

describe("freepbx.yaml", () => {
  const server = (): LabServer | undefined => freepbx.servers[0];
  const file = (path: string): string => join(server()?.configDirectory ?? "", path);

  test("is live where FreePBX leaves room, and nothing else of FreePBX is written", async () => {
    const before = await snapshot(server()?.configDirectory ?? "");
    await applyExample("freepbx.yaml", freepbx.directory);
    await areReady("asteriskserver/freepbx", "conffile/door-opener", "amiaccount/callcenter");
    expect(await outputOf(server(), "asterisk", "-rx", "dialplan show from-internal-custom")).toContain(
      "*77",
    );
    expect(await outputOf(server(), "asterisk", "-rx", "manager show user callcenter")).toContain(
      "username: callcenter",
    );
    const now = await snapshot(server()?.configDirectory ?? "");
    const changed = Object.keys({ ...before, ...now }).filter((path) => before[path] !== now[path]);
    expect(changed.sort()).toEqual(["extensions_custom.conf", "manager_custom.conf"]);
  });

  test("follows what FreePBX writes, in its Secret", async () => {
    const version = () =>
      kubectl("get", "secret", "freepbx-import", "-o", "jsonpath={.metadata.resourceVersion}");
    const before = await version();
    const { uid, gid } = statSync(file("asterisk.conf"));
    const path = file("queues_additional.conf");
    writeFileSync(path, `${readFileSync(path, "latin1")}; written by FreePBX\n`);
    chownSync(path, uid, gid);
    await outputOf(server(), "asterisk", "-rx", "module reload res_rtp_asterisk");
    await waitUntil(async () => (await version()) !== before);
  });
});

describe("teams.yaml", () => {
  const can = async (who: readonly string[], verb: string, what: string, where = namespace) => {
    // To kubectl `a/b` is the object b.
    const [resource = "", subresource] = what.split("/");
    const asked = ["auth", "can-i", verb, resource, "-n", where, ...who];
    if (subresource !== undefined) asked.push("--subresource", subresource);
    return lab.kubernetes.kubectl(asked).then(
      () => true,
      () => false,
    );
  };
  const people = {
    engineer: ["--as", "ada", "--as-group", "telephony-engineers"],
    viewer: ["--as", "grace"],
  };

  beforeAll(async () => {
    const items = await example("teams.yaml");
    await lab.kubernetes.apply(JSON.stringify({ apiVersion: "v1", kind: "List", items }));
    await kubectl("create", "rolebinding", "viewers", "--role=telephony-viewer", "--user=grace");
  });

  test.each([
    ["engineer", "create", "conffiles.asterisk-iac.dev", true],
    ["engineer", "delete", "asteriskservers.asterisk-iac.dev", true],
    ["engineer", "patch", "conffiles.asterisk-iac.dev/status", false],
    ["engineer", "get", "secrets", false],
    ["engineer", "create", "configmaps", false],
    ["viewer", "watch", "amiaccounts.asterisk-iac.dev", true],
    ["viewer", "create", "conffiles.asterisk-iac.dev", false],
    ["viewer", "get", "secrets", false],
  ] as const)("may a %s %s %s: %p", async (who, verb, resource, may) => {
    expect(await can(people[who], verb, resource)).toBe(may);
    expect(await can(people[who], verb, resource, "default")).toBe(false);
  });

  test("an engineer's ConfFile is made live by the operator's own rights", async () => {
    const file = {
      ...{ apiVersion: "asterisk-iac.dev/v1alpha1", kind: "ConfFile", metadata: { name: "ada", namespace } },
      spec: { serverRef: { name: "pbx" }, path: "ada.conf", content: "; by an engineer\n" },
    };
    await lab.kubernetes.kubectl(["apply", "-f", "-", ...people.engineer], { input: JSON.stringify(file) });
    await areReady("conffile/ada");
  });
});

test("the operator's service account uses every right that it has, and lacks none", async () => {
  // What no example has: a value in a ConfigMap, and the same event twice.
  await kubectl("create", "configmap", "texts", "--from-literal=greeting.conf=; hello");
  await team.createFile(
    "greeting",
    { path: "greeting.conf", contentFrom: { configMapKeyRef: { name: "texts", key: "greeting.conf" } } },
    "pbx",
  );
  await areReady("conffile/greeting");
  const counts = async (): Promise<string> =>
    kubectl("get", "events", "--field-selector=reason=Reloaded", "-o", "jsonpath={.items[*].count}");
  for (const time of [1, 2]) {
    await kubectl(
      "annotate",
      "--overwrite",
      "asteriskserver/pbx",
      `asterisk-iac.dev/reload-requested-at=${time}`,
    );
    await waitUntil(async () => (await counts()) === String(time));
  }
  const { used, forbidden } = await operatorRequests(lab.kubernetes);
  expect({ used, forbidden }).toEqual({ used: lab.account.rights, forbidden: [] });
});
