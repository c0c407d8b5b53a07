import { generateKeyPairSync, randomBytes } from "node:crypto";

/** An unencrypted ed25519 key as OpenSSH writes it: the private key's file, and the public key as one line. */
export interface KeyPair {
  readonly privateKey: string;
  readonly publicKey: string;
}

/**
 * Makes an ed25519 key in OpenSSH's own format (PROTOCOL.key). ssh2 can generate keys too, but about one in 300 of
 * its ed25519 keys is malformed.
 */
export function generateKeyPair(comment: string): KeyPair {
  const { x = "", d = "" } = generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" });
  const publicPart = Buffer.from(x, "base64url");
  const secretPart = Buffer.concat([Buffer.from(d, "base64url"), publicPart]);
  const publicBlob = Buffer.concat([field("ssh-ed25519"), field(publicPart)]);
  const check = randomBytes(4);
  const secrets = Buffer.concat([check, check, publicBlob, field(secretPart), field(comment)]);
  const padding = Buffer.from(
    Array.from({ length: (8 - (secrets.length % 8)) % 8 }, (_, index) => index + 1),
  );
  const file = Buffer.concat([
    Buffer.from("openssh-key-v1\0"),
    ...[field("none"), field("none"), field("")],
    number(1),
    field(publicBlob),
    field(Buffer.concat([secrets, padding])),
  ]);
  const lines = file.toString("base64").match(/.{1,70}/g) ?? [];
  const [begin, end] = ["BEGIN", "END"].map((word) => `-----${word} OPENSSH PRIVATE KEY-----`);
  return {
    privateKey: [begin, ...lines, end, ""].join("\n"),
    publicKey: `ssh-ed25519 ${publicBlob.toString("base64")} ${comment}`,
  };
}

function field(content: string | Buffer): Buffer {
  const bytes = Buffer.from(content as string);
  return Buffer.concat([number(bytes.length), bytes]);
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
