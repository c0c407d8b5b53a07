/** Our effective view beside live Asterisk's own: get-config.ts says what is lost on the way. */
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect } from "@jest/globals";
import fc from "fast-check";
import { parse } from "../../core/conf/cst.ts";
import { filesOf } from "../../core/conf/document.ts";
import { type Loaded, load } from "../../core/conf/load.ts";
import type { LabServer } from "../../lab/lab.ts";
import { confDirectory } from "./conf-arbitraries.ts";
import { contentsOf, GetConfigSession, toAnswer } from "./get-config.ts";

const batch = 200;

/** An AMI session with a server of the lab. */
export async function openSession(server: LabServer | undefined): Promise<GetConfigSession> {
  if (server === undefined) throw new Error("the lab has no server");
  return GetConfigSession.open(server.amiPort, server.amiUsername, server.amiPassword);
}

/** Writes files into a server's configuration directory. */
export async function put(server: LabServer, contents: ReadonlyMap<string, Buffer>): Promise<void> {
  const at = (path: string) => join(server.configDirectory, path);
  const folders = new Set([...contents.keys()].map((path) => dirname(at(path))));
  for (const folder of folders) await mkdir(folder, { recursive: true });
  await Promise.all([...contents].map(([path, bytes]) => writeFile(at(path), bytes)));
}

/** Our reading, with a limit that circles of generated files reach soon. */
export function read(root: string, contents: ReadonlyMap<string, Buffer>, asterisk: number): Loaded {
  return load(root, filesOf(contents), { asteriskVersion: asterisk, sizeLimit: 1_000_000 });
}

/**
 * Puts `count` generated directories onto the server and compares each root file.
 * @returns how many of them Asterisk accepts, and how many were left out because it would not survive them
 */
export async function compareGenerated(
  server: LabServer,
  session: GetConfigSession,
  asterisk: number,
  { count, seed }: { count: number; seed: number },
): Promise<{ valid: number; leftOut: number }> {
  const samples = fc.sample(confDirectory, { numRuns: count, seed });
  const seen = { valid: 0, leftOut: 0 };
  for (let first = 0; first < samples.length; first += batch) {
    const asked: { root: string; contents: Map<string, Buffer>; loaded: Loaded }[] = [];
    for (const [index, files] of samples.slice(first, first + batch).entries()) {
      const root = `generated/${seed}/${first + index}/root.conf`;
      const contents = contentsOf(dirname(root), files);
      const loaded = read(root, contents, asterisk);
      if (endsAsterisk(contents, loaded)) {
        seen.leftOut++;
        continue;
      }
      asked.push({ root, contents, loaded });
      if (loaded.invalid === undefined) seen.valid++;
    }
    await put(server, new Map(asked.flatMap(({ contents }) => [...contents])));
    const answers = await session.getConfig(asked.map(({ root }) => root));
    for (const [index, { loaded, contents }] of asked.entries()) {
      const files = [...contents].map(([path, bytes]) => [path, bytes.toString("latin1")]);
      expect({ seed, files, answer: toAnswer(loaded) }).toEqual({ seed, files, answer: answers[index] });
    }
  }
  return seen;
}

/**
 * Files that Asterisk never ends reading; and those with many a `--;` that closes nothing: a `;--` behind them makes
 * it write in front of an array (`nest` of config_text_file_load), seen to crash 16 at 51 of them and 22 at 87.
 */
function endsAsterisk(contents: ReadonlyMap<string, Buffer>, loaded: Loaded): boolean {
  if (["inherits-itself", "nested-too-deep", "too-large"].includes(loaded.invalid?.kind ?? "")) return true;
  return [...contents.values()].some((bytes) => parse(bytes).nodes.some(({ depth }) => depth < -3));
}
