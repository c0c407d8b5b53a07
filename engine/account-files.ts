import type { AccountProblem, PolicyContext } from "../core/accounts/policy.ts";
import { accountProblems } from "../core/accounts/policy.ts";
import type { AccountFileChoice, AccountFileFacts } from "../core/accounts/file.ts";
import { chooseAccountFile } from "../core/accounts/file.ts";
import { effectiveView, filesOf } from "../core/conf/index.ts";
import { readListener } from "../core/conf/lint/manager-listener.ts";
import type { OwnedSection } from "../core/conf/owned.ts";
import { AsteriskIacError } from "../core/errors.ts";
import type { Owner } from "../core/ownership.ts";
import { hashOwned } from "../core/ownership.ts";
import { majorOf } from "./consequences.ts";
import type { DeclaredAccount } from "./desired.ts";
import { accountOwner } from "./desired.ts";
import type { ServerView } from "./pass.ts";
import { selectPaths } from "./select.ts";

/** An account as it is to be written. */
export interface WantedAccount {
  readonly account: DeclaredAccount;
  readonly secret: string;
  readonly section: OwnedSection;
}

/**
 * In which file each account is, or is to be. Accounts that are as they were recorded cost nothing; for the others
 * manager.conf and what it includes is read, and the policy is asked. Throws `PolicyRefused` with every reason at once.
 */
export async function accountFiles(
  pass: ServerView,
  wanted: ReadonlyMap<Owner, WantedAccount>,
): Promise<ReadonlyMap<Owner, string>> {
  const places = new Map<Owner, string>();
  const recorded = recordedPlaces(pass);
  const others = [...wanted].filter(([owner, { account, section }]) => {
    const place = recorded.get(owner);
    const isSettled =
      place?.inStep === true &&
      place.hash === hashOwned([section.variables]) &&
      (account.spec.file ?? place.path) === place.path;
    if (isSettled) places.set(owner, place.path);
    return !isSettled;
  });
  if (others.length === 0) return places;

  const manager = await readManager(pass);
  const refusals: string[] = [];
  for (const [owner, { account, secret }] of others) {
    const problems = accountProblems(account, { ...manager.policy, secret }).filter(
      ({ severity }) => severity === "error",
    );
    refusals.push(...problems.map((problem) => `${owner}: ${sentence(problem)}`));
    const choice = choose(account, recorded.get(owner)?.path, manager.facts);
    if ("file" in choice) places.set(owner, choice.file);
    else refusals.push(`${owner}: ${choice.problem}. ${choice.hint}`);
  }
  if (refusals.length === 0) return places;
  throw new AsteriskIacError("PolicyRefused", refusals.join("\n"), { hint: "Nothing was written." });
}

/** In which file each account is, or would be, as far as that is known; nothing is judged. */
export async function likelyAccountFiles(
  pass: ServerView,
  accounts: readonly DeclaredAccount[],
): Promise<ReadonlyMap<Owner, string>> {
  if (accounts.length === 0) return new Map();
  const recorded = recordedPlaces(pass);
  const { facts } = await readManager(pass);
  return new Map(
    accounts.flatMap((account) => {
      const owner = accountOwner(account.name);
      const choice = choose(account, recorded.get(owner)?.path, facts);
      return "file" in choice ? [[owner, choice.file] as const] : [];
    }),
  );
}

function choose(
  { spec: { username, file: declared } }: DeclaredAccount,
  recorded: string | undefined,
  facts: ManagerFacts,
): AccountFileChoice {
  return chooseAccountFile({ username, declared, recorded, ...facts });
}

type ManagerFacts = Pick<AccountFileFacts, "files" | "options" | "canWrite" | "generatedBy">;

/** What is to be said of an account that is declared: the policy's warnings and errors, without looking at its file. */
export async function accountFindings(
  pass: ServerView,
  { account, secret }: Pick<WantedAccount, "account" | "secret">,
): Promise<AccountProblem[]> {
  return accountProblems(account, { ...(await readManager(pass)).policy, secret });
}

function sentence({ field, message, hint }: AccountProblem): string {
  return `${field}: ${message}. ${hint}`;
}

/** By owner: the path where the record has it, the hash of its values, and whether the file is as it was written. */
export function recordedPlaces(
  pass: Pick<ServerView, "files" | "hostRecord">,
): Map<Owner, { path: string; hash: string; inStep: boolean }> {
  const there = new Map(pass.files.map((file) => [file.path, file.hash]));
  return new Map(
    Object.entries(pass.hostRecord?.files ?? {}).flatMap(([path, { hash: written, ownership }]) =>
      Object.entries(ownership?.sections ?? {}).map(
        ([owner, { hash }]) =>
          [owner, { path, hash, inStep: written !== null && there.get(path) === written }] as const,
      ),
    ),
  );
}

/** What manager.conf and what it includes say, and what may be done to these files. */
export async function readManager(pass: ServerView): Promise<{
  facts: ManagerFacts;
  policy: Omit<PolicyContext, "secret">;
}> {
  const { contents } = await selectPaths(
    { paths: new Map(pass.files.map((file) => [file.path, file.hash ?? null])), read: pass.read },
    ["manager.conf"],
    pass.configDirectory,
  );
  const files = filesOf(contents);
  const options = { configDirectory: pass.configDirectory, asteriskVersion: majorOf(pass.asteriskVersion) };
  const there = new Map(pass.files.map((file) => [file.path, file]));
  const general = effectiveView("manager.conf", files, options).sections.find(
    ({ name }) => name.toLowerCase() === "general",
  );
  const generatedBy = (path: string): string | undefined => there.get(path)?.generatedBy;
  const directories = pass.files.filter(({ kind }) => kind === "directory").map(({ path }) => path);
  const writable = await pass.writableDirectories(directories);
  return {
    facts: {
      files,
      options,
      generatedBy,
      canWrite: (path) => {
        const directory = path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : "";
        return there.get(path)?.kind !== "link" && (writable.has(directory) || !there.has(directory));
      },
    },
    policy: {
      asteriskVersion: pass.asteriskVersion,
      serverName: pass.declaration.name,
      listener: readListener(true, general),
      distributionOwnsManager: generatedBy("manager.conf") !== undefined,
    },
  };
}
