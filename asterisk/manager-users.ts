import type { LiveAccount, SeenAccount } from "../core/accounts/verification.ts";
import { asAsteriskIacError, AsteriskIacError } from "../core/errors.ts";
import type { AMIOptions } from "./ami/client.ts";
import { AMIClient } from "./ami/client.ts";
import { runCommands } from "./asterisk-command.ts";
import type { Host } from "./host.ts";
import { parseManagerUser, parseUsernames } from "./manager-output.ts";
import { cliWord } from "./probes/probe.ts";

export type { AccessRow, LiveAccount, SeenAccount } from "../core/accounts/verification.ts";

/** These commands take milliseconds: one that takes longer has hung. */
const deadlineMs = 10_000;

const listCommand = "manager show users";

/** The names of all accounts that live Asterisk has. Always safe to ask. */
export async function listManagerUsers(host: Host): Promise<string[]> {
  const [text = ""] = await runCommands(host, [listCommand], { timeoutMs: deadlineMs });
  return demandNames(text);
}

/**
 * The accounts as live Asterisk has them, by the names that were asked for, in one round trip; `undefined` where it has
 * none. Asterisk looks a name up without regard to case: `username` is as the file writes it. Rejects with
 * `InvalidArgument` for a name that its CLI can't take, `UnexpectedAnswer`, and as `runCommands` does.
 *
 * Never ask this of an account that has, or had since Asterisk started, a `setvar`: after a reload the command may never
 * end, with all accounts locked until a restart (docs/ami-classes.md). `observeManagerUsers` only lists such accounts.
 */
export async function showManagerUsers(
  host: Host,
  usernames: readonly string[],
): Promise<ReadonlyMap<string, LiveAccount | undefined>> {
  const answers = await runCommands(host, usernames.map(showCommand), { timeoutMs: deadlineMs });
  return new Map(usernames.map((username, index) => [username, demand(username, answers[index] ?? "")]));
}

/** The same of accounts some of which have variables: of those, only whether they are there. One round trip. */
export async function observeManagerUsers(
  host: Host,
  accounts: readonly { readonly username: string; readonly hasVariables: boolean }[],
): Promise<ReadonlyMap<string, SeenAccount>> {
  const shown = accounts.filter(({ hasVariables }) => !hasVariables).map(({ username }) => username);
  const commands = [...shown.map(showCommand), listCommand];
  const answers = await runCommands(host, commands, { timeoutMs: deadlineMs });
  const listed = new Set(demandNames(answers.at(-1) ?? "").map((name) => name.toLowerCase()));
  return new Map(
    accounts.map(({ username, hasVariables }): [string, SeenAccount] => {
      if (!hasVariables) return [username, demand(username, answers[shown.indexOf(username)] ?? "")];
      return [username, listed.has(username.toLowerCase()) ? "Listed" : undefined];
    }),
  );
}

function demandNames(answer: string): string[] {
  const names = parseUsernames(answer);
  if (names !== undefined) return names;
  throw new AsteriskIacError("UnexpectedAnswer", `Asterisk's \`${listCommand}\` can't be read.`);
}

function showCommand(username: string): string {
  const word = cliWord(username);
  if (word !== undefined) return `manager show user ${word}`;
  throw new AsteriskIacError(
    "InvalidArgument",
    `Asterisk's console can't be asked for the AMI account ${JSON.stringify(username)}.`,
    { hint: 'Only a name of printable ASCII without " and \\ can be shown.' },
  );
}

function demand(username: string, answer: string): LiveAccount | undefined {
  const account = parseManagerUser(answer);
  if (account !== undefined || answer.startsWith("There is no manager called ")) return account;
  throw new AsteriskIacError(
    "UnexpectedAnswer",
    `Asterisk's \`manager show user\` did not show AMI account ${username} as it should.`,
    { hint: "Is AMI's module of a version that is not known, or the command replaced in cli_aliases.conf?" },
  );
}

/** What came of a login with an account's own name and secret. */
export type LoginProof =
  | { readonly result: "Proved" }
  /** `Refused`: Asterisk said no. `NotProved`: it was not reached, or did not answer as it should. */
  | { readonly result: "Refused" | "NotProved"; readonly error: AsteriskIacError };

/** Logs in once and off again. Only where the account permits our own address: a refused login may trip fail2ban. */
export async function proveLogin(options: AMIOptions): Promise<LoginProof> {
  try {
    const client = await AMIClient.connect({ ...options, eventMask: "off", readsSystem: false });
    await client.close();
    return { result: "Proved" };
  } catch (thrown) {
    const error = asAsteriskIacError(thrown);
    return { result: error.code === "AuthenticationFailed" ? "Refused" : "NotProved", error };
  }
}
