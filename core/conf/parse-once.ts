/** One parse for all who look at the same bytes: the views before and after, and the lint of both. */
import { type ConfFile, parse, type ParseOptions } from "./cst.ts";

const parsed = new WeakMap<Uint8Array, Map<string, ConfFile>>();

/** As `parse`, remembered for as long as the bytes themselves, which nobody may change. */
export function parseOnce(
  bytes: Uint8Array,
  { depth = 0, skipByteOrderMark = true }: ParseOptions = {},
): ConfFile {
  const ofBytes = parsed.get(bytes) ?? new Map<string, ConfFile>();
  parsed.set(bytes, ofBytes);
  const way = `${String(depth)} ${String(skipByteOrderMark)}`;
  const file = ofBytes.get(way) ?? parse(bytes, { depth, skipByteOrderMark });
  ofBytes.set(way, file);
  return file;
}
