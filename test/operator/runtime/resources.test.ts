import { describe, expect, test } from "@jest/globals";
import { refusal, unavailable } from "../../../operator/runtime/api-errors.ts";
import type { APIRequest } from "../../../operator/runtime/api.ts";
import { isOlder, keyOf, kinds, parseKey } from "../../../operator/runtime/objects.ts";
import { ResourceClient } from "../../../operator/runtime/resources.ts";
import { FakeKubernetes } from "./fake-kubernetes.ts";
import { resourceContract } from "./resource-contract.ts";
import { widget, widgetKind } from "./widgets.ts";

describe("the fake", () => {
  const fake = new FakeKubernetes();
  resourceContract(() => fake);
});

test("a list whose moment is forgotten half way starts over, and not for ever", async () => {
  const fake = new FakeKubernetes();
  const client = new ResourceClient(fake, widgetKind, { pageSize: 2 });
  for (const name of ["a", "b", "c"]) await client.create(widget(name));
  let forgotten = 0;
  fake.intercept = ({ query }) => {
    if (query?.["continue"] !== undefined && forgotten < 2) {
      forgotten++;
      fake.compact();
    }
  };
  const { items } = await client.list({ namespace: "default" });
  expect(items.map(({ metadata }) => metadata.name)).toEqual(["a", "b", "c"]);
  fake.intercept = ({ query }) => {
    if (query?.["continue"] !== undefined) fake.compact();
  };
  await expect(client.list({ namespace: "default" })).rejects.toMatchObject({ code: "KubernetesExpired" });
});

test("whatever is in a name stays in its part of the path", async () => {
  const fake = new FakeKubernetes();
  await new ResourceClient(fake, widgetKind).get("a/b", "c/status?x=1#");
  expect(fake.requests[0]?.path).toBe(
    "/apis/test.asterisk-iac.dev/v1/namespaces/a%2Fb/widgets/c%2Fstatus%3Fx%3D1%23",
  );
});

test("a status that meets a conflict each time gives up", async () => {
  const fake = new FakeKubernetes();
  const client = new ResourceClient(fake, widgetKind);
  await client.create(widget("busy"));
  fake.intercept = (request) => {
    if (request.method === "PATCH") throw refusal(request, { status: 409, headers: {}, text: "" });
  };
  const patch = client.patchStatus("default", "busy", {});
  await expect(patch).rejects.toMatchObject({ code: "KubernetesConflict", next: "Retry" });
  expect(fake.requests.filter(({ method }) => method === "PATCH")).toHaveLength(5);
});

describe("what an answer means", () => {
  const request: APIRequest = { method: "GET", path: "/api/v1/namespaces/default/configmaps/x" };
  const answered = (status: number, headers: Record<string, string> = {}) =>
    refusal(request, { status, headers, text: JSON.stringify({ reason: "Why", message: "because" }) });

  test.each([
    [400, "KubernetesRefused", "Stalled"],
    [401, "KubernetesRefused", "Retry"],
    [403, "KubernetesRefused", "Stalled"],
    [404, "KubernetesNotFound", "Stalled"],
    [409, "KubernetesConflict", "Retry"],
    [410, "KubernetesExpired", "Retry"],
    [422, "KubernetesRefused", "Stalled"],
    [429, "KubernetesUnavailable", "Retry"],
    [500, "KubernetesUnavailable", "Retry"],
    [503, "KubernetesUnavailable", "Retry"],
  ])("%d is %s, %s", (status, code, next) => {
    expect(answered(status)).toMatchObject({ code, next });
    expect(answered(status).message).toBe(
      `Kubernetes API: GET /api/v1/namespaces/default/configmaps/x: ${status} Why: because`,
    );
  });

  test("a kind that the API server does not have is told from an object that is not there", () => {
    const missing = refusal(request, { status: 404, headers: {}, text: "404 page not found\n" });
    expect(missing).toMatchObject({ code: "KubernetesNotFound", hint: "Apply the CRDs first." });
    expect(missing.message).toMatch(/: 404$/);
    expect(answered(404).hint).toBeUndefined();
  });

  test("Retry-After is kept", () => {
    expect(answered(429, { "retry-after": "7" })).toMatchObject({ next: "Waiting", retryAfterMs: 7_000 });
  });

  test("what is said of a Secret is left out, for it may quote the Secret", () => {
    const { message } = refusal(
      { method: "PUT", path: "/api/v1/namespaces/default/secrets/x" },
      { status: 422, headers: {}, text: JSON.stringify({ reason: "Invalid", message: "data: hunter2" }) },
    );
    expect(message).toBe("Kubernetes API: PUT /api/v1/namespaces/default/secrets/x: 422 Invalid");
  });

  test("of a failure to connect the innermost reason is told", () => {
    const refused = Object.assign(new Error(""), { code: "ECONNREFUSED" });
    const thrown = new TypeError("fetch failed", { cause: refused });
    expect(unavailable(request, thrown).message).toMatch(/x: ECONNREFUSED$/);
  });
});

test("keys and versions", () => {
  expect(keyOf({ namespace: "a", name: "b" })).toBe("a/b");
  expect(parseKey("a/b")).toEqual({ namespace: "a", name: "b" });
  expect(isOlder("99", "100")).toBe(true);
  expect(isOlder("100", "99")).toBe(false);
  expect(isOlder("9007199254740993", "9007199254740994")).toBe(true);
  expect(isOlder(undefined, "1")).toBe(false);
  expect(isOlder("x", "1")).toBe(false);
  expect(kinds.lease.apiVersion).toBe("coordination.k8s.io/v1");
});
