import type { AttributeCheck } from "../core/accounts/verification.ts";
import { effectiveView, filesOf } from "../core/conf/index.ts";
import type { Section } from "../core/conf/index.ts";
import type { Owner } from "../core/ownership.ts";
import { explain, explainOwned } from "../core/plan.ts";
import { verifyAccounts } from "../engine/account.ts";
import { majorOf } from "../engine/consequences.ts";
import type { DeclaredAccount, DeclaredConfFile } from "../engine/desired.ts";
import { accountOwner } from "../engine/desired.ts";
import type { Pass } from "../engine/pass.ts";
import type { PreparedPlan } from "../engine/plan.ts";
import { selectPaths } from "../engine/select.ts";

/** What one resource is about on a server. */
export interface Part {
  readonly owner: Owner;
  readonly account?: DeclaredAccount;
  readonly file?: DeclaredConfFile;
  /** What owned it before: itself when it is deleted, another name when it was renamed. */
  readonly released?: Owner;
  /** In a conflict the program is right. */
  readonly takes: boolean;
}

/** How a resource stands on its server. */
export interface PartState {
  /** Where it is; undefined where nothing of it is there. */
  readonly path: string | undefined;
  /** Of the file's bytes, under the record key; undefined where there is no file. */
  readonly hash: string | undefined;
  /** The sections as Asterisk sees them in that file and what it includes. */
  readonly sections: readonly Section[];
  readonly content: Buffer | undefined;
  /** Of an account, attribute by attribute, what live Asterisk shows. */
  readonly checks: readonly AttributeCheck[];
  /** What would be written now, or why it can't be, in a sentence; undefined where it is in step. */
  readonly drift: string | undefined;
}

/** What is there of a resource that is not there. */
export const nothing: PartState = {
  path: undefined,
  hash: undefined,
  sections: [],
  content: undefined,
  checks: [],
  drift: undefined,
};

/** A resource that is deleted declares nothing any more. */
export function isDeleted({ account, file }: Part): boolean {
  return account === undefined && file === undefined;
}

/** A file that is not written, but read. */
export function isRead({ spec }: DeclaredConfFile): boolean {
  return spec.content === undefined && spec.sections === undefined;
}

/** How each part stands, by what was seen. */
export async function statesOf(
  pass: Pass,
  parts: readonly Part[],
  prepared: PreparedPlan,
): Promise<readonly PartState[]> {
  const places = placesOf(prepared);
  const paths = parts.map(({ owner, file }) => file?.spec.path ?? places.get(owner));
  const there = new Map(pass.files.map((file) => [file.path, file]));
  const [contents, accounts] = await Promise.all([readWithIncludes(pass, paths), verifyAccounts(pass)]);
  const files = filesOf(contents);
  const options = { configDirectory: pass.configDirectory, asteriskVersion: majorOf(pass.asteriskVersion) };
  const checksOf = new Map(accounts.map(({ name, checks }) => [accountOwner(name), checks]));
  return parts.map((part, at): PartState => {
    if (isDeleted(part)) return nothing;
    const path = paths[at];
    const hash = path === undefined ? undefined : there.get(path)?.hash;
    const checks = checksOf.get(part.owner) ?? [];
    const drift = driftOf(part, path, prepared, checks);
    if (path === undefined || hash === undefined)
      return { ...nothing, checks, drift: drift ?? "it is not on the server" };
    return {
      path,
      hash: pass.key.recorded(hash),
      sections: effectiveView(path, files, options).sections,
      content: contents.get(path),
      checks,
      drift,
    };
  });
}

/** The file in which each owner has, or is to have, its keys. */
function placesOf({ comparison: { owned } }: PreparedPlan): ReadonlyMap<Owner, string> {
  return new Map(
    [...owned].flatMap(([path, compared]) => compared.owned.map(({ owner }) => [owner, path] as const)),
  );
}

/** The contents of files, and of what these include. */
async function readWithIncludes(
  pass: Pass,
  paths: readonly (string | undefined)[],
): Promise<ReadonlyMap<string, Buffer>> {
  const wanted = new Set(paths);
  const { contents } = await selectPaths(
    { paths: new Map(pass.files.map(({ path, hash }) => [path, hash ?? null])), read: pass.read },
    (path) => wanted.has(path),
    pass.configDirectory,
  );
  return contents;
}

function driftOf(
  { owner, file }: Part,
  path: string | undefined,
  { plan, comparison: { owned } }: PreparedPlan,
  checks: readonly AttributeCheck[],
): string | undefined {
  if (file !== undefined && isRead(file)) return undefined;
  const compared = path === undefined ? undefined : owned.get(path);
  const keys = compared?.owned.find((each) => each.owner === owner);
  const base = compared?.file.desired?.content?.owner === owner ? compared.base : undefined;
  const isInStep = [keys?.kind, base?.kind].some((kind) => kind === "InSync" || kind === "Record");
  const blocked = plan.changes.find(({ change }) => change.path === path)?.blocked;
  if (!isInStep) {
    if (blocked !== undefined) return `${path ?? "it"} is left alone: ${blocked}`;
    if (keys !== undefined) return explainOwned(keys);
    return base === undefined ? "it is not on the server" : explain(base);
  }
  const wrong = checks.find(({ ok }) => !ok);
  return wrong === undefined
    ? undefined
    : `live Asterisk has ${wrong.attribute} ${wrong.live}, not ${wrong.declared}`;
}
