import { randomBytes } from "node:crypto";
import { runCommands } from "../asterisk/asterisk-command.ts";
import { observeFiles, readFiles } from "../asterisk/files.ts";
import type { Host } from "../asterisk/host.ts";
import { readHostState } from "../asterisk/host-record.ts";
import { askInstallation } from "../asterisk/live.ts";
import { readOwned } from "../core/conf/owned.ts";
import { AsteriskIacError } from "../core/errors.ts";
import type { DeclaredAccount } from "./desired.ts";
import type { SecretStore } from "./secrets.ts";

/** Under which keys a generated secret is kept, in the Secret of the account's own name. */
export const passwordKey = "password";

/** 192 bits, in characters that mean nothing to a .conf file. */
export function generateSecret(): string {
  return randomBytes(24).toString("base64url");
}

/** Where an account's secret is kept. */
export function secretPlace({ name, spec }: DeclaredAccount): { name: string; key: string } {
  return spec.secretRef ?? { name, key: passwordKey };
}

/** Whether a secret is stored for an account. */
export async function hasSecret(account: DeclaredAccount, secrets: SecretStore): Promise<boolean> {
  const { name, key } = secretPlace(account);
  return secrets.read(name).then(
    (secret) => secret.has(key),
    () => false,
  );
}

/**
 * The secret that an account is to have, made and stored if it is to be generated: the pending one while a rotation is
 * under way. Throws `SecretMissing`.
 */
export async function accountSecret(account: DeclaredAccount, secrets: SecretStore): Promise<string> {
  const place = secretPlace(account);
  if (account.spec.generate === true) {
    await secrets.readOrCreate(place.name, "username", () => Buffer.from(account.spec.username));
    await secrets.readOrCreate(place.name, place.key, () => Buffer.from(generateSecret()));
  }
  const secret = await secrets.read(place.name);
  const value = secret.get(pendingOf(place.key)) ?? secret.get(place.key);
  if (value !== undefined) return text(value);
  throw new AsteriskIacError(
    "SecretMissing",
    `the secret ${place.name} has no key ${place.key}, which AMIAccount ${account.name} refers to`,
    { hint: "Store it there, or write `generate: true` instead of secretRef." },
  );
}

/**
 * Which of two secrets an account has on the server, when a run was interrupted while it was changed. The server's files
 * say it, once Asterisk was told to read them: no login is tried that could be refused.
 */
export async function livePassword(
  host: Host,
  declaredDirectory: string | undefined,
  username: string,
  { password, pending }: { readonly password: string; readonly pending: string },
): Promise<string> {
  const { spoolDirectory, ...installation } = await askInstallation(host);
  const configDirectory = declaredDirectory ?? installation.configDirectory;
  const [listing, { record }] = await Promise.all([
    observeFiles(host, { configDirectory }),
    readHostState(host, spoolDirectory),
  ]);
  const name = username.toLowerCase();
  const paths = Object.entries(record?.files ?? {}).flatMap(([path, { ownership }]) =>
    Object.values(ownership?.sections ?? {}).some(({ keys }) =>
      keys.some(({ section }) => section.toLowerCase() === name),
    )
      ? [path]
      : [],
  );
  const there = paths.filter((path) =>
    listing.files.some((file) => file.path === path && file.hash !== undefined),
  );
  for (const bytes of (await readFiles(host, listing, there)).values()) {
    const [variables] = readOwned(bytes, [{ section: username, keys: ["secret"] }]);
    if (variables?.at(-1)?.value !== pending) continue;
    await runCommands(host, ["manager reload"]);
    return pending;
  }
  return password;
}

/** Once an account was seen to work with its next secret, that is its secret. */
export async function promotePending(account: DeclaredAccount, secrets: SecretStore): Promise<boolean> {
  const { name, key } = secretPlace(account);
  const pending = (await secrets.read(name)).get(pendingOf(key));
  if (pending === undefined) return false;
  await secrets.write(name, key, pending);
  await secrets.remove(name, pendingOf(key));
  return true;
}

/** The key of the next value of a key. */
export function pendingOf(key: string): string {
  return `${key}.pending`;
}

/** A secret as text, without the line end that an editor puts behind it. */
export function text(value: Buffer): string {
  return value.toString("utf8").replace(/\r?\n$/, "");
}
