import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { APIRequest, KubernetesAPI } from "../../operator/runtime/index.ts";
import {
  Namespace,
  conditionOf,
  readyOf,
  startOperator,
  useOperatorLab,
  waitUntil,
  type RunningOperator,
} from "../support/operator.ts";

const lab = useOperatorLab({ count: 1 });
let team: Namespace;
let operator: RunningOperator;
/** Every request of the operator that was no read, in order. */
const writes: APIRequest[] = [];

const live = (path: string): string => {
  try {
    return readFileSync(join(lab.servers[0]?.configDirectory ?? "", path), "latin1");
  } catch {
    return "";
  }
};
const edit = (path: string, change: (text: string) => string): void =>
  writeFileSync(join(lab.servers[0]?.configDirectory ?? "", path), change(live(path)));
const onPBX = async (...command: string[]): Promise<string> =>
  (await lab.servers[0]?.run(command))?.stdout.toString() ?? "";

function recorded(api: KubernetesAPI): KubernetesAPI {
  return {
    stream: (request) => api.stream(request),
    request: (request) => {
      if (request.method !== "GET") writes.push(request);
      return api.request(request);
    },
  };
}

beforeAll(async () => {
  team = await Namespace.create(lab, "team", lab.manifestsOf(0, "team"));
  operator = await startOperator(recorded(lab.api), { namespace: "team" });
});
afterAll(() => operator.stop());

test("a server is imported into one Secret, and `kubectl wait` and `kubectl get` tell that it is ready", async () => {
  await lab.kubernetes.kubectl(
    ["-n", "team", "wait", "--for=condition=Ready", "asteriskserver/pbx1", "--timeout=60s"],
  );
  const columns = await lab.kubernetes.kubectl(["-n", "team", "get", "asteriskservers"]);
  expect(columns).toMatch(/NAME +READY +DIRECTION +IMPORTED +IN SYNC +VERSION +AGE\npbx1 +True +ToAsterisk +True +True +22\./);
  const server = await team.isReady("servers", "pbx1");
  expect(server.status).toMatchObject({ observedGeneration: 1, initialImport: { done: true }, activeCalls: 0 });
  expect(conditionOf(server, "Stalled")).toMatchObject({ status: "False" });
  expect(conditionOf(server, "Reconciling")).toMatchObject({ status: "False" });
  expect(server.status?.lastApplied).toBeUndefined();
  await waitUntil(async () => (await team.events("pbx1")).some((event) => /^Imported: \d+ files/.test(event)));
});

describe("declared resources", () => {
  test("are live, verified and told of; an edit by `kubectl apply` too", async () => {
    const t = performance.now();
    await team.createAccount("crm");
    await team.createFile("park", { path: "res_parking_custom.conf", content: "; one\n" });
    const account = await team.isReady("accounts", "crm");
    console.error("two parts ready", performance.now() - t);
    expect(account.status?.file).toMatch(/manager/);
    expect(account.status?.verified?.length).toBeGreaterThan(0);
    expect(live(account.status?.file ?? "")).toContain("[crm]");
    await team.isReady("files", "park");
    expect(live("res_parking_custom.conf")).toBe("; one\n");
    expect(await onPBX("asterisk", "-rx", "manager show user crm")).toContain("username: crm");
    await team.patch("files", "park", { spec: { content: "; two\n" } });
    const file = await team.isReady("files", "park");
    console.error("edit", performance.now() - t);
    expect(file.status?.observedGeneration).toBe(2);
    expect(live("res_parking_custom.conf")).toBe("; two\n");
    expect(readyOf(await team.isReady("servers", "pbx1"))).toBe("True");
  });

  test("edited by hand on the PBX are put back at once after a reload there", async () => {
    const t = performance.now();
    edit("res_parking_custom.conf", () => "; by hand\n");
    await onPBX("asterisk", "-rx", "module reload res_rtp_asterisk");
    await waitUntil(() => live("res_parking_custom.conf") === "; two\n");
    console.error("put back", performance.now() - t);
  });
});

test("a pass without changes makes no write and no status patch", async () => {
  await team.isReady("servers", "pbx1");
  const t = performance.now();
  await team.patch("servers", "pbx1", { spec: { interval: "1s" } });
  await new Promise((resolve) => setTimeout(resolve, 3000));
  writes.length = 0;
  await new Promise((resolve) => setTimeout(resolve, 5000));
  console.error(writes.map(({ method, path }) => `${method} ${path}`), operator.errors, performance.now() - t);
  expect(writes).toEqual([]);
});
