import { isUtf8 } from "node:buffer";
import { promisify } from "node:util";
import { gunzip, gzip } from "node:zlib";
import type { RecordName } from "../core/source.ts";

/** Old bytes of a file. */
export interface Kept {
  readonly id: string;
  readonly path: string;
  readonly content: Buffer;
  /** ISO 8601. */
  readonly keptAt: string;
}

/** All that is kept of a server. */
export interface Archive {
  readonly files: Map<string, Buffer>;
  readonly kept: readonly Kept[];
  readonly records: Partial<Record<RecordName, string>>;
}

export function emptyArchive(): Archive {
  return { files: new Map(), kept: [], records: {} };
}

/** Bytes in JSON: text as it is, so that people can read it and it compresses well; all else as base64. */
type Content = string | { readonly base64: string };

interface ArchiveText {
  readonly version: 1;
  readonly files: Readonly<Record<string, Content>>;
  readonly kept: readonly (Omit<Kept, "content"> & { readonly content: Content })[];
  readonly records: Archive["records"];
}

/** A thousand servers are imported at once: level 6 takes three times as long for a seventh less. */
const options = { level: 1, chunkSize: 256 * 1024 };

/** The archive as JSON in gzip. */
export async function compressed({ files, kept, records }: Archive): Promise<Buffer> {
  const text: ArchiveText = {
    version: 1,
    files: Object.fromEntries([...files].map(([path, bytes]) => [path, contentOf(bytes)])),
    kept: kept.map((each) => ({ ...each, content: contentOf(each.content) })),
    records,
  };
  return promisify(gzip)(JSON.stringify(text), options);
}

/** Throws where it is something else. */
export async function readArchive(bytes: Buffer): Promise<Archive> {
  const unzipped = await promisify(gunzip)(bytes, { chunkSize: options.chunkSize });
  const { files, kept, records } = JSON.parse(unzipped.toString("utf8")) as ArchiveText;
  return {
    files: new Map(Object.entries(files).map(([path, content]) => [path, bytesOf(content)])),
    kept: kept.map((each) => ({ ...each, content: bytesOf(each.content) })),
    records,
  };
}

function contentOf(bytes: Buffer): Content {
  return isUtf8(bytes) ? bytes.toString("utf8") : { base64: bytes.toString("base64") };
}

function bytesOf(content: Content): Buffer {
  return typeof content === "string" ? Buffer.from(content) : Buffer.from(content.base64, "base64");
}
