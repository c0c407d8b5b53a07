import { createHash } from "node:crypto";

/** A Secret of Kubernetes takes 253 characters. */
const longest = { file: 100, section: 80, variable: 40 } as const;

/**
 * The key of the first secret of its kind in a file, e.g. `pjsip.conf..alice-auth..password`: made of names that stand in the
 * repository anyway, the same for the same place, another for every other.
 * @param section and `variable`: one character a byte
 */
export function secretKey(path: string, section: string, variable: string): string {
  return [
    part(Buffer.from(path).toString("latin1"), longest.file),
    part(section, longest.section),
    part(variable, longest.variable),
  ].join(separator);
}

/** The key of a further one. `count` is 2 for the second. */
export function repeatedKey(key: string, count: number): string {
  return `${key}${separator}${count}`;
}

const separator = "..";

/**
 * Letters, digits, `_`, `-` and `.` stand for themselves, all else is `-x` and two hex digits; so are a `-` that would look
 * like that, and a `.` that would look like a part of the separator. No name at all is `-`.
 */
function part(name: string, length: number): string {
  if (name === "") return "-";
  const encoded = name === "-" ? hex(name) : name.replace(/[^-\w.]|-(?=x[0-9a-f]{2})|^\.|\.$|\.(?=\.)/g, hex);
  if (encoded.length <= length) return encoded;
  const hash = createHash("sha256").update(name, "latin1").digest("hex").slice(0, 32);
  return `${encoded.slice(0, length - hash.length - 1)}-${hash}`;
}

function hex(character: string): string {
  return `-x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
}
