import { createHash, createHmac, timingSafeEqual } from "node:crypto";

/** A host's public key. `blob` is the key as it travels on the wire; its first field repeats the type. */
export interface HostKey {
  /** OpenSSH's name of the key type: `ssh-ed25519`, `ecdsa-sha2-nistp256`, `ssh-rsa`, … */
  readonly type: string;
  readonly blob: Buffer;
}

/** What a known_hosts text says of one host. */
export interface KnownHost {
  /** Keys that the host may present. */
  readonly keys: readonly HostKey[];
  /** Keys marked `@revoked`: refused whatever else is said. */
  readonly revoked: readonly HostKey[];
  /** A `@cert-authority` line speaks of the host. Host certificates are not supported. */
  readonly hasCertificateAuthority: boolean;
  /**
   * The keys are those of the host's name without a port. OpenSSH accepts them for another port too, but another key
   * on that port is then unknown and not changed.
   */
  readonly withoutPort: boolean;
}

interface KnownHostsLine {
  readonly marker: "@revoked" | "@cert-authority" | undefined;
  readonly hosts: string;
  readonly key: HostKey;
}

/**
 * Looks a host up in a known_hosts text as sshd(8), SSH_KNOWN_HOSTS FILE FORMAT, tells: several names, wildcards,
 * negation, hashed names, `[host]:port`, markers, comments. Lines that are not of that form are passed over.
 */
export function lookUp(knownHosts: string, host: string, port: number): KnownHost {
  const lines = knownHosts.split(/\r?\n/).flatMap((line) => parseLine(line) ?? []);
  const found = select(lines, hostPattern(host, port));
  if (port === 22 || found.keys.length > 0 || found.hasCertificateAuthority) return found;
  const portless = select(lines, hostPattern(host, 22));
  return { ...portless, revoked: [...found.revoked, ...portless.revoked], withoutPort: true };
}

/** The line to add to known_hosts so that a host is known by this key. */
export function knownHostsLine(host: string, port: number, key: HostKey): string {
  return `${hostPattern(host, port)} ${key.type} ${key.blob.toString("base64")}`;
}

/** A key's fingerprint as OpenSSH prints it: `SHA256:` and base64 without padding. */
export function fingerprint(blob: Buffer): string {
  return `SHA256:${createHash("sha256").update(blob).digest("base64").replace(/=+$/, "")}`;
}

/** The key type that a key's wire form begins with; undefined where it is too short to say. */
export function keyType(blob: Buffer): string | undefined {
  if (blob.length < 4) return undefined;
  const end = 4 + blob.readUInt32BE(0);
  return end <= blob.length ? blob.toString("latin1", 4, end) : undefined;
}

function hostPattern(host: string, port: number): string {
  const name = host.toLowerCase();
  return port === 22 ? name : `[${name}]:${port}`;
}

function select(lines: readonly KnownHostsLine[], name: string): KnownHost {
  const matching = lines.filter((line) => matchesHost(line.hosts, name));
  const keys = (marker: KnownHostsLine["marker"]): HostKey[] =>
    matching.filter((line) => line.marker === marker).map((line) => line.key);
  return {
    keys: keys(undefined),
    revoked: keys("@revoked"),
    hasCertificateAuthority: keys("@cert-authority").length > 0,
    withoutPort: false,
  };
}

function parseLine(line: string): KnownHostsLine | undefined {
  const words = line.trim().split(/[ \t]+/);
  const marker = words[0]?.startsWith("@") === true ? words.shift() : undefined;
  const [hosts, type, base64] = words;
  if (hosts === undefined || hosts.startsWith("#") || type === undefined || base64 === undefined)
    return undefined;
  if (marker !== undefined && marker !== "@revoked" && marker !== "@cert-authority") return undefined;
  const blob = Buffer.from(base64, "base64");
  return keyType(blob) === type ? { marker, hosts, key: { type, blob } } : undefined;
}

function matchesHost(hosts: string, name: string): boolean {
  if (hosts.startsWith("|1|")) return matchesHash(hosts, name);
  let matches = false;
  for (const entry of hosts.toLowerCase().split(",")) {
    const negated = entry.startsWith("!");
    if (!wildcard(negated ? entry.slice(1) : entry).test(name)) continue;
    if (negated) return false;
    matches = true;
  }
  return matches;
}

function matchesHash(hosts: string, name: string): boolean {
  const [salt, hash] = hosts
    .slice("|1|".length)
    .split("|")
    .map((part) => Buffer.from(part, "base64"));
  if (salt === undefined || hash === undefined) return false;
  const actual = createHmac("sha1", salt).update(name).digest();
  return hash.length === actual.length && timingSafeEqual(hash, actual);
}

function wildcard(pattern: string): RegExp {
  const source = pattern
    .replaceAll(/[.+^${}()|[\]\\]/g, "\\$&")
    .replaceAll(/\*+/g, ".*")
    .replaceAll("?", ".");
  return new RegExp(`^${source}$`);
}
