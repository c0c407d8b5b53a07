import { listKept } from "../asterisk/kept.ts";
import { restoredMessage } from "../core/commit-message.ts";
import type { Side } from "../core/diff.ts";
import { AsteriskIacError } from "../core/errors.ts";
import { comparePaths } from "../core/record.ts";
import { redact } from "../core/redact.ts";
import { keptAs as keptInHistory } from "../git/history.ts";
import { compare } from "./comparison.ts";
import type { Pass } from "./pass.ts";
import type { ServerWrite } from "./server-write.ts";
import { restoreOnServer } from "./server-write.ts";

/** Old bytes that one run put aside before it overwrote them. */
export interface Backup {
  readonly id: string;
  /** Where the bytes were, and where they lie now. */
  readonly side: Side;
  /** ISO 8601. */
  readonly keptAt: string;
  /** `size` in bytes; null for a file that the run created, so that putting it back removes it. */
  readonly files: readonly { readonly path: string; readonly size: number | null }[];
}

/** All that is kept of one server and its source, newest first. */
export async function listBackups(pass: Pass): Promise<Backup[]> {
  const [onServer, inSource] = await Promise.all([
    listKept(pass.session.host, pass.spoolDirectory),
    pass.declaration.source.listKept(),
  ]);
  const byId = Map.groupBy(inSource, ({ id }) => id);
  return [
    ...onServer.map(({ id, appliedAt, files }): Backup => ({
      id,
      side: "server",
      keptAt: appliedAt,
      files: files.map(({ path, before }) => ({ path, size: before?.size ?? null })),
    })),
    ...[...byId].map(([id, files]): Backup => ({
      id,
      side: "source",
      keptAt: files[0]?.keptAt.toISOString() ?? "",
      files: files.map(({ path, size }) => ({ path, size })),
    })),
  ].sort((a, b) => comparePaths(b.keptAt, a.keptAt));
}

/** What a restore did. */
export interface RestoreResult {
  readonly side: Side;
  readonly paths: readonly string[];
  readonly server?: ServerWrite;
  /** In the source: under which id the bytes that were there lie now. */
  readonly keptAs?: string;
}

/** Puts kept bytes back, on the side that they came from; what is there now is kept in turn. */
export async function restoreBackup(
  pass: Pass,
  id: string,
  paths?: readonly string[],
): Promise<RestoreResult> {
  const backup = (await listBackups(pass)).find((one) => one.id === id);
  if (backup === undefined) {
    throw new AsteriskIacError("InvalidArgument", `nothing is kept as ${id}`, {
      hint: "`asteriskctl backups list` shows what is.",
    });
  }
  const chosen = backup.files
    .map(({ path }) => path)
    .filter((path) => paths === undefined || paths.includes(path));
  const unknown = paths?.find((path) => !chosen.includes(path));
  if (unknown !== undefined) {
    throw new AsteriskIacError("InvalidArgument", `${id} does not hold ${unknown}`, {
      hint: `It holds ${chosen.join(", ") || "other files"}.`,
    });
  }
  if (backup.side === "source")
    return { side: "source", paths: chosen, keptAs: await restoreInSource(pass, id, chosen) };
  const comparison = await compare(pass);
  const server = redact(await restoreOnServer(pass, comparison, id, paths), comparison.secrets);
  return { side: "server", paths: chosen, server };
}

async function restoreInSource(
  { declaration: { name, source } }: Pass,
  id: string,
  paths: readonly string[],
): Promise<string> {
  const keptAs = `${new Date().toISOString().replaceAll(":", "")}-restore`;
  const restore = async (): Promise<void> => {
    const present = await source.list();
    for (const path of paths) {
      const file = present.get(path);
      const expected = file === undefined ? null : file.problem === undefined ? file.hash : "";
      if (await source.write(path, await source.readKept(id, path), expected, keptAs)) continue;
      throw new AsteriskIacError(
        "ChangedMeanwhile",
        `${path} in ${source.name} is not what it was a moment ago`,
        { next: "Retry" },
      );
    }
  };
  await source.exclusively(restore, () => ({ message: restoredMessage(name, paths, id) }));
  return source.revision === undefined ? keptAs : keptInHistory(source.revision.commit);
}
