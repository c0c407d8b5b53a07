import { createHash } from "node:crypto";
import { connect } from "node:net";
import type { AddressInfo } from "node:net";
import ssh2 from "ssh2";
import type { Connection, ServerChannel } from "ssh2";
import type { Host, ScriptResult } from "../../asterisk/host.ts";
import { LISTING_SCRIPT, READ_APART_SCRIPT, READ_JOINED_SCRIPT } from "../../asterisk/listing-script.ts";
import { STATE_SCRIPT } from "../../asterisk/transaction-scripts.ts";
import { WRITABLE_SCRIPT } from "../../asterisk/writable.ts";
import { generateKeyPair } from "../../lab/keys.ts";
import { FakeAMI } from "./fake-ami.ts";

/** A script as `compile` of asterisk/shell.ts put it on the wire. */
interface Program {
  readonly marker: string;
  readonly script: string;
  readonly args: readonly string[];
}

/** What only looks; `asterisk -rx` does where it shows something. */
const looks = new Set([LISTING_SCRIPT, READ_JOINED_SCRIPT, READ_APART_SCRIPT, STATE_SCRIPT, WRITABLE_SCRIPT]);

/** A nonce of runCommands, and the one under which answers are kept. */
const nonce = /^asterisk-iac-[0-9a-f]{32}$/;
const oneNonce = `asterisk-iac-${"0".repeat(32)}`;

/**
 * Many machines with Asterisk behind one real SSH server and one AMI server, each with a machine-id of its own, that
 * answer what one real server, the model, answers: what is asked for the first time is asked of that one. So they
 * cost the machine they run on next to nothing. They can be looked at and not written: a script that might write is refused.
 * What goes for real servers and for these is in test/operator/session-contract.test.ts.
 */
export class FakePBXes {
  readonly ami = new FakeAMI();
  /** Of SSH, and the line of known_hosts for it; both once it listens. */
  port = 0;
  knownHosts = "";
  /** The scripts that were refused. */
  readonly refused: string[] = [];
  readonly #model: Host;
  readonly #answers = new Map<string, Promise<ScriptResult>>();
  readonly #connections = new Set<Connection>();
  readonly #server: ssh2.Server;
  readonly #hostKey: string;
  #amiPort = 0;

  /** @param model a server that answers for all of them */
  constructor(model: Host) {
    this.#model = model;
    const { privateKey, publicKey } = generateKeyPair("fake");
    this.#hostKey = publicKey.split(" ").slice(0, 2).join(" ");
    this.#server = new ssh2.Server({ hostKeys: [privateKey] }, (connection) => this.#serve(connection));
  }

  /** Listens on loopback. A machine is who logs in: any user name is one. */
  async listen(): Promise<void> {
    this.#amiPort = await this.ami.listen();
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", () => resolve()));
    this.port = (this.#server.address() as AddressInfo).port;
    this.knownHosts = `[127.0.0.1]:${this.port} ${this.#hostKey}\n`;
  }

  async close(): Promise<void> {
    for (const connection of this.#connections) connection.end();
    await new Promise((resolve) => this.#server.close(resolve));
    await this.ami.close();
  }

  #serve(connection: Connection): void {
    let machine = "";
    this.#connections.add(connection);
    connection.on("error", () => undefined);
    connection.on("close", () => this.#connections.delete(connection));
    connection.on("authentication", (context) => {
      machine = context.username;
      if (context.method === "publickey") context.accept();
      else context.reject(["publickey"]);
    });
    connection.on("session", (accept) => {
      accept().on("exec", (run) => this.#shell(run(), machine));
    });
    // Wherever AMI is looked for on a machine, there it is.
    connection.on("tcpip", (accept) => {
      const channel = accept();
      const socket = connect(this.#amiPort, "127.0.0.1").setNoDelay(true);
      socket.on("error", () => channel.end());
      channel.on("error", () => socket.destroy());
      channel.pipe(socket).pipe(channel);
    });
  }

  #shell(channel: ServerChannel, machine: string): void {
    const chunks: Buffer[] = [];
    channel.on("error", () => undefined);
    channel.on("data", (chunk: Buffer) => chunks.push(chunk));
    channel.on("end", () => {
      const input = Buffer.concat(chunks);
      const end = input.indexOf("\n");
      if (end === -1) return channel.end();
      const program = decode(input.toString("latin1", 0, end));
      void this.#answer(program, input.subarray(end + 1), machine).then(({ code, stdout, stderr }) => {
        const { marker } = program;
        channel.stderr.write(`${marker}${stderr}`);
        channel.write(
          Buffer.concat([Buffer.from(`${marker} 1.`), stdout, Buffer.from(`${marker} ${code}.`)]),
        );
        channel.exit(0);
        channel.end();
      });
    });
  }

  async #answer({ script, args }: Program, stdin: Buffer, machine: string): Promise<ScriptResult> {
    const own = args.find((argument) => nonce.test(argument));
    const commands = own === undefined ? [] : args.filter((argument) => argument !== own);
    const isLook =
      own === undefined
        ? looks.has(script)
        : commands.every((command) => /(^| )(show|list)( |$)/.test(command));
    if (!isLook) this.refused.push(own === undefined ? script : commands.join("; "));
    if (!isLook) return { code: 1, stdout: Buffer.alloc(0), stderr: "a fake is not written to" };
    const asked = args.map((argument) => (argument === own ? oneNonce : argument));
    const key = createHash("sha256")
      .update(JSON.stringify([script, asked]))
      .update(stdin)
      .digest("hex");
    const known = this.#answers.get(key) ?? this.#model.run(script, { args: asked, stdin });
    this.#answers.set(key, known);
    const answer = await known;
    if (own === undefined && script !== LISTING_SCRIPT) return answer;
    const text = answer.stdout.toString("latin1");
    return {
      ...answer,
      stdout: Buffer.from(
        own === undefined
          ? text.replace(/(?<=^|\0)machine\0[^\0]*/, `machine\0${machineIdOf(machine)}`)
          : text.replaceAll(oneNonce, own),
        "latin1",
      ),
    };
  }
}

/** A machine-id that follows from the name. */
function machineIdOf(machine: string): string {
  return createHash("sha256").update(machine).digest("hex").slice(0, 32);
}

function decode(line: string): Program {
  const text = Buffer.from(
    line.replaceAll(/\\0([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8))),
    "latin1",
  ).toString("utf8");
  const form =
    /^printf '%s %d\.' ([0-9a-f]{32}) [^\n]*\n[^\n]*\ncd \/\nset --([^]*?)\n\(\n([^]*)\n\)\nprintf/;
  const [, marker = "", args = "", script = ""] = form.exec(text) ?? [];
  if (marker === "") throw new Error(`this is no program of asterisk/shell.ts: ${text.slice(0, 200)}`);
  const words = [...args.matchAll(/ '((?:[^']|'\\'')*)'/g)].map(([, word = ""]) =>
    word.replaceAll("'\\''", "'"),
  );
  return { marker, script, args: words };
}
