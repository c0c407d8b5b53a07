import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generateX25519Identity } from "age-encryption";
import { messageOf } from "../../core/errors.ts";
import { RecordKey, contentHash } from "../../core/record.ts";
import { AgeVault } from "../../git/age-vault.ts";
import { dropUnused, putInSecrets, takeOutSecrets } from "../../git/secrets-in-files.ts";
import type { SecretValues } from "../../git/secrets.ts";
import { assertNotInRepository } from "../support/repository-canaries.ts";

const pin = "4711";
const password = "canary-Tr0ub4dor&3";
const voicemail = (value: string): string => `[default]\n100 => ${value},Front Desk,desk@example.org\n`;
const pjsip = (value: string): string =>
  `[alice]\ntype=auth\nusername=alice\npassword=${value}\n;password=${value}2\n`;
const canaries = { secrets: [password], pins: [pin], contents: [voicemail] };

let directory: string;
let repositories = 0;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "canaries-"));
});

afterAll(() => rm(directory, { recursive: true, force: true }));

/** A bare repository of one commit for each set of files. */
function repositoryOf(...commits: Record<string, string | Uint8Array>[]): string {
  const gitDirectory = join(directory, `${repositories++}.git`);
  const git = (args: string[], input: string | Uint8Array = ""): string =>
    execFileSync(
      "git",
      ["--git-dir", gitDirectory, "-c", "user.name=x", "-c", "user.email=x@invalid", ...args],
      {
        input,
        stdio: "pipe",
      },
    )
      .toString()
      .trim();
  git(["init", "--quiet", "--bare"]);
  let parent: string[] = [];
  for (const files of commits) {
    const entries = Object.entries(files).map(([name, bytes]) => {
      return `100644 blob ${git(["hash-object", "-w", "--stdin"], bytes)}\t${name}\n`;
    });
    const commit = git(["commit-tree", git(["mktree"], entries.join("")), ...parent, "-m", "x"]);
    git(["update-ref", "refs/heads/main", commit]);
    parent = ["-p", commit];
  }
  return gitDirectory;
}

test("a password and a PIN are in no object, nor can they be guessed from one, over several commits", async () => {
  const identity = await generateX25519Identity();
  const place = {
    place: "here",
    read: () => Promise.resolve(identity),
    readOrCreate: () => Promise.resolve(identity),
  };
  const vault = new AgeVault("pbx1", place);
  const key = new RecordKey(Buffer.alloc(32, 7));
  const commits: Record<string, Uint8Array>[] = [];
  let values: SecretValues = new Map();
  let before: Record<string, Uint8Array> = {};
  for (const [one, other] of [
    [password, pin],
    [`${password}x`, pin],
    [password, "1234"],
  ] as const) {
    const files = { "voicemail.conf": voicemail(other), "pjsip.conf": pjsip(one) };
    const after: Record<string, Uint8Array> = {};
    for (const [path, text] of Object.entries(files)) {
      const earlier = before[path];
      const taken = takeOutSecrets(path, Buffer.from(text), {
        vault,
        values,
        ...(earlier && { before: earlier }),
      });
      values = taken.values;
      after[path] = taken.bytes;
    }
    values = dropUnused(vault, values, Object.values(before), Object.values(after));
    const { file } = await vault.prepare(values, before["secrets.age"]);
    const record = JSON.stringify(key.recorded(contentHash(Buffer.from(files["voicemail.conf"]))));
    before = { ...after, "secrets.age": file ?? Buffer.alloc(0), "import.json": Buffer.from(record) };
    commits.push(before);
  }
  await assertNotInRepository(repositoryOf(...commits), { ...canaries, pins: [pin, "1234"] });
  const [last] = commits.slice(-1);
  const read = await vault.read(last?.["secrets.age"]);
  const filled = putInSecrets("pjsip.conf", last?.["pjsip.conf"] ?? Buffer.alloc(0), vault, read);
  expect(filled.toString()).toBe(pjsip(password));
});

describe("what tells a secret is found", () => {
  const hash = (algorithm: string, text: string, encoding: "hex" | "base64" = "hex"): string =>
    createHash(algorithm).update(text).digest(encoding);
  test.each<[string, string, string]>([
    ["a file in the clear", pjsip(password), "holds a secret"],
    ["base64 of a file", Buffer.from(pjsip(password)).toString("base64"), "a secret in base64"],
    [
      "base64 of a file one byte on",
      Buffer.from(`x${pjsip(password)}`).toString("base64"),
      "a secret in base64",
    ],
    ["hex", Buffer.from(password).toString("hex"), "a secret in hex"],
    ["the hash of a password", hash("sha256", password), "sha256 of a secret"],
    ["the hash of one in base64", `{"x":"${hash("sha1", password, "base64")}"}`, "sha1 of a secret"],
    ["a PIN in the clear", voicemail(pin), "the PIN 4711"],
    ["the hash of a PIN", `{"hash":"${hash("sha256", pin)}"}`, "sha256 of PIN 4711"],
    [
      "the hash of a file with a PIN",
      `sha256:${contentHash(Buffer.from(voicemail(pin)))}`,
      "content 0 with the PIN 4711",
    ],
    ["the same in base64", hash("sha256", voicemail(pin), "base64"), "content 0 with the PIN 4711"],
    [
      "git's name of such a file",
      hash("sha1", `blob ${voicemail(pin).length}\0${voicemail(pin)}`),
      "git's object of",
    ],
  ])("%s", async (_, content, found) => {
    const told: unknown = await assertNotInRepository(
      repositoryOf({ x: content }, { x: "gone" }),
      canaries,
    ).catch((each: unknown) => each);
    expect(messageOf(told)).toContain(found);
  });

  test("an object that nothing refers to counts too, by its very name", async () => {
    const gitDirectory = repositoryOf({ x: "x" });
    await assertNotInRepository(gitDirectory, canaries);
    const args = ["--git-dir", gitDirectory, "hash-object", "-w", "--stdin"];
    execFileSync("git", args, { input: voicemail("9999") });
    await expect(assertNotInRepository(gitDirectory, canaries)).rejects.toThrow("git's object of content 0");
  });
});
