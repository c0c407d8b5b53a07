import { request } from "node:http";
import { afterEach, describe, expect, test } from "@jest/globals";
import type { MetricsServer, ServeOptions } from "../../../operator/runtime/metrics.ts";
import { Metrics, serveHTTP } from "../../../operator/runtime/metrics.ts";
import { WorkQueue } from "../../../operator/runtime/queue.ts";

const servers: MetricsServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

async function serve(options: Partial<ServeOptions> = {}) {
  const metrics = new Metrics();
  const server = await serveHTTP({ port: 0, host: "127.0.0.1", metrics, ...options });
  servers.push(server);
  return { metrics, get: (path: string, method = "GET") => ask(server.port, path, method) };
}

function ask(port: number, path: string, method: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: "127.0.0.1", port, path, method }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (body += chunk));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
    });
    asked.on("error", reject).end();
  });
}

describe("/metrics", () => {
  test("tells of reconciles, queues, leading and servers", async () => {
    const { metrics, get } = await serve();
    const queue = new WorkQueue();
    metrics.watchQueue("servers", queue);
    queue.add("n/a");
    queue.add("n/b");
    metrics.reconciled("servers", "success", 0.2);
    metrics.reconciled("servers", "retry", 3);
    metrics.setLeader(true);
    const server = { namespace: "office", server: "pbx1" };
    metrics.setDrift(server, 3);
    metrics.setImported(server, true);
    metrics.setConnected(server, "ami", false);
    const { status, body } = await get("/metrics");
    expect(status).toBe(200);
    for (const line of [
      'asterisk_iac_reconciles_total{controller="servers",result="success"} 1',
      'asterisk_iac_reconciles_total{controller="servers",result="retry"} 1',
      'asterisk_iac_reconcile_duration_seconds_bucket{le="0.25",controller="servers"} 1',
      'asterisk_iac_reconcile_duration_seconds_count{controller="servers"} 2',
      'asterisk_iac_queue_depth{controller="servers"} 2',
      "asterisk_iac_leader 1",
      'asterisk_iac_drifted_files{namespace="office",server="pbx1"} 3',
      'asterisk_iac_initial_import_done{namespace="office",server="pbx1"} 1',
      'asterisk_iac_connected{namespace="office",server="pbx1",protocol="ami"} 0',
    ])
      expect(body.split("\n")).toContain(line);
    metrics.forget(server);
    expect((await get("/metrics")).body).not.toContain("pbx1");
  });
});

describe("probes", () => {
  test("are well while every check is, and name what is not", async () => {
    let isSynced = false;
    const { get } = await serve({
      ready: { synced: () => isSynced, connected: () => Promise.reject(new Error("hunter2")) },
    });
    expect(await get("/healthz")).toEqual({ status: 200, body: "ok\n" });
    expect(await get("/readyz")).toEqual({ status: 503, body: "not synced\nnot connected\n" });
    isSynced = true;
    expect(await get("/readyz?verbose")).toEqual({ status: 503, body: "not connected\n" });
  });

  test("nothing else is served", async () => {
    const { get } = await serve();
    expect((await get("/")).status).toBe(404);
    expect((await get("/metrics", "POST")).status).toBe(405);
  });
});

test("a port that is taken is an error", async () => {
  const { port } = await serveHTTP({ port: 0, host: "127.0.0.1", metrics: new Metrics() }).then((server) => {
    servers.push(server);
    return server;
  });
  await expect(serveHTTP({ port, host: "127.0.0.1", metrics: new Metrics() })).rejects.toMatchObject({
    code: "EADDRINUSE",
  });
});
