/**
 * File names on a server are bytes, mostly UTF-8. A byte that is not becomes one lone surrogate, U+DC80 to U+DCFF (as
 * Python's `surrogateescape`), so that every name has exactly one string and the way back gives the same bytes.
 */
export function pathFromBytes(bytes: Buffer): string {
  const text = bytes.toString("utf8");
  if (!text.includes("\ufffd")) return text;
  let path = "";
  for (let at = 0; at < bytes.length;) {
    const character = characterAt(bytes, at);
    path += character ?? String.fromCharCode(0xdc00 + (bytes[at] as number));
    at += character === undefined ? 1 : Buffer.byteLength(character);
  }
  return path;
}

/** The bytes that `pathFromBytes` made this path of. */
export function pathToBytes(path: string): Buffer {
  const parts = path.split(/([\udc80-\udcff])/u);
  return Buffer.concat(
    parts.map((part) => (isEscape(part) ? Buffer.of(part.charCodeAt(0) - 0xdc00) : Buffer.from(part))),
  );
}

/** Why no source could hold a file of this name; undefined for an ordinary name. */
export function nameProblem(path: string): string | undefined {
  if (/[\r\n]/.test(path)) return "its name holds a line break";
  if (/[\udc80-\udcff]/u.test(path)) return `its name is not UTF-8 (${readable(path)})`;
  return undefined;
}

function isEscape(part: string): boolean {
  return part.length === 1 && /[\udc80-\udcff]/u.test(part);
}

function readable(path: string): string {
  return path.replaceAll(
    /[\udc80-\udcff]/gu,
    (escape) => `\\x${(escape.charCodeAt(0) - 0xdc00).toString(16)}`,
  );
}

/** The character that begins there, if it is whole and valid UTF-8. */
function characterAt(bytes: Buffer, at: number): string | undefined {
  const first = bytes[at] as number;
  const length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  const encoded = bytes.subarray(at, at + length);
  const text = encoded.toString("utf8");
  return Buffer.from(text).equals(encoded) ? text : undefined;
}
