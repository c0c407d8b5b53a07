import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { helmDeadlineMs, helmProgram, manifestsOf, render } from "../deploy/helm/helm.ts";
import { installAccount, operatorNamespace, operatorRequests } from "../support/operator-account.ts";
import { startOperatorProcess, type OperatorProcess } from "../support/operator-process.ts";
import { Namespace, useOperatorLab } from "../support/operator.ts";

const lab = useOperatorLab({ count: 2 });
/** Of the chart with `watchNamespace`, beside that of the kustomize base, which may do more. */
const account = "office-operator";
let office: Namespace;
let branch: Namespace;
let operator: OperatorProcess | undefined;

const live = (index: number, path: string): string =>
  readFileSync(join(lab.servers[index]?.configDirectory ?? "", path), "latin1");
const mayRead = (namespace: string): Promise<string> =>
  lab.kubernetes
    .kubectl([
      ...["auth", "can-i", "get", "secrets", "--namespace", namespace],
      ...["--as", `system:serviceaccount:${operatorNamespace}:${account}`],
    ])
    .catch((error: unknown) => (error as Error).message);

beforeAll(async () => {
  office = await Namespace.create(lab, "office", lab.manifestsOf(0, "office"));
  branch = await Namespace.create(lab, "branch", lab.manifestsOf(1, "branch"));
  await branch.createFile("theirs", { path: "theirs.conf", content: "; no\n" }, "pbx2");
}, helmDeadlineMs);
afterAll(async () => {
  operator?.kill("SIGTERM");
  await operator?.ended;
});

test("the chart's watchNamespace: servers of that namespace are kept in step with its rights, and no other is looked at", async () => {
  const values = { fullnameOverride: account, watchNamespace: "office", webhook: { enabled: true } };
  const manifests = await render(await helmProgram(), { values });
  const deployment = manifestsOf(manifests).find(({ kind }) => kind === "Deployment");
  expect(JSON.stringify(deployment)).toContain('"--namespace=office"');
  const { kubeconfig } = await installAccount(lab.kubernetes, { manifests, watched: "office" });
  expect([await mayRead("office"), await mayRead("branch")]).toEqual([
    "yes\n",
    expect.stringMatching(/exited 1/),
  ]);

  await office.createFile("hours", { path: "hours.conf", content: "; nine to five\n" });
  await office.createAccount("crm");
  operator = startOperatorProcess({
    ...{ kubeconfig, namespace: "office", lease: account, webhook: "127.0.0.1:0" },
  });
  await operator.says('"leading"');
  const server = await office.isReady("servers", "pbx1");
  expect(server.status?.initialImport).toMatchObject({ done: true });
  await office.isReady("files", "hours");
  await office.isReady("accounts", "crm");

  await office.patch("files", "hours", { spec: { content: "; ten to four\n" } });
  await office.isReady("files", "hours");
  expect(live(0, "hours.conf")).toBe("; ten to four\n");
  await office.delete("accounts", "crm");
  await office.isGone("accounts", "crm");
  await office.createSecret("door", { pin: "1111" });
  await office.patch("files", "hours", { spec: { content: "; @{secret:door/pin}\n" } });
  await office.isReady("files", "hours");
  expect(live(0, "hours.conf")).toBe("; 1111\n");

  expect((await branch.sees("servers", "pbx2", () => true)).status).toBeUndefined();
  expect((await branch.sees("files", "theirs", () => true)).metadata.finalizers).toBeUndefined();
  expect(() => live(1, "theirs.conf")).toThrow(/ENOENT/);
  operator.kill("SIGTERM");
  expect(await operator.ended).toBeNull();
  expect(operator.log.filter((line) => /"level":(40|50)/.test(line))).toEqual([]);
  const { forbidden, namespaces } = await operatorRequests(lab.kubernetes, account);
  expect({ forbidden, namespaces }).toEqual({ forbidden: [], namespaces: [operatorNamespace, "office"] });
});
