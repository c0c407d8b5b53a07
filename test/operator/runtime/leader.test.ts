import { describe, expect, test } from "@jest/globals";
import type { AsteriskIacError } from "../../../core/errors.ts";
import { unavailable } from "../../../operator/runtime/api-errors.ts";
import type { KubernetesAPI } from "../../../operator/runtime/api.ts";
import { LeaderElection, whileLeading } from "../../../operator/runtime/leader.ts";
import type { Lease } from "../../../operator/runtime/objects.ts";
import { kinds } from "../../../operator/runtime/objects.ts";
import { ResourceClient } from "../../../operator/runtime/resources.ts";
import { FakeKubernetes } from "./fake-kubernetes.ts";
import { ManualClock } from "./manual-clock.ts";
import { widget, widgetKind } from "./widgets.ts";

/** A candidate with a clock of its own, which may run or stand still as it likes. */
function candidate(api: KubernetesAPI, name: string, clock = new ManualClock()) {
  const log: string[] = [];
  const errors: AsteriskIacError[] = [];
  let term: AbortSignal | undefined;
  const election = new LeaderElection({
    api,
    namespace: "default",
    name: "operator",
    identity: name,
    clock,
    onError: (error) => errors.push(error),
  });
  const run = (): void => {
    const ended = election.run(
      (signal, token) => {
        term = signal;
        log.push(`leads ${token}`);
        signal.addEventListener("abort", () => log.push("aborted"));
      },
      () => log.push("stopped"),
    );
    ended.catch((error: unknown) => log.push(`failed ${String(error)}`));
  };
  return { election, clock, log, errors, run, term: () => term as AbortSignal };
}

type Candidate = ReturnType<typeof candidate>;

/** Both clocks move on together. */
async function pass(milliseconds: number, ...candidates: Candidate[]): Promise<void> {
  for (let passed = 0; passed < milliseconds; passed += 500)
    for (const { clock } of candidates) await clock.advance(500);
}

async function two() {
  const fake = new FakeKubernetes();
  const first = candidate(fake, "first");
  const second = candidate(fake, "second");
  first.run();
  await pass(500, first);
  second.run();
  await pass(500, second);
  const lease = async () =>
    (await new ResourceClient<Lease>(fake, kinds.lease).get("default", "operator"))?.spec;
  return { fake, first, second, lease };
}

test("one of two leads, for as long as it renews", async () => {
  const { first, second, lease } = await two();
  await pass(120_000, first, second);
  expect(first.log).toEqual(["leads 1"]);
  expect(second.log).toEqual([]);
  expect(first.election.isLeading).toBe(true);
  expect(second.election.isLeading).toBe(false);
  expect(await lease()).toMatchObject({
    holderIdentity: first.election.identity,
    leaseDurationSeconds: 15,
    leaseTransitions: 1,
    renewTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/),
  });
});

test("a leader that is killed is followed by the other after the lease, with a greater token", async () => {
  const { first, second } = await two();
  await pass(4_000, first, second);
  // The first one's clock stands still from here: nothing of it runs.
  await pass(12_000, second);
  expect(second.log).toEqual([]);
  await pass(6_000, second);
  expect(second.log).toEqual(["leads 2"]);
  expect(second.election.fencingToken).toBe(2);
});

test("row 27: a paused leader that wakes does not lead, before any of its timers fired", async () => {
  const { fake, first, second } = await two();
  await pass(4_000, first, second);
  const client = new ResourceClient(whileLeading(fake, first.election, first.term()), widgetKind);
  await client.create(widget("while-leading"));
  await pass(20_000, second);
  first.clock.oversleep(20_000);
  expect(first.election.isLeading).toBe(false);
  expect(first.election.fencingToken).toBeUndefined();
  await expect(client.create(widget("too-late"))).rejects.toMatchObject({ code: "NotLeading" });
  expect(fake.requests.some(({ body }) => JSON.stringify(body ?? "").includes("too-late"))).toBe(false);
  await pass(3_000, first, second);
  expect(first.log).toEqual(["leads 1", "aborted", "stopped"]);
  expect(second.election.isLeading).toBe(true);
});

test("a leader that can't renew stops before the lease is over, and no other leads before that", async () => {
  const fake = new FakeKubernetes();
  const line = { isCut: false };
  const first = candidate(
    {
      stream: (request) => fake.stream(request),
      request: (request) =>
        line.isCut ? Promise.reject(unavailable(request, new Error("cut off"))) : fake.request(request),
    },
    "first",
  );
  first.run();
  await pass(500, first);
  const second = candidate(fake, "second");
  second.run();
  await pass(500, second);
  line.isCut = true;
  await pass(9_000, first, second);
  expect(first.election.isLeading).toBe(true);
  await pass(1_500, first, second);
  expect(first.log).toEqual(["leads 1", "aborted", "stopped"]);
  expect(second.log).toEqual([]);
  await pass(8_000, first, second);
  expect(second.log).toEqual(["leads 2"]);
  expect(first.errors[0]?.code).toBe("KubernetesUnavailable");
});

test.each([
  [
    "at once",
    () => {
      throw new Error("no work");
    },
  ],
  ["later", () => Promise.reject(new Error("no work"))],
])(
  "a leader whose work fails %s gives the Lease up, and does not campaign without a pause",
  async (_, work) => {
    const fake = new FakeKubernetes();
    const clock = new ManualClock();
    const errors: AsteriskIacError[] = [];
    const options = { api: fake, namespace: "default", name: "operator", identity: "x", clock };
    const election = new LeaderElection({ ...options, onError: (error) => errors.push(error) });
    const ran = election.run(work);
    await clock.advance(500);
    expect(election.isLeading).toBe(false);
    expect(await new ResourceClient<Lease>(fake, kinds.lease).get("default", "operator")).toMatchObject({
      spec: { holderIdentity: "" },
    });
    await clock.advance(10_000);
    expect(errors.length).toBeGreaterThan(2);
    expect(errors.length).toBeLessThan(8);
    const stopped = election.stop();
    await clock.advance(3_000);
    await Promise.all([stopped, ran]);
  },
);

test("a request that never ends ends the term all the same", async () => {
  const { fake, first, second } = await two();
  fake.intercept = () => new Promise(() => undefined);
  await pass(10_500, first, second);
  expect(first.log).toContain("aborted");
});

test("a leader goes on when one of its requests never ends, be it the read or the write", async () => {
  for (const method of ["GET", "PUT"]) {
    const fake = new FakeKubernetes();
    const first = candidate(fake, "first");
    first.run();
    await pass(3_000, first);
    let isHanging = true;
    fake.intercept = async (request) => {
      if (request.method !== method || !isHanging) return;
      isHanging = false;
      await new Promise((resolve) => request.signal?.addEventListener("abort", resolve));
      throw unavailable(request, new Error("given up"));
    };
    await pass(30_000, first);
    expect({ method, isHanging, log: first.log }).toEqual({ method, isHanging: false, log: ["leads 1"] });
  }
});

test("a leader whose Lease another took stops at its next look", async () => {
  const { fake, first } = await two();
  const leases = new ResourceClient<Lease>(fake, kinds.lease);
  const lease = (await leases.get("default", "operator")) as Lease;
  await leases.replace({ ...lease, spec: { ...lease.spec, holderIdentity: "somebody else" } });
  await pass(2_500, first);
  expect(first.log).toEqual(["leads 1", "aborted", "stopped"]);
});

test("row 48: the other's wall clock, an hour off either way, makes no difference", async () => {
  for (const renewTime of ["2001-01-01T00:00:00.000000Z", "2101-01-01T00:00:00.000000Z"]) {
    const fake = new FakeKubernetes();
    const spec = { holderIdentity: "other", leaseDurationSeconds: 15, leaseTransitions: 7, renewTime };
    const leases = new ResourceClient<Lease>(fake, kinds.lease);
    await leases.create({ metadata: { namespace: "default", name: "operator" }, spec });
    const late = candidate(fake, "late");
    late.run();
    await pass(14_500, late);
    expect(late.log).toEqual([]);
    await pass(4_000, late);
    expect(late.log).toEqual(["leads 8"]);
  }
});

test("two that try at the same moment: one leads", async () => {
  const fake = new FakeKubernetes();
  const clock = new ManualClock();
  const candidates = ["a", "b", "c", "d"].map((name) => candidate(fake, name, clock));
  for (const { run } of candidates) run();
  await clock.advance(10_000);
  expect(candidates.filter(({ election }) => election.isLeading)).toHaveLength(1);
  expect(candidates.flatMap(({ errors }) => errors)).toEqual([]);
});

describe("stop", () => {
  test("gives the Lease up, so that the other leads at its next try", async () => {
    const { first, second, lease } = await two();
    const stopped = first.election.stop();
    await pass(500, first);
    await stopped;
    expect(first.log).toEqual(["leads 1", "aborted", "stopped"]);
    expect(await lease()).toMatchObject({ holderIdentity: "" });
    await pass(3_000, second);
    expect(second.log).toEqual(["leads 2"]);
    expect(first.clock.waiting).toBe(0);
  });

  test("keeps the Lease until the work of the term has ended", async () => {
    const fake = new FakeKubernetes();
    const work = Promise.withResolvers<undefined>();
    const clock = new ManualClock();
    const election = new LeaderElection({
      api: fake,
      namespace: "default",
      name: "operator",
      identity: "x",
      clock,
    });
    const ran = election.run(() => work.promise);
    await clock.advance(500);
    const stopped = election.stop();
    await clock.advance(500);
    const leases = new ResourceClient<Lease>(fake, kinds.lease);
    expect((await leases.get("default", "operator"))?.spec?.holderIdentity).toBe(election.identity);
    work.resolve(undefined);
    await Promise.all([stopped, ran]);
    expect((await leases.get("default", "operator"))?.spec?.holderIdentity).toBe("");
  });

  test("leaves the Lease alone that another took before the work had ended", async () => {
    const fake = new FakeKubernetes();
    const work = Promise.withResolvers<undefined>();
    const clock = new ManualClock();
    const election = new LeaderElection({
      api: fake,
      namespace: "default",
      name: "operator",
      identity: "x",
      clock,
    });
    const ran = election.run(() => work.promise);
    await clock.advance(500);
    const stopped = election.stop();
    const leases = new ResourceClient<Lease>(fake, kinds.lease);
    const lease = (await leases.get("default", "operator")) as Lease;
    await leases.replace({ ...lease, spec: { ...lease.spec, holderIdentity: "another" } });
    work.resolve(undefined);
    await Promise.all([stopped, ran]);
    expect((await leases.get("default", "operator"))?.spec?.holderIdentity).toBe("another");
  });

  test("of one that does not lead leaves the other's Lease alone", async () => {
    const { first, second, lease } = await two();
    const stopped = second.election.stop();
    await pass(500, second);
    await stopped;
    expect(await lease()).toMatchObject({ holderIdentity: first.election.identity });
  });
});

test("a write under way when the term ends is ended too", async () => {
  const { fake, first, second } = await two();
  const seen: (AbortSignal | undefined)[] = [];
  const under = Promise.withResolvers<undefined>();
  fake.intercept = async (request) => {
    if (!request.path.includes("widgets")) return;
    seen.push(request.signal);
    await under.promise;
  };
  const client = new ResourceClient(whileLeading(fake, first.election, first.term()), widgetKind);
  const write = client.create(widget("under-way"));
  await pass(500, first);
  expect(seen[0]?.aborted).toBe(false);
  first.clock.oversleep(20_000);
  await pass(500, first, second);
  expect(seen[0]?.aborted).toBe(true);
  under.resolve(undefined);
  await write;
});

test("a term that lapsed is not taken up again, though nobody else led meanwhile: the next has another token", async () => {
  const fake = new FakeKubernetes();
  const first = candidate(fake, "first");
  first.run();
  await pass(3_000, first);
  first.clock.oversleep(12_000);
  await pass(5_000, first);
  expect(first.log).toEqual(["leads 1", "aborted", "stopped", "leads 2"]);
});

test("durations that do not fit together are refused", () => {
  const options = { api: new FakeKubernetes(), namespace: "n", name: "l", identity: "i" };
  for (const wrong of [{ leaseMs: 1_500 }, { renewMs: 15_000 }, { retryMs: 10_000 }]) {
    expect(() => new LeaderElection({ ...options, ...wrong })).toThrow(/do not fit/);
  }
});
