import { randomBytes } from "node:crypto";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { createServer } from "node:http";
import { Server as TLSServer, createServer as createTLSServer } from "node:https";
import type { SecureContextOptions } from "node:tls";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import { AsteriskIacError, messageOf } from "../core/errors.ts";
import { readAssets } from "./assets.ts";
import type { Asset } from "./assets.ts";
import type { Audit, AuditEntry } from "./audit.ts";
import type { TLSIdentity } from "./certificate.ts";
import { servePerson } from "./person-connection.ts";
import { Sessions, SignInLimit } from "./sessions.ts";
import type { Session } from "./sessions.ts";
import type { OfferedServers } from "./servers.ts";
import type { SignIn } from "./sign-in.ts";

export interface WebConsoleOptions {
  readonly servers: OfferedServers;
  readonly signIn: SignIn;
  readonly audit: Audit;
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Without it plain HTTP is spoken: for a proxy on this machine that does TLS. */
  readonly tls?: TLSIdentity;
  /** The public address, where it is not that of this listener: its origin is accepted, its path is a prefix. */
  readonly url?: URL;
  /** Who types nothing for so long, at none of the consoles, is signed out, which closes them. Default 15 minutes. */
  readonly idleMs?: number;
}

/** A web console that listens. */
export interface WebConsole {
  readonly port: number;
  /** Where a browser finds it. */
  readonly url: string;
  /** Shows another certificate to whoever connects from now on. */
  useCertificate(tls: TLSIdentity): void;
  close(): Promise<void>;
}

const cookieName = "__Secure-asterisk-console";
const protocol = "asterisk-console";
const ticketPrefix = "ticket.";
const maxBodyBytes = 4096;
const sweepMs = 5_000;

/** Starts the web console. Rejects with `Unreachable` where the port can't be listened on. */
export async function startWebConsole(options: WebConsoleOptions): Promise<WebConsole> {
  const app = new Application(options, await readAssets());
  const { tls } = options;
  const handle = (request: IncomingMessage, response: ServerResponse): void =>
    void app.handle(request, response);
  // Who connects and says nothing is let go of: connections are counted.
  const server: Server =
    tls === undefined
      ? createServer(handle)
      : createTLSServer({ ...contextOf(tls), handshakeTimeout: 10_000 }, handle);
  server.requestTimeout = 10_000;
  server.headersTimeout = 10_000;
  server.maxConnections = 1_000;
  server.on("upgrade", (request, socket, head) => void app.upgrade(request, socket, head));
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) =>
      reject(
        new AsteriskIacError(
          "Unreachable",
          `can't listen on ${options.host} port ${options.port}: ${error.message}`,
          {
            hint: "Choose another address with --listen.",
            cause: error,
          },
        ),
      ),
    );
    server.listen(options.port, options.host, resolve);
  });
  const { port } = server.address() as AddressInfo;
  app.listensOn(port);
  return {
    port,
    url: app.url,
    useCertificate: (renewed) => {
      if (server instanceof TLSServer) server.setSecureContext(contextOf(renewed));
    },
    close: async () => {
      app.close();
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function contextOf({ certificate, key }: TLSIdentity): SecureContextOptions {
  return { cert: certificate, key, minVersion: "TLSv1.2" };
}

/** A refusal as HTTP tells it; the reason goes to the audit too. */
class Refusal {
  readonly status: number;
  readonly reason: string;

  constructor(status: number, reason: string) {
    this.status = status;
    this.reason = reason;
  }
}

class Application {
  readonly #options: WebConsoleOptions;
  readonly #assets: ReadonlyMap<string, Asset>;
  readonly #sessions: Sessions;
  readonly #limit = new SignInLimit();
  readonly #sockets: WebSocketServer;
  readonly #sweep: NodeJS.Timeout;
  #origins: readonly string[] = [];
  url = "";

  constructor(options: WebConsoleOptions, assets: ReadonlyMap<string, Asset>) {
    this.#options = options;
    this.#assets = assets;
    this.#sessions = new Sessions(options.idleMs ?? 15 * 60_000);
    this.#sockets = new WebSocketServer({
      noServer: true,
      maxPayload: maxBodyBytes,
      ...{ maxFragments: 16 },
      perMessageDeflate: false,
      handleProtocols: () => protocol,
    });
    this.#sweep = setInterval(() => void this.#sessions.sweep(), sweepMs).unref();
  }

  /** The origins that a browser at this console has: one that is declared, else those of the listener itself. */
  listensOn(port: number): void {
    const { url, host, tls } = this.#options;
    const scheme = tls === undefined ? "http" : "https";
    const local = isLoopback(host)
      ? ["localhost", "127.0.0.1", "[::1]"]
      : [host.includes(":") ? `[${host}]` : host];
    this.#origins = url === undefined ? local.map((name) => `${scheme}://${name}:${port}`) : [url.origin];
    this.url = url === undefined ? `${this.#origins[0]}/` : `${url.origin}${this.#base}`;
  }

  close(): void {
    clearInterval(this.#sweep);
    this.#sessions.close();
    for (const socket of this.#sockets.clients) socket.terminate();
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const nonce = randomBytes(16).toString("base64");
    for (const [name, value] of Object.entries(this.#headers(nonce))) response.setHeader(name, value);
    try {
      await this.#route(request, response, nonce);
    } catch (thrown) {
      const refusal = thrown instanceof Refusal ? thrown : new Refusal(500, messageOf(thrown));
      if (!response.headersSent) json(response, refusal.status, { error: refusal.reason });
      else response.destroy();
    }
  }

  /** Opens a console, if everything is in order; else answers 403, and nothing was opened anywhere. */
  async upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on("error", () => socket.destroy());
    try {
      if (this.#path(request) !== "socket") throw new Refusal(404, "There is nothing here.");
      this.#checkOrigin(request);
      const session = await this.#session(request);
      const offered = (request.headers["sec-websocket-protocol"] ?? "").split(",").map((each) => each.trim());
      const ticket = offered.find((each) => each.startsWith(ticketPrefix))?.slice(ticketPrefix.length) ?? "";
      const name = this.#sessions.redeem(session, ticket);
      if (name === undefined)
        throw this.#refuse(
          request,
          "connect",
          "without a ticket that is good, unused and this session's",
          session,
        );
      const server = this.#options.servers.find(name);
      const role = server === undefined ? undefined : await session.person.roleOn(name);
      if (server === undefined || role === undefined)
        throw this.#refuse(request, "connect", "a server that is not offered to this person", session, name);
      const about = { ...this.#about(request, session), role, server: name };
      this.#audit({ event: "connect", outcome: "Allowed", ...about });
      this.#sockets.handleUpgrade(request, socket, head, (opened) => {
        void servePerson(opened, {
          server,
          role,
          ended: session.ended,
          audit: (entry) => this.#audit({ ...entry, ...about }),
          note: (entry) => this.#note({ ...entry, ...about }),
          onTyped: () => this.#sessions.typed(session),
        }).then(() => this.#note({ event: "disconnect", outcome: "Allowed", ...about }));
      });
    } catch (thrown) {
      const status = thrown instanceof Refusal ? thrown.status : 500;
      socket.end(
        `HTTP/1.1 ${status === 401 ? 403 : status} Refused\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`,
      );
    }
  }

  async #route(request: IncomingMessage, response: ServerResponse, nonce: string): Promise<void> {
    const path = this.#path(request);
    const call = `${request.method} ${path}`;
    const asset = this.#assets.get(path === "" ? "index.html" : path);
    if (request.method === "GET" && asset !== undefined) {
      response.setHeader("content-type", asset.type);
      const { prompt } = this.#options.signIn;
      const isPage = asset.type.startsWith("text/html");
      response.end(
        isPage
          ? asset.content.replaceAll("{{nonce}}", nonce).replaceAll("{{prompt}}", prompt)
          : asset.content,
      );
    } else if (call === "GET session")
      json(response, 200, await this.#describe(await this.#session(request)));
    else if (call === "POST session") await this.#signIn(request, response);
    else if (call === "POST ticket") await this.#ticket(request, response);
    else if (call === "DELETE session") await this.#signOut(request, response);
    else throw new Refusal(404, "There is nothing here.");
  }

  async #signIn(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#checkOrigin(request);
    const address = addressOf(request);
    const { signIn } = this.#options;
    const waitSeconds = this.#limit.waitSeconds(address);
    const { token } = await body(request);
    const isTried = typeof token === "string" && (waitSeconds === 0 || signIn.isLocal);
    const person = isTried ? await signIn.signIn(token.trim()) : undefined;
    if (person === undefined && waitSeconds > 0) {
      response.setHeader("retry-after", waitSeconds);
      throw this.#refuse(request, "sign-in", "too many failures", undefined, undefined, 429);
    }
    if (person === undefined) {
      this.#limit.failed(address);
      throw this.#refuse(request, "sign-in", "nobody's, or no longer good", undefined, undefined, 401);
    }
    const begun = this.#sessions.begin(person);
    if (begun === undefined)
      throw this.#refuse(request, "sign-in", "too many people are signed in", undefined);
    this.#audit({ event: "sign-in", outcome: "Allowed", ...this.#about(request, begun.session) });
    response.setHeader("set-cookie", `${cookieName}=${begun.cookie}; ${this.#cookieAttributes}`);
    json(response, 200, await this.#describe(begun.session));
  }

  async #ticket(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#checkOrigin(request);
    const session = await this.#session(request);
    const { server } = await body(request);
    const name = typeof server === "string" ? server : "";
    if (this.#options.servers.find(name) === undefined || (await session.person.roleOn(name)) === undefined)
      throw this.#refuse(request, "connect", "a server that is not offered to this person", session, name);
    json(response, 200, { ticket: this.#sessions.ticket(session, name) });
  }

  async #signOut(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#checkOrigin(request);
    const session = await this.#session(request);
    this.#sessions.end(session);
    this.#audit({ event: "sign-out", outcome: "Allowed", ...this.#about(request, session) });
    response.setHeader("set-cookie", `${cookieName}=; Max-Age=0; ${this.#cookieAttributes}`);
    json(response, 200, {});
  }

  async #describe({ person }: Session): Promise<object> {
    const servers = await Promise.all(
      this.#options.servers.names().map(async (name) => ({ name, role: await person.roleOn(name) })),
    );
    return { who: person.who, servers: servers.filter(({ role }) => role !== undefined) };
  }

  async #session(request: IncomingMessage): Promise<Session> {
    const cookies = (request.headers.cookie ?? "").split(";").map((each) => each.trim());
    const cookie = cookies.find((each) => each.startsWith(`${cookieName}=`))?.slice(cookieName.length + 1);
    const session = await this.#sessions.find(cookie);
    if (session !== undefined) return session;
    // The page asks at its start whether somebody is signed in: no attempt at anything.
    if (request.method === "GET" && request.headers.upgrade === undefined)
      throw new Refusal(401, "Nobody is signed in.");
    throw this.#refuse(request, "request", "nobody is signed in", undefined, undefined, 401);
  }

  /** A page of another site must not be able to do anything in a browser that is signed in here. */
  #checkOrigin(request: IncomingMessage): void {
    const { origin } = request.headers;
    if (origin !== undefined && this.#origins.includes(origin)) return;
    throw this.#refuse(request, "request", `from the origin ${(origin ?? "(none)").slice(0, 200)}`);
  }

  /** Writes a refusal to the audit and gives it. */
  #refuse(
    request: IncomingMessage,
    event: AuditEntry["event"],
    reason: string,
    session?: Session,
    server?: string,
    status = 403,
  ): Refusal {
    const where = server === undefined ? {} : { server: server.slice(0, 300) };
    this.#audit({ event, outcome: "Refused", reason, ...this.#about(request, session), ...where });
    return new Refusal(status, `Refused: ${reason}.`);
  }

  #about(request: IncomingMessage, session?: Session): Pick<AuditEntry, "remote" | "who" | "session"> {
    return {
      remote: addressOf(request),
      ...(session === undefined ? {} : { who: session.person.who, session: session.name }),
    };
  }

  #audit(entry: AuditEntry): void {
    this.#options.audit.write(entry);
  }

  /** Of what nothing can undo: the process goes on where that can't be written either. */
  #note(entry: AuditEntry): void {
    try {
      this.#audit(entry);
    } catch {
      // Whatever else is asked for is refused with the reason.
    }
  }

  /** The path below the prefix, whether the proxy before us takes that off or not; without a leading slash. */
  #path(request: IncomingMessage): string {
    const path = (request.url ?? "/").split("?")[0] ?? "/";
    return path.startsWith(this.#base) ? path.slice(this.#base.length) : path.slice(1);
  }

  get #base(): string {
    const path = this.#options.url?.pathname ?? "/";
    return path.endsWith("/") ? path : `${path}/`;
  }

  get #cookieAttributes(): string {
    return `Path=${this.#base}; HttpOnly; Secure; SameSite=Strict`;
  }

  #headers(nonce: string): Record<string, string> {
    const isPublic = this.#options.url !== undefined;
    return {
      "content-security-policy": [
        "default-src 'none'",
        "script-src 'self'",
        // xterm.js makes style elements; the page gives them the nonce.
        `style-src 'self' 'nonce-${nonce}'`,
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
      ].join("; "),
      "x-frame-options": "DENY",
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
      "cross-origin-opener-policy": "same-origin",
      "cross-origin-resource-policy": "same-origin",
      "cache-control": "no-store",
      ...(isPublic ? { "strict-transport-security": "max-age=31536000" } : {}),
    };
  }
}

/** Whether only this machine can reach an address. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);
}

function addressOf(request: IncomingMessage): string {
  return request.socket.remoteAddress ?? "?";
}

async function body(request: IncomingMessage): Promise<Record<string, unknown>> {
  if (request.headers["content-type"]?.split(";")[0] !== "application/json")
    throw new Refusal(415, "JSON is expected.");
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBodyBytes) throw new Refusal(413, "That is too much.");
    chunks.push(chunk);
  }
  try {
    const value: unknown = JSON.parse(Buffer.concat(chunks).toString("utf8"));
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    throw new Refusal(400, "That is no JSON.");
  }
}

function json(response: ServerResponse, status: number, value: object): void {
  response.statusCode = status;
  response.setHeader("content-type", "application/json; charset=utf-8");
  response.end(JSON.stringify(value));
}
