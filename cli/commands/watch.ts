import type { Command } from "commander";
import { InvalidArgumentError, Option } from "commander";
import type { ApplyResult } from "../../engine/apply.ts";
import type { WatchCause } from "../../engine/watch.ts";
import { watchServer } from "../../engine/watch.ts";
import type { WebhookReceiver } from "../../engine/webhook.ts";
import { AsteriskIacError } from "../../core/errors.ts";
import { waitsInReview } from "../../core/source.ts";
import type { ServerContext } from "../context.ts";
import { serverContext } from "../context.ts";
import { errorDocument, printError } from "../fleet.ts";
import type { Shell } from "../program.ts";
import { serversArgument } from "../program.ts";
import { applyJSON, applyText } from "../render/apply.ts";
import type { Terminal } from "../terminal.ts";
import { painter } from "../terminal.ts";

interface WatchCommandOptions {
  readonly interval: number;
  readonly webhook?: Address;
}

interface Address {
  readonly host: string;
  readonly port: number;
}

export function addWatchCommand(program: Command, shell: Shell): void {
  program
    .command("watch")
    .description("reconcile again and again: on an interval, and whenever Asterisk has started")
    .addArgument(serversArgument())
    .addOption(
      new Option("--interval <duration>", "such as 30s, 5m or 1h")
        .argParser(duration)
        .default(duration("5m"), "5m"),
    )
    .option("--webhook <host:port>", "receive webhooks of GitHub or Gitea at /webhook", address)
    .addHelpText(
      "after",
      `
Applies what \`apply --yes\` would; what needs a choice is reported and left. Tells when something happened, and when what
it has to tell is not what it told last. Ctrl-C ends it after the pass that is under way.

With a repository as source, its new commits are applied within source.git.interval, and at once after a webhook. What the
forge signs webhooks with is webhook-secret of the secret asterisk-iac, made where it is not there; with webhook-tls.crt and
webhook-tls.key beside it they come over HTTPS.

Examples:
  $ asteriskctl watch
  $ asteriskctl watch --interval 30s pbx1
  $ asteriskctl watch --webhook 127.0.0.1:9000`,
    )
    .action(async (names: string[], options: WatchCommandOptions, command: Command) => {
      const context = await serverContext(command, names);
      const { terminal } = shell;
      const stop = new AbortController();
      for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
      const json = context.output === "json";
      const paint = painter(terminal.stdout);
      const told = new Map<string, string>();
      const tell = (server: string, cause: WatchCause, what: string, print: () => void): void => {
        if (told.get(server) === what && cause !== "start") return;
        told.set(server, what);
        print();
      };
      const receiver = options.webhook && (await receiveWebhooks(options.webhook, context, terminal));
      terminal.stderr.write(`watching ${context.servers.map(({ name }) => name).join(", ")}\n`);
      await Promise.all(
        context.servers.map((server) =>
          watchServer(server, context.secrets, {
            allow: new Set(),
            intervalMs: options.interval,
            signal: stop.signal,
            stillDeclared: () => context.stillDeclared(server.name),
            onWaiting: (message) => terminal.stderr.write(`${server.name}: ${message}\n`),
            onPass: (cause, result) =>
              tell(server.name, cause, summaryOf(result), () => {
                const time = new Date().toISOString();
                const document = { time, server: server.name, cause, ...applyJSON(result) };
                const lines = json
                  ? [JSON.stringify(document)]
                  : [paint("dim", `${time} ${cause}`), ...applyText(result, paint)];
                terminal.stdout.write(`${lines.join("\n")}\n`);
              }),
            onError: (cause, error) =>
              tell(server.name, cause, `${error.code} ${error.message}`, () => {
                const document = {
                  time: new Date().toISOString(),
                  server: server.name,
                  cause,
                  error: errorDocument(error),
                };
                if (json) terminal.stdout.write(`${JSON.stringify(document)}\n`);
                else printError(terminal, error);
              }),
          }),
        ),
      );
      await receiver?.close();
    });
}

/** Says where they are received, and where the secret is that the forge is to be given: never the secret itself. */
async function receiveWebhooks(
  address: Address,
  { secrets, repositories, placeOfSecret }: ServerContext,
  { stderr }: Terminal,
): Promise<WebhookReceiver> {
  if (repositories === undefined) {
    throw new AsteriskIacError(
      "InvalidArgument",
      "--webhook is for servers with source.git, and none has it",
      {
        hint: "Leave it out, or declare source.git.",
      },
    );
  }
  const { serveWebhook, webhookSecret } = await import("../../engine/webhook.ts");
  const receiver = await serveWebhook(address, secrets, repositories);
  const place = placeOfSecret(webhookSecret.name, webhookSecret.key);
  stderr.write(`receiving webhooks at ${receiver.url}\nthey are to be signed with ${place}\n`);
  return receiver;
}

/** Two passes with the same summary have nothing new to tell; what was written is always new. */
function summaryOf({ outcome, plan, refusals, server, source }: ApplyResult): string {
  const review = source?.revision?.pullRequest;
  // Found again by each pass until somebody merges it.
  if (server === undefined && review !== undefined && waitsInReview(review))
    return `${review.outcome} ${review.url}`;
  if (outcome === "Applied" || outcome === "RolledBack") return `${outcome} ${plan.hash} ${Date.now()}`;
  return `${outcome} ${refusals.map(({ message }) => message).join(" ")}`;
}

/** `127.0.0.1:9000`, `[::1]:9000`; port 0 is any that is free. */
function address(text: string): Address {
  const [, inBrackets, plain, digits] =
    /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/.exec(text) ?? [];
  const [host, port] = [inBrackets ?? plain, Number(digits)];
  if (host === undefined || port > 65_535)
    throw new InvalidArgumentError("must be an address of this machine and a port, such as 127.0.0.1:9000");
  return { host, port };
}

/** Milliseconds of a duration as Kubernetes writes it. */
function duration(text: string): number {
  const [, number, unit] = /^(\d+)(ms|s|m|h)$/.exec(text) ?? [];
  const milliseconds = Number(number) * ({ ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[unit ?? ""] ?? NaN);
  if (!(milliseconds >= 1000 && milliseconds <= 86_400_000))
    throw new InvalidArgumentError("must be a duration from a second to a day, such as 30s, 5m or 1h");
  return milliseconds;
}
