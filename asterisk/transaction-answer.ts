import { posix } from "node:path";
import { AsteriskIacError } from "../core/errors.ts";
import type { ErrorCode, Next } from "../core/errors.ts";
import type { Host } from "./host.ts";
import { pathFromBytes } from "./path-bytes.ts";

export interface Question {
  /** Real path. */
  readonly configDirectory: string;
  readonly spoolDirectory: string;
  /** `$3` and so on. */
  readonly args?: readonly string[];
  readonly stdin?: Buffer;
}

/** What a script of transaction-scripts.ts printed, each word with its values. */
export interface Answer {
  one(word: string): readonly string[] | undefined;
  all(word: string): readonly (readonly string[])[];
  readonly entries: readonly (readonly string[])[];
  readonly stderr: string;
}

/** The slowest line that is put up with, in bytes a millisecond. */
const SLOWEST = 64;

/** How many values follow each word. The second list ends an answer. */
const VALUES: ReadonlyMap<string, number> = new Map([
  ...Object.entries({ record: 1, before: 1, after: 1, kept: 2, open: 2, index: 1, left: 1 }),
  ...Object.entries({ forward: 1, restored: 1, abandoned: 1 }),
]);
const ENDS: ReadonlyMap<string, number> = new Map([
  ...Object.entries({ done: 0, staged: 1, failed: 2, changed: 2, torn: 2, room: 2 }),
  ...Object.entries({ stale: 1, link: 1, kind: 1, astray: 1, locked: 0, interrupted: 0, unfinished: 0 }),
]);

/** Runs one of the scripts and reads its answer. Rejects with what the script found in its way. */
export async function ask(host: Host, script: string, question: Question): Promise<Answer> {
  const { configDirectory, spoolDirectory, args = [], stdin = Buffer.alloc(0) } = question;
  const { code, stdout, stderr } = await host.run(script, {
    args: [configDirectory, spoolDirectory, ...args],
    stdin,
    timeoutMs: 30_000 + stdin.length / SLOWEST,
  });
  const entries = readEntries(stdout);
  const end = entries.at(-1) ?? [];
  if (end[0] === "done" || end[0] === "staged")
    return {
      entries,
      stderr,
      one: (word) => entries.find(([name]) => name === word)?.slice(1),
      all: (word) => entries.filter(([name]) => name === word).map((entry) => entry.slice(1)),
    };
  const left = entries.filter(([name]) => name === "left").map(([, path = ""]) => shown(path));
  throw refusal(end, { ...question, stderr, code, left });
}

function readEntries(stdout: Buffer): string[][] {
  const words = pathFromBytes(stdout).split("\0").slice(0, -1);
  const entries: string[][] = [];
  for (let at = 0; at < words.length; at += entries.at(-1)?.length ?? 1) {
    const word = words[at] as string;
    const values = VALUES.get(word) ?? ENDS.get(word);
    if (values === undefined) return [];
    entries.push(words.slice(at, at + 1 + values));
    if (ENDS.has(word)) break;
  }
  return ENDS.has(entries.at(-1)?.[0] ?? "") ? entries : [];
}

interface Circumstances extends Question {
  readonly stderr: string;
  readonly code: number;
  /** Paths that were left as somebody else wrote them. */
  readonly left: readonly string[];
}

function refusal(
  [word = "", first = "", second = ""]: readonly string[],
  about: Circumstances,
): AsteriskIacError {
  const file = `${about.configDirectory}/${shown(first)}`;
  const room = `${about.spoolDirectory}/asterisk-iac`;
  const fail = (code: ErrorCode, message: string, next: Next, hint?: string, at?: string) =>
    new AsteriskIacError(code, message, {
      next,
      ...(at === undefined ? {} : { where: { file: at } }),
      ...(hint === undefined ? {} : { hint }),
    });
  switch (word) {
    case "changed": {
      const paths = differing(first, second);
      const one = `${about.configDirectory}/${paths[0] ?? ""}`;
      const message = `Somebody else changed ${paths.join(", ")} since the plan was made; nothing was written.`;
      return fail("ChangedMeanwhile", message, "Retry", "Plan again: it will show the change.", one);
    }
    case "torn":
      return fail(
        "WriteFailed",
        `What arrived of ${differing(first, second).join(", ")} is not what was sent; nothing was written.`,
        "Retry",
      );
    case "stale":
      return first === ""
        ? fail(
            "RecordInvalid",
            "The record of what was applied can't be read; nothing was written.",
            "Stalled",
            "Restore it from a backup of the server.",
            `${room}/record`,
          )
        : fail(
            "StaleGeneration",
            `Somebody else applied meanwhile: the server is at generation ${first}; nothing was written.`,
            "Retry",
            "Plan again, from what the server is now.",
          );
    case "locked":
      return fail(
        "WriteInProgress",
        `Another write of this server is under way (the lock in ${room} is held).`,
        "Retry",
        "Try again when it is done.",
      );
    case "interrupted":
      return fail(
        "Interrupted",
        "An earlier write was interrupted and has to be finished or undone first.",
        "Retry",
      );
    case "unfinished":
      return fail(
        "Interrupted",
        `The write could be neither finished nor undone now; the next run does so.${because(about.stderr)}`,
        "Retry",
        hintOf(about.stderr),
      );
    case "link":
      return fail(
        "PathRefused",
        `${shown(first)} is a symbolic link, which is never written through or over.`,
        "Stalled",
        "Declare a rule for it with unmanaged: true, or put a file in its place.",
        file,
      );
    case "kind":
      return fail("PathRefused", `${shown(first)} is not a file.`, "Stalled", undefined, file);
    case "astray":
      return fail(
        "PathRefused",
        `The directory of ${shown(first)} can't be entered, or a symbolic link leads to it.`,
        "Stalled",
        "Linked directories are not followed; nothing was written.",
        file,
      );
    case "room":
      return roomRefused(first, second, room);
    case "failed":
      return writeFailed(first, second, about);
    default:
      return fail(
        "UnexpectedAnswer",
        `A write on the host ended with code ${about.code} and no answer.${because(about.stderr)}`,
        "Retry",
      );
  }
}

function roomRefused(why: string, what: string, room: string): AsteriskIacError {
  const where = { file: room };
  if (why === "foreign")
    return new AsteriskIacError("PermissionDenied", `${room} belongs to ${what}.`, {
      where,
      hint: `Connect as that user, or set \`become: ${what}\`. One user writes all files of a server.`,
    });
  const message =
    why === "inside"
      ? "The spool directory lies below the configuration directory."
      : `${room} is a symbolic link; what is kept must not be led elsewhere.`;
  return new AsteriskIacError("PathRefused", message, { where });
}

/** What the system said, and what a person can do about it. */
const REASONS: readonly (readonly [RegExp, string])[] = [
  [/No space left on device/, "Make room on that file system."],
  [/Disk quota exceeded/, "Make room within the quota of the user that writes."],
  [/Read-only file system/, "It is mounted read-only: whoever mounts it owns its content."],
  [
    /Device or resource busy/,
    "It is mounted there by itself (a container's file mount) and can't be replaced.",
  ],
  [/Permission denied|Operation not permitted/, "Set `become` to the user that owns the files."],
  [/Input\/output error/, "Look at the disk: the kernel's log says more."],
];

function writeFailed(stage: string, path: string, { stderr, ...about }: Circumstances): AsteriskIacError {
  const inRoom = stage === "spool";
  const inStage = /'?(?:\.\/)?\.asterisk-iac-[^/']+\/([^/'\n]+)'/.exec(reasonLine(stderr));
  const named = (inStage ?? /^tar: (.+): (?:Wrote|Cannot) /m.exec(stderr))?.[1];
  const target = named === undefined || path.endsWith(`/${named}`) ? shown(path) : posix.join(path, named);
  const file = inRoom ? path : `${about.configDirectory}/${target}`;
  const left = about.left.length === 0 ? "" : ` Left as somebody else wrote it: ${about.left.join(", ")}.`;
  const denied = /Permission denied|Operation not permitted/.test(reasonLine(stderr));
  return new AsteriskIacError(
    denied ? "PermissionDenied" : "WriteFailed",
    `${inRoom ? path : target} could not be written; every file is as it was.${left}${because(stderr)}`,
    { where: { file }, hint: hintOf(stderr) ?? "Look at the server's disk and its file systems." },
  );
}

function reasonLine(stderr: string): string {
  const lines = stderr.split("\n").filter((line) => line.trim() !== "");
  return lines.find((line) => REASONS.some(([pattern]) => pattern.test(line))) ?? lines.at(-1) ?? "";
}

function because(stderr: string): string {
  const line = reasonLine(stderr);
  return line === "" ? "" : ` The server said: ${line.trim()}`;
}

function hintOf(stderr: string): string | undefined {
  const line = reasonLine(stderr);
  return REASONS.find(([pattern]) => pattern.test(line))?.[1];
}

/** The path itself, or those of sha256sum's answer that differ. */
function differing(path: string, checked: string): string[] {
  const failed = [...checked.matchAll(/^(.*): FAILED.*$/gm)].map(([, name = ""]) => posix.basename(name));
  return failed.length === 0 ? [shown(path)] : failed.map((name) => posix.join(path, name));
}

function shown(path: string): string {
  return posix.normalize(path).replace(/\/$/, "");
}
