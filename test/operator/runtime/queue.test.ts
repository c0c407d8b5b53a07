import { describe, expect, test } from "@jest/globals";
import type { WorkQueueOptions } from "../../../operator/runtime/queue.ts";
import { WorkQueue } from "../../../operator/runtime/queue.ts";
import { ManualClock, settle } from "./manual-clock.ts";

/** A queue without chance in its waits, and all that it hands out from now on. */
function takenFrom(options: WorkQueueOptions = {}) {
  const clock = new ManualClock();
  const backoff = { firstMs: 200, mostMs: 300_000, random: () => 1 };
  const queue = new WorkQueue({ clock, backoff, ...options });
  const taken: string[] = [];
  const take = async (): Promise<void> => {
    for (let key = await queue.next(); key !== undefined; key = await queue.next()) taken.push(key);
  };
  return { clock, queue, taken, taking: take() };
}

describe("a key stands in the queue once", () => {
  test("added three times before it is taken", async () => {
    const queue = new WorkQueue();
    for (const key of ["a", "b", "a", "a"]) queue.add(key);
    expect(queue.depth).toBe(2);
    expect([await queue.next(), await queue.next()]).toEqual(["a", "b"]);
    expect(queue.depth).toBe(0);
  });

  test("added while it is worked on: again, but only after done", async () => {
    const { queue, taken } = takenFrom();
    queue.add("a");
    await settle();
    queue.add("a");
    queue.add("a");
    await settle();
    expect(taken).toEqual(["a"]);
    queue.done("a");
    await settle();
    expect(taken).toEqual(["a", "a"]);
    queue.done("a");
    await settle();
    expect(taken).toEqual(["a", "a"]);
  });

  test("one key under way keeps no other from being taken", async () => {
    const { queue, taken } = takenFrom();
    queue.add("a");
    queue.add("b");
    await settle();
    expect(taken).toEqual(["a", "b"]);
  });
});

describe("addAfter", () => {
  test("adds when the time has come, and not before", async () => {
    const { clock, queue, taken } = takenFrom();
    queue.addAfter("a", 1_000);
    await clock.advance(999);
    expect(taken).toEqual([]);
    await clock.advance(1);
    expect(taken).toEqual(["a"]);
  });

  test("of several waits the shortest counts, and only that", async () => {
    const { clock, queue, taken } = takenFrom();
    queue.addAfter("a", 5_000);
    queue.addAfter("a", 1_000);
    queue.addAfter("a", 3_000);
    await clock.advance(1_000);
    expect(taken).toEqual(["a"]);
    queue.done("a");
    await clock.advance(10_000);
    expect(taken).toEqual(["a"]);
    expect(clock.waiting).toBe(0);
  });

  test("a key that is handed out for a change no longer waits for its time", async () => {
    const { clock, queue, taken } = takenFrom();
    queue.addAfter("a", 1_000);
    queue.add("a");
    await settle();
    queue.done("a");
    await clock.advance(10_000);
    expect(taken).toEqual(["a"]);
  });

  test("a wait that was asked for during the work holds", async () => {
    const { clock, queue, taken } = takenFrom();
    queue.add("a");
    await settle();
    queue.addAfter("a", 1_000);
    queue.done("a");
    await clock.advance(1_000);
    expect(taken).toEqual(["a", "a"]);
  });
});

describe("retry", () => {
  test("waits twice as long each time, up to the most; forget starts over", async () => {
    const { clock, queue, taken } = takenFrom();
    const waits: number[] = [];
    const waitOf = async (): Promise<number> => {
      const before = clock.now();
      const count = taken.length;
      queue.retry("a");
      while (taken.length === count) await clock.advance(100);
      queue.done("a");
      return clock.now() - before;
    };
    for (let attempt = 0; attempt < 13; attempt++) waits.push(await waitOf());
    expect(waits.slice(0, 5)).toEqual([200, 400, 800, 1_600, 3_200]);
    expect(waits.slice(-2)).toEqual([300_000, 300_000]);
    expect(queue.retries("a")).toBe(13);
    queue.forget("a");
    expect(await waitOf()).toBe(200);
  });

  test("no two of many keys that fail at once come back at once", async () => {
    let draw = 0;
    const random = (): number => (draw++ % 100) / 100;
    const { clock, queue, taken } = takenFrom({ backoff: { firstMs: 1_000, mostMs: 1_000, random } });
    for (let key = 0; key < 100; key++) queue.retry(String(key));
    await clock.advance(499);
    expect(taken).toHaveLength(0);
    await clock.advance(251);
    expect(taken).toHaveLength(51);
    await clock.advance(250);
    expect(taken).toHaveLength(100);
  });

  test("the waits of one key say nothing of another's", async () => {
    const { clock, queue, taken } = takenFrom();
    for (let attempt = 0; attempt < 5; attempt++) {
      queue.retry("a");
      await clock.advance(10_000);
      queue.done("a");
    }
    queue.retry("b");
    await clock.advance(200);
    expect(taken.at(-1)).toBe("b");
  });
});

test("no more keys are handed out than the rate allows, whoever adds them", async () => {
  const { clock, queue, taken } = takenFrom({ rateLimit: { perSecond: 10, burst: 20 } });
  for (let key = 0; key < 100; key++) queue.add(String(key));
  await settle();
  expect(taken).toHaveLength(20);
  await clock.advance(1_000);
  expect(taken).toHaveLength(30);
  await clock.advance(7_000);
  expect(taken).toHaveLength(100);
});

describe("close", () => {
  test("ends those who wait, keeps no timer and takes nothing more", async () => {
    const { clock, queue, taken, taking } = takenFrom({ rateLimit: { perSecond: 1, burst: 1 } });
    queue.add("a");
    queue.add("b");
    queue.addAfter("c", 1_000);
    await settle();
    queue.close();
    await taking;
    queue.add("d");
    queue.addAfter("e", 1);
    queue.done("a");
    expect(await queue.next()).toBeUndefined();
    expect(queue.depth).toBe(0);
    expect(taken).toEqual(["a"]);
    expect(clock.waiting).toBe(0);
  });
});
