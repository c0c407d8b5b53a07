import { AsteriskIacError } from "../../core/errors.ts";
import { HOST_KEY_TYPES } from "./algorithms.ts";
import type { HostKey, KnownHost } from "./known-hosts.ts";
import { fingerprint, keyType, knownHostsLine, lookUp } from "./known-hosts.ts";

/** Pinned: only keys in known_hosts. TrustOnFirstUse: a host that known_hosts does not name is stored, once. */
export type HostKeyPolicy = "Pinned" | "TrustOnFirstUse";

/** Decides whether a server is the one that it should be, before anything of ours is sent to it. */
export class HostKeyCheck {
  readonly #host: string;
  readonly #port: number;
  readonly #policy: HostKeyPolicy;
  readonly #store: (line: string) => Promise<void>;
  readonly #known: KnownHost;
  #trusted: Buffer | undefined;

  /**
   * `store` gets the line for known_hosts on a first contact, before the login; if it fails, so does the connection.
   * A host for which known_hosts has only what we can't check is refused at once (`HostKeyUnknown`).
   */
  constructor(
    host: string,
    port: number,
    knownHosts: string,
    policy: HostKeyPolicy,
    store: (line: string) => Promise<void> = () => Promise.resolve(),
  ) {
    this.#host = host;
    this.#port = port;
    this.#policy = policy;
    this.#store = store;
    this.#known = lookUp(knownHosts, host, port);
    if (this.#known.keys.length === 0 && this.#known.hasCertificateAuthority)
      throw unknown(`known_hosts trusts a certificate authority for ${this.#name}; that is not supported`, [
        "Add the host's own key to known_hosts.",
      ]);
    if (this.#known.keys.length > 0 && this.types().length === 0)
      throw unknown(
        `known_hosts has ${this.#name} only with keys of a type that is not supported: ${this.#knownTypes()}`,
        [`Add a key of one of these types: ${HOST_KEY_TYPES.join(", ")}.`],
      );
  }

  get #name(): string {
    return this.#port === 22 ? this.#host : `[${this.#host}]:${this.#port}`;
  }

  /**
   * The key types to ask the server for: those that it is known by, so that one with several keys shows a known one,
   * or all for a host that is not known.
   */
  types(): string[] {
    const { keys, withoutPort } = this.#known;
    if (keys.length === 0 || withoutPort) return [...HOST_KEY_TYPES];
    return HOST_KEY_TYPES.filter((type) => keys.some((key) => key.type === type));
  }

  /** Resolves if the key is accepted; rejects with `HostKeyUnknown` or `HostKeyMismatch`. */
  async verify(blob: Buffer): Promise<void> {
    const type = keyType(blob) ?? "unknown";
    const presented = `${type} ${fingerprint(blob)}`;
    const same = (key: HostKey): boolean => key.blob.equals(blob);
    if (this.#known.revoked.some(same))
      throw mismatch(`The host key that ${this.#name} presents is revoked in known_hosts: ${presented}.`);
    if (this.#trusted?.equals(blob) === true || this.#known.keys.some(same)) return;
    if (this.#trusted !== undefined || (this.#known.keys.length > 0 && !this.#known.withoutPort))
      throw mismatch(
        `The host key of ${this.#name} has changed: it presents ${presented}, known_hosts has ${this.#knownKeys()}.`,
      );
    const line = knownHostsLine(this.#host, this.#port, { type, blob });
    if (this.#policy === "Pinned")
      throw unknown(`The host key of ${this.#name} is not known: ${presented}`, [
        "Compare the fingerprint with the server's own (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub there)",
        `and pin it by adding this line to known_hosts: ${line}`,
      ]);
    await this.#store(line);
    this.#trusted = Buffer.from(blob);
  }

  /** The error of a server that has none of the key types that it is known by, but others that we would take. */
  typeGone(offered: readonly string[]): AsteriskIacError {
    return mismatch(
      `The host key of ${this.#name} has changed: it has keys for ${offered.join(", ")}, known_hosts has ` +
        `${this.#knownKeys()}.`,
    );
  }

  #knownTypes(): string {
    return [...new Set(this.#known.keys.map((key) => key.type))].join(", ");
  }

  #knownKeys(): string {
    return this.#known.keys.map((key) => `${key.type} ${fingerprint(key.blob)}`).join(", ");
  }
}

function unknown(message: string, hint: readonly string[]): AsteriskIacError {
  return new AsteriskIacError("HostKeyUnknown", `${message}.`, { hint: hint.join(" ") });
}

function mismatch(message: string): AsteriskIacError {
  return new AsteriskIacError("HostKeyMismatch", `${message} Nothing was sent to log in.`, {
    hint:
      "Somebody may be in between, or the server was reinstalled. If it was, check its fingerprint on the server " +
      "itself and replace its lines in known_hosts.",
  });
}
