import { expect, test } from "@jest/globals";
import { RoundTrips } from "../../asterisk/round-trips.ts";

function deferred(): { promise: Promise<undefined>; resolve: () => void } {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  return { promise, resolve: () => resolve(undefined) };
}

test("requests one after the other count each, also those that fail", async () => {
  const trips = new RoundTrips();
  await trips.counted(() => Promise.resolve(1));
  await trips.counted(() => Promise.reject(new Error("refused"))).catch(() => undefined);
  await trips.counted(() => Promise.resolve(3));
  expect(trips.count).toBe(3);
});

test("requests that are sent together count once, from the moment at which they are sent", async () => {
  const trips = new RoundTrips();
  const both = Promise.all([
    trips.counted(() => Promise.resolve(1)),
    trips.counted(() => Promise.resolve(2)),
  ]);
  expect(trips.count).toBe(1);
  await both;
  expect(trips.count).toBe(1);
});

test("a request after an answer counts, though a third is still under way", async () => {
  const trips = new RoundTrips();
  const slow = deferred();
  const [third] = [trips.counted(() => slow.promise)];
  await trips.counted(() => Promise.resolve(1));
  await trips.counted(() => Promise.resolve(2));
  expect(trips.count).toBe(2);
  slow.resolve();
  await third;
  await trips.counted(() => Promise.resolve(4));
  expect(trips.count).toBe(3);
});
