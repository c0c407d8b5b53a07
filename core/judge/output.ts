/** The colours and styles that are kept: none that hides text, blinks, or changes more than the text itself. */
const kept = /^(?:[012347]|2[2-47]|3[0-79]|4[0-79]|9[0-7]|10[0-7])$/;

/** Characters that reorder what stands around them, or change how it looks, without being seen. */
const invisible = /[\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

const sequence =
  /\x1b\[([0-?]*)[ -/]*([@-~])|\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f]/g;

/**
 * Text of a server made harmless on a terminal: lines, tabs and colours stay; every other escape sequence and control
 * character goes, with what it would have done to the terminal, its title or its clipboard. Ends in the plain style.
 */
export function harmless(text: string): string {
  let coloured = false;
  const shown = text.replace(invisible, "").replace(sequence, (_, parameters?: string, final?: string) => {
    if (final !== "m" || parameters === undefined) return "";
    const styles = parameters.split(";").map((style) => style.replace(/^0+(?=\d)/, "") || "0");
    if (!styles.every((style) => kept.test(style))) return "";
    coloured = true;
    return `\x1b[${styles.join(";")}m`;
  });
  return coloured ? `${shown}\x1b[0m` : shown;
}

/** The same without colours. */
export function plain(text: string): string {
  return harmless(text).replaceAll(/\x1b\[[\d;]*m/g, "");
}
