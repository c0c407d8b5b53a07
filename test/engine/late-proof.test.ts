import { beforeAll, describe, expect, test } from "@jest/globals";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { applyTransaction } from "../../asterisk/transaction.ts";
import { loadManifests } from "../../cli/manifests.ts";
import { SecretDirectory } from "../../cli/secrets.ts";
import { contentHash } from "../../core/record.ts";
import type { ApplyResult } from "../../engine/apply.ts";
import { applyServer } from "../../engine/apply.ts";
import { DirectorySource } from "../../engine/directory-source.ts";
import { importServer } from "../../engine/import.ts";
import type { Pass, PassOptions } from "../../engine/pass.ts";
import { SeenServers, withPass } from "../../engine/pass.ts";
import { useLab } from "../support/lab.ts";

const lab = useLab();
const source = (path: string): string => join(lab.directory, "source/pbx1", path);
const live = (path: string): string => join(lab.directory, "servers/pbx1/etc/asterisk", path);

async function over<T>(options: Omit<PassOptions, "seen">, work: (pass: Pass) => Promise<T>): Promise<T> {
  const { servers } = await loadManifests([lab.directory]);
  const [server] = servers;
  if (server === undefined) throw new Error("the lab declares no server");
  const declaration = {
    name: server.name,
    spec: server.resource.spec,
    source: new DirectorySource(server.sourceDirectory),
    accounts: [],
    files: [],
  };
  return withPass(
    declaration,
    new SecretDirectory(join(lab.directory, "secrets")),
    { seen: new SeenServers(), ...options },
    work,
  );
}

const apply = (): Promise<ApplyResult> =>
  over({ writing: true }, (pass) => applyServer(pass, { allow: new Set() }));
const asked = async (command: string): Promise<string> =>
  (await lab.servers[0]?.run(["asterisk", "-rx", command]))?.stdout ?? "";

/** What a run does that is killed right after its files are in place: committed, recorded, never read by Asterisk. */
async function writeAndDie(path: string): Promise<void> {
  await over({ writing: true }, async (pass) => {
    const old = readFileSync(live(path));
    await applyTransaction(pass.session.host, {
      configDirectory: pass.realPath,
      spoolDirectory: pass.spoolDirectory,
      generation: pass.generation,
      writes: [{ path, bytes: readFileSync(source(path)), expected: contentHash(old) }],
      removals: [],
      record: {
        version: 1,
        manager: pass.manager,
        planHash: "",
        appliedAt: new Date().toISOString(),
        verified: false,
        files: pass.hostRecord?.files ?? {},
      },
    });
  });
}

beforeAll(async () => {
  await over({ importing: true }, importServer);
});

describe("a write whose run was killed before Asterisk read it", () => {
  test("is read and proved by the next run, though that has nothing to write", async () => {
    appendFileSync(source("queues.conf"), "\n[first]\nstrategy = ringall\n");
    await writeAndDie("queues.conf");
    expect(await asked("queue show first")).toContain("No such queue");
    const result = await apply();
    expect(result).toMatchObject({ outcome: "Applied", server: { verification: { ok: true } } });
    expect(await asked("queue show first")).not.toContain("No such queue");
    expect((await apply()).outcome).toBe("NothingToDo");
  });

  test("is read and proved by the next run, though that writes something else", async () => {
    appendFileSync(source("queues.conf"), "\n[second]\nstrategy = ringall\n");
    await writeAndDie("queues.conf");
    appendFileSync(source("features.conf"), "; another module's file\n");
    expect((await apply()).outcome).toBe("Applied");
    expect(await asked("queue show second")).not.toContain("No such queue");
    expect((await apply()).outcome).toBe("NothingToDo");
  });

  test("is put back by the next run if Asterisk does not work with it", async () => {
    const before = readFileSync(live("pjsip.conf"));
    appendFileSync(source("pjsip.conf"), "\n[bad]\ntype = endpoint\nallow = ulwa\n");
    await writeAndDie("pjsip.conf");
    expect((await apply()).outcome).toBe("RolledBack");
    expect(readFileSync(live("pjsip.conf")).equals(before)).toBe(true);
    writeFileSync(source("pjsip.conf"), before);
    expect((await apply()).outcome).toBe("NothingToDo");
  });

  test("and changed by hand since: it is read, and the plan decides over the hand's bytes", async () => {
    appendFileSync(source("queues.conf"), "\n[third]\nstrategy = ringall\n");
    await writeAndDie("queues.conf");
    appendFileSync(live("queues.conf"), "\n[by-hand]\nstrategy = ringall\n");
    expect((await apply()).outcome).toBe("Applied");
    expect(readFileSync(live("queues.conf")).equals(readFileSync(source("queues.conf")))).toBe(true);
    expect(await asked("queue show third")).not.toContain("No such queue");
    expect(await asked("queue show by-hand")).toContain("No such queue");
  });
});
