/** Text of a file made fit for a message, a terminal or a page. */

/**
 * The text with every character that could act instead of being seen (control characters and so escape
 * sequences, direction marks, lone surrogates) replaced by one that stands for it; the length stays.
 */
export function inert(text: string): string {
  return text
    .replace(/[\0-\x1f]/g, (control) => String.fromCharCode(0x2400 + control.charCodeAt(0)))
    .replaceAll("\x7f", "\u2421")
    .replace(/[\x80-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g, "\ufffd")
    .toWellFormed();
}

/** A piece of a file as it stands in quotes: inert, and with no quotes in it. */
export function inQuotes(text: string): string {
  return inert(text).replaceAll('"', "'");
}

/** A piece of a file in quotes, for a message: inert, and cut where it is long. */
export function quote(text: string): string {
  const shown = inQuotes(text);
  return `"${shown.length > 60 ? `${shown.slice(0, 57)}…` : shown}"`;
}

/** For a page: markup in a file stays text. */
export function escapeHTML(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&#39;",
  };
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? character);
}
