import { describe, expect, test } from "@jest/globals";
import type { ErrorDetails } from "../../../core/errors.ts";
import { AsteriskIacError } from "../../../core/errors.ts";
import type { ControllerOptions, ReconcileResult } from "../../../operator/runtime/controller.ts";
import { Controller } from "../../../operator/runtime/controller.ts";
import { WorkQueue } from "../../../operator/runtime/queue.ts";
import { ManualClock, settle } from "./manual-clock.ts";

function controllerOf(reconcile: ControllerOptions["reconcile"], options: Partial<ControllerOptions> = {}) {
  const clock = new ManualClock();
  const queue = new WorkQueue({ clock, backoff: { firstMs: 200, mostMs: 300_000, random: () => 1 } });
  const results: ReconcileResult[] = [];
  const onReconciled = (_: string, result: ReconcileResult): number => results.push(result);
  const controller = new Controller({ name: "test", queue, reconcile, clock, onReconciled, ...options });
  controller.start();
  return { clock, queue, results, controller };
}

function failing(details: ErrorDetails): () => Promise<never> {
  return () => Promise.reject(new AsteriskIacError("Unreachable", "no answer", details));
}

test("a reconcile gets the name and nothing else, and runs again for a change that came during it", async () => {
  const seen: string[] = [];
  const first = Promise.withResolvers<undefined>();
  const { queue } = controllerOf(({ namespace, name }) => {
    seen.push(`${namespace}/${name}`);
    return first.promise;
  });
  queue.add("office/pbx1");
  await settle();
  queue.add("office/pbx1");
  queue.add("office/pbx1");
  await settle();
  expect(seen).toEqual(["office/pbx1"]);
  first.resolve(undefined);
  await settle();
  expect(seen).toEqual(["office/pbx1", "office/pbx1"]);
});

test("never more at a time than the concurrency", async () => {
  let running = 0;
  let most = 0;
  let done = 0;
  const { queue } = controllerOf(
    async () => {
      most = Math.max(most, ++running);
      await settle();
      running--;
      done++;
      return undefined;
    },
    { concurrency: 3 },
  );
  for (let key = 0; key < 10; key++) queue.add(`n/${key}`);
  for (let turn = 0; turn < 10; turn++) await settle();
  expect({ most, done }).toEqual({ most: 3, done: 10 });
});

test("what waits for our own processor keeps its place: more at a time would be slower still", async () => {
  const mostOf = async (utilization: number): Promise<number> => {
    let running = 0;
    let most = 0;
    const { clock, queue } = controllerOf(
      async () => {
        most = Math.max(most, ++running);
        await new Promise((resolve) => clock.timer(10_000, () => resolve(undefined)));
        running--;
        return undefined;
      },
      { concurrency: 3, utilization: () => utilization },
    );
    for (let key = 0; key < 10; key++) queue.add(`n/${key}`);
    await clock.advance(60_000);
    return most;
  };
  expect(await mostOf(0.9)).toBe(3);
  expect(await mostOf(0.2)).toBe(10);
});

describe("row 38: 30 % of them hang until their deadline", () => {
  const count = 100;
  const passMs = 1_000;
  /** Of two rounds, how long until all that are not dead were done. Milliseconds. */
  async function rounds(isDead: (name: string) => boolean): Promise<number[]> {
    const alive = new Map<string, number>();
    const { clock, queue } = controllerOf(
      async ({ name }) => {
        await new Promise<void>((resolve) => {
          clock.timer(isDead(name) ? 10_000 : passMs, resolve);
        });
        if (!isDead(name)) alive.set(name, clock.now());
        return undefined;
      },
      { concurrency: 4, utilization: () => 0 },
    );
    const took: number[] = [];
    for (let round = 0; round < 2; round++) {
      const startedAt = clock.now();
      for (let key = 0; key < count; key++) queue.add(`n/${key}`);
      await clock.advance(300_000);
      took.push(Math.max(...alive.values()) - startedAt);
    }
    return took;
  }

  test("costs the others at most 1.2 times their time, and once they are known to hang nothing", async () => {
    const [usual = 0] = await rounds(() => false);
    expect(usual).toBe((count / 4) * passMs);
    const [first = 0, later = 0] = await rounds((name) => Number(name) % 10 < 3);
    expect(first).toBeLessThanOrEqual(1.2 * usual);
    expect(later).toBeLessThanOrEqual(0.8 * usual);
  });
});

test("a stop waits for what is slow, too", async () => {
  const { clock, queue, controller } = controllerOf(
    () => new Promise((resolve) => clock.timer(9_000, () => resolve(undefined))),
  );
  queue.add("n/a");
  await clock.advance(5_000);
  let drained: boolean | undefined;
  void controller.stop(20_000).then((all) => (drained = all));
  await clock.advance(3_000);
  expect(drained).toBeUndefined();
  await clock.advance(2_000);
  expect(drained).toBe(true);
});

describe("what comes after a reconcile", () => {
  test("requeueAfterMs: again at that time", async () => {
    const { clock, queue, results } = controllerOf(() => Promise.resolve({ requeueAfterMs: 60_000 }));
    queue.add("n/a");
    await clock.advance(59_999);
    expect(results).toHaveLength(1);
    await clock.advance(1);
    expect(results).toEqual(["requeue", "requeue"]);
  });

  test("nothing: never again by itself", async () => {
    const { clock, queue, results } = controllerOf(() => Promise.resolve(undefined));
    queue.add("n/a");
    await clock.advance(86_400_000);
    expect(results).toEqual(["success"]);
  });

  test("Retry: with growing waits", async () => {
    const { clock, queue, results } = controllerOf(failing({ next: "Retry" }));
    queue.add("n/a");
    await clock.advance(200 + 400 + 800);
    expect(results).toEqual(["retry", "retry", "retry", "retry"]);
  });

  test("an error that is none of ours: with growing waits", async () => {
    const errors: AsteriskIacError[] = [];
    const { clock, queue, results } = controllerOf(() => Promise.reject(new TypeError("a mistake")), {
      onError: (_, error) => errors.push(error),
    });
    queue.add("n/a");
    await clock.advance(200);
    expect(results).toEqual(["retry", "retry"]);
    expect(errors[0]?.message).toBe("a mistake");
  });

  test("Waiting: at its time, without growing", async () => {
    const { clock, queue, results } = controllerOf(failing({ next: "Waiting", retryAfterMs: 5_000 }));
    queue.add("n/a");
    await clock.advance(4_999);
    expect(results).toHaveLength(1);
    await clock.advance(10_001);
    expect(results).toEqual(["waiting", "waiting", "waiting", "waiting"]);
  });

  test("Stalled: for a change at once, by itself only at the interval", async () => {
    const { clock, queue, results } = controllerOf(failing({ next: "Stalled" }), {
      stalledAfterMs: ({ name }) => (name === "a" ? 300_000 : 0),
    });
    queue.add("n/a");
    await clock.advance(299_999);
    expect(results).toEqual(["stalled"]);
    await clock.advance(1);
    expect(results).toEqual(["stalled", "stalled"]);
    queue.add("n/a");
    await settle();
    expect(results).toHaveLength(3);
  });

  test("a success makes the next failure the first again", async () => {
    let fails = true;
    const { clock, queue } = controllerOf(() =>
      fails ? failing({ next: "Retry" })() : Promise.resolve(undefined),
    );
    queue.add("n/a");
    await clock.advance(10_000);
    expect(queue.retries("n/a")).toBeGreaterThan(3);
    fails = false;
    await clock.advance(60_000);
    expect(queue.retries("n/a")).toBe(0);
  });
});

describe("stop", () => {
  test("lets what is under way end, and begins nothing more", async () => {
    const work = Promise.withResolvers<undefined>();
    const begun: string[] = [];
    let aborted = false;
    const { queue, controller } = controllerOf(
      ({ name }, signal) => {
        begun.push(name);
        signal.addEventListener("abort", () => (aborted = true));
        return work.promise;
      },
      { concurrency: 1 },
    );
    queue.add("n/a");
    queue.add("n/b");
    await settle();
    const stopped = controller.stop();
    work.resolve(undefined);
    expect(await stopped).toBe(true);
    expect({ begun, aborted }).toEqual({ begun: ["a"], aborted: false });
  });

  test("after its bound what is under way is told to end, and nobody waits for it", async () => {
    let aborted = false;
    const { clock, queue, controller } = controllerOf((_, signal) => {
      signal.addEventListener("abort", () => (aborted = true));
      return new Promise(() => undefined);
    });
    queue.add("n/a");
    await settle();
    const stopped = controller.stop(5_000);
    await clock.advance(4_999);
    expect(aborted).toBe(false);
    await clock.advance(1);
    expect(await stopped).toBe(false);
    expect(aborted).toBe(true);
  });
});
