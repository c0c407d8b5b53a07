import { describe, expect, test } from "@jest/globals";
import { Decrypter, Encrypter, armor, generateX25519Identity, identityToRecipient } from "age-encryption";
import { AgeVault } from "../../git/age-vault.ts";
import type { AgeIdentity, AgeOptions } from "../../git/age-vault.ts";
import type { SecretValues } from "../../git/secrets.ts";

/** A place for a key, and how often one was made. */
function keyPlace(identity?: string): AgeIdentity & { identity: string | undefined; made: number } {
  return {
    identity,
    made: 0,
    place: "the secret asterisk-iac, key age-identity",
    read() {
      return Promise.resolve(this.identity);
    },
    async readOrCreate(make) {
      if (this.identity === undefined) {
        this.identity = await make();
        this.made++;
      }
      return this.identity;
    },
  };
}

const valuesOf = (values: Record<string, string | Buffer>): SecretValues =>
  new Map(Object.entries(values).map(([key, value]) => [key, Buffer.from(value as string)]));

async function fileWith(
  values: SecretValues,
  key: AgeIdentity,
  options: AgeOptions = {},
  before?: Uint8Array,
): Promise<Uint8Array> {
  const { file, beforePush } = await new AgeVault("pbx1", key, options).prepare(values, before);
  await beforePush();
  if (file === undefined) throw new Error("no file");
  return file;
}

async function decrypt(file: Uint8Array, identity: string): Promise<string> {
  const decrypter = new Decrypter();
  decrypter.addIdentity(identity);
  return decrypter.decrypt(armor.decode(Buffer.from(file).toString()), "text");
}

async function encrypt(text: string, identity: string): Promise<Uint8Array> {
  const encrypter = new Encrypter();
  encrypter.addRecipient(await identityToRecipient(identity));
  return encrypter.encrypt(text);
}

describe("the values of a server in a file", () => {
  test("are made with a key of their own and come back byte for byte", async () => {
    const key = keyPlace();
    const values = valuesOf({
      a: "hunter2;x",
      b: Buffer.from([0xe9, 0x3b, 0x00, 0xff]),
      c: "pässword",
      d: "base64:AAAA",
    });
    const file = await fileWith(values, key);
    expect(key).toMatchObject({ made: 1, identity: expect.stringMatching(/^AGE-SECRET-KEY-1/) });
    expect(await new AgeVault("pbx1", key).read(file)).toEqual(values);
    expect(Buffer.from(file).toString()).toMatch(/^-----BEGIN AGE ENCRYPTED FILE-----\n[^]*-----\n$/);
  });

  test("stay the same bytes until a value, a key or a recipient changes", async () => {
    const key = keyPlace();
    const file = await fileWith(valuesOf({ a: "1", b: "2" }), key);
    expect(await fileWith(valuesOf({ b: "2", a: "1" }), key, {}, file)).toBe(file);
    const changed = [
      await fileWith(valuesOf({ a: "1", b: "3" }), key, {}, file),
      await fileWith(valuesOf({ a: "1" }), key, {}, file),
      await fileWith(valuesOf({ a: "1", b: "2" }), key, { recipients: [await newRecipient()] }, file),
    ];
    for (const each of changed) expect(each).not.toEqual(file);
  });

  test("open for other recipients too", async () => {
    const other = await generateX25519Identity();
    const recipients = [await identityToRecipient(other)];
    const file = await fileWith(valuesOf({ b: "two", a: "one" }), keyPlace(), { recipients });
    const text = await decrypt(file, other);
    expect(JSON.parse(text)).toMatchObject({ version: 1, values: { a: "one", b: "two" } });
    expect(text.indexOf('"a"')).toBeLessThan(text.indexOf('"b"'));
  });

  test("do not tell by the file's length how long they are", async () => {
    const key = keyPlace();
    const lengths = await Promise.all(
      [1, 4, 40, 250].map(async (length) => {
        const values = valuesOf({ "voicemail.conf..default..100": "1".repeat(length), b: "x" });
        return (await fileWith(values, key)).length;
      }),
    );
    expect(new Set(lengths).size).toBe(1);
  });

  test("can be edited by hand: in any order, without padding, armored or not", async () => {
    const key = keyPlace();
    const file = await fileWith(valuesOf({ a: "1", b: "2" }), key);
    const { recipients } = JSON.parse(await decrypt(file, key.identity ?? ""));
    const edited = JSON.stringify({ values: { b: "2", a: "3" }, version: 1, recipients });
    const binary = await encrypt(edited, key.identity ?? "");
    for (const one of [binary, Buffer.from(armor.encode(binary).replaceAll("\n", "\r\n"))]) {
      expect(await new AgeVault("pbx1", key).read(one)).toEqual(valuesOf({ a: "3", b: "2" }));
      expect(await fileWith(valuesOf({ a: "3", b: "2" }), key, {}, one)).toBe(one);
    }
  });

  test("are not there, and need no key, where there is no file", async () => {
    const key = keyPlace();
    const vault = new AgeVault("pbx1", key);
    expect((await vault.read(undefined)).size).toBe(0);
    expect((await vault.prepare(new Map(), undefined)).file).toBeUndefined();
    expect(key.made).toBe(0);
  });
});

describe("a file that can't be opened", () => {
  const key = keyPlace();
  const made = fileWith(valuesOf({ a: "CANARY" }), key);
  const read = (file: Uint8Array | string, identity: AgeIdentity = key): Promise<SecretValues> =>
    new AgeVault("pbx1", identity).read(Buffer.from(file as string));

  test("whose key is gone is never opened, nor written, with a new one", async () => {
    const gone = keyPlace();
    const lost = {
      code: "SecretMissing",
      message: "the key to secrets.age is not there: the secret asterisk-iac, key age-identity",
      hint: expect.stringContaining("backup"),
    };
    await expect(read(await made, gone)).rejects.toMatchObject(lost);
    await expect(new AgeVault("pbx1", gone).prepare(new Map(), await made)).rejects.toMatchObject(lost);
    expect(gone.made).toBe(0);
  });

  test("is told with the public key of the one that was tried", async () => {
    const other = await generateX25519Identity();
    const refused = {
      code: "RecordInvalid",
      message: "the vault pbx1-secrets can't be opened with the secret asterisk-iac, key age-identity",
      hint: expect.stringContaining(await identityToRecipient(other)),
    };
    await expect(read(await made, keyPlace(other))).rejects.toMatchObject(refused);
    const vault = new AgeVault("pbx1", keyPlace(other));
    await expect(vault.prepare(valuesOf({ a: "x" }), await made)).rejects.toMatchObject(refused);
  });

  test("holds a merge conflict", async () => {
    const text = Buffer.from(await made).toString();
    const conflict = `<<<<<<< HEAD\n${text}=======\n${text}>>>>>>> other\n`;
    await expect(read(conflict)).rejects.toMatchObject({
      message: "the vault pbx1-secrets holds the marks of a merge conflict",
      hint: expect.stringContaining("--ours"),
    });
  });

  test.each(["", "nothing", "-----BEGIN AGE ENCRYPTED FILE-----\nAAAA\n", "age-encryption.org/v1\nx"])(
    "is damaged: %j",
    async (text) => {
      await expect(read(text)).rejects.toMatchObject({ code: "RecordInvalid" });
    },
  );

  test("was cut off", async () => {
    const text = Buffer.from(await made).toString();
    const cut = armor.encode(armor.decode(text).subarray(0, 300));
    await expect(read(cut)).rejects.toMatchObject({ code: "RecordInvalid" });
  });

  test.each(["not JSON CANARY", '{"version":1,"recipients":[],"values":{"a":4711}}', "{}"])(
    "holds something else: %s",
    async (text) => {
      const refused: unknown = await read(await encrypt(text, key.identity ?? "")).catch(
        (each: unknown) => each,
      );
      expect(refused).toMatchObject({ code: "RecordInvalid", hint: expect.stringContaining("quotes") });
      expect(JSON.stringify(refused) + String((refused as Error).cause)).not.toMatch(/CANARY|4711/);
    },
  );

  test.each(["", "AGE-SECRET-KEY-1CANARY", "hunter2"])("whose key is none: %j", async (identity) => {
    const refused: unknown = await read(await made, keyPlace(identity)).catch((each: unknown) => each);
    expect(refused).toMatchObject({
      code: "SecretMissing",
      message: expect.stringContaining("no secret key"),
    });
    expect(`${String(refused)} ${String((refused as Error).cause)}`).not.toMatch(/CANARY|hunter2/);
  });

  test("a recipient that is none is refused", async () => {
    await expect(fileWith(valuesOf({ a: "x" }), keyPlace(), { recipients: ["age1x"] })).rejects.toMatchObject(
      {
        code: "InvalidManifest",
        message: "age1x is no recipient of age",
      },
    );
  });
});

async function newRecipient(): Promise<string> {
  return identityToRecipient(await generateX25519Identity());
}
