import { buffer } from "node:stream/consumers";
import { pack } from "tar-stream";
import { asteriskId } from "./platform.ts";

interface Placed {
  /** Absolute, as the server sees it. */
  readonly path: string;
  /** Default: root. */
  readonly owner?: "root" | "asterisk";
}

/** Something that is put into a server's file system, over what the root tree has there. */
export type LayerEntry =
  | (Placed & { readonly content: string; /** Default 0644. */ readonly mode?: number })
  | (Placed & { readonly directory: true; /** Default 0755. */ readonly mode?: number })
  | (Placed & { readonly linkTo: string });

/** The entries, in their order, as a tar archive with numeric owners and everything changed now. */
export async function packLayer(entries: readonly LayerEntry[]): Promise<Buffer> {
  const archive = pack();
  const packed = buffer(archive);
  for (const entry of entries) {
    const id = entry.owner === "asterisk" ? asteriskId : 0;
    const header = { name: entry.path.slice(1), uid: id, gid: id, mtime: new Date() };
    if ("linkTo" in entry) archive.entry({ ...header, type: "symlink", linkname: entry.linkTo });
    else if ("directory" in entry) archive.entry({ ...header, type: "directory", mode: entry.mode ?? 0o755 });
    else archive.entry({ ...header, mode: entry.mode ?? 0o644 }, entry.content);
  }
  archive.finalize();
  return packed;
}
