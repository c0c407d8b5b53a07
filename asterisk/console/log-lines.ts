/** One line of Asterisk's live log. */
export interface LogLine {
  /** Of a verbose message, 0 or more; undefined for a notice, a warning, an error, … */
  readonly level: number | undefined;
  /** Without its newline. As Asterisk wrote it: not yet safe to show. */
  readonly text: string;
}

/** Asterisk marks the first byte of a verbose line: 0xFF is level 0, 0xFE level 1, … (VERBOSE_MAGIC2LEVEL). */
const lowestMark = 0xf6;

/** What Asterisk's own console puts in front of a verbose line (VERBOSE_PREFIX_2 to _4). */
const prefixes = ["", " ", "  == ", "    -- ", "       > "];

/** More of a line than this is left out. */
const maxLineBytes = 8 * 1024;

/** Cuts the bytes of a console that is not muted into lines, however they are split. */
export class LogLines {
  #rest: Buffer = Buffer.alloc(0);
  #skipping = false;

  push(bytes: Buffer): LogLine[] {
    const lines: LogLine[] = [];
    let all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    for (let end = all.indexOf(0x0a); end !== -1; end = all.indexOf(0x0a)) {
      if (!this.#skipping) lines.push(parseLine(all.subarray(0, end)));
      this.#skipping = false;
      all = all.subarray(end + 1);
    }
    if (this.#skipping) all = Buffer.alloc(0);
    else if (all.length > maxLineBytes) {
      lines.push(parseLine(all.subarray(0, maxLineBytes)));
      this.#skipping = true;
      all = Buffer.alloc(0);
    }
    this.#rest = Buffer.from(all);
    return lines;
  }
}

function parseLine(bytes: Buffer): LogLine {
  const mark = bytes[0] ?? 0;
  if (mark < lowestMark) return { level: undefined, text: bytes.toString("utf8") };
  const level = 0xff - mark;
  const prefix = prefixes[Math.min(level, prefixes.length - 1)] ?? "";
  return { level, text: `${prefix}${bytes.subarray(1).toString("utf8")}` };
}
