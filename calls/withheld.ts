/** What carriers and Asterisk itself write in the place of a number or name that is withheld. */
const words = /^(anonymous|restricted|unavailable|unknown|private|withheld|asterisk)$/i;

/** `prohib_*`, `unavailable` of `CALLERID(pres)`; of NewCallerid `32 (Presentation Prohibited, …)` to `67 (Number Unavailable)`. */
function forbids(presentation: string): boolean {
  const code = /^(\d+)\b/.exec(presentation)?.[1];
  if (code !== undefined) return (Number(code) & 0x60) !== 0;
  return presentation.startsWith("prohib") || presentation === "unavailable";
}

/** `Unknown`: nobody said whether the caller may be shown, and so it is not. */
export type Presentation = "Shown" | "Withheld" | "Unknown";

/**
 * Whether a caller's number may be shown. Asterisk itself hands out the real number of a caller who withholds it, in events
 * and CDRs alike: only the presentation says so. Whatever was once withheld stays so.
 */
export function presentationOf(
  presentations: Iterable<string>,
  number: string | undefined,
  name: string | undefined,
): Presentation {
  const seen = [...presentations];
  if (seen.some(forbids)) return "Withheld";
  if (words.test(number ?? "") || words.test(name ?? "")) return "Withheld";
  return seen.length === 0 ? "Unknown" : "Shown";
}
