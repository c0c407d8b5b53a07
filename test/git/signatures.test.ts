import { expect, test } from "@jest/globals";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { GitBranch } from "../../git/branch.ts";
import { GitRepository } from "../../git/repository.ts";
import { CommitSignatures } from "../../git/signatures.ts";
import { GitSource } from "../../git/source.ts";
import { useGitServer } from "../support/git-server.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const server = useGitServer();

/** A key as a person makes one. */
function keygen(
  directory: string,
  name: string,
): { privateFile: string; privateKey: string; publicKey: string } {
  const privateFile = join(directory, name);
  execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", privateFile]);
  const read = (file: string): string => readFileSync(file, "utf8");
  return { privateFile, privateKey: read(privateFile), publicKey: read(`${privateFile}.pub`) };
}

test("with `verify`, only commits that an allowed signer signed are read, built upon and made", async () => {
  const directory = temporaryDirectory();
  const [anna, stranger, ours] = ["anna", "stranger", "ours"].map((name) => keygen(directory, name));
  if (anna === undefined || stranger === undefined || ours === undefined) throw new Error("no keys");
  const remote = await server.createRepository("signed");
  const person = await remote.clone();
  const sign = async (file: string, files: Record<string, string>): Promise<string> => {
    await person.commit(files);
    await person.git(
      "-c",
      "gpg.format=ssh",
      "-c",
      `user.signingKey=${file}`,
      "commit",
      "--amend",
      "--no-edit",
      "-S",
    );
    await person.git("push", "--quiet", "origin", "HEAD");
    return person.git("rev-parse", "HEAD");
  };
  const allowedSigners = `anna@example.com ${anna.publicKey}asterisk-iac@noreply.invalid ${ours.publicKey}`;
  let signingKey: string | undefined;
  const credentials = (): Promise<{ password: string }> => Promise.resolve({ password: remote.token });
  const repository = new GitRepository(
    { url: remote.httpURL, reader: "", credentials },
    { cacheDirectory: temporaryDirectory() },
  );
  const source = new GitSource({
    server: "pbx1",
    branch: new GitBranch(repository, "main"),
    path: "pbx1",
    intervalMs: 0,
    vault: undefined,
    readSecret: () => Promise.resolve(undefined),
    isSelected: () => true,
    signatures: new CommitSignatures(() => Promise.resolve({ allowedSigners, signingKey })),
  });
  await sign(anna.privateFile, { "pbx1/a.conf": "good" });
  await source.refresh();
  expect((await source.read("a.conf")).toString()).toBe("good");
  // Nothing of these is read: one without a signature, one of somebody else.
  await person.push({ "pbx1/a.conf": "unsigned" });
  await expect(source.refresh()).rejects.toMatchObject({
    message: expect.stringContaining("not signed by an allowed"),
  });
  await sign(stranger.privateFile, { "pbx1/a.conf": "stranger" });
  await expect(source.refresh()).rejects.toMatchObject({ code: "SourceUnavailable", next: "Stalled" });
  expect((await source.read("a.conf")).toString()).toBe("good");

  const signed = await sign(anna.privateFile, { "pbx1/a.conf": "better" });
  await source.refresh();
  const write = () => source.exclusively(() => source.write("b.conf", Buffer.from("b"), null));
  await expect(write()).rejects.toMatchObject({ code: "SecretMissing" });
  signingKey = stranger.privateKey;
  await expect(write()).rejects.toMatchObject({ code: "SourceUnavailable" });
  expect(await remote.head()).toBe(signed);
  // Our signature would vouch for a commit that is not signed.
  signingKey = ours.privateKey;
  const unsigned = await remote.commitBeforeNextPush({ "pbx2/a.conf": "smuggled" });
  await expect(write()).rejects.toMatchObject({
    message: expect.stringContaining("not signed by an allowed"),
  });
  expect(await remote.head()).toBe(unsigned);
  await person.pull();
  await sign(anna.privateFile, { "README.md": "" });
  await source.refresh();
  await write();
  expect(await remote.read("pbx1/b.conf")).toBe("b");
  const file = join(directory, "allowed");
  writeFileSync(file, allowedSigners);
  await person.pull();
  const config = ["-c", "gpg.format=ssh", "-c", `gpg.ssh.allowedSignersFile=${file}`];
  await expect(person.git(...config, "verify-commit", "HEAD")).resolves.toBeDefined();
});
