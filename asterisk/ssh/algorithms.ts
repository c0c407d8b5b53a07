import type { Algorithms, ServerHostKeyAlgorithm } from "ssh2";

/**
 * What we accept, the cheapest first: curve25519 costs a tenth of the other key exchanges. Nothing with SHA-1, MD5,
 * CBC or DSA; a server that offers only those is refused.
 */
const KEY_EXCHANGE = [
  "curve25519-sha256",
  "curve25519-sha256@libssh.org",
  "ecdh-sha2-nistp256",
  "ecdh-sha2-nistp384",
  "ecdh-sha2-nistp521",
  "diffie-hellman-group-exchange-sha256",
  "diffie-hellman-group16-sha512",
  "diffie-hellman-group18-sha512",
  "diffie-hellman-group14-sha256",
] as const;

const CIPHERS = [
  "aes128-gcm@openssh.com",
  "aes256-gcm@openssh.com",
  "chacha20-poly1305@openssh.com",
  "aes128-ctr",
  "aes192-ctr",
  "aes256-ctr",
] as const;

const MACS = [
  "hmac-sha2-256-etm@openssh.com",
  "hmac-sha2-512-etm@openssh.com",
  "hmac-sha2-256",
  "hmac-sha2-512",
] as const;

/** Host key types that we can check, with the signature algorithms asked of each. */
const HOST_KEY_ALGORITHMS: Readonly<Record<string, readonly ServerHostKeyAlgorithm[]>> = {
  "ssh-ed25519": ["ssh-ed25519"],
  "ecdsa-sha2-nistp256": ["ecdsa-sha2-nistp256"],
  "ecdsa-sha2-nistp384": ["ecdsa-sha2-nistp384"],
  "ecdsa-sha2-nistp521": ["ecdsa-sha2-nistp521"],
  "ssh-rsa": ["rsa-sha2-512", "rsa-sha2-256"],
};

/** The host key types that are supported, the preferred one first. */
export const HOST_KEY_TYPES: readonly string[] = Object.keys(HOST_KEY_ALGORITHMS);

/** The algorithms to offer to a host whose key is of one of `hostKeyTypes`. */
export function algorithmsFor(hostKeyTypes: readonly string[]) {
  return {
    kex: [...KEY_EXCHANGE],
    serverHostKey: hostKeyTypes.flatMap((type) => HOST_KEY_ALGORITHMS[type] ?? []),
    cipher: [...CIPHERS],
    hmac: [...MACS],
    compress: ["none"],
  } satisfies Algorithms;
}

/** What both sides brought to a negotiation that failed. */
export interface Disagreement {
  /** For people: `key exchange`, `host key`, `cipher`, `MAC`. */
  readonly what: string;
  readonly offered: readonly string[];
  readonly accepted: readonly string[];
}

/** How ssh2 names the parts of a negotiation, in its errors and in its debug lines. */
const PARTS = [
  { error: /no matching key exchange/i, debug: "KEX method", what: "key exchange" },
  { error: /no matching host key format/i, debug: "Host key format", what: "host key" },
  { error: /no matching C->S cipher/i, debug: "C->S cipher", what: "cipher" },
  { error: /no matching S->C cipher/i, debug: "S->C cipher", what: "cipher" },
  { error: /no matching C->S MAC/i, debug: "C->S MAC", what: "MAC" },
  { error: /no matching S->C MAC/i, debug: "S->C MAC", what: "MAC" },
  { error: /no matching C->S compression/i, debug: "C->S compression", what: "compression" },
  { error: /no matching S->C compression/i, debug: "S->C compression", what: "compression" },
] as const;

/** Listens to ssh2's debug lines for what each side offers, as its errors do not tell. */
export class Negotiation {
  readonly #lists = new Map<string, readonly string[]>();

  hear(debugLine: string): void {
    const [, side, part, list] = /^Handshake: \((local|remote)\) ([^:]+): (.*)$/.exec(debugLine) ?? [];
    if (part !== undefined && list !== undefined) this.#lists.set(`${side} ${part}`, list.split(","));
  }

  /** What was not agreed on, from the message of ssh2's error; undefined if it failed for another reason. */
  disagreement(message: string): Disagreement | undefined {
    const part = PARTS.find(({ error }) => error.test(message));
    if (part === undefined) return undefined;
    return {
      what: part.what,
      offered: this.#lists.get(`remote ${part.debug}`) ?? [],
      accepted: (this.#lists.get(`local ${part.debug}`) ?? []).filter(
        (name) => !/^(ext-info|kex-strict)/.test(name),
      ),
    };
  }
}
