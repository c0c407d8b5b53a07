import { expect, test } from "@jest/globals";
import type { AsteriskIacError } from "../../../core/errors.ts";
import { unavailable } from "../../../operator/runtime/api-errors.ts";
import { EventRecorder } from "../../../operator/runtime/events.ts";
import { kinds } from "../../../operator/runtime/objects.ts";
import { ResourceClient } from "../../../operator/runtime/resources.ts";
import { eventContract, listEvents } from "./event-contract.ts";
import { FakeKubernetes } from "./fake-kubernetes.ts";
import { ManualClock } from "./manual-clock.ts";

const about = {
  apiVersion: "asterisk-iac.dev/v1alpha1",
  kind: "AsteriskServer",
  metadata: { namespace: "default", name: "pbx1", uid: "1-2-3" },
};

const shared = new FakeKubernetes();
eventContract(() => shared);

test("of one object no more are stored than the rate allows; others are not held back by it", async () => {
  const fake = new FakeKubernetes();
  const clock = new ManualClock();
  const events = new EventRecorder({ api: fake, clock });
  for (let number = 0; number < 40; number++) events.event(about, "Warning", "Drift", `file ${number}`);
  events.event({ ...about, metadata: { ...about.metadata, uid: "4" } }, "Normal", "Applied", "1 file");
  await events.flush();
  expect(await listEvents(fake)).toHaveLength(26);
  await clock.advance(300_000);
  for (let number = 40; number < 50; number++) events.event(about, "Warning", "Drift", `file ${number}`);
  await events.flush();
  expect(await listEvents(fake)).toHaveLength(27);
});

test("never throws, and goes on after a failure", async () => {
  const fake = new FakeKubernetes();
  const errors: AsteriskIacError[] = [];
  const events = new EventRecorder({ api: fake, onError: (error) => errors.push(error) });
  fake.intercept = (request) => {
    throw unavailable(request, new Error("down"));
  };
  events.event(about, "Normal", "Applied", "1 file");
  await events.flush();
  fake.intercept = () => undefined;
  events.event(about, "Normal", "Applied", "2 files");
  await events.flush();
  expect(errors).toHaveLength(1);
  expect((await listEvents(fake)).map(({ message }) => message)).toEqual(["2 files"]);
});

test("no more wait than a thousand while the API server does not answer", async () => {
  const fake = new FakeKubernetes();
  const answer = Promise.withResolvers<undefined>();
  fake.intercept = () => answer.promise;
  const events = new EventRecorder({ api: fake, rateLimit: { perSecond: 1, burst: 5_000 } });
  for (let number = 0; number < 3_000; number++) events.event(about, "Normal", "Applied", `${number}`);
  answer.resolve(undefined);
  await events.flush();
  const { items } = await new ResourceClient(fake, kinds.event).list({ namespace: "default" });
  expect(items).toHaveLength(1_000);
});
