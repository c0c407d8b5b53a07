import { randomBytes } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { AsteriskIacError } from "../../core/errors.ts";
import { contentHash } from "../../core/record.ts";
import { ImportSecret } from "../../operator/import-secret.ts";
import { KubernetesSecrets, type KubernetesSecret, type SecretsAPI } from "../../operator/secrets.ts";

/** Secrets in memory, with the API server's conflicts. */
class FakeSecrets implements SecretsAPI {
  readonly stored = new Map<string, KubernetesSecret>();
  /** Called before each write; may throw. */
  onWrite: () => void | Promise<void> = () => undefined;
  /** Called before each read and each write. */
  onCall: () => void | Promise<void> = () => undefined;
  #version = 0;

  async get(_: string, name: string): Promise<KubernetesSecret | undefined> {
    await this.onCall();
    return this.stored.get(name);
  }

  async create(secret: KubernetesSecret): Promise<KubernetesSecret> {
    await this.onCall();
    await this.onWrite();
    if (this.stored.has(secret.metadata.name)) throw conflict();
    return this.#put(secret);
  }

  async replace(secret: KubernetesSecret): Promise<KubernetesSecret> {
    await this.onCall();
    await this.onWrite();
    const there = this.stored.get(secret.metadata.name);
    if (there?.metadata.resourceVersion !== secret.metadata.resourceVersion) throw conflict();
    return this.#put(secret);
  }

  #put(secret: KubernetesSecret): KubernetesSecret {
    const metadata = { ...secret.metadata, resourceVersion: String(++this.#version) };
    const stored = { ...secret, metadata };
    this.stored.set(metadata.name, stored);
    return stored;
  }
}

function conflict(): AsteriskIacError {
  return new AsteriskIacError("KubernetesConflict", "somebody else wrote", { next: "Retry" });
}

const bytes = (text: string): Buffer => Buffer.from(text, "latin1");
const everything = (): boolean => true;
const importOf = (api: SecretsAPI, partBytes?: number, holds = everything): ImportSecret =>
  new ImportSecret(api, "team", "pbx1", holds, partBytes);

describe("an import as a source", () => {
  test("that is not there yet is empty", async () => {
    const source = importOf(new FakeSecrets());
    expect(await source.list()).toEqual(new Map());
    expect(await source.readRecord("import")).toBeUndefined();
    expect(await source.listKept()).toEqual([]);
    await expect(source.read("sip.conf")).rejects.toMatchObject({ code: "SourceUnavailable" });
  });

  test("is asked for once, however many files are read side by side", async () => {
    const api = new FakeSecrets();
    const paths = Array.from({ length: 50 }, (_, at) => `${at}.conf`);
    const written = importOf(api);
    await written.exclusively(async () => {
      for (const path of paths) await written.write(path, bytes(path), null, "run");
    });
    let calls = 0;
    api.onCall = () => void calls++;
    const source = importOf(api);
    expect(await Promise.all(paths.map((path) => source.read(path)))).toEqual(paths.map(bytes));
    expect(calls).toBe(1);
  });

  test("keeps every byte, in one Secret that is marked as ours, and another reads it", async () => {
    const api = new FakeSecrets();
    const source = importOf(api);
    const all = Buffer.from(Array.from({ length: 256 }, (_, at) => at));
    await source.exclusively(async () => {
      expect(await source.write("sip.conf", all, null, "run")).toBe(true);
      expect(await source.write("empty.conf", bytes(""), null, "run")).toBe(true);
      await source.writeRecord("import", "{}");
    });
    expect([...api.stored.keys()]).toEqual(["pbx1-import"]);
    expect(api.stored.get("pbx1-import")).toMatchObject({
      type: "asterisk-iac.dev/import",
      metadata: { labels: { "app.kubernetes.io/managed-by": "asterisk-iac" } },
    });
    const other = importOf(api);
    expect(await other.read("sip.conf")).toEqual(all);
    expect(await other.list()).toEqual(
      new Map([
        ["sip.conf", { hash: contentHash(all), size: 256 }],
        ["empty.conf", { hash: contentHash(bytes("")), size: 0 }],
      ]),
    );
    expect(await other.readRecord("import")).toBe("{}");
  });

  test("never overwrites or removes what is not as expected", async () => {
    const source = importOf(new FakeSecrets());
    await source.exclusively(async () => {
      await source.write("sip.conf", bytes("mine"), null, "run");
      expect(await source.write("sip.conf", bytes("theirs"), null, "run")).toBe(false);
      expect(await source.write("sip.conf", bytes("theirs"), contentHash(bytes("other")), "run")).toBe(false);
      expect(await source.remove("sip.conf", contentHash(bytes("other")), "run")).toBe(false);
      expect(await source.remove("none.conf", contentHash(bytes("")), "run")).toBe(false);
    });
    expect((await source.read("sip.conf")).toString()).toBe("mine");
    expect(await source.listKept()).toEqual([]);
  });

  test("keeps what it overwrites and removes, newest first", async () => {
    const api = new FakeSecrets();
    const source = importOf(api);
    await source.exclusively(async () => {
      await source.write("sip.conf", bytes("one"), null, "a");
      await source.write("sip.conf", bytes("two"), contentHash(bytes("one")), "b");
      await source.remove("sip.conf", contentHash(bytes("two")), "c");
      await source.keep("iax.conf", bytes("never there"), "d");
    });
    const other = importOf(api);
    expect((await other.listKept()).map(({ id, path, size }) => [id, path, size])).toEqual([
      ["d", "iax.conf", 11],
      ["c", "sip.conf", 3],
      ["b", "sip.conf", 3],
    ]);
    expect((await other.readKept("b", "sip.conf")).toString()).toBe("one");
    expect((await other.readKept("d", "iax.conf")).toString()).toBe("never there");
    await expect(other.readKept("b", "iax.conf")).rejects.toMatchObject({ code: "InvalidArgument" });
    expect(await other.list()).toEqual(new Map());
  });

  test("lists only that of which the server is the source of truth", async () => {
    const api = new FakeSecrets();
    const source = importOf(api);
    await source.exclusively(() => source.write("sip.conf", bytes("x"), null, "run"));
    const other = importOf(api, undefined, () => false);
    expect([await other.list(), other.holds("sip.conf")]).toEqual([new Map(), false]);
  });

  test("writes nothing when the work fails, and forgets what the work did", async () => {
    const api = new FakeSecrets();
    const source = importOf(api);
    await source.exclusively(() => source.write("sip.conf", bytes("one"), null, "run"));
    const failing = source.exclusively(async () => {
      await source.remove("sip.conf", contentHash(bytes("one")), "run");
      throw new Error("half way");
    });
    await expect(failing).rejects.toThrow("half way");
    expect((await source.read("sip.conf")).toString()).toBe("one");
    expect((await importOf(api).read("sip.conf")).toString()).toBe("one");
  });

  test("of two that write at the same time one is refused, and what the other wrote stands", async () => {
    const api = new FakeSecrets();
    const [a, b] = [importOf(api), importOf(api)];
    await a.exclusively(() => a.write("sip.conf", bytes("one"), null, "run"));
    const slow = a.exclusively(async () => {
      await a.list();
      await b.exclusively(() => b.write("b.conf", bytes("b"), null, "run"));
      await a.write("a.conf", bytes("a"), null, "run");
    });
    await expect(slow).rejects.toMatchObject({ code: "KubernetesConflict", next: "Retry" });
    expect([...(await importOf(api).list()).keys()]).toEqual(["sip.conf", "b.conf"]);
  });
});

describe("an import that is too large for one Secret", () => {
  const partBytes = 200;
  const large = (): Buffer => randomBytes(700);
  const write = async (source: ImportSecret, path: string, content: Buffer): Promise<void> => {
    await source.exclusively(async () => {
      const now = (await source.list()).get(path);
      await source.write(path, content, now?.problem === undefined ? (now?.hash ?? null) : null, "run");
    });
  };

  test("is split, and read as one, time after time", async () => {
    const api = new FakeSecrets();
    for (let time = 0; time < 5; time++) {
      const content = large();
      await write(importOf(api, partBytes), "sip.conf", content);
      expect(await importOf(api, partBytes).read("sip.conf")).toEqual(content);
    }
    expect([...api.stored.keys()]).toContain("pbx1-import-b2");
    for (const { data } of api.stored.values())
      expect(Buffer.from(data?.["import"] ?? "", "base64").length).toBeLessThanOrEqual(partBytes);
  });

  test("and whose writing stops anywhere is as it was or as it was to be", async () => {
    const api = new FakeSecrets();
    const [before, after] = [large(), large()];
    let stops = 0;
    for (let at = 1; ; at++) {
      await write(importOf(api, partBytes), "sip.conf", before);
      let count = 0;
      api.onWrite = () => {
        if (++count >= at) throw new Error("stopped");
      };
      const isDone = await write(importOf(api, partBytes), "sip.conf", after).then(
        () => true,
        () => false,
      );
      api.onWrite = () => undefined;
      const found = await importOf(api, partBytes).read("sip.conf");
      expect(found).toEqual(isDone ? after : before);
      if (isDone) break;
      stops += 1;
    }
    expect(stops).toBeGreaterThan(4);
  });

  test("and of whose first writing anything is missing is no import yet", async () => {
    for (let at = 1; at <= 4; at++) {
      const api = new FakeSecrets();
      let count = 0;
      api.onWrite = () => {
        if (++count >= at) throw new Error("stopped");
      };
      await expect(write(importOf(api, partBytes), "sip.conf", large())).rejects.toThrow("stopped");
      api.onWrite = () => undefined;
      expect(await importOf(api, partBytes).list()).toEqual(new Map());
      const content = large();
      await write(importOf(api, partBytes), "sip.conf", content);
      expect(await importOf(api, partBytes).read("sip.conf")).toEqual(content);
    }
  });

  test("is never torn by one that was paused before any of its calls while others wrote", async () => {
    let paused = 0;
    for (const others of [1, 2, 3])
      for (let at = 1; at <= 20; at++) {
        const api = new FakeSecrets();
        await write(importOf(api, partBytes), "sip.conf", large());
        let latest: Buffer | undefined;
        let calls = 0;
        api.onCall = async () => {
          if (++calls !== at) return;
          api.onCall = () => undefined;
          for (let time = 0; time < others; time++) {
            latest = large();
            await write(importOf(api, partBytes), "sip.conf", latest);
          }
        };
        const mine = large();
        const outcome = await write(importOf(api, partBytes), "sip.conf", mine).then(
          () => "wrote",
          (error: { code?: string }) => error.code,
        );
        if (latest === undefined) continue;
        paused += 1;
        expect(["wrote", "KubernetesConflict"]).toContain(outcome);
        expect(await importOf(api, partBytes).read("sip.conf")).toEqual(outcome === "wrote" ? mine : latest);
      }
    expect(paused).toBeGreaterThan(20);
  });

  test("and of which a part is missing or another's is an error that says what to do", async () => {
    const api = new FakeSecrets();
    await write(importOf(api, partBytes), "sip.conf", large());
    const second = [...api.stored.keys()].find((name) => name.endsWith("2")) ?? "";
    api.stored.delete(second);
    await expect(importOf(api, partBytes).list()).rejects.toMatchObject({
      code: "RecordInvalid",
      hint: expect.stringContaining("Restore pbx1-import"),
    });
  });
});

describe("the Secrets of a namespace", () => {
  test("a value is made once, however many make it at the same time", async () => {
    const secrets = new KubernetesSecrets(new FakeSecrets(), "team");
    const made = await Promise.all(
      ["a", "b", "c"].map((text) => secrets.readOrCreate("asterisk-iac", "record-key", () => bytes(text))),
    );
    expect(new Set(made.map(String)).size).toBe(1);
    expect((await secrets.read("asterisk-iac")).get("record-key")).toEqual(made[0]);
  });

  test("other keys stay as they are when one is written or removed, and a line is added", async () => {
    const api = new FakeSecrets();
    const secrets = new KubernetesSecrets(api, "team");
    await Promise.all([
      secrets.write("door", "pin", bytes("1")),
      secrets.write("door", "bell", bytes("\xff")),
    ]);
    await secrets.remove("door", "pin");
    await secrets.remove("door", "pin");
    await secrets.appendLine("door", "known_hosts", "one");
    await secrets.appendLine("door", "known_hosts", "two");
    expect(await secrets.read("door")).toEqual(
      new Map([
        ["bell", bytes("\xff")],
        ["known_hosts", bytes("one\ntwo\n")],
      ]),
    );
  });

  test("one that is missing is named with its namespace", async () => {
    await expect(new KubernetesSecrets(new FakeSecrets(), "team").read("door")).rejects.toMatchObject({
      code: "SecretMissing",
      message: "there is no Secret door in the namespace team",
    });
  });

  test("whoever never comes to write gives up", async () => {
    const api = new FakeSecrets();
    const secrets = new KubernetesSecrets(api, "team");
    await secrets.write("door", "pin", bytes("1"));
    api.onWrite = () => Promise.reject(conflict());
    await expect(secrets.write("door", "pin", bytes("2"))).rejects.toMatchObject({
      code: "KubernetesConflict",
    });
  });
});
