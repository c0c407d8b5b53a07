import { describe, expect, test } from "@jest/globals";
import { decode, encode, encodingOf, isBinary } from "../../../core/conf/encoding.ts";

describe("encodings", () => {
  test.each([
    ["ASCII", Buffer.from("abc"), "utf-8", "abc"],
    ["nothing", Buffer.from(""), "utf-8", ""],
    ["UTF-8", Buffer.from("é€😀"), "utf-8", "é€😀"],
    ["ISO-8859-1", Buffer.from([0x61, 0xe9, 0x80]), "iso-8859-1", "aé\x80"],
    ["UTF-8 but for one byte", Buffer.from([0xc3, 0xa9, 0xff]), "iso-8859-1", "Ã©ÿ"],
    ["an overlong sequence", Buffer.from([0xc0, 0xaf]), "iso-8859-1", "À¯"],
  ])("%s", (_, bytes, encoding, text) => {
    expect(encodingOf(bytes)).toBe(encoding);
    expect(decode(bytes)).toBe(text);
    expect(decode(bytes.toString("latin1"))).toBe(text);
  });

  test("a part is read as its file is", () => {
    expect(decode("\xC3\xA9", "iso-8859-1")).toBe("Ã©");
    expect(decode("\xC3\xA9", "utf-8")).toBe("é");
    expect(decode("\xC3", "utf-8")).toBe("\uFFFD");
  });

  test("encode is the way back", () => {
    expect(encode("é")).toBe("\xC3\xA9");
    expect(encode("é", "iso-8859-1")).toBe("\xE9");
  });

  test.each([
    ["text\twith\r\nends\f", false],
    ["a\0b", true],
    ["\x1b[31m", true],
  ])("%j: binary or not", (text, binary) => {
    expect(isBinary(Buffer.from(text))).toBe(binary);
  });
});
