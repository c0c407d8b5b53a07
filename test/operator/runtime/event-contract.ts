import { describe, expect, test } from "@jest/globals";
import type { KubernetesAPI } from "../../../operator/runtime/api.ts";
import { EventRecorder } from "../../../operator/runtime/events.ts";
import type { KubernetesObject } from "../../../operator/runtime/objects.ts";
import { kinds } from "../../../operator/runtime/objects.ts";
import { ResourceClient } from "../../../operator/runtime/resources.ts";

export interface StoredEvent extends KubernetesObject {
  readonly reason: string;
  readonly message: string;
  readonly count: number;
  readonly type: string;
  readonly involvedObject: { readonly name: string };
}

/** The events in the namespace `default`, about one object or all. */
export async function listEvents(api: KubernetesAPI, name?: string): Promise<StoredEvent[]> {
  const { items } = await new ResourceClient<StoredEvent>(api, kinds.event).list({ namespace: "default" });
  return items.filter(({ involvedObject }) => name === undefined || involvedObject.name === name);
}

/** What an EventRecorder does, over the real API server and over the fake. */
export function eventContract(api: () => KubernetesAPI): void {
  const objectOf = (name: string) => ({
    apiVersion: "asterisk-iac.dev/v1alpha1",
    kind: "AsteriskServer",
    metadata: { namespace: "default", name, uid: `uid-${name}` },
  });

  describe("events", () => {
    test("are about their object, and what is said again is counted, across restarts too", async () => {
      const about = objectOf("counted");
      const recorder = new EventRecorder({ api: api() });
      recorder.event(about, "Normal", "Applied", "2 files written");
      recorder.event(about, "Normal", "Applied", "2 files written");
      recorder.event(about, "Warning", "Drift", "1 file moved away");
      await recorder.flush();
      const restarted = new EventRecorder({ api: api() });
      restarted.event(about, "Normal", "Applied", "2 files written");
      await restarted.flush();
      const events = await listEvents(api(), "counted");
      expect(events.sort((a, b) => a.reason.localeCompare(b.reason))).toMatchObject([
        {
          type: "Normal",
          reason: "Applied",
          message: "2 files written",
          count: 3,
          involvedObject: {
            kind: "AsteriskServer",
            namespace: "default",
            name: "counted",
            uid: "uid-counted",
          },
          source: { component: "asterisk-iac-operator" },
        },
        { type: "Warning", reason: "Drift", count: 1 },
      ]);
      expect(events).toHaveLength(2);
    });

    test("have messages of at most 1 KiB, no character cut in two", async () => {
      const recorder = new EventRecorder({ api: api() });
      const about = objectOf("long");
      recorder.event(about, "Normal", "Short", "x".repeat(1_024));
      for (let shift = 0; shift < 4; shift++)
        recorder.event(about, "Normal", `Long${shift}`, `${"x".repeat(shift)}${"☎".repeat(2_000)}`);
      await recorder.flush();
      const events = await listEvents(api(), "long");
      expect(events).toHaveLength(5);
      for (const { reason, message } of events) {
        expect(Buffer.byteLength(message)).toBeLessThanOrEqual(1_024);
        expect(message).not.toContain("\ufffd");
        if (reason !== "Short") expect(message).toMatch(/^x*☎{330,}…$/);
        else expect(message).toBe("x".repeat(1_024));
      }
    });

    test("of an object with the longest name have a name that is allowed", async () => {
      // Cut where it may not end.
      const name = `${"n".repeat(228)}--`.padEnd(253, "n");
      const errors: unknown[] = [];
      const recorder = new EventRecorder({ api: api(), onError: (error) => errors.push(error) });
      recorder.event(objectOf(name), "Normal", "Applied", "1 file");
      await recorder.flush();
      expect(errors).toEqual([]);
      expect(await listEvents(api(), name)).toHaveLength(1);
    });
  });
}
