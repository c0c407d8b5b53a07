import { verify } from "@octokit/webhooks-methods";
import { once } from "node:events";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { createServer } from "node:http";
import { createServer as createTLSServer } from "node:https";
import type { AddressInfo } from "node:net";
import { z } from "zod";
import { AsteriskIacError, messageOf } from "../core/errors.ts";
import { RateLimit } from "./rate-limit.ts";

/** Whether a push was to this branch of the repository at this URL. */
export type IsMeant = (url: string, branch: string) => boolean;

export interface WebhookOptions {
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  /** In PEM; without them it is plain HTTP, for behind a proxy: the signature shows nothing of the secret. */
  readonly tls?: { readonly certificate: string; readonly key: string };
  /** What the forge signs with. Asked for each delivery, so that a new one counts at once. */
  readonly secret: () => Promise<string>;
  /** Called for each push that was signed. Told it twice, it has to do no more than told it once. */
  readonly onPush: (isMeant: IsMeant) => void;
}

/** A receiver that listens. */
export interface WebhookReceiver {
  /** What the forge is to be given, as this machine sees itself. */
  readonly url: string;
  close(): Promise<void>;
}

/** Longer than the longest delivery that matters: of a push, forges send twenty commits at most. Bytes. */
const longestBody = 1_000_000;

/** What one address may ask. Deliveries come one by one, so this is far above what a forge does. */
const rate = { perSecond: 5, atOnce: 30 };

const path = "/webhook";

/** All that is believed of a delivery. It chooses what is fetched, with our URLs and credentials; never where from. */
const pushPayload = z.object({
  ref: z.string().max(1024),
  repository: z.object({
    clone_url: z.string().max(4096).optional(),
    ssh_url: z.string().max(4096).optional(),
    html_url: z.string().max(4096).optional(),
  }),
});

/**
 * Receives the webhooks of GitHub and of Gitea at `POST /webhook`: a delivery with a good signature that tells of a push
 * makes the repository be asked now, and not after its interval. Nothing else follows from one, so that a delivery that is
 * sent again does no harm. Whatever is refused (401, 403, 404, 413) is told no reason.
 *
 * Rejects with `InvalidArgument` where it can't listen.
 */
export async function receiveWebhooks(options: WebhookOptions): Promise<WebhookReceiver> {
  const { host, port, tls } = options;
  const limit = new RateLimit(rate);
  const limits = {
    ...{ headersTimeout: 5_000, requestTimeout: 10_000, keepAliveTimeout: 5_000 },
    // Without these the limits above are looked at every thirty seconds, and a handshake may take two minutes.
    ...{ connectionsCheckingInterval: 1_000, handshakeTimeout: 5_000 },
  };
  const listener = (request: IncomingMessage, response: ServerResponse): void =>
    void answer(options, limit, request).then(
      (status) => end(response, status),
      () => end(response, 403),
    );
  const server: Server =
    tls === undefined
      ? createServer(limits, listener)
      : createTLSServer({ ...limits, cert: tls.certificate, key: tls.key }, listener);
  server.maxConnections = 100;
  try {
    server.listen({ host, port });
    await once(server, "listening");
  } catch (cause) {
    throw new AsteriskIacError(
      "InvalidArgument",
      `can't listen for webhooks on ${host} port ${port}: ${messageOf(cause)}`,
      {
        cause,
        hint: "Name an address of this machine and a port that is free.",
      },
    );
  }
  return {
    url: urlOf(server.address() as AddressInfo, tls !== undefined),
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function urlOf({ address, family, port }: AddressInfo, isTLS: boolean): string {
  return `${isTLS ? "https" : "http"}://${family === "IPv6" ? `[${address}]` : address}:${port}${path}`;
}

/** A refusal ends the connection: the rest of a body that is not wanted is not read. */
function end(response: ServerResponse, status: number): void {
  const isGood = status < 300;
  response.writeHead(status, isGood ? {} : { connection: "close" });
  response.end(() => (isGood ? undefined : response.req.destroy()));
}

/** The status to answer with. */
async function answer(
  { secret, onPush }: WebhookOptions,
  limit: RateLimit,
  request: IncomingMessage,
): Promise<number> {
  if (!limit.admits(request.socket.remoteAddress ?? "")) return 403;
  if (request.method !== "POST" || request.url !== path) return 404;
  const signature = signatureOf(request);
  if (signature === undefined) return 401;
  const body = await bodyOf(request);
  if (body === undefined) return 413;
  if (body === "" || !(await verify(await secret(), body, signature))) return 401;
  const event = headerOf(request, "x-github-event") ?? headerOf(request, "x-gitea-event");
  if (event !== "push") return 204;
  const isMeant = meantBy(request, body);
  if (isMeant === undefined) return 204;
  onPush(isMeant);
  return 202;
}

/** As `verify` reads it. Gitea sends both; its own came first. */
function signatureOf(request: IncomingMessage): string | undefined {
  const own = headerOf(request, "x-gitea-signature");
  return headerOf(request, "x-hub-signature-256") ?? (own === undefined ? undefined : `sha256=${own}`);
}

function headerOf(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** Undefined where it is too long. Bytes that are no UTF-8 make the signature a wrong one. */
async function bodyOf(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  if (Number(request.headers["content-length"] ?? 0) > longestBody) return undefined;
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > longestBody) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** Undefined where the delivery tells of no push to a branch. */
function meantBy({ headers }: IncomingMessage, body: string): IsMeant | undefined {
  const isForm = headers["content-type"]?.startsWith("application/x-www-form-urlencoded") === true;
  const text = isForm ? (new URLSearchParams(body).get("payload") ?? "") : body;
  const payload = pushPayload.safeParse(parsed(text)).data;
  const [, pushed] = /^refs\/heads\/(.+)$/.exec(payload?.ref ?? "") ?? [];
  if (payload === undefined || pushed === undefined) return undefined;
  const { clone_url, ssh_url, html_url } = payload.repository;
  const names = new Set(
    [clone_url, ssh_url, html_url].flatMap((url) => (url === undefined ? [] : [nameOf(url)])),
  );
  return (url, branch) => branch === pushed && names.has(nameOf(url));
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * Owner and name of a repository. The host is left out: a forge may call itself otherwise than we reach it, and the worst
 * that follows is a fetch too many.
 */
function nameOf(url: string): string {
  return url
    .replace(/\/*$/, "")
    .replace(/\.git$/, "")
    .split(/[/:]/)
    .slice(-2)
    .join("/")
    .toLowerCase();
}
