/** How Asterisk sees blanks and letters: bytes, one character each. */

/** Where the text from `start` on begins; Asterisk's blanks are all bytes below 33. */
export function skipBlanks(text: string, start: number, end: number): number {
  while (start < end && text.charCodeAt(start) < 33) start++;
  return start;
}

/** Where the text before `end` ends. */
export function trimBlanks(text: string, start: number, end: number): number {
  while (end > start && text.charCodeAt(end - 1) < 33) end--;
  return end;
}

/** The text without blanks around it. */
export function strip(text: string): string {
  const start = skipBlanks(text, 0, text.length);
  return text.slice(start, trimBlanks(text, start, text.length));
}

/** Names are compared without regard to ASCII case only. */
export function lowerASCII(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}
