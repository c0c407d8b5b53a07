/** Lines and comments, exactly as Asterisk's config_text_file_load (main/config.c) cuts them. */

/** U+FEFF in UTF-8, one character a byte. */
export const byteOrderMark = "\xEF\xBB\xBF";

/** What one fgets of Asterisk holds: a line of 8190 bytes and its newline. */
const bufferSize = 8191;
const deepestNesting = 128;

const dash = 0x2d;
const backslash = 0x5c;

/** Walks over the lines of a text, as Asterisk's fgets does. */
export class LineScanner {
  readonly #text: string;
  readonly #hasNul: boolean;
  #newline = -1;
  /** Start and end, its newline included, of the line that `next` found. */
  start = 0;
  end = 0;
  /** Where Asterisk stops reading the line, from its start: at a NUL, else at its end. */
  visibleLength = 0;
  /** More than a buffer holds: Asterisk skips the line. */
  tooLong = false;

  constructor(text: string) {
    this.#text = text;
    this.#hasNul = text.includes("\0");
  }

  /** Moves to the next line; false at the end of the text. */
  next(): boolean {
    const text = this.#text;
    const start = (this.start = this.end);
    if (start >= text.length) return false;
    if (this.#newline < start) {
      const found = text.indexOf("\n", start);
      this.#newline = found === -1 ? text.length : found;
    }
    const end = Math.min(this.#newline + 1, text.length);
    const full = end - start >= bufferSize;
    const first = full ? start + bufferSize : end;
    const nul = this.#hasNul ? indexIn(text, "\0", start, first) : -1;
    this.visibleLength = (nul === -1 ? first : nul) - start;
    this.tooLong = full && nul === -1 && text.charCodeAt(first - 1) !== 0x0a;
    this.end = this.tooLong ? this.#endOfSkipped(first, end) : first;
    return true;
  }

  /** Asterisk skips buffer after buffer, until one ends the line or looks short, as one that holds a NUL does. */
  #endOfSkipped(from: number, end: number): number {
    const nul = this.#hasNul ? indexIn(this.#text, "\0", from, end) : -1;
    if (nul === -1) return end;
    return Math.min(from + (Math.floor((nul - from) / bufferSize) + 1) * bufferSize, end);
  }
}

function indexIn(text: string, character: string, start: number, end: number): number {
  const index = text.slice(start, end).indexOf(character);
  return index === -1 ? -1 : start + index;
}

/** A run of a line's text that stands in one piece in its source. */
export interface Segment {
  /** Where it begins in the text, and in the source. */
  readonly inText: number;
  readonly inSource: number;
  /** It begins with a `;` before which a `\` was taken away. */
  readonly escaped: boolean;
}

/** A line without its comments. */
export interface Uncommented {
  /** What the parser sees; it may only look between `start` and `end`. */
  readonly text: string;
  readonly start: number;
  readonly end: number;
  /** Where `text` comes from; `undefined`: it is the source itself. */
  readonly segments: readonly Segment[] | undefined;
  /** Where in the source the `;` of the comment that ends the line stands; -1: nowhere. */
  readonly comment: number;
  /** Depth of block comments behind the line. */
  readonly depth: number;
  /** `text`: for the parser. Else there is no text: `inside` a block comment, `silenced`, or `nested-too-deep`. */
  readonly state: "text" | "inside" | "silenced" | "nested-too-deep";
  /** A block comment begins or ends here. */
  readonly blocks: boolean;
}

/**
 * Takes the comments out of one line.
 * @param start where the text begins: behind the byte order mark, if there is one
 * @param end where Asterisk stops reading the line
 * @param depth of block comments before the line
 */
export function uncomment(source: string, start: number, end: number, depth: number): Uncommented {
  const first = source.indexOf(";", start);
  if (depth === 0) {
    if (first === -1 || first >= end) return whole(source, start, end, -1);
    const special =
      source.charCodeAt(first - 1) === backslash ||
      source.charCodeAt(first + 1) === dash ||
      source.charCodeAt(first - 1) === dash;
    if (!special) return whole(source, start, first, first);
  } else if (first === -1 || first >= end) {
    return nothing(depth, depth < 0 ? "silenced" : "inside", false);
  }
  return uncommentStepwise(source, start, end, depth);
}

function whole(source: string, start: number, end: number, comment: number): Uncommented {
  return { text: source, start, end, segments: undefined, comment, depth: 0, state: "text", blocks: false };
}

function nothing(depth: number, state: Uncommented["state"], blocks: boolean): Uncommented {
  return { text: "", start: 0, end: 0, segments: [], comment: -1, depth, state, blocks };
}

/**
 * The general case. Asterisk edits its buffer in place and looks again from `since` on; from there the buffer
 * holds the source unchanged, so that one pass over the source comes to the same.
 */
function uncommentStepwise(source: string, start: number, end: number, depthBefore: number): Uncommented {
  const at = (index: number) => (index < end ? source.charCodeAt(index) : 0);
  const segments: Segment[] = [];
  let text = "";
  let depth = depthBefore;
  let seen = depth === 0;
  let cut = false;
  let blocks = false;
  let since = start;
  let from = start;
  let escaped = false;
  let comment = -1;
  const keepUntil = (until: number) => {
    if (!seen || cut || until <= from) return;
    segments.push({ inText: text.length, inSource: from, escaped });
    text += source.slice(from, until);
    escaped = false;
  };
  for (;;) {
    const index = source.indexOf(";", since);
    if (index === -1 || index >= end) break;
    if (at(index - 1) === backslash) {
      keepUntil(index - 1);
      from = index;
      escaped = true;
      since = index + 1;
    } else if (at(index + 1) === dash && at(index + 2) === dash && at(index + 3) !== dash) {
      if (depth >= deepestNesting) return nothing(depth, "nested-too-deep", true);
      keepUntil(index);
      cut = true;
      blocks = true;
      depth++;
      since = index + 3;
    } else if (index >= since + 2 && at(index - 1) === dash && at(index - 2) === dash) {
      blocks = true;
      depth--;
      since = index + 1;
      if (depth === 0) {
        seen = true;
        cut = false;
        from = since;
        escaped = false;
      }
    } else if (depth === 0) {
      keepUntil(index);
      cut = true;
      comment = index;
      break;
    } else {
      since = index + 1;
    }
  }
  keepUntil(end);
  if (!seen) return { ...nothing(depth, depthBefore < 0 ? "silenced" : "inside", blocks), comment };
  return { text, start: 0, end: text.length, segments, comment, depth, state: "text", blocks };
}
