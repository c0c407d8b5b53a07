import type { Command } from "commander";
import { InvalidArgumentError, Option } from "commander";
import type { AsteriskIacError } from "../../core/errors.ts";
import { AsteriskIacError as IacError } from "../../core/errors.ts";
import type { ToldLine } from "../../engine/calls/lines.ts";
import type { ServerContext } from "../context.ts";
import { serverContext } from "../context.ts";
import { errorDocument, presentFleet, printError } from "../fleet.ts";
import type { Shell } from "../program.ts";
import { serversArgument } from "../program.ts";
import { lineText, listText } from "../render/calls.ts";
import { painter } from "../terminal.ts";

interface CallsFlags {
  readonly follow?: boolean;
  readonly append?: string;
  readonly since: number;
}

export function addCallsCommand(program: Command, shell: Shell): void {
  program
    .command("calls")
    .description("who called whom: one record a call, its legs, forks and transfers joined")
    .addArgument(serversArgument())
    .option("--follow", "tell each call when it is over, until Ctrl-C")
    .option("--append <file>", "with --follow: JSON lines to a file, from which a later run goes on")
    .addOption(
      new Option("--since <duration>", "without --follow: how far back in Asterisk's CDR file")
        .argParser(duration)
        .default(duration("1h"), "1h"),
    )
    .addHelpText(
      "after",
      `
Reads over an AMI account of its own, which \`bootstrap --calls\` makes. A caller who withholds the number is not shown.
Without --follow: the calls that are up, and what Asterisk's CDR file tells of those that ended.

Examples:
  $ asteriskctl calls pbx1
  $ asteriskctl --output json calls --follow | jq 'select(.kind == "Call") | {caller, called, disposition}'
  $ asteriskctl calls --follow --append calls.jsonl       loses none when it is killed and started again`,
    )
    .action(async (names: string[], flags: CallsFlags, command: Command) => {
      const context = await serverContext(command, names);
      if (flags.follow === true) return follow(shell, context, flags);
      if (flags.append !== undefined) {
        throw new IacError("InvalidArgument", "--append needs --follow", {
          hint: "Without --follow nothing is watched: redirect what is printed instead.",
        });
      }
      await list(shell, context, flags);
    });
}

async function list(
  shell: Shell,
  { servers, secrets, output }: ServerContext,
  flags: CallsFlags,
): Promise<void> {
  // Loaded when it is wanted: the libraries of numbers and times would slow down every other command.
  const { listCalls } = await import("../../engine/calls/list.ts");
  const results = await presentFleet(
    shell.terminal,
    output,
    servers,
    (server) => listCalls(server, secrets, { sinceMs: flags.since }),
    {
      command: "calls",
      text: (server, calls, paint) => listText(server, calls, paint),
      json: (calls) => calls,
    },
  );
  if (results.some((result) => !result.ok)) shell.exitWith(1);
}

async function follow(shell: Shell, context: ServerContext, { append }: CallsFlags): Promise<void> {
  const { terminal } = shell;
  const { servers, secrets, output } = context;
  const { CallsFile } = await import("../../engine/calls/calls-file.ts");
  const { followCalls } = await import("../../engine/calls/follow.ts");
  const file = append === undefined ? undefined : await CallsFile.open(append);
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
  const paint = painter(terminal.stdout);
  const tell = async (line: ToldLine): Promise<void> => {
    await file?.append(line);
    const isQuiet = file !== undefined && output === "json";
    if (isQuiet) return;
    const text = output === "json" ? JSON.stringify(line) : lineText(line, paint).join("\n");
    await write(terminal.stdout, `${text}\n`);
  };
  const fail = (server: string, error: AsteriskIacError): void => {
    if (output !== "json") return printError(terminal, error.on(server));
    const document = { time: new Date().toISOString(), server, error: errorDocument(error) };
    terminal.stderr.write(`${JSON.stringify(document)}\n`);
  };
  terminal.stderr.write(`following the calls of ${servers.map(({ name }) => name).join(", ")}\n`);
  try {
    await Promise.all(
      servers.map((server) =>
        followCalls(server, secrets, {
          signal: stop.signal,
          tell,
          onError: (error) => fail(server.name, error),
          position: file?.position(server.name),
        }).catch((error: unknown) => {
          if (!(error instanceof IacError)) throw error;
          fail(server.name, error);
          shell.exitWith(1);
        }),
      ),
    );
  } finally {
    await file?.close();
  }
}

/** Resolves when the stream takes more: a pipe that nobody reads holds the watch up, not the memory. */
function write(stream: NodeJS.WriteStream, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(text, (error) => (error == null ? resolve() : reject(error)));
  });
}

/** Milliseconds of a duration as Kubernetes writes it. */
function duration(text: string): number {
  const [, number, unit] = /^(\d+)(s|m|h)$/.exec(text) ?? [];
  const milliseconds = Number(number) * ({ s: 1000, m: 60_000, h: 3_600_000 }[unit ?? ""] ?? NaN);
  if (!(milliseconds >= 1000)) throw new InvalidArgumentError("must be a duration such as 30s, 15m or 24h");
  return milliseconds;
}
