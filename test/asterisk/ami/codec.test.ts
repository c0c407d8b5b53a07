import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { checkAction, MessageReader } from "../../../asterisk/ami/codec.ts";
import type { Message } from "../../../asterisk/ami/message.ts";
import type { AsteriskIacError } from "../../../core/errors.ts";

const banner = "Asterisk Call Manager/11.0.0\r\n";
const message = (...lines: string[]) => `${lines.join("\r\n")}\r\n\r\n`;

function read(...chunks: (string | Buffer)[]): Message[] {
  const reader = new MessageReader(1_000_000);
  return chunks.flatMap((chunk) =>
    reader.push(typeof chunk === "string" ? Buffer.from(chunk, "latin1") : chunk),
  );
}

const entries = (messages: Message[]) => messages.map((each) => each.entries());

describe("reading", () => {
  const stream =
    banner +
    message("Response: Success", "ActionID: a-1", "Ping: Pong") +
    message("Event: FullyBooted", "Privilege: system,all", "Status: Fully Booted") +
    message("Response: Success", "Message: Command output follows", "Output: a", "Output: ", "Output:  b: c");

  test("a stream cut in two at every offset gives the same messages", () => {
    const whole = entries(read(stream));
    expect(whole).toHaveLength(3);
    for (let at = 0; at <= stream.length; at += 1) {
      expect(entries(read(stream.slice(0, at), stream.slice(at)))).toEqual(whole);
    }
  });

  test("a stream that comes byte by byte gives the same messages", () => {
    expect(entries(read(...stream))).toEqual(entries(read(stream)));
  });

  test("any messages, cut anywhere, come out as they were built", () => {
    const value = fc
      .string({ unit: "binary" })
      .map((text) => Buffer.from(text).toString("latin1").replaceAll("\r", ""));
    const line = fc.tuple(fc.stringMatching(/^[A-Za-z][A-Za-z-]{0,9}$/), value);
    const built = fc.array(fc.array(line, { minLength: 1, maxLength: 5 }), { maxLength: 5 });
    fc.assert(
      fc.property(built, fc.array(fc.nat({ max: 300 }), { maxLength: 8 }), (messages, cuts) => {
        const text =
          banner +
          messages.map((lines) => message(...lines.map(([name, raw]) => `${name}: ${raw}`))).join("");
        const offsets = [0, ...cuts.sort((a, b) => a - b), text.length];
        const chunks = offsets.slice(1).map((end, index) => text.slice(offsets[index], end));
        const got = read(...chunks);
        expect(got.map((each) => each.entries().map(([name]) => name))).toEqual(
          messages.map((lines) => lines.map(([name]) => name)),
        );
        got.forEach((each, index) => {
          for (const [name] of messages[index] ?? []) {
            const raw = messages[index]?.find(([other]) => other.toLowerCase() === name.toLowerCase())?.[1];
            expect(each.bytes(name)?.toString("latin1")).toBe(raw);
          }
        });
      }),
    );
  });

  test("names compare without case, values keep colons and blanks, repeated names stay apart", () => {
    const [, , command] = read(stream);
    expect(command?.kind).toBe("Response");
    expect(command?.get("MESSAGE")).toBe("Command output follows");
    expect(command?.all("output")).toEqual(["a", "", " b: c"]);
    expect(command?.get("ActionID")).toBeUndefined();
  });

  test("a lone CR or LF ends no line; a line without a colon is a value without a name", () => {
    const [odd] = read(banner + message("Event: X", "Name: a\nActionID: b\rc", "no colon here"));
    expect(odd?.get("Name")).toBe("a\nActionID: b\rc");
    expect(odd?.entries().at(-1)).toEqual(["", "no colon here"]);
  });

  test("text is UTF-8 where all of it is, else ISO-8859-1, and the bytes are always there", () => {
    const utf8 = Buffer.concat([Buffer.from(`${banner}Event: X\r\nName: Jürgen\r\n\r\n`, "utf8")]);
    const latin1 = Buffer.from(`${banner}Event: X\r\nName: Jürgen\r\n\r\n`, "latin1");
    expect(read(utf8)[0]?.get("Name")).toBe("Jürgen");
    expect(read(latin1)[0]?.get("Name")).toBe("Jürgen");
    expect(read(utf8)[0]?.bytes("Name")).toEqual(Buffer.from("Jürgen", "utf8"));
    expect(read(latin1)[0]?.bytes("Name")).toEqual(Buffer.from("Jürgen", "latin1"));
  });

  test("the reader copies: the caller's buffer may be used again", () => {
    const reader = new MessageReader(1_000);
    const buffer = Buffer.from(`${banner}Event: X\r\n`);
    reader.push(buffer);
    buffer.fill(0);
    expect(reader.push(Buffer.from("\r\n"))[0]?.get("Event")).toBe("X");
    expect(reader.version).toBe("11.0.0");
  });

  test("a large message comes through, and the next one after it", () => {
    const large = "x".repeat(300_000);
    const [first, second] = read(banner, message("Event: X", `Name: ${large}`), message("Event: Y"));
    expect(first?.get("Name")).toBe(large);
    expect(second?.get("Event")).toBe("Y");
  });

  test.each([
    ["HTTP", "HTTP/1.1 400 Bad Request\r\n"],
    ["SSH", "SSH-2.0-OpenSSH_9.2\r\n"],
    ["TLS", "\x15\x03\x01\x00\x02\x02\x0a"],
    ["a banner without an end", `Asterisk Call Manager/${"1".repeat(300)}`],
  ])("%s is no AMI", (_, bytes) => {
    expect(() => read(bytes)).toThrow(expect.objectContaining({ code: "UnexpectedAnswer" }));
  });

  test("a message without an end is refused at the limit, not held", () => {
    const reader = new MessageReader(10_000);
    reader.push(Buffer.from(banner));
    expect(() => {
      for (let count = 0; count < 11; count += 1) reader.push(Buffer.alloc(1_000, "x"));
    }).toThrow(/more than 10000 bytes/);
  });
});

describe("checking an action before it is sent", () => {
  const refused = (name: string, headers: Record<string, string>) => {
    try {
      checkAction(name, headers);
    } catch (error) {
      return error as AsteriskIacError;
    }
    return undefined;
  };

  test.each(["\r", "\n", "\0", "\r\n\r\nAction: Logoff"])(
    "%j in a value is refused, wherever it stands",
    (bad) => {
      for (const value of [bad, `${bad}x`, `x${bad}`, `x${bad}y`]) {
        const error = refused("GetConfig", { Filename: value, Filter: "x" });
        expect(error?.code).toBe("InvalidArgument");
        expect(error?.message).toContain("Filename");
      }
    },
  );

  test("the message of a refusal never holds the value", () => {
    const error = refused("Login", { Key: "hunter2\r\n" });
    expect(`${error?.message} ${error?.hint}`).not.toContain("hunter2");
  });

  test.each(["", "A B", "A:B", "A\r\nB", "Ä", " A"])("%j is no header name and no action name", (bad) => {
    expect(refused("Ping", { [bad]: "x" })?.code).toBe("InvalidArgument");
    expect(refused(bad, {})?.code).toBe("InvalidArgument");
  });

  test.each(["Action", "ActionID", "actionid"])("%s is for the client to set", (name) => {
    expect(refused("Ping", { [name]: "x" })?.code).toBe("InvalidArgument");
  });

  test("a line may have 1022 bytes, not 1023, counted in UTF-8", () => {
    const room = 1022 - "Name: ".length;
    expect(refused("Ping", { Name: "x".repeat(room) })).toBeUndefined();
    expect(refused("Ping", { Name: "x".repeat(room + 1) })?.code).toBe("InvalidArgument");
    expect(refused("Ping", { Name: "ü".repeat(room / 2 + 1) })?.code).toBe("InvalidArgument");
  });

  test("an action may have 126 headers of its own, not 127", () => {
    const headers = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, i) => [`H${i}`, "x"]));
    expect(refused("Ping", headers(126))).toBeUndefined();
    expect(refused("Ping", headers(127))?.code).toBe("InvalidArgument");
  });
});
