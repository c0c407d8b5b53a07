/** Where an include leads: Asterisk looks from the configuration directory, never from the including file. */
import { decode, encode } from "./encoding.ts";
import { expandBraces, isPattern } from "./glob.ts";

/** The buffer for file names in main/config.c holds 255 bytes: the rest of a longer name is lost. */
const longestName = 255;

/** What an include names. Paths are relative to the configuration directory. */
export interface IncludeTargets {
  /** In the order in which Asterisk reads them, a repeated one repeated. They need not exist. */
  readonly paths: readonly string[];
  /** What lies outside the configuration directory, as absolute names or patterns. */
  readonly external: readonly string[];
  /** There are more, which no honest include means: see `mostAlternatives`. */
  readonly tooMany: boolean;
}

const mostAlternatives = 10_000;

/** Resolves the arguments of includes. `..` is taken out by name alone: what is a link, only the server knows. */
export class IncludePaths {
  /** Absolute, in bytes as latin1, without a slash at its end. */
  readonly #root: string;

  /** @param configDirectory absolute path on the server */
  constructor(configDirectory: string) {
    this.#root = encode(normalize(configDirectory));
  }

  /**
   * @param argument of the include, one character a byte
   * @param glob what a relative pattern matches
   */
  resolve(argument: string, glob: (pattern: string) => readonly string[]): IncludeTargets {
    const absolute = (argument.startsWith("/") ? argument : `${this.#root}/${argument}`).slice(
      0,
      longestName,
    );
    const paths: string[] = [];
    const external: string[] = [];
    let alternatives = 0;
    for (const alternative of expandBraces(absolute)) {
      if (++alternatives > mostAlternatives) return { paths, external, tooMany: true };
      const path = normalize(alternative);
      if (!path.startsWith(`${this.#root}/`)) {
        if (path !== this.#root) external.push(decode(path));
      } else if (!namesDirectory(alternative)) {
        const relative = decode(path.slice(this.#root.length + 1));
        const matches = isPattern(relative) ? glob(relative) : [relative];
        for (const match of matches) paths.push(this.#cut(match));
      }
    }
    return { paths, external, tooMany: false };
  }

  #cut(path: string): string {
    return decode(encode(path).slice(0, longestName - this.#root.length - 1));
  }
}

/** glob(3) drops a slash behind a plain name, but lets a pattern with one match directories only. */
function namesDirectory(path: string): boolean {
  return path.endsWith("/.") || (path.endsWith("/") && isPattern(path));
}

/** An absolute path without empty, `.` and `..` names. */
function normalize(path: string): string {
  const names: string[] = [];
  for (const name of path.split("/")) {
    if (name === "..") names.pop();
    else if (name !== "" && name !== ".") names.push(name);
  }
  return `/${names.join("/")}`;
}
