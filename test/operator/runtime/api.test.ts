import { afterEach, expect, test } from "@jest/globals";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { KubeConfig } from "@kubernetes/client-node";
import { APIServer, noAnswer } from "../../../operator/runtime/api.ts";
import { linesOf } from "../../../operator/runtime/lines.ts";
import { settle } from "./manual-clock.ts";
import { proxyTo, type Proxy } from "./tcp-proxy.ts";

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** An API server of the test's own, plain HTTP, behind a proxy. */
async function serve(listener: RequestListener): Promise<{ api: APIServer; proxy: Proxy; server: Server }> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  });
  const proxy = await proxyTo((server.address() as AddressInfo).port);
  closing.push(() => proxy.close());
  return { api: new APIServer(configurationOf(proxy.port), { timeoutMs: 2_000 }), proxy, server };
}

function configurationOf(port: number): KubeConfig {
  const configuration = new KubeConfig();
  configuration.loadFromOptions({
    clusters: [{ name: "c", server: `http://127.0.0.1:${port}/`, skipTLSVerify: true }],
    users: [{ name: "u", token: "hunter2" }],
    contexts: [{ name: "x", cluster: "c", user: "u" }],
    currentContext: "x",
  });
  return configuration;
}

/** Until there are connections that wait to be used again. */
async function warmUp(api: APIServer): Promise<void> {
  for (let time = 0; time < 5; time++) {
    await api.request(request);
    await settle();
  }
}

const request = { method: "GET", path: "/api/v1/namespaces/n/secrets/s" } as const;

test("requests share their connection, carry the token and ask for what they are told to", async () => {
  const seen: unknown[] = [];
  const { api, proxy } = await serve(({ method, url, headers }, response) => {
    seen.push([method, url, headers.authorization, headers["content-type"], headers.accept]);
    response.end('{"ok":true}');
  });
  expect(await api.request({ ...request, query: { limit: 5, continue: undefined } })).toEqual({ ok: true });
  const patch = {
    method: "PATCH",
    path: "/x",
    contentType: "application/apply-patch+yaml",
    body: { a: 1 },
  } as const;
  for (let time = 0; time < 20; time++) await api.request(patch);
  expect(seen[0]).toEqual([
    "GET",
    `${request.path}?limit=5`,
    "Bearer hunter2",
    undefined,
    "application/json",
  ]);
  expect(seen[1]).toEqual([
    "PATCH",
    "/x",
    "Bearer hunter2",
    "application/apply-patch+yaml",
    "application/json",
  ]);
  // undici may open a second one while the first is just becoming free.
  expect(proxy.connections).toBeLessThanOrEqual(2);
});

test("row 37: a connection that goes silent ends a request at its deadline; the next one has a new connection", async () => {
  const { api, proxy } = await serve((_, response) => response.end("{}"));
  await warmUp(api);
  const { connections } = proxy;
  proxy.freeze();
  await expect(api.request(request)).rejects.toMatchObject({ code: "KubernetesUnavailable", next: "Retry" });
  expect(proxy.connections).toBe(connections);
  expect(await api.request(request)).toEqual({});
  expect(proxy.connections).toBe(connections + 1);
});

test("a stream given up for want of an answer makes the next request take a new connection", async () => {
  const { api, proxy } = await serve((_, response) => response.end("{}"));
  await warmUp(api);
  const { connections } = proxy;
  proxy.freeze();
  const idle = new AbortController();
  const lines = api.stream({ ...request, signal: idle.signal })[Symbol.asyncIterator]();
  const next = lines.next();
  idle.abort(noAnswer());
  expect((await next).done).toBe(true);
  expect(proxy.connections).toBe(connections);
  expect(await api.request(request)).toEqual({});
});

test("lines of a stream come whole, wherever they are cut; a last one that was cut off does not come", async () => {
  const bytes = Buffer.from('{"name":"Zürich ☎"}\n\n{"n":2}\n{"cut":');
  const parts = async function* (at: number) {
    yield bytes.subarray(0, at);
    yield bytes.subarray(at);
  };
  for (let split = 0; split <= bytes.length; split++) {
    const lines: string[] = [];
    for await (const line of linesOf(parts(split))) lines.push(line);
    expect(lines).toEqual(['{"name":"Zürich ☎"}', '{"n":2}']);
  }
});

test("a stream gives what its lines say, and ends with the answer", async () => {
  const { api } = await serve((_, response) => response.end('{"n":1}\n{"n":2}\n'));
  const values: unknown[] = [];
  for await (const value of api.stream(request)) values.push(value);
  expect(values).toEqual([{ n: 1 }, { n: 2 }]);
});

test("a stream that is refused is an error, with what the server said", async () => {
  const { api } = await serve((_, response) => response.writeHead(410).end('{"reason":"Expired"}'));
  const lines = api.stream({ ...request, path: "/api/v1/configmaps" })[Symbol.asyncIterator]();
  await expect(lines.next()).rejects.toMatchObject({ code: "KubernetesExpired" });
});

test("no failure tells the token or what was answered", async () => {
  const { api } = await serve((_, response) => response.end("hunter3 is no JSON"));
  const error: unknown = await api.request(request).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: "UnexpectedAnswer", next: "Retry" });
  const { api: down, proxy } = await serve((_, response) => response.end());
  await proxy.close();
  const refused: unknown = await down.request(request).catch((thrown: unknown) => thrown);
  expect(refused).toMatchObject({ code: "KubernetesUnavailable" });
  expect(String(refused)).toMatch(/ECONNREFUSED/);
  for (const thrown of [error, refused])
    expect(`${String(thrown)} ${(thrown as Error).stack}`).not.toMatch(/hunter/);
});

test("a kubeconfig without a cluster is refused", () => {
  expect(() => new APIServer(new KubeConfig())).toThrow(/no current cluster/);
});
