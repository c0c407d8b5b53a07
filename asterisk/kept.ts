import { z } from "zod";
import { AsteriskIacError } from "../core/errors.ts";
import { contentHash } from "../core/record.ts";
import { applyFields, hostFile } from "./host-record.ts";
import type { HostRecord } from "./host-record.ts";
import type { Host } from "./host.ts";
import { pathFromBytes } from "./path-bytes.ts";
import { ask } from "./transaction-answer.ts";
import { LIST_KEPT_SCRIPT, PRUNE_SCRIPT, READ_KEPT_SCRIPT } from "./transaction-scripts.ts";

/** So many applies are kept, or so much of them; beyond it the oldest are let go of. */
export const MAX_KEPT = 100;
export const MAX_KEPT_KIB = 64 * 1024;

/** What is left of both after letting go, so that it does not come with every apply. */
const LEAVE = 0.8;

const file = z.object({ hash: z.string(), mode: z.string(), owner: z.string() });
const keptFile = z.object({
  path: z.string(),
  /** What was overwritten or removed, with its size in bytes; null where there was nothing. */
  before: file.extend({ size: z.number() }).nullable(),
  /** What was written; null where it was removed. */
  after: file.nullable(),
  /** What the record had said of the path. */
  recorded: hostFile.nullable(),
});
export type KeptFile = z.infer<typeof keptFile>;

const kept = z.object({
  version: z.literal(1),
  id: z.string(),
  /** The generation that the apply made. */
  generation: z.number().int().positive(),
  ...applyFields,
  /** Of the record before; null before the first. */
  previous: z
    .object({ planHash: z.string(), revision: z.string().optional(), verified: z.boolean() })
    .nullable(),
  files: z.array(keptFile),
});
/** What one apply overwrote, kept on the host beside the record. */
export type Kept = z.infer<typeof kept>;

/** An index as it lies on the host. */
export function formatKept(index: Kept): string {
  return `${JSON.stringify(index)}\n`;
}

/** What is kept on the host, newest first. One round trip. Rejects with `RecordInvalid`. */
export async function listKept(host: Host, spoolDirectory: string): Promise<Kept[]> {
  const answer = await ask(host, LIST_KEPT_SCRIPT, { configDirectory: "/", spoolDirectory });
  const all = answer.all("index").map(([text = ""]) => parseKept(text, spoolDirectory));
  return all.sort((a, b) => b.generation - a.generation);
}

/** One apply's index and the old bytes of its files by path, each checked against its hash. One round trip. */
export async function readKept(
  host: Host,
  { spoolDirectory, id }: { spoolDirectory: string; id: string },
): Promise<{ kept: Kept; contents: Map<string, Buffer> }> {
  checkId(id);
  const { stdout } = await host.run(READ_KEPT_SCRIPT, {
    args: ["/", spoolDirectory, id],
    timeoutMs: 120_000,
  });
  const end = stdout.indexOf(0);
  if (end === -1)
    throw new AsteriskIacError("InvalidArgument", `Nothing is kept under ${id}.`, {
      hint: "`asteriskctl backups list` shows what is.",
    });
  const index = parseKept(pathFromBytes(stdout.subarray(0, end)), spoolDirectory);
  const contents = new Map<string, Buffer>();
  let at = end + 1;
  for (const { path, before } of index.files) {
    if (before === null) continue;
    const bytes = stdout.subarray(at, (at += before.size));
    if (contentHash(bytes) !== before.hash)
      throw new AsteriskIacError("RecordInvalid", `What is kept of ${path} is damaged.`, {
        where: { file: `${spoolDirectory}/asterisk-iac/kept/${id}` },
      });
    contents.set(path, bytes);
  }
  return { kept: index, contents };
}

/**
 * Lets go of the oldest applies beyond the bounds, but never of the newest bytes of a path, nor of what the record needs to
 * put back what resources changed.
 */
export async function pruneKept(
  host: Host,
  where: { configDirectory: string; spoolDirectory: string },
  record: HostRecord,
): Promise<void> {
  const needed = new Set(Object.values(record.files).map(({ ownership }) => ownership?.original));
  const args = toPrune(await listKept(host, where.spoolDirectory)).filter((id) => !needed.has(id));
  if (args.length > 0) await ask(host, PRUNE_SCRIPT, { ...where, args });
}

/** The ids that go, of what is kept, newest first. */
export function toPrune(
  newestFirst: readonly Kept[],
  { count, kib }: { count: number; kib: number } = { count: MAX_KEPT * LEAVE, kib: MAX_KEPT_KIB * LEAVE },
): string[] {
  const seen = new Set<string>();
  const go: string[] = [];
  let size = 0;
  let stay = 0;
  for (const { id, files } of newestFirst) {
    const old = files.flatMap(({ path, before }) => (before === null ? [] : [{ path, size: before.size }]));
    const bytes = old.reduce((sum, each) => sum + each.size, 0);
    const isNewest = old.some(({ path }) => !seen.has(path));
    old.forEach(({ path }) => seen.add(path));
    if (!isNewest && (stay >= count || size + bytes > kib * 1024)) {
      go.push(id);
      continue;
    }
    stay += 1;
    size += bytes;
  }
  return go;
}

function parseKept(text: string, spoolDirectory: string): Kept {
  try {
    return kept.parse(JSON.parse(text));
  } catch (cause) {
    throw new AsteriskIacError("RecordInvalid", "the index of what is kept can't be read", {
      where: { file: `${spoolDirectory}/asterisk-iac/kept` },
      cause,
    });
  }
}

function checkId(id: string): void {
  if (!/^\d{8,}-[0-9a-f]{16}$/.test(id))
    throw new AsteriskIacError(
      "InvalidArgument",
      `${JSON.stringify(id)} is not the id of anything that is kept.`,
      {
        hint: "`asteriskctl backups list` shows the ids.",
      },
    );
}
