import { styleText } from "node:util";

/** Where a command reads and writes. Results go to `stdout`, everything else to `stderr`. */
export interface Terminal {
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
}

type Style = Parameters<typeof styleText>[0];

/** Text in a style, where the stream is a terminal that shows it (NO_COLOR and FORCE_COLOR are honoured). */
export type Paint = (style: Style, text: string) => string;

export function painter(stream: NodeJS.WriteStream): Paint {
  return (style, text) => styleText(style, text, { stream, validateStream: true });
}

/**
 * Text that came from elsewhere (a server, a file), made harmless on a terminal: control characters, escape
 * sequences among them, become visible `\xHH`.
 */
export function printable(text: string): string {
  return text.replace(
    /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g,
    (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}

/** Rows as aligned columns, two blanks apart, without trailing blanks. Measures before `paint` is applied. */
export function table(
  rows: readonly (readonly string[])[],
  paint: (row: number, column: number, text: string) => string = (_, __, text) => text,
): string[] {
  const widths: number[] = [];
  for (const row of rows)
    row.forEach((cell, column) => (widths[column] = Math.max(widths[column] ?? 0, cell.length)));
  return rows.map((row, index) =>
    row
      .map((cell, column) => paint(index, column, cell) + " ".repeat((widths[column] ?? 0) - cell.length))
      .join("  ")
      .trimEnd(),
  );
}

/** A line on a terminal that shows how far a run is; nothing elsewhere. */
export class ProgressLine {
  readonly #stream: NodeJS.WriteStream;
  readonly #total: number;
  readonly #running = new Set<string>();
  #done = 0;

  constructor(stream: NodeJS.WriteStream, total: number) {
    this.#stream = stream;
    this.#total = total;
  }

  start(name: string): void {
    this.#running.add(name);
    this.#draw();
  }

  finish(name: string): void {
    this.#running.delete(name);
    this.#done += 1;
    this.#draw();
  }

  /** Takes the line away, so that something else can be printed. */
  clear(): void {
    if (this.#stream.isTTY) this.#stream.write("\r\x1b[2K");
  }

  #draw(): void {
    if (!this.#stream.isTTY) return;
    const names = [...this.#running].slice(0, 4).join(", ") + (this.#running.size > 4 ? ", …" : "");
    this.#stream.write(
      `\r\x1b[2K[${this.#done}/${this.#total}] ${names}`.slice(0, (this.#stream.columns || 80) + 4),
    );
  }
}
