import { hasErrorCode } from "../core/errors.ts";
import { formatServerRecord, parseServerRecord, recordedModules } from "../core/server-record.ts";
import type { ServerRecord } from "../core/server-record.ts";
import type { Pass } from "./pass.ts";

/**
 * Writes down beside the source what the server says of itself, for plans that can't reach it. Only a change is written; an
 * Asterisk that lets us ask nothing leaves things as they are. Runs inside `exclusively`.
 */
export async function recordServer(pass: Pass): Promise<void> {
  const { source } = pass.declaration;
  const record = await describeServer(pass).catch((cause: unknown) => {
    if (hasErrorCode(cause, "UnexpectedAnswer")) return undefined;
    throw cause;
  });
  if (record === undefined) return;
  const text = formatServerRecord(record);
  const before = parseOrNothing(await source.readRecord("server"));
  // Only the time may differ: a record that says the same since then is as good.
  if (before !== undefined && formatServerRecord({ ...before, seenAt: record.seenAt }) === text) return;
  await source.writeRecord("server", text);
}

async function describeServer(pass: Pass): Promise<ServerRecord> {
  const directories = pass.files.filter(({ kind }) => kind === "directory").map(({ path }) => path);
  const [modules, writable] = await Promise.all([pass.modules(), pass.writableDirectories(directories)]);
  return {
    version: 1,
    seenAt: new Date().toISOString(),
    asteriskVersion: pass.asteriskVersion,
    configDirectory: pass.configDirectory,
    directories: Object.fromEntries(["", ...directories].map((path) => [path, writable.has(path)])),
    modules: recordedModules(modules),
  };
}

/** One that can't be read is written anew. */
function parseOrNothing(text: string | undefined): ServerRecord | undefined {
  try {
    return parseServerRecord(text, "");
  } catch {
    return undefined;
  }
}
