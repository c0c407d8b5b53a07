import {
  addressOfSession,
  kickManagerSessions,
  listManagerSessions,
  mayBeOf,
} from "../asterisk/manager-sessions.ts";
import type { ManagerSession } from "../asterisk/manager-sessions.ts";
import { observeManagerUsers } from "../asterisk/manager-users.ts";
import type { VerifyResult } from "../asterisk/verify.ts";
import { isPermitted, rulesOf } from "../core/accounts/address.ts";
import { verifyAccount } from "../core/accounts/verification.ts";
import { readOwned } from "../core/conf/owned.ts";
import { messageOf } from "../core/errors.ts";
import type { WantedAccount } from "./account-files.ts";
import type { DeclaredAccount } from "./desired.ts";
import type { Comparison } from "./comparison.ts";
import type { Pass } from "./pass.ts";

/** What a write does to AMI accounts. */
export interface AccountWrite {
  /** Those that are written, with whether the server had another secret for them, or none. */
  readonly written: readonly (WantedAccount & { readonly isNewSecret: boolean })[];
  /** The names of those that go. */
  readonly gone: readonly string[];
  /** Sessions from before the write: logged in with the old secret, or as somebody who is gone. */
  readonly oldSessions: readonly ManagerSession[];
}

/** What the changes of these paths do to accounts; the sessions of those that lose their secret are looked up. */
export async function accountsIn(
  pass: Pass,
  { owned, accounts }: Comparison,
  paths: readonly string[],
): Promise<AccountWrite> {
  const written: AccountWrite["written"][number][] = [];
  const gone: string[] = [];
  for (const path of paths) {
    const compared = owned.get(path);
    for (const { owner, kind } of compared?.owned ?? []) {
      const account = accounts.get(owner);
      if (account !== undefined && (kind === "Write" || kind === "Record")) {
        const { username } = account.account.spec;
        const [before] = readOwned(compared?.file.observed ?? Buffer.alloc(0), [
          { section: username, keys: ["secret"] },
        ]);
        written.push({ ...account, isNewSecret: before?.at(-1)?.value !== account.secret });
      }
      if (kind !== "Remove" || !owner.startsWith("AMIAccount ")) continue;
      gone.push(...(compared?.file.recorded?.sections[owner]?.keys ?? []).map(({ section }) => section));
    }
  }
  const names = [
    ...gone,
    ...written.filter(({ isNewSecret }) => isNewSecret).map(({ account }) => account.spec.username),
  ];
  const sessions = names.length === 0 ? [] : await listManagerSessions(pass.session.host).catch(() => []);
  return {
    written,
    gone,
    oldSessions: sessions.filter((session) => names.some((name) => mayBeOf(session, name))),
  };
}

/** How an account may be asked for. */
export function seenAs({ account }: { readonly account: DeclaredAccount }): {
  readonly username: string;
  readonly hasVariables: boolean;
} {
  const { username, variables } = account.spec;
  return { username, hasVariables: Object.keys(variables).length > 0 };
}

/** Looks on live Asterisk whether each account is as declared, and logs in once with a new secret where that is permitted. */
export async function proveAccounts(
  { session }: Pass,
  { written }: AccountWrite,
): Promise<Pick<VerifyResult, "evidence" | "failures" | "unobserved">> {
  const proof = { evidence: [], failures: [], unobserved: [] } as {
    -readonly [part in "evidence" | "failures" | "unobserved"]: VerifyResult[part][number][];
  };
  if (written.length === 0) return proof;
  const live = await observeManagerUsers(session.host, written.map(seenAs));
  for (const { account } of written) {
    const probe = `manager show user ${JSON.stringify(account.spec.username)}`;
    const checks = verifyAccount(account.spec, live.get(account.spec.username));
    const wrong = checks.filter(({ ok }) => !ok);
    for (const { attribute, declared, live: saw } of wrong)
      proof.failures.push({ probe, expected: `${attribute}: ${declared}`, saw });
    if (wrong.length > 0) continue;
    const unseen = checks.filter(({ proved }) => !proved).map(({ attribute }) => attribute);
    proof.evidence.push({
      source: probe,
      observed: true,
      saw: "as declared in every attribute that Asterisk shows",
    });
    proof.unobserved.push(`${probe}: ${unseen.join(", ")}: not shown by Asterisk`);
  }
  // Asterisk copies an account's variables at each login, from memory that a reload has freed.
  const fresh = written.filter(
    ({ isNewSecret, account }) => isNewSecret && !seenAs({ account }).hasVariables,
  );
  if (proof.failures.length > 0 || fresh.length === 0) return proof;
  const address = await addressOfSession(session.host, session.username, session.openAMI).catch(
    () => undefined,
  );
  for (const { account, secret } of fresh) {
    const { username } = account.spec;
    const source = `a login as ${username}`;
    if (address === undefined || !isPermitted(rulesOf(account.spec), address)) {
      proof.unobserved.push(
        `${source}: not proven by login, since ${address ?? "our address"} is not permitted`,
      );
      continue;
    }
    const { result, ...why } = await session.proveLogin(username, secret);
    if (result === "Proved") proof.evidence.push({ source, observed: true, saw: "it works" });
    else if (result === "Refused")
      proof.failures.push({
        probe: source,
        expected: "to be let in",
        saw: "error" in why ? why.error.message : "no",
      });
    else proof.unobserved.push(`${source}: not tried`);
  }
  return proof;
}

/**
 * Ends what was logged in with an old secret, or as somebody who is gone: Asterisk lets such sessions live on. Our own
 * session is opened anew first. What can't be ended is said.
 */
export async function endOldSessions(
  pass: Pass,
  { oldSessions, written }: AccountWrite,
): Promise<readonly string[]> {
  const { session } = pass;
  if (oldSessions.length === 0) return [];
  try {
    const own = written.find(
      ({ account }) => account.spec.username.toLowerCase() === session.username.toLowerCase(),
    );
    const ours = own?.isNewSecret === true;
    const others = oldSessions.filter((each) => ours || !mayBeOf(each, session.username));
    const { remaining } = await kickManagerSessions(session.host, others);
    if (ours) await session.ami.restored(10_000);
    return remaining.map(
      ({ session: { username, address }, why }) =>
        `the session of ${username} from ${address} goes on: ${why}`,
    );
  } catch (error) {
    return [`sessions with an old secret: ${messageOf(error)}`];
  }
}
