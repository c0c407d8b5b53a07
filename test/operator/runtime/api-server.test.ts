import { spawn, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { KubeConfig } from "@kubernetes/client-node";
import { APIServer } from "../../../operator/runtime/api.ts";
import { Informer } from "../../../operator/runtime/informer.ts";
import { LeaderElection } from "../../../operator/runtime/leader.ts";
import type { ConfigMap, KubernetesObject } from "../../../operator/runtime/objects.ts";
import { isOlder, kinds } from "../../../operator/runtime/objects.ts";
import { ResourceClient } from "../../../operator/runtime/resources.ts";
import { useKubernetes } from "../../support/kubernetes.ts";
import { until } from "../../support/until.ts";
import { eventContract } from "./event-contract.ts";
import { gated, informerContract } from "./informer-contract.ts";
import { resourceContract } from "./resource-contract.ts";
import { proxyTo, type Proxy } from "./tcp-proxy.ts";
import type { Widget } from "./widgets.ts";
import { widget, widgetDefinition, widgetKind } from "./widgets.ts";

const kubernetes = useKubernetes();
let proxy: Proxy;
let api: APIServer;

beforeAll(async () => {
  await kubernetes.apply(widgetDefinition);
  await kubernetes.kubectl(["wait", "--for=condition=Established", "crd/widgets.test.asterisk-iac.dev"]);
  const configuration = new KubeConfig();
  configuration.loadFromFile(kubernetes.kubeconfig);
  const cluster = configuration.getCurrentCluster();
  if (cluster === null) throw new Error("the kubeconfig has no cluster");
  const url = new URL(cluster.server);
  proxy = await proxyTo(Number(url.port));
  url.port = String(proxy.port);
  configuration.clusters = [{ ...cluster, server: url.href }];
  api = new APIServer(configuration, { timeoutMs: 5_000 });
  // The kind is served a moment after it is established.
  const widgets = new ResourceClient<Widget>(api, widgetKind);
  await until(() =>
    widgets.list().then(
      () => true,
      () => false,
    ),
  );
});

afterAll(() => proxy.close());

const informers: { stop(): Promise<void> }[] = [];
afterEach(async () => {
  await Promise.all(informers.splice(0).map((informer) => informer.stop()));
});

/** Followed until the end of the test. */
function started<T extends KubernetesObject>(informer: Informer<T>): Informer<T> {
  informers.push(informer);
  informer.start();
  return informer;
}

describe("over a real API server", () => {
  resourceContract(() => api);
  informerContract(() => ({ api, cut: () => proxy.cut() }));
  eventContract(() => api);
});

test("1,200 objects are listed in pages, each once, and followed", async () => {
  const { gate, api: counted } = gated(api);
  const client = new ResourceClient<ConfigMap>(counted, kinds.configMap);
  const labels = { test: "pages" };
  const names = Array.from({ length: 1_200 }, (_, number) => `object-${number}`);
  const left = [...names];
  const create = async (): Promise<void> => {
    for (let name = left.pop(); name !== undefined; name = left.pop())
      await client.create({ metadata: { namespace: "default", name, labels } });
  };
  await Promise.all(Array.from({ length: 10 }, create));
  const informer = started(new Informer({ client, labelSelector: "test=pages", metadataOnly: true }));
  const told = { added: 0, deleted: 0 };
  informer.on({ added: () => told.added++, deleted: () => told.deleted++ });
  await informer.synced();
  expect(gate.lists).toBe(3);
  expect(
    informer
      .list()
      .map(({ metadata }) => metadata.name)
      .sort(),
  ).toEqual(names.sort());
  await client.delete("default", "object-7");
  await until(() => told.deleted === 1);
  expect(told).toEqual({ added: 1_200, deleted: 1 });
});

test("a connection that goes silent is noticed, and what came meanwhile is told", async () => {
  const { apiVersion, kind } = widgetKind;
  const told: string[] = [];
  const client = new ResourceClient<Widget>(api, widgetKind);
  const informer = started(new Informer<Widget>({ client, namespace: "default", idleMs: 1_000 }));
  informer.on({ added: ({ metadata }) => told.push(metadata.name) });
  await informer.synced();
  proxy.freeze();
  await kubernetes.apply(JSON.stringify({ ...widget("in-silence"), apiVersion, kind }));
  await until(() => told.includes("in-silence"));
});

test("watches made anew again and again leave no connection behind", async () => {
  const before = proxy.open;
  const client = new ResourceClient<Widget>(api, widgetKind);
  const { gate, api: counted } = gated(api);
  const informer = started(
    new Informer<Widget>({
      client: new ResourceClient(counted, widgetKind),
      namespace: "default",
      idleMs: 50,
    }),
  );
  await informer.synced();
  await until(() => gate.streams > 40);
  await client.create(widget("after-many"));
  await until(() => informer.get("default/after-many") !== undefined);
  await informer.stop();
  // Those of the other tests' watches stay.
  await until(() => proxy.open <= before + 2);
});

describe("election", () => {
  const children: ChildProcess[] = [];
  afterEach(() => {
    for (const child of children.splice(0)) child.kill("SIGKILL");
  });

  /** A candidate in a process of its own. */
  function stand(name: string) {
    const script = fileURLToPath(new URL("leader-process.ts", import.meta.url));
    const child = spawn(process.execPath, ["--no-warnings", script, kubernetes.kubeconfig, name], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    children.push(child);
    const lines: string[] = [];
    const waiting: { line: RegExp; resolve: () => void }[] = [];
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      for (const line of text.split("\n").filter((each) => each !== "")) {
        lines.push(line);
        for (const each of waiting.filter((one) => one.line.test(line))) each.resolve();
      }
    });
    /** The next such line, from now on. */
    const next = (line: RegExp): Promise<void> => new Promise((resolve) => waiting.push({ line, resolve }));
    return { child, lines, next };
  }

  test("row 27: killed or paused, a leader is followed soon and writes nothing after that", async () => {
    const first = stand("first");
    await first.next(/^wrote/);
    const second = stand("second");
    const secondLeads = second.next(/^leads/);
    await second.next(/^stands/);
    await first.next(/^wrote/);
    first.child.kill("SIGKILL");
    const killedAt = performance.now();
    await secondLeads;
    // A Lease is good for 2 s; a busy machine adds to it.
    expect(performance.now() - killedAt).toBeLessThan(15_000);

    const third = stand("third");
    const thirdLeads = third.next(/^leads/);
    const thirdWrites = third.next(/^wrote/);
    await third.next(/^stands/);
    await second.next(/^wrote/);
    second.child.kill("SIGSTOP");
    const pausedAt = performance.now();
    await thirdLeads;
    expect(performance.now() - pausedAt).toBeLessThan(15_000);
    await thirdWrites;
    const awake = second.next(/^refused/);
    const stopped = second.next(/^stopped/);
    const { length: before } = second.lines;
    second.child.kill("SIGCONT");
    await Promise.all([awake, stopped]);
    expect(second.lines.slice(before)).not.toContain("wrote");

    const client = new ResourceClient<ConfigMap>(api, kinds.configMap);
    const { items } = await client.list({ namespace: "default", labelSelector: "test=leader" });
    const tokens = [...items]
      .sort((a, b) => (isOlder(a.metadata.resourceVersion, b.metadata.resourceVersion) ? -1 : 1))
      .map(({ data }) => Number(data?.["token"]));
    expect(tokens).toEqual([...tokens].sort((a, b) => a - b));
    expect([...new Set(tokens)]).toEqual([1, 2, 3]);
  });

  test("one that stops gives up the Lease, and another leads without waiting for its end", async () => {
    const options = {
      api,
      namespace: "default",
      name: "given-up",
      leaseMs: 15_000,
      renewMs: 10_000,
      retryMs: 200,
    };
    const first = new LeaderElection({ ...options, identity: "first" });
    const second = new LeaderElection({ ...options, identity: "second" });
    const leads = Promise.withResolvers<number>();
    const firstRan = first.run(() => leads.resolve(1));
    await leads.promise;
    const follows = Promise.withResolvers<number>();
    const secondRan = second.run((_, token) => follows.resolve(token));
    await first.stop();
    const stoppedAt = performance.now();
    expect(await follows.promise).toBe(2);
    expect(performance.now() - stoppedAt).toBeLessThan(options.leaseMs / 2);
    await second.stop();
    await Promise.all([firstRan, secondRan]);
  });
});
