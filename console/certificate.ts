import { X509Certificate } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { isIP } from "node:net";
import { join } from "node:path";
import { generate } from "selfsigned";

/** What a TLS server shows, in PEM. */
export interface TLSIdentity {
  readonly certificate: string;
  readonly key: string;
  /** SHA-256 of the certificate, as browsers show it. */
  readonly fingerprint: string;
}

const validDays = 365;
const renewDays = 30;

/** A certificate and key that were given as files. */
export async function readCertificate(certificateFile: string, keyFile: string): Promise<TLSIdentity> {
  return identity(await readFile(certificateFile, "utf8"), await readFile(keyFile, "utf8"));
}

/**
 * A self-signed certificate for the host names, kept in a directory (key 0600) so that a browser that was told to trust
 * it meets it again; made anew a month before it ends, or for other names.
 */
export async function selfSignedCertificate(
  directory: string,
  hosts: readonly string[],
): Promise<TLSIdentity> {
  const certificateFile = join(directory, "certificate.pem");
  const keyFile = join(directory, "key.pem");
  const kept = await readCertificate(certificateFile, keyFile).catch(() => undefined);
  if (kept !== undefined && isGood(kept, hosts)) return kept;
  const notAfterDate = new Date(Date.now() + validDays * 24 * 3600 * 1000);
  const made = await generate([{ name: "commonName", value: "asteriskctl console" }], {
    keyType: "ec",
    curve: "P-256",
    algorithm: "sha256",
    notAfterDate,
    extensions: [
      { name: "basicConstraints", cA: false, critical: true },
      { name: "keyUsage", digitalSignature: true, critical: true },
      { name: "extKeyUsage", serverAuth: true },
      {
        name: "subjectAltName",
        altNames: hosts.map((host) =>
          isIP(host) === 0 ? { type: 2 as const, value: host } : { type: 7 as const, ip: host },
        ),
      },
    ],
  });
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await writeFile(keyFile, made.private, { mode: 0o600 });
  await writeFile(certificateFile, made.cert, { mode: 0o644 });
  return identity(made.cert, made.private);
}

function isGood({ certificate }: TLSIdentity, hosts: readonly string[]): boolean {
  const parsed = new X509Certificate(certificate);
  const until = Date.parse(parsed.validTo) - renewDays * 24 * 3600 * 1000;
  return (
    until > Date.now() &&
    hosts.every((host) => (isIP(host) === 0 ? parsed.checkHost(host) : parsed.checkIP(host)))
  );
}

function identity(certificate: string, key: string): TLSIdentity {
  return { certificate, key, fingerprint: new X509Certificate(certificate).fingerprint256 };
}
