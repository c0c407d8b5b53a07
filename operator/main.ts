#!/usr/bin/env node
import { readFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { KubeConfig } from "@kubernetes/client-node";
import { Command, InvalidArgumentError, Option } from "commander";
import { pino } from "pino";
import type { Logger } from "pino";
import type { AsteriskIacError } from "../core/errors.ts";
import { duration, milliseconds } from "../core/resource/duration.ts";
import { GitSources } from "../engine/git-source.ts";
import { openAudit } from "../console/audit.ts";
import { isConsoleDisabled } from "../engine/console-session.ts";
import { clusterOf } from "./cluster.ts";
import type { ConsoleService } from "./console-service.ts";
import type { ServerObject } from "./objects.ts";
import { Operator } from "./operator.ts";
import { Deliveries } from "./webhook.ts";
import {
  APIServer,
  EventRecorder,
  LeaderElection,
  Metrics,
  serveHTTP,
  whileLeading,
} from "./runtime/index.ts";
import type { Informer } from "./runtime/index.ts";

interface Flags {
  readonly kubeconfig?: string;
  readonly namespace?: string;
  readonly leaseNamespace?: string;
  readonly lease: string;
  readonly leaseDuration: number;
  readonly concurrency: number;
  readonly deletionTimeout: number;
  readonly gitCache: string;
  readonly webhookListen?: { readonly host: string; readonly port: number };
  readonly consoleListen?: { readonly host: string; readonly port: number };
  readonly consoleUrl?: URL;
  readonly consoleTlsCert?: string;
  readonly consoleTlsKey?: string;
  readonly metricsPort: number;
  readonly healthPort: number;
}

const serviceAccountNamespace = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

// A thousand connections each keep a few small buffers for good, and each of those keeps the whole block it was cut from.
Buffer.poolSize = 8 * 1024;

const program = new Command("asterisk-iac-operator")
  .description(
    "Keeps AsteriskServers, AMIAccounts and ConfFiles of a Kubernetes cluster in step with live Asterisk.",
  )
  .option(
    "--kubeconfig <file>",
    "default: the service account in a cluster, else $KUBECONFIG or ~/.kube/config",
  )
  .option("--namespace <name>", "watch this namespace only (default: all)")
  .option("--lease-namespace <name>", "where the Lease is (default: our own namespace, else `default`)")
  .option("--lease <name>", "the Lease that says which replica writes", "asterisk-iac-operator")
  .addOption(
    new Option("--lease-duration <duration>", "how long a silent leader is left alone, in whole seconds")
      .argParser(time)
      .default(milliseconds("15s"), "15s"),
  )
  .option("--concurrency <count>", "servers worked on at the same time", count, 16)
  .addOption(
    new Option(
      "--deletion-timeout <duration>",
      "after so long a resource that can't be taken out of its server is let go of",
    )
      .argParser(time)
      .default(milliseconds("1h"), "1h"),
  )
  .option(
    "--git-cache <directory>",
    "where repositories are kept; what is in it can be lost",
    join(tmpdir(), "asterisk-iac-git"),
  )
  .option(
    "--webhook-listen <host:port>",
    "receive webhooks of GitHub and Gitea at /webhook, signed with the Secret asterisk-iac, key webhook-secret",
    address,
  )
  .option(
    "--console-listen <host:port>",
    "serve the web console of all servers, such as 0.0.0.0:48001",
    address,
  )
  .option(
    "--console-url <https url>",
    "the address that browsers use; default: that of --console-listen",
    url,
  )
  .option(
    "--console-tls-cert <file>",
    "its certificate, read anew when it changes; default: a self-signed one",
  )
  .option("--console-tls-key <file>", "the certificate's key")
  .option("--metrics-port <port>", "/metrics; 0 for none", port, 8080)
  .option("--health-port <port>", "/healthz and /readyz; 0 for none", port, 8081)
  .addHelpText(
    "after",
    `
Examples:
  $ asterisk-iac-operator                                   in a cluster
  $ npm run operator -- --kubeconfig ~/.kube/config         outside of it`,
  )
  .action(run);

await program.parseAsync();

async function run(flags: Flags): Promise<void> {
  const log = pino({ base: { component: "asterisk-iac-operator" } });
  const metrics = new Metrics({ process: true });
  const api = new APIServer(kubeConfig(flags.kubeconfig), { onRequest: metrics.requested });
  const warn = (error: AsteriskIacError): void => log.warn({ code: error.code }, error.message);
  // The caches of every replica are warm: the next leader begins at once.
  const reading = clusterOf(api, flags.namespace, warn);
  const caches = Object.values(reading.caches);
  for (const cache of caches) cache.start();

  const election = new LeaderElection({
    api,
    namespace: flags.leaseNamespace ?? ownNamespace(),
    name: flags.lease,
    identity: hostname(),
    leaseMs: flags.leaseDuration,
    renewMs: Math.round((flags.leaseDuration * 2) / 3),
    retryMs: Math.round(flags.leaseDuration / 7),
    onError: warn,
  });
  const probes = { "caches synced": () => caches.every((cache) => cache.hasSynced) };
  const servers = [
    ...(flags.metricsPort === 0 ? [] : [await serveHTTP({ port: flags.metricsPort, metrics })]),
    ...(flags.healthPort === 0 ? [] : [await serveHTTP({ port: flags.healthPort, metrics, ready: probes })]),
  ];
  const deliveries = new Deliveries(api, {
    namespace: flags.leaseNamespace ?? ownNamespace(),
    name: `${flags.lease}-webhook`,
  });
  const listen = flags.webhookListen;
  const receiver = listen && (await deliveries.receive(listen, reading.caches.servers, warn));
  if (receiver !== undefined) log.info({ url: receiver.url }, "receiving webhooks");
  const console = await consoleService(flags, reading.caches.servers, metrics, log);
  let leading: Operator | undefined;
  const stop = async (signal: string): Promise<void> => {
    log.info({ signal }, "stopping: what is under way is finished first");
    // Before the term ends: afterwards nothing may be written.
    await leading?.stop();
    await election.stop();
    await receiver?.close();
    await console?.close();
    await Promise.all([...caches.map((cache) => cache.stop()), ...servers.map((server) => server.close())]);
  };
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => void stop(signal));

  await Promise.all(caches.map((cache) => cache.synced()));
  log.info({ identity: election.identity }, "caches synced; standing for election");
  await election.run(async (term) => {
    log.info("leading");
    metrics.setLeader(true);
    const writing = whileLeading(api, election, term);
    const events = new EventRecorder({ api: writing, onError: warn });
    const { caches: shared } = reading;
    const repositories = new GitSources({ cacheDirectory: flags.gitCache });
    const operator = new Operator({
      cluster: { ...clusterOf(writing, flags.namespace, warn), caches: shared },
      ...{ events, metrics, leader: election },
      concurrency: flags.concurrency,
      deletionTimeoutMs: flags.deletionTimeout,
      repositories,
      predecessorSeen: election.predecessorSeen,
      // One line of JSON each, as `asteriskctl calls --follow` writes them, beside those of the log.
      onCallsLine: (line) => process.stdout.write(`${JSON.stringify(line)}\n`),
      onError: (controller, key, error) =>
        log.warn({ controller, ...key, code: error.code, next: error.next }, error.message),
    });
    leading = operator;
    operator.start();
    if (receiver !== undefined) void deliveries.follow(repositories, term, warn);
    await new Promise<void>((resolve) => term.addEventListener("abort", () => resolve(), { once: true }));
    await operator.stop();
    leading = undefined;
    metrics.setLeader(false);
    log.info("no longer leading");
  });
}

/** Every replica serves it: a console needs no Lease. */
async function consoleService(
  { consoleListen: listen, consoleUrl, consoleTlsCert, consoleTlsKey, kubeconfig }: Flags,
  servers: Informer<ServerObject>,
  metrics: Metrics,
  log: Logger,
): Promise<ConsoleService | undefined> {
  if (listen === undefined) return undefined;
  if (isConsoleDisabled(process.env)) {
    log.info("the console is switched off by CONSOLE_DISABLED");
    return undefined;
  }
  // Connections of its own: what people ask for never stands before a reconcile.
  const api = new APIServer(kubeConfig(kubeconfig), { onRequest: metrics.requested, connections: 16 });
  // Loaded when it is wanted: its libraries take a sixth of the memory.
  const { startConsoleService } = await import("./console-service.ts");
  const service = await startConsoleService({
    ...{ api, servers, ...listen, url: consoleUrl },
    audit: openAudit(process.stdout.fd),
    ...{ certificateFile: consoleTlsCert, keyFile: consoleTlsKey },
    onError: (error) => log.warn({ code: error.code }, error.message),
  });
  log.info({ url: service.url, port: service.port, fingerprint: service.fingerprint }, "serving the console");
  return service;
}

function kubeConfig(file: string | undefined): KubeConfig {
  const config = new KubeConfig();
  if (file === undefined) config.loadFromDefault();
  else config.loadFromFile(file);
  return config;
}

function ownNamespace(): string {
  try {
    return readFileSync(serviceAccountNamespace, "utf8").trim();
  } catch {
    return "default";
  }
}

function time(text: string): number {
  if (!duration.safeParse(text).success)
    throw new InvalidArgumentError("must be a duration such as 15s or 1h");
  return milliseconds(text);
}

function address(text: string): { host: string; port: number } {
  const [, bracketed, plain, digits = ""] =
    /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):(\d+)$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined) throw new InvalidArgumentError("must be an address of this machine and a port");
  return { host, port: port(digits) };
}

function url(text: string): URL {
  const parsed = URL.parse(text);
  if (parsed?.protocol !== "https:") throw new InvalidArgumentError("must be an https URL");
  return parsed;
}

function count(text: string): number {
  if (!/^[1-9]\d{0,3}$/.test(text)) throw new InvalidArgumentError("must be a number from 1 to 9999");
  return Number(text);
}

function port(text: string): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535) throw new InvalidArgumentError("must be a port");
  return Number(text);
}
