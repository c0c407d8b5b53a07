import { accountSection } from "../core/accounts/section.ts";
import { ownedKeys, overlappingKeys, parseOwnedLines } from "../core/conf/owned.ts";
import type { OwnedKeys, OwnedSection } from "../core/conf/owned.ts";
import { ConfError } from "../core/conf/errors.ts";
import { AsteriskIacError } from "../core/errors.ts";
import type { DesiredContent, DesiredFile, DesiredSections, Owner } from "../core/ownership.ts";
import { pathPolicy } from "../core/resource/index.ts";
import type { AMIAccount, ConfFileSpec } from "../core/resource/index.ts";
import { fillSecrets, secretReferences } from "../core/secret-references.ts";
import { accountSecret } from "./account-secret.ts";
import { accountFiles, likelyAccountFiles } from "./account-files.ts";
import type { WantedAccount } from "./account-files.ts";
import type { ServerView } from "./pass.ts";
import type { Secret, SecretStore } from "./secrets.ts";

/** A ConfFile as a front declares it; `content` where the front has it from a place of its own. */
export interface DeclaredConfFile {
  readonly name: string;
  /** Where its secrets are, if not where the server's are. */
  readonly secrets?: SecretStore;
  readonly spec: ConfFileSpec;
  readonly content?: Buffer;
}

/** An AMIAccount as a front declares it. */
export interface DeclaredAccount {
  readonly name: string;
  /** Where its secret is, if not where the server's are. */
  readonly secrets?: SecretStore;
  readonly spec: AMIAccount["spec"];
}

/** What the resources of one server want. Holds secrets in the clear: never printed. */
export interface Desired {
  readonly files: ReadonlyMap<string, DesiredFile>;
  readonly accounts: ReadonlyMap<Owner, WantedAccount>;
  /** Every secret that was filled in, so that it can be blotted out of what is shown. */
  readonly secrets: ReadonlySet<string>;
}

export const accountOwner = (name: string): Owner => `AMIAccount ${name}`;
export const confFileOwner = (name: string): Owner => `ConfFile ${name}`;

/**
 * Brings the AMIAccounts and ConfFiles of a server together, by file, their secrets filled in. Throws `SecretMissing`,
 * `ConfInvalid`, `PolicyRefused` for an account that is not safe, `OwnedTwice` for two owners of one key, and
 * `DirectionRefused` for a path of which the server, or nobody, is the source of truth.
 */
export async function desiredOf(pass: ServerView): Promise<Desired> {
  const { accounts, files, spec } = pass.declaration;
  const seen = new Set<string>();
  const all: { path: string; sections?: DesiredSections; content?: DesiredContent }[] = [];
  const shared = new SecretReader(pass.secrets, seen);
  for (const file of files) {
    const secrets = file.secrets === undefined ? shared : new SecretReader(file.secrets, seen);
    all.push(...(await confFileParts(file, secrets)));
  }
  const wanted = new Map<Owner, WantedAccount>();
  for (const account of accounts) {
    const secret = await accountSecret(account, account.secrets ?? pass.secrets);
    seen.add(secret);
    wanted.set(accountOwner(account.name), {
      account,
      secret,
      section: accountSection(account.spec, secret),
    });
  }
  const places = await accountFiles(pass, wanted);
  for (const [owner, { account, section }] of wanted) {
    const { deletionPolicy } = account.spec;
    all.push({ path: places.get(owner) ?? "", sections: { owner, sections: [section], deletionPolicy } });
  }
  const desired = new Map<string, DesiredFile>();
  const policyOf = pathPolicy(spec);
  for (const { path, sections, content } of all) {
    const owner = sections?.owner ?? content?.owner ?? "";
    refuseDirection(path, owner, policyOf(path));
    const before = desired.get(path) ?? { sections: [] };
    if (content !== undefined && before.content !== undefined)
      throw ownedTwice(path, before.content.owner, owner, "file");
    for (const other of before.sections) {
      const [twice] = overlappingKeys(ownedKeys(other.sections), ownedKeys(sections?.sections ?? []));
      if (twice !== undefined) throw ownedTwice(path, other.owner, owner, twice);
    }
    desired.set(path, {
      sections: sections === undefined ? before.sections : [...before.sections, sections],
      ...(content === undefined
        ? before.content === undefined
          ? {}
          : { content: before.content }
        : { content }),
    });
  }
  return { files: desired, accounts: wanted, secrets: seen };
}

/** Which keys resources own, or are to own, by path; their values are neither asked for nor judged. */
export async function keysOfResources(pass: ServerView): Promise<ReadonlyMap<string, readonly OwnedKeys[]>> {
  const { accounts, files } = pass.declaration;
  const keys = new Map<string, OwnedKeys[]>();
  const add = (path: string, more: readonly OwnedKeys[]): void =>
    void keys.set(path, [...(keys.get(path) ?? []), ...more]);
  const places = await likelyAccountFiles(pass, accounts);
  for (const { name, spec } of accounts) {
    const path = places.get(accountOwner(name));
    if (path !== undefined) add(path, [{ section: spec.username, keys: "all" }]);
  }
  for (const { name, spec } of files) {
    const sections = (spec.sections ?? []).map((section) => ({
      name: section.name,
      variables: parseLines(section.lines, `${confFileOwner(name)}, section ${section.name}`),
      whole: section.exclusive,
    }));
    add(spec.path, ownedKeys(sections));
  }
  for (const [path, { ownership }] of Object.entries(pass.hostRecord?.files ?? {}))
    add(
      path,
      Object.values(ownership?.sections ?? {}).flatMap((owned) => owned.keys as OwnedKeys[]),
    );
  return keys;
}

/** Reads each secret once, and remembers what was filled in. */
class SecretReader {
  readonly seen: Set<string>;
  readonly #store: SecretStore;
  readonly #secrets = new Map<string, Promise<Secret>>();

  constructor(store: SecretStore, seen: Set<string>) {
    this.#store = store;
    this.seen = seen;
  }

  async value(name: string, key: string): Promise<Buffer | undefined> {
    const secret = this.#secrets.get(name) ?? this.#store.read(name);
    this.#secrets.set(name, secret);
    return (await secret).get(key);
  }

  /** The text with its references filled in; as `encode` writes a value, where the text is not plain text. */
  async fill(text: string, where: string, encode = (value: string): string => value): Promise<string> {
    const values = new Map<string, string>();
    for (const { name, key } of secretReferences(text, where)) {
      const value = (await this.value(name, key))?.toString("utf8").replace(/\r?\n$/, "");
      if (value !== undefined) values.set(`${name}/${key}`, value);
    }
    for (const value of values.values()) this.seen.add(value);
    return fillSecrets(text, where, ({ name, key }) => {
      const value = values.get(`${name}/${key}`);
      return value === undefined ? undefined : encode(value);
    });
  }
}

async function confFileParts(
  { name, spec, content }: DeclaredConfFile,
  secrets: SecretReader,
): Promise<{ path: string; sections?: DesiredSections; content?: DesiredContent }[]> {
  const owner = confFileOwner(name);
  const { path, deletionPolicy = "Restore" } = spec;
  if (spec.sections !== undefined) {
    const sections: OwnedSection[] = [];
    for (const { name: section, lines, exclusive } of spec.sections) {
      const where = `${owner}, section ${section}`;
      const variables = parseLines(await secrets.fill(lines, where), where);
      sections.push({ name: section, variables, whole: exclusive });
    }
    return [{ path, sections: { owner, sections, deletionPolicy } }];
  }
  const bytes = content ?? (await contentOf(name, spec, secrets));
  if (bytes === undefined) return [];
  // Bytes that are not UTF-8 pass through as they are: references are ASCII.
  const text = await secrets.fill(bytes.toString("latin1"), owner, (value) =>
    Buffer.from(value).toString("latin1"),
  );
  const filled = Buffer.from(text, "latin1");
  return [{ path, content: { owner, bytes: filled, deletionPolicy } }];
}

function parseLines(text: string, where: string): ReturnType<typeof parseOwnedLines> {
  try {
    return parseOwnedLines(text);
  } catch (error) {
    if (!(error instanceof ConfError)) throw error;
    throw new AsteriskIacError("ConfInvalid", `${where}: ${error.message}`, {
      hint: "`lines` takes variables as they stand in a section, one a line.",
    });
  }
}

async function contentOf(
  name: string,
  { content, contentFrom }: ConfFileSpec,
  secrets: SecretReader,
): Promise<Buffer | undefined> {
  if (content !== undefined) return Buffer.from(content);
  const reference = contentFrom?.secretKeyRef;
  if (reference === undefined) return undefined;
  const bytes = await secrets.value(reference.name, reference.key);
  if (bytes !== undefined) return bytes;
  throw new AsteriskIacError(
    "SecretMissing",
    `the secret ${reference.name} has no key ${reference.key}, which ConfFile ${name} takes its content from`,
  );
}

function refuseDirection(
  path: string,
  owner: Owner,
  policy: ReturnType<ReturnType<typeof pathPolicy>>,
): void {
  if (policy.kind === "DirectionNotSet") return;
  if (policy.kind === "Managed" && policy.direction === "ToAsterisk") return;
  const why =
    policy.kind === "Unmanaged"
      ? `the rule ${policy.rule} leaves it unmanaged`
      : "its updateDirection is FromAsterisk";
  throw new AsteriskIacError("DirectionRefused", `${owner} declares parts of ${path}, but ${why}`, {
    hint: `Put a rule first: {files: ${JSON.stringify(path)}, updateDirection: ToAsterisk}. Nothing was written.`,
  });
}

/** Two owners of the same keys. */
export function ownedTwice(
  path: string,
  first: Owner,
  second: Owner,
  what: OwnedKeys | "file",
): AsteriskIacError {
  const keys =
    what === "file"
      ? "the whole file"
      : `${what.keys === "all" ? "the section" : what.keys.join(", ")} of [${what.section}]`;
  return new AsteriskIacError("OwnedTwice", `${first} and ${second} both own ${keys} in ${path}`, {
    hint: "Declare it once. Nothing was written.",
  });
}
