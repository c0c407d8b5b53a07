import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import type { Host } from "../../asterisk/host.ts";
import { formatHostRecord, markVerified, readHostState } from "../../asterisk/host-record.ts";
import { listKept, readKept, toPrune } from "../../asterisk/kept.ts";
import type { Kept } from "../../asterisk/kept.ts";
import { rollback } from "../../asterisk/rollback.ts";
import { applyTransaction, recover } from "../../asterisk/transaction.ts";
import type { FileWrite, Transaction } from "../../asterisk/transaction.ts";
import { COMMIT_SCRIPT, STAGE_SCRIPT } from "../../asterisk/transaction-scripts.ts";
import { contentHash } from "../../core/record.ts";
import { onlyServer } from "../support/host-sshd.ts";
import { intercepted } from "../support/killed-scripts.ts";
import { useLab } from "../support/lab.ts";
import { sshOf } from "../support/lab-connections.ts";

const hash = (text: string): string => contentHash(Buffer.from(text));

const CONFIG = "/etc/asterisk";
const SPOOL = "/var/spool/asterisk";
const where = { configDirectory: CONFIG, spoolDirectory: SPOOL };

describe.each([22, 16] as const)("writing on a live server of Asterisk %i", (asterisk) => {
  const lab = useLab({ asterisk });
  let host: Host;
  beforeAll(async () => {
    host = await sshOf(onlyServer(lab), "admin");
  });
  afterAll(() => host.close());

  /** Runs a script as root in the server; what it prints. */
  async function root(script: string): Promise<string> {
    const { code, stdout, stderr } = await onlyServer(lab).run(["sh", "-c", script]);
    if (code !== 0) throw new Error(`${script}: ${stdout.toString()}${stderr.toString()}`);
    return stdout.toString();
  }
  const about = async (path: string) =>
    (await root(`cd ${CONFIG}; stat -c '%a %U:%G' '${path}'; cat '${path}'`)).trim();

  beforeEach(async () => {
    await root(`cd ${CONFIG}; rm -rf t ${SPOOL}/asterisk-iac; mkdir t t/in; chown -R asterisk:asterisk t
      printf 'old a' >t/a.conf; printf 'old b' >t/b.conf; printf 'old c' >t/in/c.conf
      chown asterisk:asterisk t/*.conf t/in/*.conf; chmod 640 t/a.conf t/in/c.conf; chmod 604 t/b.conf`);
  });
  afterEach(async () => {
    await root(
      `cd ${CONFIG}; umount t/b.conf 2>/dev/null; umount t/in 2>/dev/null; umount t 2>/dev/null; true`,
    );
  });

  const write = (path: string, expected: string | null, text: string): FileWrite => ({
    path: `t/${path}`,
    bytes: Buffer.from(text),
    expected: expected === null ? null : hash(expected),
  });
  const both = [write("a.conf", "old a", "new a"), write("b.conf", "old b", "new b")];
  const transaction = (writes: readonly FileWrite[], more: Partial<Transaction> = {}): Transaction => ({
    ...where,
    generation: 0,
    writes,
    removals: [],
    record: {
      version: 1,
      manager: "test",
      planHash: "plan",
      appliedAt: "2026-01-01T00:00:00Z",
      verified: false,
      files: {},
    },
    ...more,
  });
  /** Nothing was written, nothing was left behind. */
  async function expectUntouched(): Promise<void> {
    expect([await about("t/a.conf"), await about("t/b.conf")]).toEqual([
      "640 asterisk:asterisk\nold a",
      "604 asterisk:asterisk\nold b",
    ]);
    await expectNoStray();
    expect(await readHostState(host, SPOOL)).toEqual({ record: undefined, intent: undefined });
  }
  async function expectNoStray(): Promise<void> {
    expect(
      await root(`find ${CONFIG} -name '.asterisk-iac*'; ls ${SPOOL}/asterisk-iac/open 2>/dev/null; true`),
    ).toBe("");
  }

  test("files are written, made, emptied and removed in two round trips; record, modes and owners say so", async () => {
    const before = host.roundTrips;
    const odd = " Ánd \\ 'x' -.conf";
    const applied = await applyTransaction(
      host,
      transaction([...both, write(`new/${odd}`, null, "ñ")], {
        removals: [{ path: "t/in/c.conf", expected: hash("old c") }],
      }),
    );
    expect(host.roundTrips - before).toBe(2);
    expect(await about("t/a.conf")).toBe("640 asterisk:asterisk\nnew a");
    expect(await about("t/b.conf")).toBe("604 asterisk:asterisk\nnew b");
    expect(await root(`cat ${CONFIG}/t/new/*; ls ${CONFIG}/t/in; stat -c %a ${CONFIG}/t/new/*`)).toBe(
      "ñ640\n",
    );
    const { record, intent } = await readHostState(host, SPOOL);
    expect(intent).toBeUndefined();
    expect(record).toEqual(applied.record);
    expect(record?.files[`t/new/${odd}`]).toMatchObject({
      hash: hash("ñ"),
      mode: "0640",
      owner: "asterisk:asterisk",
    });
    expect(await root(`stat -c '%a %U' ${SPOOL}/asterisk-iac`)).toBe("700 asterisk\n");
    await expectNoStray();

    const verified = await markVerified(host, { spoolDirectory: SPOOL, record: applied.record });
    expect((await readHostState(host, SPOOL)).record).toEqual({ ...verified, verified: true });

    const undone = await rollback(host, { ...where, id: applied.kept, appliedAt: "2026-01-02T00:00:00Z" });
    expect(undone.generation).toBe(2);
    expect(await about("t/b.conf")).toBe("604 asterisk:asterisk\nold b");
    expect(await about("t/in/c.conf")).toBe("640 asterisk:asterisk\nold c");
    expect(await root(`ls ${CONFIG}/t/new`)).toBe("");
    expect(undone.record.files).toEqual({});
    const kept = await listKept(host, SPOOL);
    expect(kept.map(({ generation }) => generation)).toEqual([2, 1]);
    const { contents } = await readKept(host, { spoolDirectory: SPOOL, id: kept[0]?.id ?? "" });
    expect(contents.get("t/a.conf")?.toString()).toBe("new a");
  });

  test("a file is emptied instead of removed where that is asked for", async () => {
    const removals = [{ path: "t/b.conf", expected: hash("old b"), emptyInstead: true }];
    await applyTransaction(host, transaction([], { removals }));
    expect(await about("t/b.conf")).toBe("604 asterisk:asterisk");
  });

  test("what somebody else changed, made or removed is refused, and nothing is written", async () => {
    const cases = [
      [write("b.conf", "other", "x"), "t/b.conf"],
      [write("b.conf", null, "x"), "t/b.conf"],
      [write("gone.conf", "old", "x"), "t/gone.conf"],
    ] as const;
    for (const [other, path] of cases) {
      await expect(applyTransaction(host, transaction([both[0] as FileWrite, other]))).rejects.toMatchObject({
        code: "ChangedMeanwhile",
        message: expect.stringContaining(path) as unknown,
      });
      await expectUntouched();
    }
  });

  test("an edit between staging and commit is refused, and stays", async () => {
    const edited = intercepted(
      host,
      COMMIT_SCRIPT,
      (script) => `printf theirs >${CONFIG}/t/in/c.conf\n${script}`,
    );
    const writes = [...both, write("in/c.conf", "old c", "new c")];
    await expect(applyTransaction(edited, transaction(writes))).rejects.toMatchObject({
      code: "ChangedMeanwhile",
    });
    expect(await about("t/in/c.conf")).toContain("theirs");
    await expectUntouched();
  });

  test("an edit after the old bytes were kept, right before the intent, is refused, and stays", async () => {
    const edited = intercepted(host, COMMIT_SCRIPT, (script) =>
      script.replace("# The last look", `printf theirs >${CONFIG}/t/in/c.conf\n# The last look`),
    );
    const writes = [...both, write("in/c.conf", "old c", "new c")];
    await expect(applyTransaction(edited, transaction(writes))).rejects.toMatchObject({
      code: "ChangedMeanwhile",
    });
    expect(await about("t/in/c.conf")).toContain("theirs");
    await expectUntouched();
  });

  test("a stale generation is refused, at once and at the commit", async () => {
    const { record } = await applyTransaction(host, transaction([write("in/c.conf", "old c", "new c")]));
    await expect(applyTransaction(host, transaction(both))).rejects.toMatchObject({
      code: "StaleGeneration",
    });
    const newer = formatHostRecord({ ...record, generation: 7 });
    const overtaken = intercepted(
      host,
      COMMIT_SCRIPT,
      (script) => `printf '%s\\n' '${newer}' >${SPOOL}/asterisk-iac/record\n${script}`,
    );
    await expect(applyTransaction(overtaken, transaction(both, { generation: 1 }))).rejects.toMatchObject({
      code: "StaleGeneration",
    });
    expect(await about("t/a.conf")).toContain("old a");
    await expectNoStray();
  });

  test("a write waits for another one's lock, and says so when it is not given up", async () => {
    await applyTransaction(host, transaction([write("in/c.conf", "old c", "new c")]));
    const lock = `${SPOOL}/asterisk-iac/lock`;
    const held = onlyServer(lab).run([
      "flock",
      lock,
      "sh",
      "-c",
      `touch ${lock}.held; while [ -e ${lock}.held ]; do sleep 0.1; done`,
    ]);
    await root(`until [ -e ${lock}.held ]; do sleep 0.05; done`);
    const impatient = intercepted(host, STAGE_SCRIPT, (script) =>
      script.replace("flock -w 10", "flock -w 0.3"),
    );
    await expect(applyTransaction(impatient, transaction(both, { generation: 1 }))).rejects.toMatchObject({
      code: "WriteInProgress",
    });
    const patient = applyTransaction(host, transaction(both, { generation: 1 }));
    await root(`rm ${lock}.held`);
    await held;
    expect((await patient).generation).toBe(2);
  });

  test("without flock: a lock whose holder is dead is taken over, one that is held is not", async () => {
    const without = "command() { case $* in '-v flock') return 1 ;; esac; eval '\"$@\"'; }";
    const bare = (first: string) =>
      intercepted(
        host,
        STAGE_SCRIPT,
        (script) => `${without}\n${first}\n${script.replace('"$tries" -lt 100', '"$tries" -lt 3')}`,
      );
    const room = `${SPOOL}/asterisk-iac`;
    await expect(
      applyTransaction(
        bare(
          `mkdir -p -m 700 ${room}; ln -s "1.$(started() { :; }; IFS= read -r s </proc/1/stat; set -- \${s##*) }; printf %s \${20})" ${room}/lock.holder`,
        ),
        transaction(both),
      ),
    ).rejects.toMatchObject({ code: "WriteInProgress" });
    await root(`rm ${room}/lock.holder`);
    await applyTransaction(bare(`ln -s 1.5 ${room}/lock.holder`), transaction(both));
    expect(await about("t/a.conf")).toContain("new a");
    expect(await root(`ls ${room}`)).not.toContain("holder");
  });

  test("links are never written through or over: at the file, in its path, at the root, swapped in during the write", async () => {
    await root(`mkdir -p /tmp/elsewhere; printf 'old a' >/tmp/elsewhere/a.conf; chown -R asterisk /tmp/elsewhere
      cd ${CONFIG}/t; ln -s /tmp/elsewhere dir; ln -s /tmp/elsewhere/a.conf link.conf`);
    for (const path of ["link.conf", "dir/a.conf"])
      await expect(
        applyTransaction(host, transaction([...both, write(path, "old a", "x")])),
      ).rejects.toMatchObject({
        code: "PathRefused",
      });
    await expect(
      applyTransaction(host, transaction([...both, write("dir/new.conf", null, "x")])),
    ).rejects.toMatchObject({
      code: "PathRefused",
    });
    const swaps = [
      ["at the file", `mv a.conf was.conf && ln -s /tmp/elsewhere/a.conf a.conf`, "mv was.conf a.conf"],
      [
        "in the path",
        `mv in was && cp -r was /tmp/elsewhere/in && ln -s /tmp/elsewhere/in in`,
        "rm in; mv was in",
      ],
    ] as const;
    const writes = [...both, write("in/c.conf", "old c", "new c")];
    for (const [, swap, back] of swaps)
      for (const place of ["enter_room", "# The last look", "if forward; then"]) {
        const swapped = intercepted(host, COMMIT_SCRIPT, (script) => {
          const at = script.lastIndexOf(place);
          return `${script.slice(0, at)}(cd ${CONFIG}/t; ${swap})\n${script.slice(at)}`;
        });
        await applyTransaction(swapped, transaction(writes)).catch(() => undefined);
        expect(
          await root("cat /tmp/elsewhere/a.conf; cat /tmp/elsewhere/in/c.conf 2>/dev/null; true"),
        ).not.toContain("new");
        await root(`cd ${CONFIG}/t; ${back}; rm -rf /tmp/elsewhere/in ${SPOOL}/asterisk-iac; find . -name '.asterisk-iac*' -exec rm -rf {} +
          printf 'old a' >a.conf; printf 'old b' >b.conf; printf 'old c' >in/c.conf`);
      }
  });

  test("a file of another owner can't be written as it was, and is refused before anything is", async () => {
    await root(`cd ${CONFIG}/t; chown root:asterisk b.conf; chmod 664 b.conf`);
    await expect(applyTransaction(host, transaction(both))).rejects.toMatchObject({
      code: "PermissionDenied",
      message: expect.stringContaining("asterisk:asterisk instead of 0664 root:asterisk") as unknown,
      hint: expect.stringContaining("become: root") as unknown,
    });
    await root(`cd ${CONFIG}/t; chown asterisk:asterisk b.conf; chmod 604 b.conf`);
    await expectUntouched();
  });

  test("a full file system: every file is as it was", async () => {
    await root(`cd ${CONFIG}; cp -a t /tmp/t.copy; mount -t tmpfs -o size=64k,mode=755 tmpfs t
      cp -a /tmp/t.copy/. t; rm -rf /tmp/t.copy; chown asterisk:asterisk t; head -c 20000 /dev/zero >t/fill`);
    const large = { ...write("b.conf", "old b", ""), bytes: Buffer.alloc(100_000, 120) };
    await expect(applyTransaction(host, transaction([both[0] as FileWrite, large]))).rejects.toMatchObject({
      code: "WriteFailed",
      message: expect.stringContaining("No space left on device") as unknown,
      where: { file: `${CONFIG}/t/b.conf` },
    });
    await expectUntouched();
  });

  test("a tar that takes no part, and a name too long for it: the contents arrive one by one", async () => {
    const without = intercepted(host, STAGE_SCRIPT, (script) => `tar() { return 127; }\n${script}`);
    await applyTransaction(without, transaction(both));
    expect(await about("t/a.conf")).toBe("640 asterisk:asterisk\nnew a");
    expect(await about("t/b.conf")).toBe("604 asterisk:asterisk\nnew b");
    const long = `${"l".repeat(200)}.conf`;
    const next = [
      write(long, null, "long"),
      write("a.conf", "new a", ""),
      write("in/c.conf", "old c", "new c"),
    ];
    await applyTransaction(host, transaction(next, { generation: 1 }));
    expect(await about(`t/${long}`)).toBe("640 asterisk:asterisk\nlong");
    expect(await about("t/a.conf")).toBe("640 asterisk:asterisk");
    expect(await about("t/in/c.conf")).toBe("640 asterisk:asterisk\nnew c");
  });

  test("contents that tar left out, or that came otherwise than they were sent, are not put in place", async () => {
    const torn = intercepted(
      host,
      STAGE_SCRIPT,
      (script) => `tar() { command tar "$@" && { [ ! -d "$4" ] || printf x >"$4/b.conf"; }; }\n${script}`,
    );
    await expect(applyTransaction(torn, transaction(both))).rejects.toMatchObject({ code: "WriteFailed" });
    await expectUntouched();
  });

  test("a spool without room: nothing is renamed before the old bytes are kept", async () => {
    await root(`mkdir -p -m 700 ${SPOOL}/asterisk-iac; mount -t tmpfs -o size=16k,mode=700 tmpfs ${SPOOL}/asterisk-iac
      chown asterisk:asterisk ${SPOOL}/asterisk-iac; head -c 60000 /dev/zero | tr '\\0' x >${CONFIG}/t/in/c.conf`);
    const big = "x".repeat(60_000);
    await expect(
      applyTransaction(host, transaction([...both, write("in/c.conf", big, "small")])),
    ).rejects.toMatchObject({ code: "WriteFailed" });
    await expectUntouched();
    await root(`umount ${SPOOL}/asterisk-iac`);
  });

  test("a directory that is mounted read-only: every file is as it was", async () => {
    await root(`cd ${CONFIG}/t; mount --bind in in && mount -o remount,ro,bind in`);
    const writes = [...both, write("in/c.conf", "old c", "new c")];
    await expect(applyTransaction(host, transaction(writes))).rejects.toMatchObject({
      code: "WriteFailed",
      message: expect.stringContaining("Read-only file system") as unknown,
    });
    await expectUntouched();
  });

  test("a file that is mounted by itself can't be renamed over: those already renamed are put back", async () => {
    await root(`cd ${CONFIG}/t; cp -a b.conf /tmp/b.mounted; mount --bind /tmp/b.mounted b.conf`);
    await expect(applyTransaction(host, transaction(both))).rejects.toMatchObject({
      code: "WriteFailed",
      message: expect.stringContaining("Device or resource busy") as unknown,
      where: { file: `${CONFIG}/t/b.conf` },
    });
    await expectUntouched();
  });

  test("a connection that is cut while the contents arrive leaves nothing that recover does not remove", async () => {
    const torn = intercepted(
      host,
      STAGE_SCRIPT,
      (script) => `head() { command head -c 3; exit 0; }\n${script}`,
    );
    await expect(applyTransaction(torn, transaction(both))).rejects.toMatchObject({
      code: "UnexpectedAnswer",
    });
    expect((await readHostState(host, SPOOL)).intent).toMatchObject({ committing: false });
    expect(await recover(host, where)).toEqual({ outcome: "Restored", left: [] });
    await expectUntouched();
  });

  test("the room must be the writer's own, and no link", async () => {
    await root(`mkdir -m 700 ${SPOOL}/asterisk-iac`);
    await expect(applyTransaction(host, transaction(both))).rejects.toMatchObject({
      code: "PermissionDenied",
    });
    await root(`rmdir ${SPOOL}/asterisk-iac; ln -s /tmp ${SPOOL}/asterisk-iac`);
    await expect(applyTransaction(host, transaction(both))).rejects.toMatchObject({ code: "PathRefused" });
    await root(`rm ${SPOOL}/asterisk-iac`);
    await expectUntouched();
  });
});

test("the oldest applies are let go of, but never the newest bytes of a path", () => {
  const kept = (generation: number, path: string, size: number): Kept => ({
    version: 1,
    id: String(generation),
    generation,
    manager: "test",
    planHash: "plan",
    appliedAt: "",
    previous: null,
    files: [{ path, before: { hash: "", mode: "", owner: "", size }, after: null, recorded: null }],
  });
  const list = [kept(4, "a", 600), kept(3, "a", 600), kept(2, "a", 1), kept(1, "b", 5000)];
  expect(toPrune(list, { count: 2, kib: 100 })).toEqual(["2"]);
  expect(toPrune(list, { count: 10, kib: 1 })).toEqual(["3"]);
});
