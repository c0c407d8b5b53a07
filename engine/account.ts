import { observeManagerUsers } from "../asterisk/manager-users.ts";
import { accountProblems } from "../core/accounts/policy.ts";
import type { AccountProblem } from "../core/accounts/policy.ts";
import type { AttributeCheck } from "../core/accounts/verification.ts";
import { verifyAccount } from "../core/accounts/verification.ts";
import { AsteriskIacError } from "../core/errors.ts";
import { readManager } from "./account-files.ts";
import { seenAs } from "./account-proof.ts";
import { accountSecret, generateSecret, pendingOf, secretPlace } from "./account-secret.ts";
import type { ApplyOptions, ApplyResult } from "./apply.ts";
import { applyServer } from "./apply.ts";
import type { DeclaredAccount } from "./desired.ts";
import { accountOwner } from "./desired.ts";
import type { Pass } from "./pass.ts";

/** One account, declared beside live. */
export interface AccountReport {
  readonly name: string;
  readonly username: string;
  readonly checks: readonly AttributeCheck[];
  /** What the policy has to say of it. */
  readonly problems: readonly AccountProblem[];
  readonly ok: boolean;
}

/** Looks at the declared accounts of a server on live Asterisk. Nothing is written, and nobody logs in. */
export async function verifyAccounts(pass: Pass, names: readonly string[] = []): Promise<AccountReport[]> {
  const accounts = chosen(pass, names);
  if (accounts.length === 0) return [];
  const [live, manager] = await Promise.all([checkAccounts(pass, accounts), readManager(pass)]);
  return Promise.all(
    accounts.map(async (account) => {
      const { name, spec } = account;
      const checks = live.get(name) ?? [];
      const secret = await accountSecret(account, account.secrets ?? pass.secrets);
      const problems = accountProblems(account, { ...manager.policy, secret });
      const ok = checks.every((check) => check.ok) && problems.every(({ severity }) => severity !== "error");
      return { name, username: spec.username, checks, problems, ok };
    }),
  );
}

/** By account: its attributes, declared beside what live Asterisk shows. One round trip. */
export async function checkAccounts(
  { session }: Pass,
  accounts: readonly DeclaredAccount[],
): Promise<ReadonlyMap<string, readonly AttributeCheck[]>> {
  if (accounts.length === 0) return new Map();
  const live = await observeManagerUsers(
    session.host,
    accounts.map((account) => seenAs({ account })),
  );
  return new Map(accounts.map(({ name, spec }) => [name, verifyAccount(spec, live.get(spec.username))]));
}

/**
 * Gives generated accounts new secrets: stored as pending, written and reloaded, seen to work, and only then the ones that
 * count. Nothing else of the server is written. Interrupted at any point, one of the two works, and the next run goes on.
 */
export async function rotateAccounts(
  pass: Pass,
  names: readonly string[],
  options: Omit<ApplyOptions, "only">,
): Promise<ApplyResult> {
  const accounts = chosen(pass, names);
  const given = accounts.filter(({ spec }) => spec.generate !== true);
  if (given.length > 0) {
    throw new AsteriskIacError(
      "InvalidArgument",
      `the secret of ${given.map(({ name }) => name).join(", ")} is not a generated one`,
      {
        hint: "Change it where it is kept and run `apply`, or declare `generate: true` instead of secretRef.",
      },
    );
  }
  for (const account of accounts) {
    const { name, key } = secretPlace(account);
    await accountSecret(account, pass.secrets);
    await pass.secrets.readOrCreate(name, pendingOf(key), () => Buffer.from(generateSecret()));
  }
  return applyServer(pass, { ...options, only: new Set(accounts.map(({ name }) => accountOwner(name))) });
}

function chosen({ declaration }: Pass, names: readonly string[]): readonly DeclaredAccount[] {
  const { accounts } = declaration;
  return names.length === 0 ? accounts : accounts.filter(({ name }) => names.includes(name));
}
