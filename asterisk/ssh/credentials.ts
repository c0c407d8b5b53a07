import type {
  AnyAuthMethod,
  AuthenticationType,
  IdentityCallback,
  ParsedKey,
  SignCallback,
  SigningRequestOptions,
} from "ssh2";
import ssh2 from "ssh2";
import { AsteriskIacError } from "../../core/errors.ts";
import { fingerprint } from "./known-hosts.ts";

/** How a user logs in. What is given is tried in this order, each at most once; at least one must be given. */
export interface Credentials {
  /** A private key, in OpenSSH's form or PEM. */
  readonly privateKey?: string | Buffer;
  /** The passphrase of `privateKey`. */
  readonly passphrase?: string;
  /** Path of an ssh-agent's socket, as in SSH_AUTH_SOCK. */
  readonly agent?: string;
  readonly password?: string;
}

/** sshd drops a client after six failed keys (MaxAuthTries), before it could try its password. */
const MAX_AGENT_KEYS = 4;

const SHA1_REFUSED = "The server takes RSA keys only with SHA-1 signatures.";

/** Hands ssh2 one way to log in after the other, and remembers what was offered, for the message. */
export class Login {
  readonly #methods: AnyAuthMethod[] = [];
  readonly #offered: string[] = [];
  #accepted: readonly string[] | undefined;
  #agentProblem: string | undefined;
  #sha1Refused = false;

  /** Reads the keys; `AuthenticationFailed` if one can't be read, `SecretMissing` if there is no credential. */
  constructor(username: string, credentials: Credentials) {
    const refuse = (): void => void (this.#sha1Refused = true);
    if (credentials.privateKey !== undefined) {
      const key = readPrivateKey(credentials.privateKey, credentials.passphrase);
      this.#methods.push({ type: "publickey", username, key: withoutSHA1(key, refuse) });
    }
    if (credentials.agent !== undefined)
      this.#methods.push({ type: "agent", username, agent: new Agent(credentials.agent, refuse) });
    if (credentials.password !== undefined)
      this.#methods.push({ type: "password", username, password: credentials.password });
    if (this.#methods.length === 0)
      throw new AsteriskIacError("SecretMissing", `No credentials to log in as ${username} over SSH.`, {
        hint: "Give ssh.credentialsSecretRef a Secret with ssh-privatekey or password, or run an ssh-agent.",
      });
  }

  /** The next way to log in, of those that the server still takes (null: it has not said); false when none is left. */
  readonly next = (left: readonly AuthenticationType[] | null): AnyAuthMethod | false => {
    if (left !== null) this.#accepted = left;
    for (;;) {
      const method = this.#methods.shift();
      if (method === undefined) return false;
      const name = method.type === "agent" ? "publickey" : method.type;
      if (left !== null && !left.includes(name)) continue;
      this.#offered.push(describe(method));
      return method;
    }
  };

  /** Notes that the agent could not be used; the next way is tried. */
  agentFailed(reason: string): void {
    this.#agentProblem = reason;
  }

  /** Why the login failed, for people; never with a secret. */
  failure(username: string): AsteriskIacError {
    if (this.#sha1Refused)
      return new AsteriskIacError("AlgorithmRefused", `${SHA1_REFUSED} Such signatures are not made.`, {
        hint: "Use an ed25519 key, or update the server's OpenSSH (7.2 or later).",
      });
    const offered = this.#offered.length > 0 ? this.#offered.join(", then ") : "nothing";
    const accepted = this.#accepted?.join(", ") ?? "no other way";
    const agent = this.#agentProblem === undefined ? "" : ` The ssh-agent: ${this.#agentProblem}.`;
    return new AsteriskIacError(
      "AuthenticationFailed",
      `The server does not let ${username} in. Offered: ${offered}. The server takes: ${accepted}.${agent}`,
      { hint: `Check ssh.user, and that the key is in the server's ~${username}/.ssh/authorized_keys.` },
    );
  }
}

/** Reads a private key with ssh2, or says what is wrong with it. */
function readPrivateKey(data: string | Buffer, passphrase: string | undefined): ParsedKey {
  const parsed: ParsedKey | Error | readonly ParsedKey[] = ssh2.utils.parseKey(data, passphrase);
  const key = Array.isArray(parsed) ? (parsed[0] as ParsedKey) : (parsed as ParsedKey | Error);
  if (!(key instanceof Error) && key.isPrivateKey()) return key;
  const reason = key instanceof Error ? key.message : "it is a public key";
  if (/no passphrase given/i.test(reason))
    throw new AsteriskIacError("SecretMissing", "The SSH private key has a passphrase, and none was given.", {
      hint: "Add the passphrase, use an ssh-agent, or a key without one (ssh-keygen -p).",
    });
  const wrong = passphrase === undefined ? "" : " Is the passphrase right?";
  throw new AsteriskIacError(
    "AuthenticationFailed",
    `The SSH private key can't be read: ${reason}.${wrong}`,
    {
      hint: "OpenSSH's own form and PEM (PKCS#1, SEC1) are read; ssh-keygen -p -f FILE converts others.",
    },
  );
}

/** ssh2 falls back to SHA-1 for RSA keys where a server does not announce better: that signature is never made. */
function withoutSHA1(key: ParsedKey, refuse: () => void): ParsedKey {
  if (key.type !== "ssh-rsa") return key;
  const sign = key.sign.bind(key);
  key.sign = (data, algorithm) => {
    if (algorithm !== "sha1" && algorithm !== undefined) return sign(data, algorithm);
    refuse();
    return new Error(SHA1_REFUSED) as never;
  };
  return key;
}

/** An ssh-agent of which only the first keys are tried, and that is never asked for a SHA-1 signature. */
class Agent extends ssh2.OpenSSHAgent {
  readonly #refuse: () => void;

  constructor(socket: string, refuse: () => void) {
    super(socket);
    this.#refuse = refuse;
  }

  override getIdentities(callback: IdentityCallback<ParsedKey>): void {
    super.getIdentities((error, keys) => callback(error, keys?.slice(0, MAX_AGENT_KEYS)));
  }

  override sign(
    key: ParsedKey | Buffer | string,
    data: Buffer,
    options?: SigningRequestOptions | SignCallback,
    callback?: SignCallback,
  ): boolean {
    if (typeof options === "function") return super.sign(key, data, options);
    if (options?.hash !== "sha1") return super.sign(key, data, options, callback);
    this.#refuse();
    callback?.(new Error(SHA1_REFUSED));
    return false;
  }
}

function describe(method: AnyAuthMethod): string {
  if (method.type === "password") return "a password";
  if (method.type === "agent") return `up to ${MAX_AGENT_KEYS} keys of the ssh-agent`;
  if (method.type !== "publickey") return method.type;
  const key = method.key as ParsedKey;
  return `the key ${key.type} ${fingerprint(key.getPublicSSH())}`;
}
