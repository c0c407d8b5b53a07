/** A comment by which it is found again. */
export function withMarker(marker: string, text: string): string {
  return `${marker}\n${text}`;
}
