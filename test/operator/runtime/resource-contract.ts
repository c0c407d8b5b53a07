import { describe, expect, test } from "@jest/globals";
import type { APIRequest, KubernetesAPI } from "../../../operator/runtime/api.ts";
import { Controller } from "../../../operator/runtime/controller.ts";
import type { Secret } from "../../../operator/runtime/objects.ts";
import { isOlder, kinds } from "../../../operator/runtime/objects.ts";
import { WorkQueue } from "../../../operator/runtime/queue.ts";
import { ResourceClient } from "../../../operator/runtime/resources.ts";
import { until } from "../../support/until.ts";
import type { Widget } from "./widgets.ts";
import { widget, widgetKind } from "./widgets.ts";

/** The same API, with something done before each request. */
export function intercepted(
  api: KubernetesAPI,
  intercept: (request: APIRequest) => void | Promise<void>,
): KubernetesAPI {
  return {
    stream: (request) => api.stream(request),
    request: async (request) => {
      await intercept(request);
      return api.request(request);
    },
  };
}

/** What a ResourceClient does, over the real API server and over the fake that stands for it elsewhere. */
export function resourceContract(api: () => KubernetesAPI): void {
  const widgets = (pageSize?: number): ResourceClient<Widget> =>
    new ResourceClient(api(), widgetKind, pageSize === undefined ? {} : { pageSize });
  const secrets = (): ResourceClient<Secret> => new ResourceClient(api(), kinds.secret);

  const key = (name: string) => ({ namespace: "default", name });

  describe("an object", () => {
    test("that is not there is undefined, and no error to delete", async () => {
      expect(await widgets().get("default", "nowhere")).toBeUndefined();
      expect(await widgets().delete("default", "nowhere")).toBe(false);
    });

    test("is created once; the second time is a conflict", async () => {
      const created = await widgets().create(widget("once"));
      expect(created.metadata.uid).toMatch(/.+/);
      await expect(widgets().create(widget("once"))).rejects.toMatchObject({ code: "KubernetesConflict" });
      expect(await widgets().get("default", "once")).toMatchObject({ spec: { size: 1 } });
    });

    test("of another uid is not deleted", async () => {
      const { metadata } = await widgets().create(widget("uid"));
      await expect(widgets().delete("default", "uid", { uid: "another" })).rejects.toMatchObject({
        code: "KubernetesConflict",
      });
      expect(await widgets().delete("default", "uid", { uid: metadata.uid ?? "" })).toBe(true);
    });
  });

  describe("a Secret", () => {
    test("is replaced from the resourceVersion that was read, and refused from an older one", async () => {
      const first = await secrets().create({
        metadata: { namespace: "default", name: "import" },
        data: { a: "MQ==" },
      });
      const second = await secrets().replace({ ...first, data: { a: "Mg==" } });
      expect(isOlder(first.metadata.resourceVersion, second.metadata.resourceVersion)).toBe(true);
      await expect(secrets().replace({ ...first, data: { a: "Mw==" } })).rejects.toMatchObject({
        code: "KubernetesConflict",
        next: "Retry",
      });
      expect((await secrets().get("default", "import"))?.data).toEqual({ a: "Mg==" });
    });

    test("that is stored as it was sent is answered whole, and its content comes over the wire only once", async () => {
      const answers: unknown[] = [];
      const listening: KubernetesAPI = {
        stream: (request) => api().stream(request),
        request: async (request) => {
          const answer = await api().request(request);
          answers.push(answer);
          return answer;
        },
      };
      const client = new ResourceClient<Secret>(listening, kinds.secret, { storesAsSent: true });
      const first = await client.create({ metadata: key("as-sent"), data: { a: "MQ==" } });
      const second = await client.replace({ ...first, data: { a: "Mg==" } });
      expect(JSON.stringify(answers)).not.toMatch(/M[Qg]==/);
      expect({ ...second, metadata: { ...second.metadata, managedFields: undefined } }).toMatchObject({
        metadata: { name: "as-sent", uid: first.metadata.uid },
        data: { a: "Mg==" },
      });
      const stored = await secrets().get("default", "as-sent");
      expect(stored?.data).toEqual(second.data);
      expect(stored?.metadata.resourceVersion).toBe(second.metadata.resourceVersion);
    });

    test("without a resourceVersion is never replaced", async () => {
      const object = { metadata: { namespace: "default", name: "import" } };
      await expect(secrets().replace(object)).rejects.toMatchObject({ code: "InvalidArgument" });
    });
  });

  describe("status", () => {
    test("becomes what was given: what we set before and no longer give goes; the spec stays", async () => {
      await widgets().create(widget("status"));
      await widgets().patchStatus("default", "status", { phase: "Up", note: "soon gone" });
      const after = await widgets().patchStatus("default", "status", { phase: "Down" });
      expect(after).toMatchObject({ spec: { size: 1 }, status: { phase: "Down" } });
      expect(after.status).toEqual({ phase: "Down" });
    });

    test("the same again writes nothing", async () => {
      await widgets().create(widget("same"));
      const first = await widgets().patchStatus("default", "same", { phase: "Up" });
      const second = await widgets().patchStatus("default", "same", { phase: "Up" });
      expect(second.metadata.resourceVersion).toBe(first.metadata.resourceVersion);
    });

    test("row 28: after a 409 the object is read and the status sent again; nothing is reloaded twice", async () => {
      const { metadata } = await widgets().create(widget("conflict"));
      const sent: string[] = [];
      const watched = intercepted(api(), async ({ method }) => {
        // Another writes at the last moment, twice.
        if (method === "PATCH" && sent.filter((each) => each === "PATCH").length < 2)
          await widgets().merge(key("conflict"), { spec: { size: sent.length + 2 } });
        sent.push(method);
      });
      const client = new ResourceClient<Widget>(watched, widgetKind);
      let reloads = 0;
      const queue = new WorkQueue();
      const results: string[] = [];
      const controller = new Controller({
        name: "widgets",
        queue,
        reconcile: async ({ namespace, name }) => {
          reloads++;
          await client.patchStatus(namespace, name, { phase: "Reloaded" }, metadata);
          return undefined;
        },
        onReconciled: (_, result) => results.push(result),
      });
      controller.start();
      queue.add("default/conflict");
      await until(() => results.length > 0);
      await controller.stop();
      expect({ reloads, results, sent }).toEqual({
        reloads: 1,
        results: ["success"],
        sent: ["PATCH", "GET", "PATCH", "GET", "PATCH"],
      });
      expect(await widgets().get("default", "conflict")).toMatchObject({
        spec: { size: 4 },
        status: { phase: "Reloaded" },
      });
    });

    test("is not written to an object that was deleted and made anew", async () => {
      const { metadata } = await widgets().create(widget("anew"));
      await widgets().delete("default", "anew");
      await widgets().create(widget("anew"));
      const { uid = "", resourceVersion = "" } = metadata;
      for (const precondition of [{ uid }, { uid, resourceVersion }]) {
        const patch = widgets().patchStatus("default", "anew", { phase: "Up" }, precondition);
        await expect(patch).rejects.toMatchObject({ code: "KubernetesNotFound" });
      }
      expect((await widgets().get("default", "anew"))?.status).toBeUndefined();
    });

    test("of the object that was seen is one request, whoever wrote it before", async () => {
      const { metadata } = await widgets().create(widget("seen"));
      const sent: string[] = [];
      const watched = intercepted(api(), ({ method }) => void sent.push(method));
      await new ResourceClient<Widget>(watched, widgetKind).patchStatus(
        "default",
        "seen",
        { phase: "Up" },
        metadata,
      );
      expect(sent).toEqual(["PATCH"]);
    });

    test("of an object that is gone: KubernetesNotFound", async () => {
      const patch = widgets().patchStatus("default", "gone", { phase: "Up" });
      await expect(patch).rejects.toMatchObject({ code: "KubernetesNotFound" });
    });
  });

  describe("metadata", () => {
    test("row 30: finalizers and annotations change from the version that was seen, not from an older one", async () => {
      const seen = await widgets().create(widget("metadata", { annotations: { keep: "1", go: "1" } }));
      const version = seen.metadata.resourceVersion ?? "";
      const patch = { finalizers: ["test.asterisk-iac.dev/let-go"], annotations: { go: null, come: "1" } };
      const patched = await widgets().patchMetadata(key("metadata"), patch, version);
      expect(patched?.metadata).toMatchObject({
        finalizers: ["test.asterisk-iac.dev/let-go"],
        annotations: { keep: "1", come: "1" },
      });
      expect(patched?.metadata.annotations).not.toHaveProperty("go");
      const stale = widgets().patchMetadata(key("metadata"), { finalizers: [] }, version);
      await expect(stale).rejects.toMatchObject({ code: "KubernetesConflict" });
      expect((await widgets().get("default", "metadata"))?.metadata.finalizers).toHaveLength(1);
    });

    test("an object that is being deleted stays until its finalizer goes", async () => {
      await widgets().create(widget("final", { finalizers: ["test.asterisk-iac.dev/let-go"] }));
      await widgets().delete("default", "final");
      const held = await widgets().get("default", "final");
      expect(held?.metadata.deletionTimestamp).toMatch(/^\d{4}-/);
      await widgets().patchMetadata(key("final"), { finalizers: [] }, held?.metadata.resourceVersion ?? "");
      expect(await widgets().get("default", "final")).toBeUndefined();
    });

    test("of an object that is gone: undefined", async () => {
      expect(await widgets().patchMetadata(key("gone"), { finalizers: [] }, "1")).toBeUndefined();
    });
  });

  test("a name that would change the path is refused before anything is sent", async () => {
    for (const name of ["", ".", ".."]) {
      await expect(widgets().delete("default", name)).rejects.toMatchObject({ code: "InvalidArgument" });
    }
    expect(await widgets().get("default", "a/status?x=1#")).toBeUndefined();
  });

  test("a list of many pages has every object once and says where to watch from", async () => {
    const names = Array.from({ length: 25 }, (_, number) => `page-${number}`);
    for (const name of names) await secrets().create({ metadata: { namespace: "default", name } });
    const paged = new ResourceClient<Secret>(api(), kinds.secret, { pageSize: 10 });
    const { items, resourceVersion } = await paged.list({ namespace: "default" });
    const listed = items.map(({ metadata }) => metadata.name).filter((name) => name.startsWith("page-"));
    expect(listed.sort()).toEqual(names.sort());
    expect(items[0]).toMatchObject({ apiVersion: "v1", kind: "Secret" });
    expect(items.filter(({ metadata }) => Object.values(metadata).some(Array.isArray))).toEqual([]);
    expect(resourceVersion).toMatch(/^\d+$/);
  });

  test("asked for metadata only, no content comes, from the list or the watch", async () => {
    const made = { metadata: { namespace: "default", name: "content" }, data: { key: "c2VjcmV0" } };
    const signal = AbortSignal.timeout(10_000);
    const { resourceVersion } = await secrets().list({ namespace: "default" });
    await secrets().create(made);
    const { items } = await secrets().list({ namespace: "default", metadataOnly: true });
    expect(items.some(({ metadata }) => metadata.name === "content")).toBe(true);
    expect(JSON.stringify(items)).not.toContain("c2VjcmV0");
    for await (const event of secrets().watch({
      namespace: "default",
      metadataOnly: true,
      resourceVersion,
      signal,
    })) {
      expect(event).toMatchObject({
        type: "ADDED",
        object: { kind: "Secret", metadata: { name: "content" } },
      });
      expect(JSON.stringify(event)).not.toContain("c2VjcmV0");
      return;
    }
    throw new Error("the watch ended before the event came");
  });
}
