import { once } from "node:events";
import { join } from "node:path";
import { openAudit } from "../console/audit.ts";
import { readCertificate, selfSignedCertificate } from "../console/certificate.ts";
import type { TLSIdentity } from "../console/certificate.ts";
import type { OfferedServer, OfferedServers } from "../console/servers.ts";
import { isLoopback, startWebConsole } from "../console/web-console.ts";
import { AsteriskIacError } from "../core/errors.ts";
import { ServerConsole } from "../engine/console.ts";
import { consolePolicyOf, refuseDisabled } from "../engine/console-session.ts";
import type { ServerContext } from "./context.ts";
import { consoleDirectory, consoleTokens, defaultListen, durationOf } from "./console-token.ts";
import type { Shell } from "./program.ts";

/** Options of `console --web`. */
export interface WebOptions {
  readonly listen: string;
  readonly url?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  /** False with --no-tls. */
  readonly tls: boolean;
  readonly audit?: string;
  readonly idle: string;
}

/** Serves the web console until it is interrupted. */
export async function serveWebConsole(
  context: ServerContext,
  options: WebOptions,
  isDisabled: boolean,
  { terminal }: Shell,
): Promise<void> {
  const enabled = context.servers.filter(({ spec }) => spec.console?.disabled !== true);
  for (const server of context.servers)
    if (isDisabled || enabled.length === 0) refuseDisabled(server, isDisabled);
  const { host, port } = parseListen(options.listen);
  const url = publicURL(
    options,
    enabled.map(({ spec }) => spec.console?.url),
    host,
  );
  const tls = await certificateFor(options, host, url);
  const offered = new Map<string, OfferedServer>(
    enabled.map((server) => [
      server.name,
      { console: new ServerConsole(server, context.secrets), policy: consolePolicyOf(server) },
    ]),
  );
  const servers: OfferedServers = { names: () => [...offered.keys()], find: (name) => offered.get(name) };
  const web = await startWebConsole({
    servers,
    signIn: consoleTokens(),
    audit: openAudit(options.audit),
    host,
    port,
    idleMs: durationOf("--idle", options.idle),
    ...(tls === undefined ? {} : { tls }),
    ...(url === undefined ? {} : { url }),
  });
  terminal.stderr.write(
    `web console of ${[...offered.keys()].join(", ")} at ${web.url} (port ${web.port})\n`,
  );
  if (tls !== undefined)
    terminal.stderr.write(`SHA-256 fingerprint of its certificate: ${tls.fingerprint}\n`);
  try {
    await Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]);
  } finally {
    await web.close();
    await Promise.all([...offered.values()].map((server) => server.console.close()));
  }
}

async function certificateFor(
  options: WebOptions,
  host: string,
  url: URL | undefined,
): Promise<TLSIdentity | undefined> {
  const { tlsCert, tlsKey, tls } = options;
  if ((tlsCert === undefined) !== (tlsKey === undefined))
    throw new AsteriskIacError("InvalidArgument", "--tls-cert and --tls-key belong together");
  if (tlsCert !== undefined && tlsKey !== undefined) return readCertificate(tlsCert, tlsKey);
  if (tls) {
    const names = isLoopback(host) ? ["localhost", "127.0.0.1", "::1"] : [host];
    return selfSignedCertificate(join(consoleDirectory(), "tls"), [
      ...new Set([...names, ...(url === undefined ? [] : [url.hostname.replace(/^\[|\]$/g, "")])]),
    ]);
  }
  if (isLoopback(host) && url !== undefined) return undefined;
  throw new AsteriskIacError("PolicyRefused", "--no-tls is for a proxy on this machine that does TLS", {
    hint: "Listen on 127.0.0.1 and give the proxy's address with --url https://…",
  });
}

/** The address that browsers use: as given, else the one that all servers declare. */
function publicURL(
  options: WebOptions,
  declared: readonly (string | undefined)[],
  host: string,
): URL | undefined {
  const [first, ...others] = [...new Set(declared)];
  const text = options.url ?? (others.length === 0 ? first : undefined);
  const url = text === undefined ? undefined : URL.parse(text);
  if (url === null || (url !== undefined && url.protocol !== "https:"))
    throw new AsteriskIacError("InvalidArgument", `--url: ${text} is not an https URL`);
  if (url === undefined && ["0.0.0.0", "::"].includes(host))
    throw new AsteriskIacError(
      "InvalidArgument",
      "without its address the console can't tell whose pages may use it",
      {
        hint: "Give the address that browsers use with --url, or listen on one address.",
      },
    );
  return url;
}

function parseListen(text: string): { host: string; port: number } {
  const [, bracketed, plain, digits] = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  if (host !== undefined && port <= 65535) return { host, port };
  throw new AsteriskIacError("InvalidArgument", `--listen: ${text} is not HOST:PORT`, {
    hint: `Such as ${defaultListen} or [::1]:48001.`,
  });
}
