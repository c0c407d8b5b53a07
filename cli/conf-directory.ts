import { readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { ConfFiles } from "../core/conf/index.ts";
import { globAsterisk } from "../core/conf/index.ts";

/** The files below a directory of this machine, read when they are asked for. Links are followed, as Asterisk does. */
export function confDirectory(directory: string): ConfFiles & { paths(): readonly string[] } {
  let listed: string[] | undefined;
  const paths = (): string[] => (listed ??= list(directory, ""));
  return {
    paths,
    read: (path) => {
      try {
        return readFileSync(join(directory, path));
      } catch {
        return undefined;
      }
    },
    glob: (pattern) => globAsterisk(pattern, paths()),
  };
}

function list(directory: string, below: string): string[] {
  return readdirSync(join(directory, below), { withFileTypes: true }).flatMap((entry) => {
    const path = below === "" ? entry.name : `${below}/${entry.name}`;
    if (entry.name === ".git" || entry.name === ".asterisk-iac") return [];
    if (entry.isDirectory()) return list(directory, path);
    return entry.isFile() || statSync(join(directory, path), { throwIfNoEntry: false })?.isFile()
      ? [path]
      : [];
  });
}
