/** File name patterns as glob(3) of the GNU C library expands them with GLOB_BRACE, which Asterisk's includes use. */

/**
 * The paths that match, in glob's order: brace alternatives as written, each sorted by bytes; a path named by two
 * alternatives comes twice. `*`, `?` and `[…]` match no `/` and no dot at the start of a name.
 */
export function globAsterisk(pattern: string, paths: Iterable<string>): string[] {
  const all = [...paths];
  return [...expandBraces(pattern)].flatMap((alternative) => {
    const names = alternative.split("/").map(tokensOf);
    return all.filter((path) => matchesPath(names, path.split("/"))).sort(byBytes);
  });
}

/** `a{b,c{d,e}}` → `ab`, `acd`, `ace`. An unclosed brace is an ordinary character. Few bytes can yield 2^n. */
export function* expandBraces(pattern: string): Generator<string, void> {
  const open = firstBrace(pattern);
  const alternatives = open === -1 ? undefined : alternativesFrom(pattern, open + 1);
  if (alternatives === undefined) {
    yield pattern;
    return;
  }
  const before = pattern.slice(0, open);
  const after = pattern.slice(alternatives.end);
  for (const alternative of alternatives.texts) yield* expandBraces(before + alternative + after);
}

/** The alternatives behind a brace, and where the text behind its partner begins; undefined where it has none. */
function alternativesFrom(pattern: string, start: number): { texts: string[]; end: number } | undefined {
  const texts: string[] = [];
  for (let from = start; ;) {
    const to = endOfAlternative(pattern, from);
    if (to === -1) return undefined;
    texts.push(pattern.slice(from, to));
    from = to + 1;
    if (pattern[to] === "}") return { texts, end: from };
  }
}

/** Whether glob looks for a file by pattern rather than by name. */
export function isPattern(path: string): boolean {
  return /[*?[\\{]/.test(path);
}

function firstBrace(pattern: string): number {
  for (let index = 0; index < pattern.length; index++) {
    if (pattern[index] === "\\") index++;
    else if (pattern[index] === "{") return index;
  }
  return -1;
}

/** The comma or brace that ends the alternative; -1 where there is none. */
function endOfAlternative(pattern: string, from: number): number {
  let depth = 0;
  for (let index = from; index < pattern.length; index++) {
    const character = pattern[index];
    if (character === "\\") index++;
    else if (depth === 0 && (character === "," || character === "}")) return index;
    else if (character === "{") depth++;
    else if (character === "}") depth--;
  }
  return -1;
}

/** One character of a name: itself, any run (`*`), or a test (`?` and `[…]`). */
type Token = string | typeof anyRun | ((character: string) => boolean);
const anyRun = Symbol("*");

function tokensOf(name: string): Token[] {
  const characters = [...name];
  const tokens: Token[] = [];
  for (let index = 0; index < characters.length; index++) {
    const character = characters[index] as string;
    if (character === "*") {
      if (tokens.at(-1) !== anyRun) tokens.push(anyRun);
    } else if (character === "?") {
      tokens.push(() => true);
    } else if (character === "[") {
      const set = bracket(characters, index + 1);
      tokens.push(set === undefined ? "[" : set.test);
      if (set !== undefined) index = set.last;
    } else if (character === "\\" && index + 1 < characters.length) {
      tokens.push(characters[++index] as string);
    } else {
      tokens.push(character);
    }
  }
  return tokens;
}

const classes: Readonly<Record<string, RegExp>> = {
  alpha: /[a-z]/i,
  digit: /[0-9]/,
  alnum: /[a-z0-9]/i,
  upper: /[A-Z]/,
  lower: /[a-z]/,
  space: /[ \t-\r]/,
  blank: /[ \t]/,
  punct: /[!-/:-@[-`{-~]/,
  print: /[ -~]/,
  graph: /[!-~]/,
  cntrl: /[\0-\x1f\x7f]/,
  xdigit: /[0-9a-f]/i,
};

/**
 * Reads a bracket expression from behind its `[`. `last` is the index of its `]`; undefined where none closes it.
 * @param escapes whether `\` takes the next character as it is: in file names yes, in regular expressions no
 */
export function bracket(
  characters: readonly string[],
  start: number,
  escapes = true,
): { test: (character: string) => boolean; last: number } | undefined {
  const negated = characters[start] === "^" || (escapes && characters[start] === "!");
  const tests: ((character: string) => boolean)[] = [];
  const first = negated ? start + 1 : start;
  let index = first;
  const take = () => {
    if (escapes && characters[index] === "\\") index++;
    return characters[index++] ?? "";
  };
  for (; index < characters.length && (characters[index] !== "]" || index === first);) {
    if (characters[index] === "[" && characters[index + 1] === ":") {
      const close = characters.indexOf(":", index + 2);
      const named = classes[characters.slice(index + 2, close).join("")];
      if (close === -1 || characters[close + 1] !== "]" || named === undefined) return undefined;
      tests.push((character) => named.test(character));
      index = close + 2;
      continue;
    }
    const low = take();
    if (characters[index] === "-" && index + 1 < characters.length && characters[index + 1] !== "]") {
      index++;
      const high = take();
      if (!escapes && high < low) return undefined;
      tests.push((character) => low <= character && character <= high);
    } else {
      tests.push((character) => character === low);
    }
  }
  if (index >= characters.length) return undefined;
  return { test: (character) => tests.some((test) => test(character)) !== negated, last: index };
}

function matchesPath(names: readonly (readonly Token[])[], path: readonly string[]): boolean {
  return names.length === path.length && names.every((name, index) => matchesName(name, path[index] ?? ""));
}

/** Goes back to the last `*` only, so that no pattern takes more than tokens × characters steps. */
function matchesName(tokens: readonly Token[], name: string): boolean {
  if (name.startsWith(".") && tokens[0] !== ".") return false;
  const characters = [...name];
  let token = 0;
  let index = 0;
  let star = -1;
  let starIndex = 0;
  while (index < characters.length) {
    const wanted = tokens[token];
    const character = characters[index] as string;
    if (wanted === anyRun) {
      star = token++;
      starIndex = index;
    } else if (typeof wanted === "function" ? wanted(character) : wanted === character) {
      token++;
      index++;
    } else if (star !== -1) {
      token = star + 1;
      index = ++starIndex;
    } else {
      return false;
    }
  }
  while (tokens[token] === anyRun) token++;
  return token === tokens.length;
}

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
