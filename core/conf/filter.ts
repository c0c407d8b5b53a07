/** The filters of `[name](+variable=value&…)`: does_category_match of Asterisk's main/config.c. */
import { compileRegex } from "./posix-regex.ts";
import { lowerASCII, strip } from "./text.ts";

/** What a filter looks at. */
export interface FilteredSection {
  readonly template: boolean;
  readonly variables: readonly { readonly name: string; readonly value: string }[];
}

/**
 * Whether a section passes: every `name=value`, joined by `&`, must find a variable that both regular expressions
 * match; `TEMPLATES=include` lets templates in, `TEMPLATES=restrict` nothing else. An empty filter keeps them out.
 * @param onRefused told of an expression that does not compile; nothing passes then
 */
export function passesFilter(
  section: FilteredSection,
  filter: string,
  asteriskVersion: number,
  onRefused: (expression: string) => void,
): boolean {
  if (filter === "") return !section.template;
  let expressions = 0;
  let found = 0;
  let templatesPass = false;
  for (const expression of separate(filter, "&", asteriskVersion)) {
    expressions++;
    const [name = "", value] = separate(expression, "=", asteriskVersion);
    if (value === undefined) break;
    if (name === "TEMPLATES") {
      const wish = lowerASCII(value);
      if (wish === "include" || (wish === "restrict" && section.template)) {
        templatesPass ||= section.template;
        found++;
      } else if (wish === "restrict") {
        break;
      }
      continue;
    }
    const matchesName = compileRegex(name);
    const matchesValue = compileRegex(value);
    if (matchesName === undefined || matchesValue === undefined) {
      onRefused(matchesName === undefined ? name : value);
      return false;
    }
    const matches = section.variables.some((one) => matchesName(one.name) && matchesValue(one.value));
    if (matches) found++;
  }
  return found === expressions && (!section.template || templatesPass);
}

/**
 * ast_strsep of main/utils.c with AST_STRSEP_STRIP: separators in quotes or behind a `\` do not count; pieces lose
 * blanks and one pair of quotes. Before Asterisk 16.30 and 20.0 an empty piece at the end was dropped.
 */
function separate(text: string, separator: string, asteriskVersion: number): string[] {
  const pieces: string[] = [];
  let rest: string | undefined = text;
  while (rest !== undefined) {
    if (rest === "") {
      if (asteriskVersion >= 18) pieces.push("");
      break;
    }
    const end = endOfPiece(rest, separator);
    if (end === undefined) break;
    pieces.push(unquote(rest.slice(0, end)));
    rest = end < rest.length ? rest.slice(end + 1) : undefined;
  }
  return pieces;
}

/** Undefined where quotes are nested deeper than Asterisk follows: the text ends there. */
function endOfPiece(text: string, separator: string): number | undefined {
  const quotes: string[] = [];
  for (let index = 0; index < text.length; index++) {
    if (text[index] === "\\") index += 2;
    const character = text[index];
    if (character === "'" || character === '"') {
      if (quotes.at(-1) === character) quotes.pop();
      else if (quotes.push(character) >= 8) return undefined;
    }
    if (character === separator && quotes.length === 0) return index;
  }
  return text.length;
}

function unquote(piece: string): string {
  const stripped = strip(piece);
  const quote = stripped[0];
  if ((quote === "'" || quote === '"') && stripped.endsWith(quote)) return stripped.slice(1, -1);
  return stripped;
}
