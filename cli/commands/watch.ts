import type { Command } from "commander";
import { InvalidArgumentError } from "commander";
import type { ApplyResult } from "../../engine/apply.ts";
import type { WatchCause } from "../../engine/watch.ts";
import { watchServer } from "../../engine/watch.ts";
import { serverContext } from "../context.ts";
import { errorDocument, printError } from "../fleet.ts";
import type { Shell } from "../program.ts";
import { serversArgument } from "../program.ts";
import { applyJSON, applyText } from "../render/apply.ts";
import { painter } from "../terminal.ts";

export function addWatchCommand(program: Command, shell: Shell): void {
  program
    .command("watch")
    .description("reconcile again and again: on an interval, and whenever Asterisk has started")
    .addArgument(serversArgument())
    .option("--interval <duration>", "such as 30s, 5m or 1h", duration, duration("5m"))
    .addHelpText(
      "after",
      `
Applies what \`apply --yes\` would; what needs a choice is reported and left. Tells when something happened, and when what
it has to tell is not what it told last. Ctrl-C ends it after the pass that is under way.

Examples:
  $ asteriskctl watch
  $ asteriskctl watch --interval 30s pbx1`,
    )
    .action(async (names: string[], options: { interval: number }, command: Command) => {
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
      terminal.stderr.write(`watching ${context.servers.map(({ name }) => name).join(", ")}\n`);
      await Promise.all(
        context.servers.map((server) =>
          watchServer(server, context.secrets, {
            allow: new Set(),
            intervalMs: options.interval,
            signal: stop.signal,
            stillDeclared: () => context.stillDeclared(server.name),
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
    });
}

/** Two passes with the same summary have nothing new to tell; what was written is always new. */
function summaryOf({ outcome, plan, refusals }: ApplyResult): string {
  if (outcome === "Applied" || outcome === "RolledBack") return `${outcome} ${plan.hash} ${Date.now()}`;
  return `${outcome} ${refusals.map(({ message }) => message).join(" ")}`;
}

/** Milliseconds of a duration as Kubernetes writes it. */
function duration(text: string): number {
  const [, number, unit] = /^(\d+)(ms|s|m|h)$/.exec(text) ?? [];
  const milliseconds = Number(number) * ({ ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[unit ?? ""] ?? NaN);
  if (!(milliseconds >= 1000))
    throw new InvalidArgumentError("must be a duration of a second or more, such as 30s, 5m or 1h");
  return milliseconds;
}
