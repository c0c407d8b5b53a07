import { AsteriskIacError } from "../../core/errors.ts";
import { Message } from "./message.ts";

/** Headers of an action besides `Action` and `ActionID`, which the client writes itself. */
export type Headers = Readonly<Record<string, string>>;

/** Asterisk reads lines into 1024 bytes, CR and LF included (main/manager.c, get_input). */
const maxLineBytes = 1022;
/** AST_MAX_MANHEADERS of main/manager.c; `Action` and `ActionID` are two of them. */
const maxHeaders = 128;
const banner = "Asterisk Call Manager/";
/** A banner is some 30 bytes; whatever has no line end by then is no AMI. */
const maxBannerBytes = 256;
const keptBytes = 4 * 1024;
const endOfMessage = Buffer.from("\r\n\r\n");

/**
 * Refuses an action that Asterisk would read otherwise than it was meant: CR, LF or NUL anywhere (CRLF smuggles a
 * second action), a name that is no header name, a line or a number of lines that Asterisk drops. Throws
 * `InvalidArgument`; the message names the header, never its value.
 */
export function checkAction(name: string, headers: Headers): void {
  if (!/^[A-Za-z][A-Za-z0-9]*$/.test(name)) refuse("its name must be letters and digits");
  const entries = Object.entries(headers);
  if (entries.length + 2 > maxHeaders) {
    refuse(`action ${name} has ${entries.length} headers and Asterisk reads ${maxHeaders - 2}`);
  }
  for (const [header, value] of entries) {
    if (!/^[A-Za-z][A-Za-z0-9-]*$/.test(header)) refuse(`action ${name} has a header with a malformed name`);
    if (/^action(id)?$/i.test(header)) refuse(`action ${name} sets ${header}, which the client sets itself`);
    if (/[\r\n\0]/.test(value)) {
      refuse(
        `the value of ${header} in action ${name} holds a line break or a NUL, which would start another action`,
      );
    }
    if (Buffer.byteLength(`${header}: ${value}`) > maxLineBytes) {
      refuse(
        `the line of ${header} in action ${name} is longer than the ${maxLineBytes} bytes that Asterisk reads`,
      );
    }
  }
}

function refuse(why: string): never {
  throw new AsteriskIacError("InvalidArgument", `An AMI action was refused before it was sent: ${why}.`);
}

/**
 * Bytes in, messages out, however the bytes are cut. The first line must be Asterisk's banner. Holds at most
 * `maxMessageBytes` of an unfinished message; throws `UnexpectedAnswer` on more, and on a peer that is no AMI.
 */
export class MessageReader {
  readonly #maxMessageBytes: number;
  #buffer: Buffer = Buffer.allocUnsafe(keptBytes);
  #end = 0;
  #searchFrom = 0;
  /** The AMI version of the banner, `undefined` until it came. */
  version: string | undefined;

  constructor(maxMessageBytes: number) {
    this.#maxMessageBytes = maxMessageBytes;
  }

  /** Takes the next bytes (copied, so the caller may reuse them) and gives the messages that they complete. */
  push(bytes: Uint8Array): Message[] {
    this.#append(bytes);
    const held = this.#buffer.subarray(0, this.#end);
    let start = this.version === undefined ? this.#readBanner(held) : 0;
    if (this.version === undefined) return [];
    const messages: Message[] = [];
    let from = Math.max(start, this.#searchFrom);
    for (;;) {
      const stop = held.indexOf(endOfMessage, from);
      if (stop === -1) break;
      messages.push(new Message(held.subarray(start, stop)));
      start = from = stop + endOfMessage.length;
    }
    this.#dropBefore(start);
    if (this.#end > this.#maxMessageBytes) {
      throw new AsteriskIacError(
        "UnexpectedAnswer",
        `Asterisk sent more than ${this.#maxMessageBytes} bytes over AMI without ending a message.`,
      );
    }
    return messages;
  }

  /** Reads the banner if all of it is there; gives where the first message starts. */
  #readBanner(held: Buffer): number {
    const stop = held.indexOf("\r\n");
    const line = held.toString("latin1", 0, stop === -1 ? held.length : stop);
    const isBanner =
      stop === -1 ? line.startsWith(banner) || banner.startsWith(line) : line.startsWith(banner);
    if (!isBanner || line.length > maxBannerBytes) {
      throw new AsteriskIacError(
        "UnexpectedAnswer",
        "What answered there is not Asterisk's manager interface.",
        {
          hint: "Check ami.port: plain AMI is 5038, AMI over TLS is 5039, and neither is Asterisk's HTTP port.",
        },
      );
    }
    if (stop === -1) return 0;
    this.version = line.slice(banner.length);
    return stop + 2;
  }

  #append(bytes: Uint8Array): void {
    const needed = this.#end + bytes.length;
    if (needed > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2));
      this.#buffer.copy(larger, 0, 0, this.#end);
      this.#buffer = larger;
    }
    this.#buffer.set(bytes, this.#end);
    this.#end = needed;
  }

  #dropBefore(start: number): void {
    if (start > 0) {
      const rest = this.#buffer.subarray(start, this.#end);
      this.#end = rest.length;
      // A buffer that one large answer grew is given back.
      if (this.#buffer.length > keptBytes && rest.length <= keptBytes)
        this.#buffer = Buffer.concat([rest], keptBytes);
      else this.#buffer.copyWithin(0, start, start + rest.length);
    }
    // The end of a message may be cut in itself: its first three bytes are looked at again.
    this.#searchFrom = Math.max(0, this.#end - (endOfMessage.length - 1));
  }
}
