import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AsteriskIacError } from "../core/errors.ts";
import { briefly, runGit, runGitOrThrow } from "./run.ts";

/** Whose commits are believed, and with what ours are signed. */
export interface SigningKeys {
  /** Lines of ssh-keygen's ALLOWED SIGNERS. */
  readonly allowedSigners: string;
  /** A private key as OpenSSH has it, without a passphrase; undefined: nothing can be committed. */
  readonly signingKey: string | undefined;
}

/** Signs and verifies commits with SSH keys, as git and ssh-keygen do. The keys are asked for each time. */
export class CommitSignatures {
  readonly #keys: () => Promise<SigningKeys>;

  constructor(keys: () => Promise<SigningKeys>) {
    this.#keys = keys;
  }

  /** Throws `SourceUnavailable` for a commit without a signature of an allowed signer. */
  async verify(directory: string, commit: string): Promise<void> {
    const { allowedSigners } = await this.#keys();
    await withFile("allowed_signers", allowedSigners, async (file) => {
      const config = ["gpg.format=ssh", `gpg.ssh.allowedSignersFile=${file}`, "gpg.minTrustLevel=fully"];
      const { exitCode, stderr } = await runGit({ directory, args: ["verify-commit", commit], config });
      if (exitCode === 0) return;
      throw new AsteriskIacError(
        "SourceUnavailable",
        `the commit ${commit.slice(0, 12)} is not signed by an allowed signer: ${briefly(stderr)}`,
        { hint: "Push a signed commit on top (git commit -S), or add the signer to `allowed_signers`." },
      );
    });
  }

  /** The same commit with our signature, verified. Throws `SecretMissing` without a key. */
  async sign(directory: string, commit: string): Promise<string> {
    const { signingKey } = await this.#keys();
    if (signingKey === undefined) {
      throw new AsteriskIacError("SecretMissing", "there is no key to sign commits with", {
        hint: "`verify` believes signed commits only: put the key `ssh-signing-key` beside `allowed_signers`, and its public key into that.",
      });
    }
    const signed = await withFile("signing-key", `${signingKey.trim()}\n`, (file) =>
      copySigned(directory, commit, file),
    );
    await this.verify(directory, signed);
    return signed;
  }
}

async function copySigned(directory: string, commit: string, keyFile: string): Promise<string> {
  const text = (await runGitOrThrow({ directory, args: ["cat-file", "commit", commit] })).toString("utf8");
  const [header = "", ...message] = text.split("\n\n");
  const parents = [...header.matchAll(/^parent (\w+)$/gm)].flatMap(([, id = ""]) => ["-p", id]);
  const [, name = "", email = "", date = ""] = /^author (.*) <(.*)> (\d+ [+-]\d+)$/m.exec(header) ?? [];
  const who = ["AUTHOR", "COMMITTER"].flatMap((role) => [
    [`GIT_${role}_NAME`, name],
    [`GIT_${role}_EMAIL`, email],
    [`GIT_${role}_DATE`, date],
  ]);
  const made = await runGitOrThrow({
    directory,
    args: ["commit-tree", `-S${keyFile}`, ...parents, "-F", "-", `${commit}^{tree}`],
    input: message.join("\n\n"),
    config: ["gpg.format=ssh"],
    env: Object.fromEntries(who) as Record<string, string>,
  });
  return made.toString("utf8").trim();
}

async function withFile<T>(name: string, text: string, work: (file: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), "asterisk-iac-"));
  try {
    await writeFile(join(directory, name), text, { mode: 0o600 });
    return await work(join(directory, name));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
