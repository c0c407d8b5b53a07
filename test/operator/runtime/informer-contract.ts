import { afterEach, describe, expect, test } from "@jest/globals";
import type { AsteriskIacError } from "../../../core/errors.ts";
import type { APIRequest, KubernetesAPI } from "../../../operator/runtime/api.ts";
import { Controller } from "../../../operator/runtime/controller.ts";
import { Informer } from "../../../operator/runtime/informer.ts";
import { keyOf } from "../../../operator/runtime/objects.ts";
import { WorkQueue } from "../../../operator/runtime/queue.ts";
import { ResourceClient } from "../../../operator/runtime/resources.ts";
import { until } from "../../support/until.ts";
import type { Widget } from "./widgets.ts";
import { widget, widgetKind } from "./widgets.ts";

/** An API server whose watches can be ended from outside. */
export interface CuttableAPI {
  readonly api: KubernetesAPI;
  /** Ends every connection, or whatever comes nearest. */
  cut(): void;
}

/** Lets the watches of an API end when told to, and lets the next one ask for what happened long ago. */
export function gated(api: KubernetesAPI) {
  const gate = {
    streams: 0,
    lists: 0,
    /** While it waits, no watch begins. */
    open: Promise.resolve(undefined) as Promise<undefined>,
    isTooOld: false,
  };
  const behind: KubernetesAPI = {
    request: (request) => {
      if (request.method === "GET" && request.query?.["limit"] !== undefined) gate.lists++;
      return api.request(request);
    },
    stream: async function* (request: APIRequest) {
      gate.streams++;
      await gate.open;
      const { isTooOld } = gate;
      gate.isTooOld = false;
      yield* api.stream(isTooOld ? { ...request, query: { ...request.query, resourceVersion: 1 } } : request);
    },
  };
  return { gate, api: behind };
}

/** What an Informer does, over the real API server and over the fake. */
export function informerContract(server: () => CuttableAPI): void {
  const started: Informer<Widget>[] = [];
  afterEach(async () => {
    await Promise.all(started.splice(0).map((informer) => informer.stop()));
  });

  /** An informer with all that it told of, behind a gate. */
  async function follow() {
    const { gate, api } = gated(server().api);
    const client = new ResourceClient<Widget>(api, widgetKind);
    const errors: AsteriskIacError[] = [];
    const told: string[] = [];
    const informer = new Informer<Widget>({
      client,
      namespace: "default",
      backoff: { firstMs: 10, mostMs: 100 },
      onError: (error) => errors.push(error),
    });
    informer.on({
      added: ({ metadata }) => told.push(`added ${metadata.name}`),
      changed: ({ metadata, spec }, previous) =>
        told.push(`changed ${metadata.name} ${previous.spec?.size}→${spec?.size}`),
      deleted: ({ metadata }) => told.push(`deleted ${metadata.name}`),
    });
    started.push(informer);
    informer.start();
    await informer.synced();
    await until(() => gate.streams > 0);
    return { gate, client, informer, errors, told };
  }

  async function resize(client: ResourceClient<Widget>, name: string, size: number): Promise<Widget> {
    const now = await client.get("default", name);
    if (now === undefined) throw new Error(`no widget ${name}`);
    return client.replace({ ...now, spec: { size } });
  }

  test("tells of what is there, what comes, changes and goes", async () => {
    const client = new ResourceClient<Widget>(server().api, widgetKind);
    await client.create(widget("there"));
    const { informer, told } = await follow();
    expect(informer.hasSynced).toBe(true);
    expect(informer.get("default/there")).toMatchObject({ metadata: { name: "there" } });
    await client.create(widget("comes"));
    await until(() => told.includes("added comes"));
    const changed = await resize(client, "comes", 2);
    await until(() => told.includes("changed comes 1→2"));
    expect(informer.resourceVersionOf("default/comes")).toBe(changed.metadata.resourceVersion);
    await client.delete("default", "comes");
    await until(() => told.includes("deleted comes"));
    expect(informer.get("default/comes")).toBeUndefined();
    expect(told.filter((line) => line.includes("comes"))).toEqual([
      "added comes",
      "changed comes 1→2",
      "deleted comes",
    ]);
  });

  test("a connection that dies is resumed where it was: no list, nothing told twice, nothing missed", async () => {
    const { gate, client, told } = await follow();
    await client.create(widget("before"));
    await until(() => told.includes("added before"));
    const opening = Promise.withResolvers<undefined>();
    gate.open = opening.promise;
    const { streams } = gate;
    server().cut();
    await until(() => gate.streams > streams);
    await client.create(widget("meanwhile"));
    await client.delete("default", "before");
    opening.resolve(undefined);
    await until(() => told.includes("deleted before"));
    expect(told.filter((line) => /before|meanwhile/.test(line))).toEqual([
      "added before",
      "added meanwhile",
      "deleted before",
    ]);
    expect(gate.lists).toBe(1);
  });

  test("row 29: after a 410 all is listed again, and a deletion that was missed is told", async () => {
    const { gate, client, informer, errors, told } = await follow();
    await client.create(widget("missed"));
    await client.create(widget("stays"));
    await until(() => told.includes("added stays"));
    const opening = Promise.withResolvers<undefined>();
    gate.open = opening.promise;
    const { streams } = gate;
    server().cut();
    await until(() => gate.streams > streams);
    await client.delete("default", "missed");
    await resize(client, "stays", 3);
    gate.isTooOld = true;
    opening.resolve(undefined);
    await until(() => told.includes("changed stays 1→3"));
    expect(told).toContain("deleted missed");
    expect(informer.get("default/missed")).toBeUndefined();
    expect(errors.some(({ code }) => code === "KubernetesExpired")).toBe(true);
    expect(gate.lists).toBe(2);
    // And it follows again.
    await client.create(widget("later"));
    await until(() => told.includes("added later"));
  });

  test("row 29: an object made anew while nobody watched is told as deleted and added", async () => {
    const { gate, client, told } = await follow();
    await client.create(widget("again"));
    await until(() => told.includes("added again"));
    const opening = Promise.withResolvers<undefined>();
    gate.open = opening.promise;
    const { streams } = gate;
    server().cut();
    await until(() => gate.streams > streams);
    await client.delete("default", "again");
    await client.create(widget("again"));
    gate.isTooOld = true;
    opening.resolve(undefined);
    await until(() => told.filter((line) => line.endsWith("again")).length === 3);
    expect(told.filter((line) => line.endsWith("again"))).toEqual([
      "added again",
      "deleted again",
      "added again",
    ]);
  });

  test("row 29: the finalizer completes, though the news of the deletion was missed", async () => {
    const { gate, client, informer, told } = await follow();
    const queue = new WorkQueue();
    const controller = new Controller({
      name: "widgets",
      queue,
      reconcile: async (key) => {
        const object = informer.get(keyOf(key));
        const { deletionTimestamp, resourceVersion = "" } = object?.metadata ?? {};
        if (deletionTimestamp !== undefined)
          await client.patchMetadata(key, { finalizers: [] }, resourceVersion);
        return undefined;
      },
    });
    const enqueue = ({ metadata }: Widget): void => queue.add(keyOf(metadata));
    informer.on({ added: enqueue, changed: enqueue });
    controller.start();
    await client.create(widget("finalized", { finalizers: ["test.asterisk-iac.dev/let-go"] }));
    await until(() => told.includes("added finalized"));
    const opening = Promise.withResolvers<undefined>();
    gate.open = opening.promise;
    const { streams } = gate;
    server().cut();
    await until(() => gate.streams > streams);
    await client.delete("default", "finalized");
    gate.isTooOld = true;
    opening.resolve(undefined);
    await until(async () => (await client.get("default", "finalized")) === undefined);
    await until(() => told.includes("deleted finalized"));
    expect(await controller.stop()).toBe(true);
  });

  describe("row 30: a cache that is behind", () => {
    test("knows what we wrote at once, and what comes late does not undo it", async () => {
      const { gate, client, informer, told } = await follow();
      await client.create(widget("written"));
      await until(() => told.includes("added written"));
      const opening = Promise.withResolvers<undefined>();
      gate.open = opening.promise;
      const { streams } = gate;
      server().cut();
      await until(() => gate.streams > streams);
      await resize(client, "written", 5);
      informer.wrote(await resize(client, "written", 6));
      expect(informer.get("default/written")).toMatchObject({ spec: { size: 6 } });
      opening.resolve(undefined);
      await client.create(widget("after-written"));
      await until(() => told.includes("added after-written"));
      expect(told.filter((line) => line.includes(" written"))).toEqual([
        "added written",
        "changed written 1→6",
      ]);
    });

    test("brings nothing back that is gone", async () => {
      const { client, informer, told } = await follow();
      const made = await client.create(widget("brief"));
      await client.delete("default", "brief");
      await until(() => told.includes("deleted brief"));
      informer.wrote(made);
      expect(informer.get("default/brief")).toBeUndefined();
    });
  });
}
