/**
 * What live Asterisk makes of a file, over AMI's GetConfig with `Filter: TEMPLATES=include`, on a socket of its own:
 * bytes as latin1 and no client in between, so that nothing but AMI can change them.
 *
 * AMI itself loses: comments, operators, files, line numbers, what is inherited; and, `name=value` being one line,
 * where a name that holds a `=` ends. It keeps a lone CR: no value holds a newline, so CRLF ends each line for sure.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import type { Loaded } from "../../core/conf/load.ts";

/** A section as GetConfig tells it: `lines` are `name=value`. */
export interface AnsweredSection {
  name: string;
  template: boolean;
  inherits: string;
  lines: string[];
}

/** The sections, or why there are none. */
export type Answer = AnsweredSection[] | "invalid" | "missing";

/** Our view in the form of Asterisk's answer. */
export function toAnswer(loaded: Loaded): Answer {
  if (loaded.invalid?.kind === "file-missing") return "missing";
  if (loaded.invalid !== undefined) return "invalid";
  return loaded.sections.map(({ name, template, inherits, variables }) => ({
    name,
    template,
    inherits: inherits.join(","),
    lines: variables.map((variable) => `${variable.name}=${variable.value}`),
  }));
}

/** Stands in a generated file for the directory that the files are put into. */
export const directoryMark = "@DIR@";

/** The bytes of files given one character a byte, by path, as they are in `directory`. */
export function contentsOf(
  directory: string,
  files: Iterable<readonly [string, string]>,
): Map<string, Buffer> {
  const contents = new Map<string, Buffer>();
  for (const [name, text] of files) {
    contents.set(join(directory, name), Buffer.from(text.replaceAll(directoryMark, directory), "latin1"));
  }
  return contents;
}

const inFlight = 20;

/** One AMI session that only asks for files. */
export class GetConfigSession {
  readonly #socket: Socket;
  #received = "";
  #arrived: () => void = () => undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding("latin1").setNoDelay(true);
    socket.on("data", (data: string) => {
      this.#received += data;
      this.#arrived();
    });
    // A reset is told by the close that follows it.
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.#arrived();
    });
  }

  static async open(port: number, username: string, secret: string): Promise<GetConfigSession> {
    const socket = connect(port, "127.0.0.1");
    await once(socket, "connect");
    const session = new GetConfigSession(socket);
    await session.#take("\r\n");
    socket.write(`Action: Login\r\nUsername: ${username}\r\nSecret: ${secret}\r\nEvents: off\r\n\r\n`);
    const answer = await session.#take("\r\n\r\n");
    if (!answer.startsWith("Response: Success")) throw new Error(`AMI refused the login: ${answer}`);
    return session;
  }

  /**
   * Asks for files, paths below the configuration directory; the answers come in the same order. A few at a time, so
   * that the answers fit into the socket: Asterisk closes a session that it cannot write to within its writetimeout.
   */
  async getConfig(files: readonly string[]): Promise<Answer[]> {
    const answers: Answer[] = [];
    for (let first = 0; first < files.length; first += inFlight) {
      const asked = files.slice(first, first + inFlight);
      const actions = asked.map((file) => {
        return `Action: GetConfig\r\nFilename: ${file}\r\nFilter: TEMPLATES=include\r\n\r\n`;
      });
      this.#socket.write(actions.join(""), "latin1");
      for (const file of asked) {
        const message = await this.#take("\r\n\r\n");
        if (!message.startsWith("Response:"))
          throw new Error(`AMI answered GetConfig of ${file}: ${message}`);
        answers.push(parseAnswer(message));
      }
    }
    return answers;
  }

  close(): void {
    this.#socket.destroy();
  }

  /** What has come, and is yet to come, until `end`. */
  async #take(end: string): Promise<string> {
    let searched = 0;
    for (;;) {
      const index = this.#received.indexOf(end, searched);
      if (index !== -1) {
        const taken = this.#received.slice(0, index);
        this.#received = this.#received.slice(index + end.length);
        return taken;
      }
      if (this.#socket.destroyed) throw new Error("AMI closed the connection: has Asterisk crashed?");
      searched = Math.max(0, this.#received.length - end.length);
      await new Promise<void>((resolve) => (this.#arrived = resolve));
    }
  }
}

function parseAnswer(message: string): Answer {
  const [response, ...lines] = message.split("\r\n");
  if (response !== "Response: Success") {
    if (lines.includes("Message: Config file has invalid format")) return "invalid";
    if (lines.includes("Message: Config file not found")) return "missing";
    throw new Error(`AMI refused GetConfig: ${message}`);
  }
  const sections: AnsweredSection[] = [];
  for (const line of lines) {
    const [, word, value = ""] =
      /^(Category|IsTemplate|Templates|Line)-\d+(?:-\d+)?: ([^]*)$/.exec(line) ?? [];
    const section = sections.at(-1);
    if (word === "Category") sections.push({ name: value, template: false, inherits: "", lines: [] });
    else if (word === undefined || section === undefined) throw new Error(`not understood: ${line}`);
    else if (word === "IsTemplate") section.template = true;
    else if (word === "Templates") section.inherits = value;
    else section.lines.push(value);
  }
  return sections;
}
