import { beforeEach, describe, expect, test } from "@jest/globals";
import { generateX25519Identity } from "age-encryption";
import { contentHash } from "../../core/record.ts";
import { asteriskServer } from "../../core/resource/index.ts";
import { GitSources } from "../../engine/git-source.ts";
import { MemorySecrets } from "../../engine/memory-secrets.ts";
import type { SecretStore } from "../../engine/secrets.ts";
import type { GitSource } from "../../git/source.ts";
import { useGitServer, type GitRepository } from "../support/git-server.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const server = useGitServer();
let remote: GitRepository;
let count = 0;

beforeEach(async () => {
  remote = await server.createRepository(`secrets-${++count}`);
});

/** The secrets of one machine, or of one namespace. */
function storeWith(identity?: string): SecretStore {
  return new MemorySecrets({
    git: { token: remote.token },
    ...(identity === undefined ? {} : { "asterisk-iac": { "age-identity": identity } }),
  });
}

const identityIn = async (store: SecretStore): Promise<string | undefined> =>
  (await store.read("asterisk-iac").catch(() => undefined))?.get("age-identity")?.toString();

/** A server's directory in the repository, as a run of its own opens it. */
function open(name: string, secrets: SecretStore, more: object = {}): GitSource {
  const git = { url: remote.httpURL, credentialsSecretRef: { name: "git" }, ...more };
  const { spec } = asteriskServer.parse({
    apiVersion: "asterisk-iac.dev/v1alpha1",
    kind: "AsteriskServer",
    metadata: { name },
    spec: {
      ssh: { host: "pbx.example.com", user: "admin" },
      ami: { credentialsSecretRef: { name: "ami" } },
      source: { git },
    },
  });
  if (spec.source?.git === undefined) throw new Error("no git");
  const sources = new GitSources({ cacheDirectory: temporaryDirectory() });
  return sources.open({ name, spec, git: spec.source.git }, secrets);
}

const conf = (password: string): Buffer => Buffer.from(`[alice]\ntype = auth\npassword = ${password}\n`);

async function write(source: GitSource, password: string, before?: string): Promise<boolean> {
  const expected = before === undefined ? null : contentHash(conf(before));
  return source.exclusively(() => source.write("pjsip.conf", conf(password), expected));
}

describe("the key to the secrets of a repository", () => {
  test("is made with the first of its files, and is that of all servers then", async () => {
    const store = storeWith();
    await write(open("pbx1", store), "one");
    await write(open("pbx2", store), "two");
    expect((await open("pbx1", store).read("pjsip.conf")).toString()).toBe(conf("one").toString());
    expect((await open("pbx2", store).read("pjsip.conf")).toString()).toBe(conf("two").toString());
  });

  test("that is not here is not made again for a new server: nothing is pushed, and it is told what is missing", async () => {
    const store = storeWith();
    await write(open("pbx1", store), "one");
    await write(open("pbx2", store), "two");
    const head = await remote.head();
    const lost = storeWith();
    await expect(write(open("pbx3", lost), "three")).rejects.toMatchObject({
      code: "SecretMissing",
      next: "Stalled",
      message:
        "the key to the secrets of other servers in the repository is not there: the secret asterisk-iac, key age-identity",
      hint: expect.stringMatching(
        /^It opens pbx1\/\.asterisk-iac\/secrets\.age and 1 more: restore it .* age-keygen/,
      ),
    });
    expect(await identityIn(lost)).toBeUndefined();
    expect(await remote.head()).toBe(head);
    const restored = storeWith(await identityIn(store));
    expect(await write(open("pbx3", restored), "three")).toBe(true);
  });

  test("may be another for each who made one on purpose", async () => {
    const store = storeWith();
    await write(open("pbx1", store), "one");
    const own = storeWith(await generateX25519Identity());
    await write(open("pbx2", own), "two");
    expect((await open("pbx2", own).read("pjsip.conf")).toString()).toBe(conf("two").toString());
    await expect(open("pbx2", store).read("pjsip.conf")).rejects.toMatchObject({ code: "RecordInvalid" });
  });

  test("is not needed where a new server has no secret", async () => {
    await write(open("pbx1", storeWith()), "one");
    const source = open("pbx2", storeWith());
    await source.exclusively(() => source.write("queues.conf", Buffer.from("[general]\n"), null));
    expect(await remote.read("pbx2/queues.conf")).toBe("[general]\n");
  });
});

test.each(["Age", "Secret"])(
  "%s: what `git revert` brings back has its value, however long ago",
  async (secrets) => {
    const store = storeWith();
    const source = (): GitSource => open("pbx1", store, { secrets });
    await write(source(), "one");
    await write(source(), "two", "one");
    await write(source(), "three", "two");
    const person = await remote.clone();
    await person.git("revert", "--no-edit", "HEAD", "HEAD^");
    await person.git("push", "--quiet", "origin", "HEAD");
    expect((await source().read("pjsip.conf")).toString()).toBe(conf("one").toString());
    await write(source(), "four", "one");
    expect((await source().read("pjsip.conf")).toString()).toBe(conf("four").toString());
  },
);
