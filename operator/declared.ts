import type { ZodError } from "zod";
import { AsteriskIacError, asAsteriskIacError } from "../core/errors.ts";
import type { Owner } from "../core/ownership.ts";
import { amiAccount, confFile, mistakesOf } from "../core/resource/index.ts";
import type { AsteriskServerSpec } from "../core/resource/index.ts";
import { accountOwner, confFileOwner } from "../engine/desired.ts";
import type { DeclaredAccount, DeclaredConfFile } from "../engine/desired.ts";
import type { AccountObject, FileObject, ServerObject } from "./objects.ts";
import type { PassSecrets } from "./pass-secrets.ts";

/** All that belongs to one server, as the caches have it. */
export interface ServerResources {
  readonly server: ServerObject;
  readonly accounts: readonly AccountObject[];
  readonly files: readonly FileObject[];
  /** The Secrets of the cluster. */
  readonly secrets: PassSecrets;
  /** ConfigMaps by name, of those that a ConfFile takes its content from. */
  readonly configMap: (name: string) => Promise<Readonly<Record<string, string>> | undefined>;
}

/** The resources of a server as the engine has them. */
export interface Parts {
  readonly accounts: readonly DeclaredAccount[];
  readonly files: readonly DeclaredConfFile[];
}

/** The resources that are not being deleted, judged by the schema; what is wrong with the others, by owner. */
export async function declaredOf({
  accounts,
  files,
  configMap,
}: ServerResources): Promise<Parts & { readonly errors: ReadonlyMap<Owner, AsteriskIacError> }> {
  const errors = new Map<Owner, AsteriskIacError>();
  const good = { accounts: [] as DeclaredAccount[], files: [] as DeclaredConfFile[] };
  for (const { metadata, spec } of accounts.filter(isDeclared)) {
    const parsed = amiAccount.shape.spec.safeParse(spec);
    if (parsed.success) good.accounts.push({ name: metadata.name, spec: parsed.data });
    else errors.set(accountOwner(metadata.name), invalid("AMIAccount", parsed.error));
  }
  for (const { metadata, spec } of files.filter(isDeclared)) {
    const { name } = metadata;
    const parsed = confFile.shape.spec.safeParse(spec);
    if (!parsed.success) {
      errors.set(confFileOwner(name), invalid("ConfFile", parsed.error));
      continue;
    }
    // In Kubernetes what a resource wrote stays when it goes, unless it says otherwise.
    const file = { name, spec: { deletionPolicy: "Retain" as const, ...parsed.data } };
    try {
      const content = await contentOf(file, configMap);
      good.files.push(content === undefined ? file : { ...file, content });
    } catch (thrown) {
      errors.set(confFileOwner(name), asAsteriskIacError(thrown));
    }
  }
  return { ...good, errors };
}

async function contentOf(
  { name, spec: { contentFrom } }: DeclaredConfFile,
  configMap: ServerResources["configMap"],
): Promise<Buffer | undefined> {
  if (contentFrom?.file !== undefined) {
    throw new AsteriskIacError(
      "InvalidManifest",
      `ConfFile ${name}: contentFrom.file is for the command line`,
      {
        hint: "Put the file into a ConfigMap or a Secret, and refer to that.",
      },
    );
  }
  const reference = contentFrom?.configMapKeyRef;
  if (reference === undefined) return undefined;
  const text = (await configMap(reference.name))?.[reference.key];
  if (text !== undefined) return Buffer.from(text);
  throw new AsteriskIacError(
    "SecretMissing",
    `ConfFile ${name} takes its content from the ConfigMap ${reference.name}, key ${reference.key}, which is not there`,
  );
}

/** Whether a resource is there to stay. */
export function isDeclared({ metadata }: AccountObject | FileObject): boolean {
  return metadata.deletionTimestamp === undefined;
}

/** What is being deleted is taken out of the server, as its deletionPolicy says. */
export function releasedOf({ accounts, files }: ServerResources): ReadonlySet<Owner> {
  const isDeleted = (object: AccountObject | FileObject): boolean => !isDeclared(object);
  return new Set([
    ...accounts.filter(isDeleted).map(({ metadata }) => accountOwner(metadata.name)),
    ...files.filter(isDeleted).map(({ metadata }) => confFileOwner(metadata.name)),
  ]);
}

/** What the schema has against a spec. */
export function invalid(kind: string, error: ZodError): AsteriskIacError {
  const mistakes = mistakesOf(error).map(({ path, message }) => `spec.${path.join(".")}: ${message}`);
  return new AsteriskIacError("InvalidManifest", `${kind}: ${mistakes.join("; ")}`);
}

/** Whether it only makes sense where the command line runs. */
export function isElsewhere({ local, source }: AsteriskServerSpec): boolean {
  return local !== undefined || source?.directory !== undefined;
}

/** Throws `InvalidManifest` for such a server. */
export function refuseElsewhere(spec: AsteriskServerSpec): void {
  if (!isElsewhere(spec)) return;
  const field = spec.local === undefined ? "source.directory" : "local";
  throw new AsteriskIacError("InvalidManifest", `spec.${field} is for the command line and Pulumi`, {
    hint:
      field === "local"
        ? "Reach the server with `ssh`."
        : "Use `source.git`, or leave `source` out: the import is kept in a Secret.",
  });
}
