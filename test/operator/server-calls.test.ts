import { expect, test } from "@jest/globals";
import { asteriskServer } from "../../core/resource/index.ts";
import { AsteriskIacError } from "../../core/errors.ts";
import type { FollowOptions } from "../../engine/calls/follow.ts";
import type { ToldLine } from "../../engine/calls/lines.ts";
import type { Position } from "../../engine/calls/position.ts";
import { MemorySecrets } from "../../engine/memory-secrets.ts";
import type { ServerDeclaration } from "../../engine/session.ts";
import { ServerCalls } from "../../operator/server-calls.ts";

const secrets = new MemorySecrets({});

function declared(change: object = {}): ServerDeclaration {
  const { spec } = asteriskServer.parse({
    apiVersion: "asterisk-iac.dev/v1alpha1",
    kind: "AsteriskServer",
    metadata: { name: "pbx1" },
    spec: {
      ssh: { host: "pbx1" },
      ami: { credentialsSecretRef: { name: "ami" } },
      calls: { credentialsSecretRef: { name: "calls" } },
      ...change,
    },
  });
  return { name: "default/pbx1", spec } as ServerDeclaration;
}

/** Where the n-th watch ends. */
function endOf(watch: number): Position {
  return { since: watch, watchedFrom: 0, uniqueIDs: [] };
}

/** A follower that goes on until it is stopped, and what was said about it. */
function watched(follow?: (options: FollowOptions) => Promise<void>) {
  const watches: FollowOptions[] = [];
  const told: string[] = [];
  const errors: string[] = [];
  const calls = new ServerCalls({
    tell: (key, line) => told.push(`${key} ${line.kind}`),
    onError: (key, error) => errors.push(`${key} ${error.code}`),
    follow: async (_, __, options) => {
      watches.push(options);
      if (follow !== undefined) return follow(options);
      const end = endOf(watches.length);
      await new Promise((resolve) => options.signal.addEventListener("abort", resolve, { once: true }));
      options.onEnd?.(end);
    },
  });
  return { calls, watches, told, errors, positions: () => watches.map(({ position }) => position) };
}

test("a server that declares calls is watched once, however often it is reconciled", async () => {
  const { calls, watches, told } = watched();
  calls.keep("default/pbx1", declared(), secrets, "1");
  calls.keep("default/pbx1", declared({ interval: "1m" }), secrets, "1");
  expect(watches).toHaveLength(1);
  await watches[0]?.tell({ kind: "Gap" } as ToldLine);
  expect(told).toEqual(["default/pbx1 Gap"]);
  await calls.closeAll();
  expect(watches[0]?.signal.aborted).toBe(true);
});

test.each([
  ["another country", { country: "DE" }, "1"],
  ["another secret", {}, "2"],
])("%s: a new watch in the place of the old one", async (_, change, stamp) => {
  const { calls, watches, positions } = watched();
  calls.keep("default/pbx1", declared(), secrets, "1");
  calls.keep("default/pbx1", declared(change), secrets, stamp);
  // Not before the old one has told all.
  expect(watches).toHaveLength(1);
  await new Promise(setImmediate);
  expect(watches.map(({ signal }) => signal.aborted)).toEqual([true, false]);
  expect(positions()).toEqual([undefined, endOf(1)]);
  await calls.closeAll();
});

test("a server whose calls another replica watched begins where that was seen last, and only once", async () => {
  const { calls, positions } = watched();
  calls.takeOver("default/pbx1", 1_000);
  calls.keep("default/pbx1", declared(), secrets, "1");
  calls.keep("default/pbx1", declared(), secrets, "2");
  await new Promise(setImmediate);
  await calls.forget("default/pbx1");
  calls.keep("default/pbx1", declared(), secrets, "2");
  expect(positions()).toEqual([{ lastSeenMs: 1_000 }, endOf(1), undefined]);
  await calls.closeAll();
});

test("a server that no longer declares calls, and one that is gone, are not watched", async () => {
  const { calls, watches } = watched();
  calls.keep("default/pbx1", declared(), secrets, "1");
  calls.keep("default/pbx2", declared(), secrets, "1");
  calls.keep("default/pbx1", declared({ calls: undefined }), secrets, "1");
  await calls.forget("default/pbx2");
  expect(watches.map(({ signal }) => signal.aborted)).toEqual([true, true]);
});

test("a watch that can't be is told, and tried again with the next reconcile", async () => {
  const refused = new AsteriskIacError("AuthenticationFailed", "no");
  const { calls, watches, errors } = watched(() => Promise.reject(refused));
  calls.keep("default/pbx1", declared(), secrets, "1");
  await new Promise(setImmediate);
  expect(errors).toEqual(["default/pbx1 AuthenticationFailed"]);
  calls.keep("default/pbx1", declared(), secrets, "1");
  expect(watches).toHaveLength(2);
  await calls.closeAll();
});
