import type { AsteriskIacError } from "../core/errors.ts";
import type { ServerResult } from "../engine/fleet.ts";
import { runFleet } from "../engine/fleet.ts";
import type { ServerDeclaration } from "../engine/session.ts";
import type { OutputFormat } from "./context.ts";
import type { Paint, Terminal } from "./terminal.ts";
import { ProgressLine, painter, printable } from "./terminal.ts";

/** How one command shows what came of a server. */
export interface Presentation<T> {
  /** The command's name, in JSON. */
  readonly command: string;
  /** Lines of text. */
  readonly text: (server: string, value: T, paint: Paint) => readonly string[];
  /** What JSON says of a server beside `server`, `ok` and `milliseconds`. */
  readonly json: (value: T) => object;
  /** Where results go, if not to stdout. */
  readonly stream?: NodeJS.WriteStream;
  /** Markdown; where a command has none, its text in a code block. */
  readonly markdown?: (server: string, value: T) => readonly string[];
  /** Markdown of all results together, those that failed too. */
  readonly markdownDocument?: (results: readonly ServerResult<T>[]) => readonly string[];
}

/**
 * Runs a command on several servers and prints each result as soon as those before it are printed. Returns the
 * results; whoever calls decides the exit code with them.
 */
export async function presentFleet<T>(
  terminal: Terminal,
  output: OutputFormat,
  servers: readonly ServerDeclaration[],
  work: (server: ServerDeclaration) => Promise<T>,
  presentation: Presentation<T>,
): Promise<ServerResult<T>[]> {
  const progress = new ProgressLine(terminal.stderr, servers.length);
  const finished = new Map<string, ServerResult<T>>();
  const { markdownDocument } = presentation;
  const isOneDocument = output === "json" || (output === "markdown" && markdownDocument !== undefined);
  let printed = 0;
  const results = await runFleet(servers, work, {
    onStart: (server) => progress.start(server),
    onResult: (result) => {
      progress.finish(result.server);
      finished.set(result.server, result);
      if (isOneDocument) {
        if (output === "markdown" && !result.ok) printError(terminal, result.error);
        return;
      }
      for (
        let next = finished.get(servers[printed]?.name ?? "");
        next !== undefined;
        next = finished.get(servers[printed]?.name ?? "")
      ) {
        progress.clear();
        printResult(terminal, output, next, presentation);
        printed += 1;
      }
    },
  });
  progress.clear();
  if (output === "json")
    terminal.stdout.write(`${JSON.stringify(document(presentation, results), undefined, 2)}\n`);
  else {
    if (isOneDocument) terminal.stdout.write(`${markdownDocument?.(results).join("\n") ?? ""}\n`);
    printSummary(terminal, results);
  }
  return results;
}

function printResult<T>(
  terminal: Terminal,
  output: OutputFormat,
  result: ServerResult<T>,
  presentation: Presentation<T>,
): void {
  if (!result.ok) {
    printError(terminal, result.error);
    return;
  }
  const stream = presentation.stream ?? terminal.stdout;
  const plain: Paint = (_, text) => text;
  const lines =
    output === "text"
      ? presentation.text(result.server, result.value, painter(stream))
      : (presentation.markdown?.(result.server, result.value) ?? [
          "```text",
          ...presentation.text(result.server, result.value, plain),
          "```",
          "",
        ]);
  stream.write(`${lines.join("\n")}\n`);
}

function printSummary<T>(terminal: Terminal, results: readonly ServerResult<T>[]): void {
  if (results.length < 2) return;
  const failed = results.filter((result) => !result.ok);
  const paint = painter(terminal.stderr);
  const count = `${results.length} servers: ${results.length - failed.length} done`;
  if (failed.length === 0) terminal.stderr.write(`${count}\n`);
  else {
    const causes = failed.map((result) => `${result.server} (${result.error.code})`).join(", ");
    terminal.stderr.write(`${count}, ${paint("red", `${failed.length} failed`)}: ${causes}\n`);
  }
}

/** Prints an error for people: where, what, and what to do. */
export function printError(terminal: Terminal, error: AsteriskIacError): void {
  const paint = painter(terminal.stderr);
  const { server, file, line } = error.where;
  const place = [server, file === undefined ? undefined : line === undefined ? file : `${file}:${line}`]
    .filter((part) => part !== undefined)
    .map((part) => `${part}: `)
    .join("");
  terminal.stderr.write(`${paint("red", "error:")} ${printable(`${place}${error.message}`)}\n`);
  if (error.hint !== undefined) terminal.stderr.write(`  ${printable(error.hint)}\n`);
}

function document<T>(presentation: Presentation<T>, results: readonly ServerResult<T>[]): object {
  return {
    command: presentation.command,
    servers: results.map((result) => {
      const { server, ok, milliseconds } = result;
      if (result.ok) return { server, ok, milliseconds, ...presentation.json(result.value) };
      return { server, ok, milliseconds, error: errorDocument(result.error) };
    }),
  };
}

/** An error as the JSON contract has it. */
export function errorDocument(error: AsteriskIacError): object {
  return {
    code: error.code,
    message: error.message,
    next: error.next,
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    where: error.where,
  };
}
