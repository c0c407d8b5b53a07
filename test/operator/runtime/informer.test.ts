import { describe, expect, test } from "@jest/globals";
import type { AsteriskIacError } from "../../../core/errors.ts";
import { unavailable } from "../../../operator/runtime/api-errors.ts";
import { Informer } from "../../../operator/runtime/informer.ts";
import { ResourceClient } from "../../../operator/runtime/resources.ts";
import { FakeKubernetes } from "./fake-kubernetes.ts";
import { informerContract } from "./informer-contract.ts";
import { ManualClock, settle } from "./manual-clock.ts";
import type { Widget } from "./widgets.ts";
import { widget, widgetKind } from "./widgets.ts";

describe("over the fake", () => {
  const fake = new FakeKubernetes();
  informerContract(() => ({ api: fake, cut: () => fake.cutWatches() }));
});

function followed() {
  const fake = new FakeKubernetes();
  const clock = new ManualClock();
  const errors: AsteriskIacError[] = [];
  const client = new ResourceClient<Widget>(fake, widgetKind);
  const informer = new Informer<Widget>({
    client,
    clock,
    backoff: { firstMs: 200, mostMs: 30_000, random: () => 1 },
    onError: (error) => errors.push(error),
  });
  const watches = () => fake.requests.filter(({ query }) => query?.["watch"] === true);
  return { fake, clock, errors, client, informer, watches };
}

test("a watch without traffic for 30 s is made anew, from where it was; one with traffic is not", async () => {
  const { clock, client, informer, watches, errors } = followed();
  informer.start();
  await clock.advance(29_000);
  await client.create(widget("traffic"));
  await clock.advance(29_000);
  expect(watches()).toHaveLength(1);
  await clock.advance(1_000);
  expect(watches()).toHaveLength(2);
  expect(watches()[1]?.query?.["resourceVersion"]).toBe(informer.resourceVersionOf("default/traffic"));
  expect(watches()[0]?.signal?.reason).toMatchObject({ name: "TimeoutError" });
  expect(errors).toEqual([]);
  await informer.stop();
  expect(clock.waiting).toBe(0);
});

test("an API server that is down is asked again with growing waits, for ever, and then followed", async () => {
  const { fake, clock, client, informer, errors } = followed();
  fake.intercept = (request) => {
    throw unavailable(request, new Error("connect ECONNREFUSED"));
  };
  informer.start();
  await clock.advance(200 + 400 + 800);
  expect(errors).toHaveLength(4);
  await clock.advance(3_600_000);
  expect(errors.length).toBeGreaterThan(120);
  expect(informer.hasSynced).toBe(false);
  fake.intercept = () => undefined;
  await client.create(widget("there"));
  await clock.advance(30_000);
  expect(informer.hasSynced).toBe(true);
  expect(informer.list()).toHaveLength(1);
  await informer.stop();
});

test("a watch that ends again and again before anything comes is made anew with growing waits", async () => {
  const { fake, clock, informer, watches, errors } = followed();
  informer.start();
  await settle();
  fake.intercept = ({ query }) => {
    if (query?.["watch"] === true) queueMicrotask(() => fake.cutWatches());
  };
  fake.cutWatches();
  await clock.advance(60_000);
  expect(watches().length).toBeLessThan(12);
  expect(errors[0]?.message).toBe("the watch of widgets ended at once");
  await informer.stop();
});

test("a handler that throws is reported, and the others are called all the same", async () => {
  const { client, informer, errors } = followed();
  const told: string[] = [];
  informer.on({
    added: () => {
      throw new Error("a mistake");
    },
  });
  informer.on({ added: ({ metadata }) => told.push(metadata.name) });
  informer.start();
  await informer.synced();
  await client.create(widget("a"));
  await client.create(widget("b"));
  await settle();
  expect(told).toEqual(["a", "b"]);
  expect(errors.map(({ message }) => message)).toEqual(["a mistake", "a mistake"]);
  await informer.stop();
});

test("a handler that comes later is told of what is there", async () => {
  const { client, informer } = followed();
  await client.create(widget("there"));
  informer.start();
  await informer.synced();
  const told: string[] = [];
  informer.on({ added: ({ metadata }) => told.push(metadata.name) });
  expect(told).toEqual(["there"]);
  await informer.stop();
});

test("stopped before its list: whoever waits for it is told", async () => {
  const { fake, informer } = followed();
  fake.intercept = (request) => {
    throw unavailable(request, new Error("down"));
  };
  informer.start();
  const synced = informer.synced();
  await informer.stop();
  await expect(synced).rejects.toMatchObject({ code: "KubernetesUnavailable" });
});
