import { createHash, randomInt } from "node:crypto";
import { createServer, type AddressInfo, type Socket } from "node:net";

/** One action as it came over the wire: header names in lower case, the first of a name counts. */
export type FakeAction = ReadonlyMap<string, string>;

export interface FakeAMIOptions {
  readonly banner?: string;
  /** Bytes a packet; every one is written apart. Default: all at once. */
  readonly packetBytes?: number;
  /** Answers an action instead of the fake's own way: text for the wire, `undefined` for the own way, "" for silence. */
  readonly answer?: (action: FakeAction) => string | undefined;
}

/**
 * Speaks AMI as Asterisk does, as far as the contract in test/asterisk/ami/contract.test.ts goes, and misbehaves in
 * ways that a real Asterisk can't be brought to.
 */
export class FakeAMI {
  static readonly username = "engine";
  static readonly password = "the password of the fake";
  /** Every action of every connection, in order. */
  readonly actions: FakeAction[] = [];
  readonly #options: FakeAMIOptions;
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((socket) => this.#serve(socket));
  #silent = false;

  constructor(options: FakeAMIOptions = {}) {
    this.#options = options;
  }

  async listen(port = 0): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(port, "127.0.0.1", resolve));
    return (this.#server.address() as AddressInfo).port;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  /** From now on nothing is answered: what a half-open connection looks like from the client's side. */
  fallSilent(): void {
    this.#silent = true;
  }

  /** Sends text as it is to every connection. */
  send(text: string | Uint8Array): void {
    for (const socket of this.#sockets) socket.write(text);
  }

  dropConnections(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.dropConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    socket.on("error", () => undefined);
    socket.on("close", () => this.#sockets.delete(socket));
    this.#write(socket, this.#options.banner ?? "Asterisk Call Manager/11.0.0\r\n");
    const challenge = String(randomInt(1e9));
    let text = "";
    let authenticated = false;
    socket.on("data", (bytes) => {
      text += bytes.toString("latin1");
      for (let stop = text.indexOf("\r\n\r\n"); stop !== -1; stop = text.indexOf("\r\n\r\n")) {
        const action = parseAction(text.slice(0, stop));
        text = text.slice(stop + 4);
        this.actions.push(action);
        if (this.#silent) continue;
        const own = this.#options.answer?.(action);
        const answer = own ?? respond(action, challenge, authenticated);
        if (answer.includes("Authentication accepted")) authenticated = true;
        this.#write(socket, answer);
        if (/Authentication failed|Goodbye/.test(answer)) socket.end();
      }
    });
  }

  #write(socket: Socket, text: string): void {
    const bytes = Buffer.from(text, "latin1");
    const step = this.#options.packetBytes ?? Math.max(1, bytes.length);
    for (let at = 0; at < bytes.length; at += step) socket.write(bytes.subarray(at, at + step));
  }
}

function parseAction(text: string): FakeAction {
  const headers = new Map<string, string>();
  for (const line of text.split("\r\n")) {
    const [, name = "", value = ""] = /^([^:]*): ?(.*)$/s.exec(line) ?? [];
    if (!headers.has(name.toLowerCase())) headers.set(name.toLowerCase(), value);
  }
  return headers;
}

function respond(action: FakeAction, challenge: string, authenticated: boolean): string {
  const id = `ActionID: ${action.get("actionid") ?? ""}\r\n`;
  const refuse = (why: string) => `Response: Error\r\n${id}Message: ${why}\r\n\r\n`;
  const name = action.get("action")?.toLowerCase() ?? "";
  if (name === "challenge") return `Response: Success\r\n${id}Challenge: ${challenge}\r\n\r\n`;
  if (name === "login") {
    const key = createHash("md5").update(`${challenge}${FakeAMI.password}`).digest("hex");
    const good = action.get("username") === FakeAMI.username && action.get("key") === key;
    if (!good) return refuse("Authentication failed");
    const accepted = `Response: Success\r\n${id}Message: Authentication accepted\r\n\r\n`;
    if (action.get("events") === "off") return accepted;
    return `${accepted}Event: FullyBooted\r\nPrivilege: system,all\r\nUptime: 5\r\nStatus: Fully Booted\r\n\r\n`;
  }
  if (!authenticated) return refuse("Permission denied");
  switch (name) {
    case "ping":
      return `Response: Success\r\n${id}Ping: Pong\r\nTimestamp: 1.000000\r\n\r\n`;
    case "logoff":
      return `Response: Goodbye\r\n${id}Message: Thanks for all the fish.\r\n\r\n`;
    case "coresettings":
      return `Response: Success\r\n${id}AMIversion: 11.0.0\r\nAsteriskVersion: 22.0.0\r\nSystemName: \r\n\r\n`;
    case "corestatus":
      return (
        `Response: Success\r\n${id}CoreStartupDate: 2026-01-02\r\nCoreStartupTime: 03:04:05\r\n` +
        `CoreReloadDate: 2026-01-02\r\nCoreReloadTime: 03:04:05\r\nCoreCurrentCalls: 0\r\n\r\n`
      );
    case "coreshowchannels":
      return (
        `Response: Success\r\n${id}EventList: start\r\nMessage: Channels will follow\r\n\r\n` +
        `Event: CoreShowChannelsComplete\r\n${id}EventList: Complete\r\nListItems: 0\r\n\r\n`
      );
    case "originate":
      return refuse("Permission denied");
    case "reload": {
      const module = action.get("module") ?? "All";
      const known = module === "All" || module === "manager";
      const event = `Event: Reload\r\nPrivilege: system,all\r\nModule: ${module}\r\nStatus: ${known ? 0 : 2}\r\n\r\n`;
      const answer = known
        ? `Response: Success\r\n${id}Message: Module Reloaded\r\n\r\n`
        : refuse("No such module");
      return answer + event;
    }
    default:
      return refuse(`Invalid/unknown command: ${name}. Use Action: ListCommands to show available commands.`);
  }
}
