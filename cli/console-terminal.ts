import { appendFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { clearScreenDown, createInterface, cursorTo, moveCursor } from "node:readline";
import type { Interface } from "node:readline";
import { plain } from "../core/judge/output.ts";
import { ConsoleSession } from "../engine/console-session.ts";
import type { ConsoleSessionOptions, LineResult } from "../engine/console-session.ts";
import type { LogState, ServerConsole } from "../engine/console.ts";
import { stateDirectory } from "./state-directory.ts";
import type { Terminal } from "./terminal.ts";
import { painter, printable } from "./terminal.ts";

const maxHistory = 1000;

/** What ends a console, as it ends Asterisk's own. */
const farewells = new Set(["exit", "quit"]);

/**
 * A console for a person at a terminal: line editing and history, Tab asks Asterisk, and the live log comes above the
 * prompt. Ends at `exit`, `quit` or Ctrl-D; Ctrl-C empties the line.
 */
export async function interactiveConsole(
  console: ServerConsole,
  server: string,
  terminal: Terminal,
  options: Pick<ConsoleSessionOptions, "role" | "policy">,
): Promise<void> {
  const { stdout } = terminal;
  const paint = painter(stdout);
  const history = await History.open();
  const show = (text: string): void => above(lines, stdout, shownOn(stdout, text));
  const session = new ConsoleSession(console, {
    ...options,
    log: {
      onText: (text, omitted) =>
        show(omitted === 0 ? text : `${text}${paint("dim", `… ${omitted} more lines were left out`)}\n`),
      onState: (state) => show(`${paint("dim", stateText(server, state))}\n`),
    },
  });
  const lines = createInterface({
    input: process.stdin,
    output: stdout,
    prompt: paint("bold", `${server}*CLI> `),
    history: history.newestFirst,
    historySize: maxHistory,
    removeHistoryDuplicates: true,
    completer: (line: string, done: (error: null, result: [string[], string]) => void) =>
      void session.complete(line).then((completion) => {
        // Another key may have come first, another Tab above all.
        const isCurrent = lines.line.slice(0, lines.cursor) === line;
        const candidates = isCurrent ? completion.candidates : [];
        const word = line.endsWith(" ") ? "" : (line.split(" ").at(-1) ?? "");
        done(null, [candidates.length === 1 ? [`${candidates[0]} `] : [...candidates], word]);
      }),
  });
  lines.on("SIGINT", () => {
    lines.write(null, { ctrl: true, name: "e" });
    lines.write(null, { ctrl: true, name: "u" });
  });
  lines.prompt();
  try {
    for await (const line of lines) {
      if (farewells.has(line.trim())) break;
      if (line.trim() !== "") {
        await history.add(line);
        stdout.write(shownOn(stdout, resultText(await session.line(line), paint)));
      }
      lines.prompt();
    }
  } finally {
    session.close();
    lines.close();
    await console.close();
    if (stdout.isTTY) stdout.write("\n");
  }
}

/** What a result looks like to a person. */
export function resultText(result: LineResult, paint: ReturnType<typeof painter>): string {
  if (result.outcome === "Refused") return `${paint("red", "refused:")} ${printable(result.reason)}\n`;
  if (result.outcome === "Failed") {
    const { message, hint } = result.error;
    return `${paint("red", "error:")} ${printable(message)}\n${hint === undefined ? "" : `  ${printable(hint)}\n`}`;
  }
  const { text, omittedBytes } = result;
  const ended = text === "" || text.endsWith("\n") ? text : `${text}\n`;
  return omittedBytes === 0
    ? ended
    : `${ended}${paint("dim", `… ${omittedBytes} more bytes were left out`)}\n`;
}

/** Colours stay where they are seen. */
export function shownOn(stream: NodeJS.WriteStream, text: string): string {
  return painter(stream)("red", "x") === "x" ? plain(text) : text;
}

function stateText(server: string, state: LogState): string {
  if (!state.connected) return `${server}: ${printable(state.error.message)} Trying again.`;
  const { asteriskVersion, hostName, pid } = state.banner;
  return `Connected to Asterisk ${printable(asteriskVersion)} on ${printable(hostName)} (pid ${pid}).`;
}

/** Writes above the line that is being edited, and draws that line again below. */
function above(lines: Interface | undefined, stream: NodeJS.WriteStream, text: string): void {
  if (lines === undefined || !stream.isTTY) {
    stream.write(text);
    return;
  }
  moveCursor(stream, 0, -lines.getCursorPos().rows);
  cursorTo(stream, 0);
  clearScreenDown(stream);
  stream.write(text);
  // readline would go up by the rows of the line that has just been taken away.
  Object.assign(lines, { prevRows: 0 });
  lines.prompt(true);
}

/** The lines of all consoles on this machine, newest last in the file (0600). A line that begins with a blank is not kept. */
class History {
  readonly newestFirst: string[];
  readonly #file: string;

  private constructor(file: string, lines: readonly string[]) {
    this.#file = file;
    this.newestFirst = lines.slice(-maxHistory).reverse();
  }

  static async open(): Promise<History> {
    const directory = stateDirectory();
    const file = join(directory, "console-history");
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const text = await readFile(file, "utf8").catch(() => "");
    const lines = text.split("\n").filter((line) => line !== "");
    await writeFile(
      file,
      lines.slice(-maxHistory).map((line) => `${line}\n`),
      { mode: 0o600 },
    );
    return new History(file, lines);
  }

  async add(line: string): Promise<void> {
    if (!line.startsWith(" ")) await appendFile(this.#file, `${line}\n`, { mode: 0o600 });
  }
}
