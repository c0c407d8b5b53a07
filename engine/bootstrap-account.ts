import type { Host } from "../asterisk/host.ts";
import { callsRights, ownClasses } from "../asterisk/manager-classes.ts";
import { isPermitted, rulesOf } from "../core/accounts/address.ts";
import { AsteriskIacError } from "../core/errors.ts";
import { amiAccount } from "../core/resource/index.ts";
import { callsCredentials } from "./calls/credentials.ts";
import { passwordKey, secretPlace, text } from "./account-secret.ts";
import type { DeclaredAccount } from "./desired.ts";
import { openHost } from "./session.ts";
import type { ServerDeclaration } from "./session.ts";
import type { SecretStore } from "./secrets.ts";

/** An account of our own on a server, and whether the manifests declare it already. */
export interface EngineAccount {
  readonly account: DeclaredAccount;
  readonly isDeclared: boolean;
}

/** What a bootstrap makes an account for: asterisk-iac's own work, or reading calls (docs/calls.md). */
export type AccountPurpose = "engine" | "calls";

interface AccountKind {
  readonly username: string;
  /** The field that names the Secret with its credentials, and that Secret's name. */
  readonly field: string;
  readonly secret: (declaration: ServerDeclaration) => string;
  readonly rights: object;
}

const kinds: Readonly<Record<AccountPurpose, AccountKind>> = {
  engine: {
    username: "asterisk-iac",
    field: "ami.credentialsSecretRef",
    secret: ({ spec }) => spec.ami.credentialsSecretRef.name,
    rights: { ...ownClasses, privilegedReason: "asterisk-iac reloads modules and asks for the status" },
  },
  calls: {
    username: "asterisk-iac-calls",
    field: "calls.credentialsSecretRef",
    secret: callsCredentials,
    rights: callsRights,
  },
};

/**
 * The AMIAccount that a bootstrap makes: the declared one whose secret is the one that the server names for this purpose,
 * else a new one of that name, with the classes that are needed and no more. Throws `InvalidManifest` where the name is in
 * use for something else.
 */
export async function engineAccount(
  declaration: ServerDeclaration,
  secrets: SecretStore,
  purpose: AccountPurpose = "engine",
): Promise<EngineAccount> {
  const kind = kinds[purpose];
  const name = kind.secret(declaration);
  const declared = declaration.accounts.find((account) => {
    const place = secretPlace(account);
    return place.name === name && place.key === passwordKey;
  });
  const stored = await secrets.read(name).then(
    (secret) => secret.get("username"),
    () => undefined,
  );
  const username = stored === undefined ? undefined : text(stored);
  if (declared !== undefined) {
    refuseOtherName(declared, username, name);
    return { account: declared, isDeclared: true };
  }
  const isTaken = declaration.accounts.find(
    (account) => account.name === name || account.spec.username === (username ?? kind.username),
  );
  if (isTaken !== undefined) {
    throw new AsteriskIacError(
      "InvalidManifest",
      `AMIAccount ${isTaken.name} (${isTaken.spec.username}) is declared, but its secret is not the one that ${kind.field} names`,
      { hint: `To log in as that account, name its Secret in ${kind.field}; it is ${name} now.` },
    );
  }
  const resource = amiAccount.parse({
    apiVersion: "asterisk-iac.dev/v1alpha1",
    kind: "AMIAccount",
    metadata: { name },
    spec: {
      serverRef: { name: declaration.name },
      username: username ?? kind.username,
      generate: true,
      permit: await ourAddresses(declaration, secrets),
      ...kind.rights,
    },
  });
  return { account: { name, spec: resource.spec }, isDeclared: false };
}

function refuseOtherName({ name, spec }: DeclaredAccount, stored: string | undefined, secret: string): void {
  if (stored === undefined || stored === spec.username) return;
  throw new AsteriskIacError(
    "InvalidManifest",
    `AMIAccount ${name} is called ${spec.username}, and the key username of the secret ${secret} says otherwise`,
    { hint: "Make both the same." },
  );
}

/** The addresses that our logins come from, as the server sees them. */
async function ourAddresses(declaration: ServerDeclaration, secrets: SecretStore): Promise<string[]> {
  const { ami } = declaration.spec;
  if (ami.host === "localhost") return ["127.0.0.1", "::1"];
  if (ami.host.startsWith("127.")) return ["127.0.0.1"];
  if (ami.host === "::1") return ["::1"];
  if (ami.via === "Direct") return [await addressOfClient(declaration, secrets)];
  // What comes out of the tunnel goes to an address of the same machine, and such a connection comes from that address.
  if (isPermitted(rulesOf({ deny: [], permit: [ami.host] }), ami.host)) return [ami.host];
  throw new AsteriskIacError(
    "InvalidManifest",
    `ami.host is ${ami.host}, a name: which address to permit is not known`,
    {
      hint: "Set ami.host to 127.0.0.1: with SSHTunnel it is seen from the server itself.",
    },
  );
}

/** Where the SSH connection comes from, which sshd tells the login user's shell; sudo would drop it. */
async function addressOfClient(declaration: ServerDeclaration, secrets: SecretStore): Promise<string> {
  const { spec } = declaration;
  if (spec.ssh === undefined) return "127.0.0.1";
  const ssh = { ...spec.ssh };
  delete ssh.become;
  const host: Host = await openHost({ ...declaration, spec: { ...spec, ssh } }, secrets);
  try {
    const { stdout } = await host.run('printf %s "${SSH_CONNECTION%% *}"');
    const address = stdout.toString("utf8");
    if (isPermitted(rulesOf({ deny: [], permit: [address] }), address)) return address;
  } finally {
    await host.close();
  }
  throw new AsteriskIacError(
    "UnexpectedAnswer",
    "sshd does not say which address we come from (SSH_CONNECTION), so none can be permitted",
    { hint: "Declare the AMIAccount yourself, with the address under `permit`, or use via: SSHTunnel." },
  );
}
