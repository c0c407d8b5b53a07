import { posix } from "node:path";

const BLOCK = 512;

/** A header's fields (POSIX ustar): where each begins, and how many bytes it has. */
const FIELDS = {
  name: [0, 100],
  mode: [100, 8],
  size: [124, 12],
  checksum: [148, 8],
  magic: [257, 8],
} as const;

interface Content {
  readonly path: string;
  readonly bytes?: Buffer;
}

/**
 * The contents of files as entries of a tar archive, so that one process can unpack all that go into one directory, as
 * files of mode 0600; before them an empty archive, by which a host's tar shows that it can. `together` is false where a
 * name is too long for it.
 */
export function packEntries(contents: readonly Content[]): { entries: Buffer[]; together: boolean } {
  let together = true;
  const entries = contents.flatMap(({ path, bytes }) => {
    if (bytes === undefined) return [];
    const name = Buffer.from(posix.basename(path));
    together &&= name.length <= FIELDS.name[1];
    return [header(name, bytes.length), bytes, Buffer.alloc(-bytes.length & (BLOCK - 1))];
  });
  return { entries: [Buffer.alloc(2 * BLOCK), ...entries], together };
}

function header(name: Buffer, size: number): Buffer {
  const block = Buffer.alloc(BLOCK);
  const put = (field: keyof typeof FIELDS, value: string): number =>
    block.write(value, FIELDS[field][0], "latin1");
  name.copy(block, FIELDS.name[0], 0, FIELDS.name[1]);
  put("mode", "0000600");
  put("size", size.toString(8).padStart(11, "0"));
  put("magic", "ustar\x0000");
  // Of the checksum itself its blanks are counted.
  put("checksum", " ".repeat(FIELDS.checksum[1]));
  const sum = block.reduce((all, byte) => all + byte, 0);
  put("checksum", `${sum.toString(8).padStart(6, "0")}\0 `);
  return block;
}
