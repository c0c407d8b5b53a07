import { setTimeout as delay } from "node:timers/promises";
import { AsteriskIacError } from "../core/errors.ts";
import { runCommands } from "./asterisk-command.ts";
import type { Host } from "./host.ts";

/** One session that is logged in to AMI, as `manager show connected` prints it. */
export interface ManagerSession {
  /** Asterisk prints the first 15 bytes of it. */
  readonly username: string;
  /** The client's address as Asterisk sees it, without a port. */
  readonly address: string;
  /** Seconds since 1970, by the server's clock. */
  readonly startedAt: number;
  /** By which it can be ended; -1 for a session over HTTP with no request open, which can't. */
  readonly fileDescriptor: number;
}

/** What came of ending sessions. */
export interface KickResult {
  /** Gone from the list of sessions, which was asked again. */
  readonly ended: readonly ManagerSession[];
  readonly remaining: readonly { readonly session: ManagerSession; readonly why: string }[];
}

const listCommand = "manager show connected";

/** How many bytes of a username `manager show connected` prints. */
const printedBytes = 15;

/** Everybody who is logged in to AMI, ourselves too. Rejects with `UnexpectedAnswer`, and as `runCommands` does. */
export async function listManagerSessions(host: Host): Promise<ManagerSession[]> {
  const [text = ""] = await runCommands(host, [listCommand], { timeoutMs: 10_000 });
  return parseManagerSessions(text);
}

/** Reads what `manager show connected` prints (handle_showmanconn of main/manager.c). */
export function parseManagerSessions(text: string): ManagerSession[] {
  const lines = text.split("\n");
  const total = /^(\d+) users connected\.$/.exec(lines.at(-1) ?? "")?.[1];
  // The last columns are numbers, an address has no blanks: whatever is in front is the name.
  const sessions = lines.flatMap((line): ManagerSession[] => {
    const [, username, address, startedAt, fileDescriptor] =
      /^ {2}(.*?) +(\S+) +(-?\d+) +-?\d+ +(-?\d+) +-?\d+ +-?\d+ +-?\d+ *$/.exec(line) ?? [];
    if (username === undefined || address === undefined) return [];
    return [{ username, address, startedAt: Number(startedAt), fileDescriptor: Number(fileDescriptor) }];
  });
  if (Number(total) === sessions.length) return sessions;
  throw new AsteriskIacError("UnexpectedAnswer", `Asterisk's \`${listCommand}\` can't be read.`, {
    hint: `It should print a table and how many sessions there are; ${sessions.length} rows of ${total ?? "an unknown number"} were read.`,
  });
}

/**
 * Whether a session may be of an account. Asterisk prints only the first 15 bytes of a name: two accounts that share
 * them can't be told apart, and neither's sessions should be ended for the other's sake.
 */
export function mayBeOf(session: ManagerSession, username: string): boolean {
  const printed = Buffer.from(username).subarray(0, printedBytes).toString("utf8").trimEnd();
  return session.username.toLowerCase() === printed.toLowerCase();
}

/**
 * Ends sessions (`manager kick session`, from 18.23, 20.8 and 21.3; older versions can't, which is said of each), and
 * lists again until they are gone or `deadlineMs` (default 5,000) is over. Only a session that is still as it was
 * listed is touched: its descriptor may be another's by now.
 */
export async function kickManagerSessions(
  host: Host,
  sessions: readonly ManagerSession[],
  deadlineMs = 5_000,
): Promise<KickResult> {
  if (sessions.length === 0) return { ended: [], remaining: [] };
  const there = stillThere(sessions, await listManagerSessions(host));
  const byHTTP = there.filter(({ fileDescriptor }) => fileDescriptor <= 0);
  const kicked = there.filter(({ fileDescriptor }) => fileDescriptor > 0);
  const answers = await runCommands(
    host,
    kicked.map(({ fileDescriptor }) => `manager kick session ${fileDescriptor}`),
  );
  const cannot = kicked.filter((_, index) => answers[index]?.startsWith("No such command ") === true);
  const waitedFor = kicked.filter((session) => !cannot.includes(session));
  const left = await awaitEnd(host, waitedFor, deadlineMs);
  return {
    ended: sessions.filter(
      (session) => !byHTTP.includes(session) && !cannot.includes(session) && !left.includes(session),
    ),
    remaining: [
      ...byHTTP.map((session) => ({ session, why: "a session over HTTP can't be ended; it ends by itself" })),
      ...cannot.map((session) => ({ session, why: "this version of Asterisk can't end a session" })),
      ...left.map((session) => ({ session, why: `it was still there after ${deadlineMs} ms` })),
    ],
  };
}

/** Those of the sessions that are not gone when the deadline is over. */
async function awaitEnd(
  host: Host,
  sessions: readonly ManagerSession[],
  deadlineMs: number,
): Promise<ManagerSession[]> {
  const startedAt = performance.now();
  for (;;) {
    if (sessions.length === 0) return [];
    const left = stillThere(sessions, await listManagerSessions(host));
    if (left.length === 0 || performance.now() - startedAt > deadlineMs) return left;
    await delay(100);
  }
}

function stillThere(
  sessions: readonly ManagerSession[],
  listed: readonly ManagerSession[],
): ManagerSession[] {
  return sessions.filter((session) => listed.some((each) => isSame(each, session)));
}

function isSame(a: ManagerSession, b: ManagerSession): boolean {
  return (
    a.username === b.username &&
    a.address === b.address &&
    a.startedAt === b.startedAt &&
    a.fileDescriptor === b.fileDescriptor
  );
}

/**
 * The address from which Asterisk sees our session of an account, which must be open: behind an SSH tunnel or NAT only
 * Asterisk knows it. Where the account has sessions from several addresses, `openAMI` logs in once more, and the session
 * that is new is ours. `undefined` where that does not tell either.
 */
export async function addressOfSession(
  host: Host,
  username: string,
  openAMI?: () => Promise<{ close(): Promise<void> }>,
): Promise<string | undefined> {
  const before = (await listManagerSessions(host)).filter((session) => mayBeOf(session, username));
  const only = onlyAddress(before);
  if (only !== undefined || openAMI === undefined) return only;
  const ami = await openAMI();
  try {
    const after = (await listManagerSessions(host)).filter((session) => mayBeOf(session, username));
    return onlyAddress(after.filter((session) => !before.some((each) => isSame(each, session))));
  } finally {
    await ami.close();
  }
}

function onlyAddress(sessions: readonly ManagerSession[]): string | undefined {
  const addresses = new Set(sessions.map(({ address }) => address));
  return addresses.size === 1 ? [...addresses][0] : undefined;
}
