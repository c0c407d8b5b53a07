/** What a line editor writes to and tells. */
export interface LineEditorOptions {
  /** Escape sequences and text, for the terminal. */
  readonly write: (text: string) => void;
  /** A line was entered. */
  readonly onLine: (line: string) => void;
  /** Tab: the text before the cursor is to be completed; answer with `complete`. */
  readonly onComplete: (line: string) => void;
}

const maxHistory = 200;
const maxLine = 480;

/**
 * One line at the bottom of a terminal: editing, history, and output that comes above it. Knows no browser: it is given
 * what a terminal sends for keys, and writes what a terminal shows.
 */
export class LineEditor {
  prompt = "";
  readonly #options: LineEditorOptions;
  readonly #history: string[] = [];
  /** Where the history was gone to; its length is the line that is new. */
  #recalled = 0;
  #draft = "";
  #characters: string[] = [];
  #cursor = 0;
  #columns = 80;
  /** The row of the cursor below the row of the prompt, as it was drawn. */
  #row = 0;
  #isBusy = false;

  constructor(options: LineEditorOptions) {
    this.#options = options;
  }

  /** Takes what the terminal sent: one key or a run of them. */
  input(data: string): void {
    const key = keys.get(data);
    if (key !== undefined) this.#press(key);
    else if (!data.startsWith("\x1b")) this.insert(data);
  }

  /** Inserts text at the cursor. What can't be typed becomes a space: nothing that is pasted is ever entered by itself. */
  insert(text: string): void {
    const typed = [...text.replace(/[\x00-\x1f\x7f-\x9f]+/g, " ")];
    const fits = typed.slice(0, Math.max(0, maxLine - this.#characters.length));
    this.#characters.splice(this.#cursor, 0, ...fits);
    this.#cursor += fits.length;
    this.#draw();
  }

  /** Writes above the line. */
  print(text: string): void {
    if (text === "") return;
    this.#erase();
    this.#options.write(text.endsWith("\n") ? text : `${text}\n`);
    this.#draw();
  }

  /** The line that was entered is answered: the next one may be. */
  ready(): void {
    this.#isBusy = false;
    this.#draw();
  }

  /** Nothing can be entered, as nobody would get it; what is typed stays. */
  wait(): void {
    this.#erase();
    this.#isBusy = true;
  }

  /** What the next person must not see: the history, and what was typed and not entered. */
  forget(): void {
    this.#history.length = 0;
    this.#recalled = 0;
    this.#draft = "";
    this.#set("");
  }

  /** Completes the word before the cursor, if the text there is still what was asked for; else shows the choices. */
  complete(line: string, candidates: readonly string[], common: string): void {
    if (this.#characters.slice(0, this.#cursor).join("") !== line) return;
    const word = line.split(" ").at(-1) ?? "";
    if (candidates.length === 1) this.#replace(word, `${common} `);
    else if (common.length > word.length) this.#replace(word, common);
    else if (candidates.length > 1) this.print(columnsOf(candidates, this.#columns));
  }

  resize(columns: number): void {
    this.#columns = Math.max(columns, 1);
    // The terminal has wrapped what stood there anew.
    this.#row = this.#placeOf(this.#cursor).row;
    this.#draw();
  }

  #press(key: Key): void {
    const end = this.#characters.length;
    if (key === "enter") this.#enter();
    else if (key === "tab") this.#options.onComplete(this.#characters.slice(0, this.#cursor).join(""));
    else if (key === "up") this.#recall(this.#recalled - 1);
    else if (key === "down") this.#recall(this.#recalled + 1);
    else if (key === "left") this.#move(this.#cursor - 1);
    else if (key === "right") this.#move(this.#cursor + 1);
    else if (key === "home") this.#move(0);
    else if (key === "end") this.#move(end);
    else if (key === "backspace") this.#remove(this.#cursor - 1, this.#cursor);
    else if (key === "delete") this.#remove(this.#cursor, this.#cursor + 1);
    else if (key === "remove-before") this.#remove(0, this.#cursor);
    else if (key === "remove-after") this.#remove(this.#cursor, end);
    else if (key === "remove-word") this.#remove(this.#startOfWord(), this.#cursor);
    else if (key === "cancel") this.#remove(0, end);
    else {
      this.#options.write("\x1b[2J\x1b[H");
      this.#row = 0;
      this.#draw();
    }
  }

  #enter(): void {
    const line = this.#characters.join("");
    if (this.#isBusy) return;
    this.#move(this.#characters.length);
    this.#options.write("\r\n");
    this.#row = 0;
    this.#set("");
    this.#draft = "";
    if (line.trim() === "") {
      this.#draw();
      return;
    }
    if (this.#history.at(-1) !== line) this.#history.push(line);
    if (this.#history.length > maxHistory) this.#history.shift();
    this.#recalled = this.#history.length;
    this.#isBusy = true;
    this.#options.onLine(line);
  }

  #recall(to: number): void {
    if (to < 0 || to > this.#history.length) return;
    if (this.#recalled === this.#history.length) this.#draft = this.#characters.join("");
    this.#recalled = to;
    this.#set(this.#history[to] ?? this.#draft);
    this.#draw();
  }

  #set(line: string): void {
    this.#characters = [...line];
    this.#cursor = this.#characters.length;
  }

  #move(to: number): void {
    this.#cursor = Math.min(Math.max(to, 0), this.#characters.length);
    this.#draw();
  }

  #remove(from: number, to: number): void {
    const start = Math.max(from, 0);
    this.#characters.splice(start, Math.max(0, to - start));
    this.#cursor = start;
    this.#draw();
  }

  #startOfWord(): number {
    const before = this.#characters.slice(0, this.#cursor).join("");
    return [...before.replace(/\S*\s*$/, "")].length;
  }

  #replace(word: string, by: string): void {
    const start = this.#cursor - [...word].length;
    this.#characters.splice(start, [...word].length, ...by);
    this.#cursor = start + [...by].length;
    this.#draw();
  }

  #erase(): void {
    if (this.#isBusy) return;
    this.#options.write(`\r${this.#row > 0 ? `\x1b[${this.#row}A` : ""}\x1b[J`);
    this.#row = 0;
  }

  #draw(): void {
    if (this.#isBusy) return;
    this.#erase();
    const end = this.#placeOf(this.#characters.length);
    const place = this.#placeOf(this.#cursor);
    const up = end.row - place.row;
    // A terminal goes to the next row only with the next character.
    const wrap = end.column === 0 && end.row > 0 ? "\r\n" : "";
    this.#options.write(
      `\x1b[1m${this.prompt}\x1b[0m${this.#characters.join("")}${wrap}` +
        `${up > 0 ? `\x1b[${up}A` : ""}\r${place.column > 0 ? `\x1b[${place.column}C` : ""}`,
    );
    this.#row = place.row;
  }

  #placeOf(cursor: number): { row: number; column: number } {
    const at = [...this.prompt].length + cursor;
    return { row: Math.floor(at / this.#columns), column: at % this.#columns };
  }
}

type Key =
  | "enter"
  | "tab"
  | "up"
  | "down"
  | "left"
  | "right"
  | "home"
  | "end"
  | "backspace"
  | "delete"
  | "remove-before"
  | "remove-after"
  | "remove-word"
  | "cancel"
  | "clear";

/** What terminals send for keys: those of their own, and readline's of Emacs. */
const keys: ReadonlyMap<string, Key> = new Map(
  Object.entries({
    "\r": "enter",
    "\t": "tab",
    "\x1b[A": "up",
    "\x1bOA": "up",
    "\x10": "up",
    "\x1b[B": "down",
    "\x1bOB": "down",
    "\x0e": "down",
    "\x1b[D": "left",
    "\x1bOD": "left",
    "\x02": "left",
    "\x1b[C": "right",
    "\x1bOC": "right",
    "\x06": "right",
    "\x1b[H": "home",
    "\x1bOH": "home",
    "\x01": "home",
    "\x1b[F": "end",
    "\x1bOF": "end",
    "\x05": "end",
    "\x7f": "backspace",
    "\b": "backspace",
    "\x1b[3~": "delete",
    "\x04": "delete",
    "\x15": "remove-before",
    "\x0b": "remove-after",
    "\x17": "remove-word",
    "\x03": "cancel",
    "\x0c": "clear",
  } as const),
);

/** Words side by side, as many as the width takes. */
function columnsOf(words: readonly string[], width: number): string {
  const cell = Math.max(...words.map((word) => word.length)) + 2;
  const each = Math.max(1, Math.floor(width / cell));
  const rows: string[] = [];
  for (let at = 0; at < words.length; at += each)
    rows.push(
      words
        .slice(at, at + each)
        .map((word) => word.padEnd(cell))
        .join("")
        .trimEnd(),
    );
  return rows.join("\n");
}
