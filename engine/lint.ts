import { filesOf } from "../core/conf/index.ts";
import { lintDirectory } from "../core/conf/lint.ts";
import type { SourceFile } from "../core/source.ts";
import type { Pass } from "./pass.ts";

/**
 * What Asterisk would refuse in the source's copies, by path, each as one line. Files are judged in the place that
 * includes them, with the source's copies laid over the server's.
 */
export async function lintErrors(
  pass: Pass,
  source: ReadonlyMap<string, SourceFile>,
): Promise<Map<string, string>> {
  const own = [...source].filter(([, file]) => file.problem === undefined).map(([path]) => path);
  const contents = new Map<string, Uint8Array>();
  await Promise.all(own.map(async (path) => contents.set(path, await pass.declaration.source.read(path))));
  const onlyThere = pass.files
    .filter((file) => file.hash !== undefined && !contents.has(file.path))
    .map((file) => file.path);
  for (const [path, bytes] of await pass.read(onlyThere)) contents.set(path, bytes);
  const diagnostics = lintDirectory(contents.keys(), filesOf(contents), {
    asteriskVersion: majorOf(pass.asteriskVersion),
    configDirectory: pass.configDirectory,
    allowExec: pass.declaration.spec.allowExec,
  });
  const errors = new Map<string, string>();
  for (const { severity, file, line, message, fix } of diagnostics) {
    if (severity === "error" && !errors.has(file)) errors.set(file, `line ${line}: ${message} ${fix}`);
  }
  return errors;
}

/** The major version of `22.10.1+dfsg…`; 22 where it can't be told, as for a build from git. */
function majorOf(asteriskVersion: string): number {
  return Number(/^(\d+)\./.exec(asteriskVersion)?.[1] ?? 22);
}
