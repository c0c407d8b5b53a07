import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SecretDirectory } from "../../cli/secrets.ts";
import { AsteriskIacError } from "../../core/errors.ts";
import { MemorySecrets } from "../../engine/memory-secrets.ts";
import type { SourceSecretsSpec } from "../../engine/source-secrets.ts";
import { readSecretIfThere, vaultOf } from "../../engine/source-secrets.ts";
import type { Vault } from "../../git/secrets.ts";
import { takeOutSecrets } from "../../git/secrets-in-files.ts";

const spec = (
  secrets: SourceSecretsSpec["secrets"],
  more: Partial<SourceSecretsSpec> = {},
): SourceSecretsSpec => ({
  secrets,
  ageRecipients: [],
  secretKeys: [],
  ...more,
});
const bytes = (text: string): Buffer => Buffer.from(text);
const one = new Map([["a", bytes("1")]]);

function opened(secrets: SourceSecretsSpec, store = new MemorySecrets({})): Vault {
  const vault = vaultOf("pbx1", secrets, store);
  if (vault === undefined) throw new Error("no vault");
  return vault;
}

test("Plain keeps secrets where they are", () => {
  expect(vaultOf("pbx1", spec("Plain"), new MemorySecrets({}))).toBeUndefined();
});

describe("the key to a vault in git", () => {
  test("is made with the first value, kept, and used by all servers", async () => {
    const store = new MemorySecrets({});
    const { file } = await opened(spec("Age"), store).prepare(one, undefined);
    const identity = (await store.read("asterisk-iac")).get("age-identity")?.toString();
    expect(identity).toMatch(/^AGE-SECRET-KEY-1[0-9A-Z]+\n$/);
    expect(await opened(spec("Age"), store).read(file)).toEqual(one);
    await vaultOf("pbx2", spec("Age"), store)?.prepare(one, undefined);
    expect((await store.read("asterisk-iac")).get("age-identity")?.toString()).toBe(identity);
  });

  test("may be a file of age-keygen, and is never made again for a vault that is there", async () => {
    const store = new MemorySecrets({});
    const { file } = await opened(spec("Age"), store).prepare(one, undefined);
    const identity = (await store.read("asterisk-iac")).get("age-identity")?.toString() ?? "";
    const commented = `# created: 2026\r\n# public key: age1x\r\n${identity.trim()}\r\n`;
    const moved = new MemorySecrets({ "asterisk-iac": { "age-identity": commented } });
    expect(await opened(spec("Age"), moved).read(file)).toEqual(one);
    const lost = new MemorySecrets({ "asterisk-iac": { "record-key": "x" } });
    await expect(opened(spec("Age"), lost).prepare(new Map(), file)).rejects.toMatchObject({
      code: "SecretMissing",
    });
    expect((await lost.read("asterisk-iac")).has("age-identity")).toBe(false);
  });
});

describe("values in a Secret", () => {
  let directory: string;
  let store: SecretDirectory;
  const folder = (): string => join(directory, "pbx1-secrets");
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "source-secrets-"));
    store = new SecretDirectory(directory);
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  test("are there before a commit is pushed, not before, and those of earlier commits stay", async () => {
    const vault = vaultOf("pbx1", spec("Secret"), store);
    expect(vault?.name).toBe("pbx1-secrets");
    const first = await vault?.prepare(one, undefined);
    expect(first?.file).toBeUndefined();
    expect((await vault?.read(undefined))?.size).toBe(0);
    await first?.beforePush();
    await first?.beforePush();
    expect(await readFile(join(folder(), "a"), "utf8")).toBe("1");
    await (await vault?.prepare(new Map([["b", bytes("2")]]), undefined))?.beforePush();
    expect(await vault?.read(undefined)).toEqual(new Map([...one, ["b", bytes("2")]]));
  });

  test("may have been edited: an editor's line end is none of theirs", async () => {
    await mkdir(folder());
    await writeFile(join(folder(), "a"), "one\n");
    await writeFile(join(folder(), "b"), "two\r\n");
    await writeFile(join(folder(), "c"), "x\n\n");
    expect(await vaultOf("pbx1", spec("Secret"), store)?.read(undefined)).toEqual(
      new Map([
        ["a", bytes("one")],
        ["b", bytes("two")],
        ["c", bytes("x\n")],
      ]),
    );
  });

  test("are not replaced by another run's", async () => {
    const vault = vaultOf("pbx1", spec("Secret"), store);
    const prepared = await vault?.prepare(one, undefined);
    await store.write("pbx1-secrets", "a", bytes("other"));
    await expect(prepared?.beforePush()).rejects.toMatchObject({ code: "ChangedMeanwhile", next: "Retry" });
    expect(await readFile(join(folder(), "a"), "utf8")).toBe("other");
  });

  test("that Kubernetes has no room for are told with what to do; another refusal as it is", async () => {
    const refused = new AsteriskIacError("KubernetesRefused", "Kubernetes API: PUT …: 422 Invalid");
    class Refusing extends MemorySecrets {
      override writeAll(): Promise<void> {
        return Promise.reject(refused);
      }
    }
    const storing = (length: number): Promise<void> | undefined => {
      const held = new Refusing({ "pbx1-secrets": { held: "x".repeat(1_000_000) } });
      const prepared = opened(spec("Secret"), held).prepare(
        new Map([["b", Buffer.alloc(length)]]),
        undefined,
      );
      return prepared.then(({ beforePush }) => beforePush());
    };
    await expect(storing(100_000)).rejects.toMatchObject({
      code: "KubernetesRefused",
      message: "the secret pbx1-secrets is full",
      hint: expect.stringMatching(/^Nothing was pushed/),
    });
    await expect(storing(10)).rejects.toBe(refused);
  });

  test("that can't be read are not taken for none", async () => {
    await writeFile(folder(), "a file in the folder's place");
    await expect(vaultOf("pbx1", spec("Secret"), store)?.read(undefined)).rejects.toMatchObject({
      code: "SecretMissing",
    });
    expect(await readSecretIfThere(store, "other")).toBeUndefined();
  });
});

test("more variables hold secrets where the declaration says so, by file, section and type", () => {
  const secretKeys = [
    { files: "app/*.conf", section: "licen?e", key: "number*" },
    { files: "pjsip.conf", type: "auth", key: "username" },
  ];
  const { rules } = opened(spec("Age", { secretKeys }));
  const taken = (path: string, text: string): string =>
    takeOutSecrets(path, bytes(text), { vault: { name: "v", rules }, values: new Map() })
      .bytes.toString()
      .replace(/@\{secret:[^}]*\}/g, "*");
  const app = "[a]\nnumber=1\n[Licence]\nNumber2=1\n;number=2\nother=3\n";
  expect(taken("app/x.conf", app)).toBe("[a]\nnumber=1\n[Licence]\nNumber2=*\n;number=*\nother=3\n");
  expect(taken("x.conf", app)).toBe(app);
  // The type may be a template's, and may stand below; where the file does not say it, it may be any.
  const pjsip = "[t](!)\ntype=auth\n[a](t)\nusername=x\n[b]\nusername=x\ntype=endpoint\n[c]\nusername=x\n";
  expect(taken("pjsip.conf", pjsip)).toBe(
    pjsip.replace("(t)\nusername=x", "(t)\nusername=*").replace(/x\n$/, "*\n"),
  );
  expect(taken("pjsip.conf", "secret=x\nusername=x\n")).toBe("secret=*\nusername=*\n");
});
