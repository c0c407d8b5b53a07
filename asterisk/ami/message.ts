import { decodeText } from "./text.ts";

/** One line of a message. A line without a colon has the empty name and is all value. */
interface Field {
  readonly name: string;
  /** One character a byte (ISO-8859-1), so that nothing that Asterisk sent is lost. */
  readonly raw: string;
}

/**
 * One message from Asterisk: an answer (`Response: …`) or an event (`Event: …`), its lines in the order in which
 * they came, names that repeat kept apart. Treat every value as hostile: Asterisk does not sanitise what it puts there.
 */
export class Message {
  readonly kind: "Response" | "Event" | "Other";
  /** Size on the wire in bytes, without the empty line at the end. */
  readonly size: number;
  readonly #fields: readonly Field[];

  /** Reads one message from its bytes, without the empty line at its end. Lines end at CRLF, never at a lone CR or LF. */
  constructor(bytes: Buffer) {
    this.size = bytes.length;
    this.#fields = bytes
      .toString("latin1")
      .split("\r\n")
      .filter((line) => line !== "")
      .map(parseLine);
    const first = this.#fields[0]?.name.toLowerCase();
    this.kind = first === "response" ? "Response" : first === "event" ? "Event" : "Other";
  }

  /** The first value of that name (names compare without case), as text; `undefined` where there is none. */
  get(name: string): string | undefined {
    const raw = this.#raw(name);
    return raw === undefined ? undefined : decodeText(raw);
  }

  /** Every value of that name, in order: `Output` lines of a command, repeated `Variable`s. */
  all(name: string): string[] {
    const wanted = name.toLowerCase();
    return this.#fields
      .filter((field) => field.name.toLowerCase() === wanted)
      .map((field) => decodeText(field.raw));
  }

  /** The first value of that name as the bytes that Asterisk sent. */
  bytes(name: string): Buffer | undefined {
    const raw = this.#raw(name);
    return raw === undefined ? undefined : Buffer.from(raw, "latin1");
  }

  /** Every line in order, names as Asterisk wrote them, values as text. */
  entries(): (readonly [name: string, value: string])[] {
    return this.#fields.map((field) => [field.name, decodeText(field.raw)] as const);
  }

  #raw(name: string): string | undefined {
    const wanted = name.toLowerCase();
    return this.#fields.find((field) => field.name.toLowerCase() === wanted)?.raw;
  }
}

function parseLine(line: string): Field {
  const colon = line.indexOf(":");
  if (colon === -1) return { name: "", raw: line };
  const start = line[colon + 1] === " " ? colon + 2 : colon + 1;
  return { name: line.slice(0, colon), raw: line.slice(start) };
}
