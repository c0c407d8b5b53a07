import type { AgentOptions, RequestOptions } from "node:https";
import type { buildConnector } from "undici";
import { Agent } from "undici";
import type { KubeConfig } from "@kubernetes/client-node";
import { HttpMethod, IsomorphicFetchHttpLibrary, RequestContext } from "@kubernetes/client-node";
import { AsteriskIacError } from "../../core/errors.ts";
import { refusal, unavailable } from "./api-errors.ts";
import { linesOf } from "./lines.ts";

/** One request to the API server. */
export interface APIRequest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** From the server's root, names already escaped, e.g. `/api/v1/namespaces/default/secrets/x`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Default `application/json`. */
  readonly contentType?: string;
  /** Default `application/json`. */
  readonly accept?: string;
  /** Ends the request. If its reason is `noAnswer()`, the connection is not used again. */
  readonly signal?: AbortSignal;
}

/**
 * The Kubernetes API, in the two ways in which we talk to it. Failures are AsteriskIacErrors: KubernetesUnavailable
 * (no answer, 429, 5xx), KubernetesNotFound (404), KubernetesConflict (409), KubernetesExpired (410),
 * KubernetesRefused (any other refusal).
 */
export interface KubernetesAPI {
  /** The answer's JSON. */
  request(request: APIRequest): Promise<unknown>;
  /** The answer's lines of JSON as they come, until the server or the signal ends it; then it ends without an error. */
  stream(request: APIRequest): AsyncIterable<unknown>;
}

export interface APIServerOptions {
  /** The deadline of a request, ten seconds by default; streams have none. */
  readonly timeoutMs?: number;
  /** Most connections at a time; what is asked beyond waits for one. Default: no limit. */
  readonly connections?: number;
  /** Told of everything that is sent. */
  readonly onRequest?: (request: APIRequest) => void;
}

/**
 * The real API server of a kubeconfig. client-node gives the address, the credentials and TLS; it would open a new
 * connection for every request, so the connections are kept here.
 */
export class APIServer implements KubernetesAPI {
  readonly #configuration: KubeConfig;
  readonly #url: string;
  readonly #timeoutMs: number;
  readonly #mostConnections: number | null;
  readonly #onRequest: APIServerOptions["onRequest"];
  readonly #http = new IsomorphicFetchHttpLibrary();
  #connections: Promise<ReturnType<RequestContext["getDispatcher"]>> | undefined;

  constructor(configuration: KubeConfig, options: APIServerOptions = {}) {
    const cluster = configuration.getCurrentCluster();
    if (cluster === null) {
      throw new AsteriskIacError("InvalidArgument", "the kubeconfig has no current cluster", {
        hint: "Set its current-context, or pass another --kubeconfig.",
      });
    }
    this.#configuration = configuration;
    this.#url = cluster.server.replace(/\/+$/, "");
    this.#timeoutMs = options.timeoutMs ?? 10_000;
    this.#mostConnections = options.connections ?? null;
    this.#onRequest = options.onRequest;
  }

  async request(request: APIRequest): Promise<unknown> {
    const deadline = AbortSignal.timeout(this.#timeoutMs);
    const signal = request.signal === undefined ? deadline : AbortSignal.any([request.signal, deadline]);
    const answer = await this.#reach(request, async () => {
      const { httpStatusCode, headers, body } = await this.#send(request, signal);
      return { status: httpStatusCode, headers, text: await body.text() };
    });
    if (answer.status < 200 || answer.status > 299) throw this.#refused(request, answer);
    return parse(request, answer.text);
  }

  async *stream(request: APIRequest): AsyncIterable<unknown> {
    const ended = new AbortController();
    const signal =
      request.signal === undefined ? ended.signal : AbortSignal.any([request.signal, ended.signal]);
    try {
      const { httpStatusCode, headers, body } = await this.#reach(request, () => this.#send(request, signal));
      if (httpStatusCode !== 200) {
        const text = await this.#reach(request, () => body.text());
        throw this.#refused(request, { status: httpStatusCode, headers, text });
      }
      const chunks = body.stream();
      if (chunks === null) return;
      const lines = linesOf(chunks)[Symbol.asyncIterator]();
      for (;;) {
        const line = await this.#reach(request, () => lines.next());
        if (line.done === true) return;
        yield parse(request, line.value);
      }
    } catch (thrown) {
      if (request.signal?.aborted !== true) throw thrown;
    } finally {
      ended.abort();
    }
  }

  async #send(request: APIRequest, signal: AbortSignal) {
    this.#onRequest?.(request);
    const context = new RequestContext(`${this.#url}${request.path}`, HttpMethod[request.method]);
    for (const [name, value] of Object.entries(request.query ?? {}))
      if (value !== undefined) context.setQueryParam(name, String(value));
    context.setHeaderParam("Accept", request.accept ?? "application/json");
    if (request.body !== undefined) {
      context.setHeaderParam("Content-Type", request.contentType ?? "application/json");
      context.setBody(JSON.stringify(request.body));
    }
    await this.#configuration.applySecurityAuthentication(context);
    this.#connections ??= this.#overHTTP1().then((agent) => agent ?? context.getDispatcher());
    const connections = await this.#connections;
    if (connections !== undefined) context.setDispatcher(connections);
    context.setSignal(signal);
    return this.#http.send(context).toPromise();
  }

  /**
   * Connections that speak HTTP/1.1: undici 8.12.4 ends the process when an HTTP/2 connection goes away under a request (an
   * `error` that nobody listens to), as it does whenever an API server restarts. Through a proxy client-node's own are used.
   */
  async #overHTTP1(): Promise<Agent | undefined> {
    const options: RequestOptions = {};
    await this.#configuration.applyToHTTPSOptions(options);
    const cluster = this.#configuration.getCurrentCluster();
    const chosen = this.#configuration.createDispatcherOptions(cluster, options as AgentOptions);
    if (chosen.type !== "agent") return undefined;
    return new Agent({
      connect: chosen.connect as buildConnector.BuildOptions,
      allowH2: false,
      connections: this.#mostConnections,
    });
  }

  /** Does what needs the connection; when that fails, the next request opens a new one. */
  async #reach<Result>(request: APIRequest, action: () => Promise<Result>): Promise<Result> {
    try {
      return await action();
    } catch (thrown) {
      if (request.signal?.aborted !== true || isTimeout(request.signal.reason)) this.#reconnect();
      throw unavailable(request, thrown);
    }
  }

  /** Lets requests under way end on their connections and opens new ones for all others. */
  #reconnect(): void {
    const connections = this.#connections;
    this.#connections = undefined;
    connections?.then((open) => open?.close()).catch(() => undefined);
  }

  #refused(
    request: APIRequest,
    answer: { status: number; headers: Record<string, string>; text: string },
  ): AsteriskIacError {
    // A client certificate belongs to the connection, so a new one is only sent over a new connection.
    if (answer.status === 401) this.#reconnect();
    return refusal(request, answer);
  }
}

function parse({ method, path }: APIRequest, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // No cause: the error of JSON.parse quotes the text.
    throw new AsteriskIacError(
      "UnexpectedAnswer",
      `Kubernetes API: ${method} ${path}: the answer is no JSON`,
      {
        next: "Retry",
      },
    );
  }
}

/** The reason to abort a request with when its connection seems dead. */
export function noAnswer(): DOMException {
  return new DOMException("no answer in time", "TimeoutError");
}

function isTimeout(reason: unknown): boolean {
  return typeof reason === "object" && reason !== null && "name" in reason && reason.name === "TimeoutError";
}
