/** Bytes as text for people: Asterisk itself knows no encoding. */
import { isAscii, isUtf8 } from "node:buffer";

/** How a file's bytes are read as text: ASCII alone counts as UTF-8. */
export type Encoding = "utf-8" | "iso-8859-1";

/** UTF-8 if the whole file is valid UTF-8, else ISO-8859-1, in which every byte is a character. */
export function encodingOf(bytes: Uint8Array): Encoding {
  return isUtf8(bytes) ? "utf-8" : "iso-8859-1";
}

/** Holds a byte that no text file holds: a control character other than tab, line feed, form feed and CR. */
export function isBinary(bytes: Uint8Array): boolean {
  for (const byte of bytes) if (byte < 0x20 && (byte < 0x09 || byte > 0x0d || byte === 0x0b)) return true;
  return false;
}

/**
 * Text of bytes, or of a part of a parsed file, where one character is one byte. With `encoding`, that of the
 * whole file, a part is read as the rest is; an UTF-8 sequence that Asterisk cut in two ends in U+FFFD.
 */
export function decode(bytes: Uint8Array | string, encoding?: Encoding): string {
  if (typeof bytes === "string") {
    // ASCII is what it is, and by far the usual case.
    if (encoding === "iso-8859-1" || !/[\x80-\xFF]/.test(bytes)) return bytes;
    return decode(Buffer.from(bytes, "latin1"), encoding);
  }
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (isAscii(buffer)) return buffer.toString("latin1");
  return buffer.toString((encoding ?? encodingOf(buffer)) === "utf-8" ? "utf8" : "latin1");
}

/** The bytes of `text`, one character each, as the nodes of a parsed file hold them. The other way round of `decode`. */
export function encode(text: string, encoding: Encoding = "utf-8"): string {
  return encoding === "utf-8" ? Buffer.from(text, "utf8").toString("latin1") : text;
}
