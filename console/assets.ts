import { readFile } from "node:fs/promises";
import { createRequire, stripTypeScriptTypes } from "node:module";
import { join } from "node:path";
import { hasErrorCode } from "../core/errors.ts";

/** A file of the page. */
export interface Asset {
  readonly type: string;
  readonly content: string;
}

const types = { html: "text/html", js: "text/javascript", mjs: "text/javascript", css: "text/css" } as const;

const packages: Readonly<Record<string, string>> = {
  "xterm.mjs": "@xterm/xterm/lib/xterm.mjs",
  "xterm.css": "@xterm/xterm/css/xterm.css",
  "addon-fit.mjs": "@xterm/addon-fit/lib/addon-fit.mjs",
};

/**
 * Everything that the page is made of, by name, read once: our own files and xterm.js out of its package. Nothing is
 * looked up by what a browser asks for, so no path leads elsewhere.
 */
export async function readAssets(): Promise<ReadonlyMap<string, Asset>> {
  const { resolve } = createRequire(import.meta.url);
  const own = ["index.html", "page.js", "page.css"].map(
    async (name) => [name, await readFile(join(import.meta.dirname, "page", name), "utf8")] as const,
  );
  const others = Object.entries(packages).map(
    async ([name, file]) => [name, await readFile(resolve(file), "utf8")] as const,
  );
  const read = await Promise.all([...own, ...others, lineEditor()]);
  return new Map(
    read.map(([name, content]) => {
      const type = types[name.split(".").at(-1) as keyof typeof types];
      return [
        name,
        { type: `${type}; charset=utf-8`, content: content.replace(/^\/\/# sourceMappingURL=.*$/m, "") },
      ];
    }),
  );
}

/** Compiled in a package; in a checkout the TypeScript itself, whose types are taken out here. */
async function lineEditor(): Promise<readonly [string, string]> {
  const file = join(import.meta.dirname, "page", "line-editor");
  try {
    return ["line-editor.js", await readFile(`${file}.js`, "utf8")];
  } catch (error) {
    if (!hasErrorCode(error, "ENOENT")) throw error;
    return ["line-editor.js", stripTypeScriptTypes(await readFile(`${file}.ts`, "utf8"))];
  }
}
