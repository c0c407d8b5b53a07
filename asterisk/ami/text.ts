import { isUtf8 } from "node:buffer";

/**
 * Text of a byte string (one character a byte): UTF-8 where all of it is valid UTF-8, else ISO-8859-1. AMI declares
 * no encoding and passes on what files and callers hold.
 */
export function decodeText(raw: string): string {
  if (!/[\x80-\xff]/.test(raw)) return raw;
  const bytes = Buffer.from(raw, "latin1");
  return isUtf8(bytes) ? bytes.toString("utf8") : raw;
}
