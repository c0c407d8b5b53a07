import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import ssh2 from "ssh2";
import { generateKeyPair } from "../../lab/keys.ts";
import { runCommand } from "../../lab/process.ts";

test("OpenSSH reads a generated key and finds the same public key", async () => {
  const directory = await mkdtemp(join(tmpdir(), "asterisk-iac-lab-test-"));
  try {
    const { privateKey, publicKey } = generateKeyPair("a comment");
    await writeFile(join(directory, "key"), privateKey, { mode: 0o600 });
    const answer = await runCommand(["ssh-keygen", "-y", "-f", join(directory, "key")]);
    expect(answer).toEqual({ code: 0, stdout: `${publicKey}\n`, stderr: "" });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});

test("every key is well formed, whatever its bytes and the length of its comment", () => {
  for (let length = 0; length < 1_000; length++) {
    const { privateKey, publicKey } = generateKeyPair("c".repeat(length % 17));
    const parsed = ssh2.utils.parseKey(privateKey);
    if (parsed instanceof Error || Array.isArray(parsed)) throw new Error(String(parsed));
    expect(publicKey).toContain(parsed.getPublicSSH().toString("base64"));
  }
});
