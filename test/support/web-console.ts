import { readFile } from "node:fs/promises";
import { request } from "node:https";
import { join } from "node:path";
import { WebSocket } from "ws";
import { openAudit } from "../../console/audit.ts";
import type { Audit, AuditEntry } from "../../console/audit.ts";
import { selfSignedCertificate } from "../../console/certificate.ts";
import type { OfferedServer } from "../../console/servers.ts";
import { TokenDirectory } from "../../console/tokens.ts";
import { startWebConsole } from "../../console/web-console.ts";
import type { WebConsole, WebConsoleOptions } from "../../console/web-console.ts";
import type { Role } from "../../core/judge/commands.ts";
import { contextOf } from "../../cli/context.ts";
import { ServerConsole } from "../../engine/console.ts";
import { consolePolicyOf } from "../../engine/console-session.ts";

/** A web console of a lab's servers, with what a test wants of it. */
export interface TestedConsole {
  readonly web: WebConsole;
  readonly tokens: TokenDirectory;
  readonly servers: ReadonlyMap<string, OfferedServer>;
  /** The lines of the audit so far. */
  audited(): Promise<AuditEntry[]>;
  close(): Promise<void>;
}

/** Starts one on a free port, over TLS, with everything of it in `directory`. */
export async function startTestedConsole(
  lab: { readonly directory: string },
  directory: string,
  options: Partial<WebConsoleOptions> = {},
): Promise<TestedConsole> {
  const context = await contextOf({ filename: [join(lab.directory, "manifests.yaml")], output: "text" }, []);
  const servers = new Map<string, OfferedServer>(
    context.servers.map((server) => [
      server.name,
      { console: new ServerConsole(server, context.secrets), policy: consolePolicyOf(server) },
    ]),
  );
  const tokens = new TokenDirectory(join(directory, "tokens"));
  const auditFile = join(directory, "audit.jsonl");
  const audit: Audit = openAudit(auditFile);
  const web = await startWebConsole({
    servers: { names: () => [...servers.keys()], find: (name) => servers.get(name) },
    signIn: tokens,
    audit,
    host: "127.0.0.1",
    port: 0,
    tls: await selfSignedCertificate(join(directory, "tls"), ["localhost", "127.0.0.1"]),
    ...options,
  });
  return {
    web,
    tokens,
    servers,
    audited: async () =>
      (await readFile(auditFile, "utf8"))
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line) as AuditEntry),
    close: async () => {
      await web.close();
      await Promise.all([...servers.values()].map((server) => server.console.close()));
    },
  };
}

export interface Answered {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** A browser without a page: requests and WebSockets with whatever headers a test wants. */
export class TestedBrowser {
  readonly #web: Pick<WebConsole, "port" | "url">;
  cookie: string | undefined;
  origin: string | undefined;

  constructor(web: Pick<WebConsole, "port" | "url">) {
    this.#web = web;
    this.origin = new URL(web.url).origin;
  }

  call(method: string, path: string, body?: object, headers: Record<string, string> = {}): Promise<Answered> {
    const answer = Promise.withResolvers<Answered>();
    const sent = request(
      {
        host: "127.0.0.1",
        port: this.#web.port,
        path,
        method,
        rejectUnauthorized: false,
        headers: { "content-type": "application/json", ...this.#headers(), ...headers },
      },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (part: string) => (text += part));
        response.on("end", () =>
          answer.resolve({ status: response.statusCode ?? 0, headers: response.headers, text }),
        );
      },
    );
    sent.on("error", answer.reject);
    sent.end(body === undefined ? undefined : JSON.stringify(body));
    return answer.promise;
  }

  async signIn(tokens: TokenDirectory, role: Role, who: string = role): Promise<void> {
    const { token } = await tokens.create({ who, role, validForMs: 60_000 });
    const answer = await this.call("POST", "/session", { token });
    if (answer.status !== 200) throw new Error(`signing in answered ${answer.status}: ${answer.text}`);
    this.cookie = answer.headers["set-cookie"]?.[0]?.split(";")[0];
  }

  async ticket(server = "pbx1"): Promise<string> {
    const answer = await this.call("POST", "/ticket", { server });
    return (JSON.parse(answer.text) as { ticket: string }).ticket;
  }

  /** Tries to open a console: what it opened, or the status that refused it. */
  open(ticket: string | undefined): Promise<TestedSocket | number> {
    const socket = new WebSocket(
      `wss://127.0.0.1:${this.#web.port}/socket`,
      ["asterisk-console", ...(ticket === undefined ? [] : [`ticket.${ticket}`])],
      { rejectUnauthorized: false, headers: this.#headers() },
    );
    const opened = Promise.withResolvers<TestedSocket | number>();
    const tested = new TestedSocket(socket);
    socket.on("open", () => opened.resolve(tested));
    socket.on("unexpected-response", (_, response) => {
      opened.resolve(response.statusCode ?? 0);
      response.destroy();
    });
    socket.on("error", opened.reject);
    return opened.promise;
  }

  /** Opens a console with a fresh ticket. */
  async console(server?: string): Promise<TestedSocket> {
    const opened = await this.open(await this.ticket(server));
    if (typeof opened === "number") throw new Error(`the console answered ${opened}`);
    return opened;
  }

  #headers(): Record<string, string> {
    return {
      ...(this.origin === undefined ? {} : { origin: this.origin }),
      ...(this.cookie === undefined ? {} : { cookie: this.cookie }),
    };
  }
}

interface Message {
  readonly type: string;
  readonly [name: string]: unknown;
}

/** An open console: what it was told so far, and waiting for more. */
export class TestedSocket {
  readonly socket: WebSocket;
  readonly messages: Message[] = [];
  readonly closed: Promise<number>;
  #waiting: (() => void)[] = [];

  constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on("message", (bytes: Buffer) => {
      this.messages.push(JSON.parse(bytes.toString()) as Message);
      for (const wake of this.#waiting.splice(0)) wake();
    });
    this.closed = new Promise((resolve) => void socket.on("close", resolve));
  }

  /** The first message after `from` that fits; rejects when the connection ends before. */
  async next(fits: (message: Message) => boolean, from = 0): Promise<Message> {
    for (let at = from; ; at += 1) {
      while (at >= this.messages.length)
        await Promise.race([
          new Promise<void>((resolve) => this.#waiting.push(resolve)),
          this.closed.then((code) => Promise.reject(new Error(`closed with ${code}`))),
        ]);
      const message = this.messages[at];
      if (message !== undefined && fits(message)) return message;
    }
  }

  /** Sends a line and waits for what became of it. */
  async line(line: string): Promise<Message> {
    const from = this.messages.length;
    this.socket.send(JSON.stringify({ type: "line", line }));
    return this.next(({ type }) => type === "result", from);
  }
}
