import type { Server } from "node:http";
import { createServer } from "node:http";
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from "prom-client";
import type { APIRequest } from "./api.ts";
import type { ReconcileResult } from "./controller.ts";
import type { WorkQueue } from "./queue.ts";

const prefix = "asterisk_iac_";

/** A server that a gauge is about. */
export interface ServerLabels {
  readonly namespace: string;
  readonly server: string;
}

/** The operator's Prometheus metrics, in a registry of their own. */
export class Metrics {
  readonly registry = new Registry();
  readonly #queues = new Map<string, Pick<WorkQueue, "depth">>();
  readonly #reconciles: Counter<"controller" | "result">;
  readonly #durations: Histogram<"controller">;
  readonly #depth: Gauge<"controller">;
  readonly #leader: Gauge;
  readonly #drift: Gauge<keyof ServerLabels>;
  readonly #imported: Gauge<keyof ServerLabels>;
  readonly #connected: Gauge<keyof ServerLabels | "protocol">;
  readonly #requests: Counter<"verb" | "resource">;
  readonly #calls: Counter<keyof ServerLabels | "direction" | "disposition">;
  readonly #talk: Counter<keyof ServerLabels>;
  readonly #unwatched: Counter<keyof ServerLabels>;

  /** `process`: memory, processor and event loop of the process too. */
  constructor(options: { readonly process?: boolean } = {}) {
    const registers = [this.registry];
    const server = ["namespace", "server"] as const;
    if (options.process === true) collectDefaultMetrics({ register: this.registry });
    this.#reconciles = new Counter({
      name: `${prefix}reconciles_total`,
      help: "Reconciles by controller and by how they ended",
      labelNames: ["controller", "result"],
      registers,
    });
    this.#durations = new Histogram({
      name: `${prefix}reconcile_duration_seconds`,
      help: "How long reconciles took",
      labelNames: ["controller"],
      buckets: [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300],
      registers,
    });
    this.#depth = new Gauge({
      name: `${prefix}queue_depth`,
      help: "Objects that wait for a reconcile",
      labelNames: ["controller"],
      registers,
      collect: () => {
        for (const [controller, { depth }] of this.#queues) this.#depth.set({ controller }, depth);
      },
    });
    this.#leader = new Gauge({
      name: `${prefix}leader`,
      help: "1 if this replica leads",
      registers,
    });
    this.#drift = new Gauge({
      name: `${prefix}drifted_files`,
      help: "Files of a server that moved away from what was recorded",
      labelNames: server,
      registers,
    });
    this.#imported = new Gauge({
      name: `${prefix}initial_import_done`,
      help: "1 if the initial import of a server is done",
      labelNames: server,
      registers,
    });
    this.#connected = new Gauge({
      name: `${prefix}connected`,
      help: "1 if the connection to a server is up, by protocol (ssh, ami)",
      labelNames: [...server, "protocol"],
      registers,
    });
    this.#calls = new Counter({
      name: `${prefix}calls_total`,
      help: "Calls that are over, by direction and by how they ended",
      labelNames: [...server, "direction", "disposition"],
      registers,
    });
    this.#talk = new Counter({
      name: `${prefix}call_talk_seconds_total`,
      help: "Seconds from answer to end, of all calls of a server",
      labelNames: server,
      registers,
    });
    this.#unwatched = new Counter({
      name: `${prefix}calls_unwatched_seconds_total`,
      help: "Seconds in which nobody watched a server's calls",
      labelNames: server,
      registers,
    });
    this.#requests = new Counter({
      name: `${prefix}api_requests_total`,
      help: "Requests to the Kubernetes API, by verb and resource",
      labelNames: ["verb", "resource"],
      registers,
    });
  }

  /** One call of a server is over; `talkSeconds` is null where nobody knows. */
  called(
    server: ServerLabels,
    call: {
      readonly direction: string | null;
      readonly disposition: string;
      readonly talkSeconds: number | null;
    },
  ): void {
    const { direction, disposition, talkSeconds } = call;
    this.#calls.inc({ ...server, direction: direction ?? "Unknown", disposition });
    this.#talk.inc({ ...server }, talkSeconds ?? 0);
  }

  /** For so long nobody watched the calls of a server. */
  unwatched(server: ServerLabels, seconds: number): void {
    this.#unwatched.inc({ ...server }, seconds);
  }

  /** Fits `APIServerOptions.onRequest`. */
  readonly requested = ({ method, path, query = {} }: APIRequest): void => {
    const words = path.split("/").slice(path.startsWith("/api/") ? 3 : 4);
    const within = words[0] === "namespaces" && words.length > 2 ? words.slice(2) : words;
    const [resource = "", name, part] = within;
    const reads = query["watch"] === true ? "watch" : name === undefined ? "list" : "get";
    const verb = { GET: reads, POST: "create", PUT: "update", PATCH: "patch", DELETE: "delete" }[method];
    this.#requests.inc({ verb, resource: part === undefined ? resource : `${resource}/${part}` });
  };

  /** Fits `ControllerOptions.onReconciled`. */
  readonly reconciled = (controller: string, result: ReconcileResult, seconds: number): void => {
    this.#reconciles.inc({ controller, result });
    this.#durations.observe({ controller }, seconds);
  };

  /** Reports the depth of a controller's queue from now on. */
  watchQueue(controller: string, queue: Pick<WorkQueue, "depth">): void {
    this.#queues.set(controller, queue);
  }

  setLeader(isLeading: boolean): void {
    this.#leader.set(isLeading ? 1 : 0);
  }

  setDrift(server: ServerLabels, files: number): void {
    this.#drift.set({ ...server }, files);
  }

  setImported(server: ServerLabels, isDone: boolean): void {
    this.#imported.set({ ...server }, isDone ? 1 : 0);
  }

  setConnected(server: ServerLabels, protocol: "ssh" | "ami", isUp: boolean): void {
    this.#connected.set({ ...server, protocol }, isUp ? 1 : 0);
  }

  /** The server is no longer ours: its gauges go. */
  forget(server: ServerLabels): void {
    this.#drift.remove({ ...server });
    this.#imported.remove({ ...server });
    for (const protocol of ["ssh", "ami"]) this.#connected.remove({ ...server, protocol });
  }
}

/** What a probe asks: whether something is well; a throw means no. */
export type ProbeCheck = () => boolean | Promise<boolean>;

export interface ServeOptions {
  /** 0 takes a free one. */
  readonly port: number;
  /** Default: every address, for the kubelet and Prometheus. */
  readonly host?: string;
  readonly metrics: Metrics;
  /** By name; /healthz is 200 while all are well: a failure makes the kubelet restart us. Default: none. */
  readonly healthy?: Readonly<Record<string, ProbeCheck>>;
  /** By name; /readyz is 200 while all are well. Default: none. */
  readonly ready?: Readonly<Record<string, ProbeCheck>>;
}

export interface MetricsServer {
  readonly port: number;
  close(): Promise<void>;
}

/** Serves /metrics, /healthz and /readyz; the probes name what is not well, one a line, and nothing else. */
export async function serveHTTP(options: ServeOptions): Promise<MetricsServer> {
  const server = createServer((request, response) => {
    answer(request.method, request.url, options).then(
      ({ status, type, body }) => response.writeHead(status, { "Content-Type": type }).end(body),
      () => response.writeHead(500).end(),
    );
  });
  // A client that sends nothing must not hold a socket for long.
  server.headersTimeout = 5_000;
  server.requestTimeout = 10_000;
  await listen(server, options.port, options.host);
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : options.port;
  return {
    port,
    close: async () => {
      const { promise, resolve } = Promise.withResolvers<undefined>();
      server.close(() => resolve(undefined));
      server.closeAllConnections();
      await promise;
    },
  };
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

const text = "text/plain; charset=utf-8";

async function answer(method = "", url = "", options: ServeOptions): Promise<Answer> {
  if (method !== "GET" && method !== "HEAD") return { status: 405, type: text, body: "" };
  const path = url.split("?", 1)[0];
  if (path === "/healthz") return probe(options.healthy ?? {});
  if (path === "/readyz") return probe(options.ready ?? {});
  if (path !== "/metrics") return { status: 404, type: text, body: "" };
  const { registry } = options.metrics;
  return { status: 200, type: registry.contentType, body: await registry.metrics() };
}

async function probe(checks: Readonly<Record<string, ProbeCheck>>): Promise<Answer> {
  const failed: string[] = [];
  for (const [name, check] of Object.entries(checks)) {
    const well = await Promise.resolve()
      .then(check)
      .catch(() => false);
    if (!well) failed.push(`not ${name}`);
  }
  if (failed.length === 0) return { status: 200, type: text, body: "ok\n" };
  return { status: 503, type: text, body: `${failed.join("\n")}\n` };
}

async function listen(server: Server, port: number, host: string | undefined): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  server.once("error", reject);
  server.listen({ port, host }, () => resolve(undefined));
  await promise;
  server.removeListener("error", reject);
}
