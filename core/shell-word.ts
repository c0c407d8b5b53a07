/** A text as one word of POSIX sh: between single quotes nothing is special but the quote itself. */
export function shellWord(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
