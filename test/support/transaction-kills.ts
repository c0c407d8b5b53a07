import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "@jest/globals";
import { readHostState } from "../../asterisk/host-record.ts";
import { listKept, readKept } from "../../asterisk/kept.ts";
import { openLocal } from "../../asterisk/local.ts";
import { applyTransaction, recover } from "../../asterisk/transaction.ts";
import type { Transaction } from "../../asterisk/transaction.ts";
import { COMMIT_SCRIPT, RECOVER_SCRIPT, STAGE_SCRIPT } from "../../asterisk/transaction-scripts.ts";
import { contentHash } from "../../core/record.ts";
import { killing } from "./killed-scripts.ts";
import { temporaryDirectory } from "./temporary.ts";

const host = openLocal({ label: "here" });

/** Path → mode and bytes; a directory ends with a slash. */
type Tree = Readonly<Record<string, string>>;

const OLD: Tree = {
  "a.conf": "0640 old a",
  "b.conf": "0600 old b",
  "gone.conf": "0644 old gone",
  "mode.conf": "0640 same",
  "sub/": "",
  "sub/d.conf": "0640 old d",
};
const NEW: Tree = {
  "a.conf": "0640 new a, longer than the old one",
  "b.conf": "0600 new b",
  "mode.conf": "0600 same",
  "made/": "",
  "made/e.conf": "0640 new e",
  "sub/": "",
  "sub/d.conf": "0640 new d",
};

interface Place {
  readonly configDirectory: string;
  readonly spoolDirectory: string;
}

function place(): Place {
  const directory = temporaryDirectory();
  const [configDirectory, spoolDirectory] = [join(directory, "etc"), join(directory, "spool")];
  mkdirSync(configDirectory);
  mkdirSync(spoolDirectory);
  for (const [path, text] of Object.entries(OLD)) {
    if (path.endsWith("/")) mkdirSync(join(configDirectory, path));
    else {
      writeFileSync(join(configDirectory, path), text.slice(5));
      chmodSync(join(configDirectory, path), parseInt(text.slice(0, 4), 8));
    }
  }
  return { configDirectory, spoolDirectory };
}

function treeOf({ configDirectory }: Place): Tree {
  const names = (readdirSync(configDirectory, { recursive: true }) as string[]).sort();
  return Object.fromEntries(
    names.map((name) => {
      const file = join(configDirectory, name);
      const about = statSync(file);
      if (about.isDirectory()) return [`${name}/`, ""];
      const mode = (about.mode & 0o7777).toString(8).padStart(4, "0");
      return [name, `${mode} ${readFileSync(file, "utf8")}`];
    }),
  );
}

function transaction(where: Place): Transaction {
  const write = (path: string) => ({
    path,
    bytes: Buffer.from((NEW[path] ?? "").slice(5)),
    expected: OLD[path] === undefined ? null : hashOf(OLD[path]),
  });
  return {
    ...where,
    generation: 0,
    writes: [
      ...["a.conf", "b.conf", "sub/d.conf", "made/e.conf"].map(write),
      { ...write("mode.conf"), mode: "0600" },
    ],
    removals: [{ path: "gone.conf", expected: hashOf(OLD["gone.conf"] ?? "") }],
    record: {
      version: 1,
      manager: "test",
      planHash: "plan",
      appliedAt: "2026-01-01T00:00:00Z",
      verified: false,
      files: {},
    },
  };
}

function hashOf(text: string): string {
  return contentHash(Buffer.from(text.slice(5)));
}

/** Everything is old, or everything is new, and the record, the kept bytes and the room say the same. */
async function expectWhole(where: Place): Promise<"old" | "new"> {
  const tree = treeOf(where);
  const side = tree["a.conf"] === OLD["a.conf"] ? "old" : "new";
  expect(tree).toEqual(side === "old" ? OLD : NEW);
  const { record, intent } = await readHostState(host, where.spoolDirectory);
  expect(intent).toBeUndefined();
  const kept = await listKept(host, where.spoolDirectory);
  const room = join(where.spoolDirectory, "asterisk-iac");
  if (existsSync(join(room, "open"))) expect(readdirSync(join(room, "open"))).toEqual([]);
  if (side === "old") {
    expect(record).toBeUndefined();
    expect(kept).toEqual([]);
    if (existsSync(join(room, "kept"))) expect(readdirSync(join(room, "kept"))).toEqual([]);
    return side;
  }
  expect(record).toMatchObject({ generation: 1, files: { "gone.conf": { hash: null } } });
  for (const [path, text] of Object.entries(NEW))
    if (!path.endsWith("/"))
      expect(record?.files[path]).toMatchObject({ mode: text.slice(0, 4), hash: hashOf(text) });
  expect(kept).toHaveLength(1);
  const { contents } = await readKept(host, { ...where, id: kept[0]?.id ?? "" });
  expect(Object.fromEntries([...contents].map(([path, bytes]) => [path, bytes.toString()]))).toEqual(
    Object.fromEntries(
      Object.entries(OLD)
        .filter(([path]) => !path.endsWith("/"))
        .map(([path, text]) => [path, text.slice(5)]),
    ),
  );
  return side;
}

async function survives(action: Promise<unknown>): Promise<boolean> {
  return action.then(
    () => true,
    () => false,
  );
}

/** Recovers, killed at its first step, then its second, …, until it is done untouched. Resolves to the number of kills. */
async function recoverKilled(where: Place): Promise<number> {
  for (let step = 1; step < 200; step++)
    if (await survives(recover(killing(host, RECOVER_SCRIPT, step), where))) return step - 1;
  throw new Error("The recovery never ended.");
}

/** Kills at each `stride`-th step until it is done untouched. Resolves to the number of steps, to within a stride. */
async function killEverywhere(
  script: string,
  stride: number,
  then: (where: Place) => Promise<void>,
): Promise<number> {
  for (let step = 1; ; step += stride) {
    const where = place();
    if (await survives(applyTransaction(killing(host, script, step), transaction(where)))) {
      expect(await expectWhole(where)).toBe("new");
      return step - 1;
    }
    await then(where);
  }
}

/**
 * Declares the tests that kill an apply at every `stride`-th of its steps on the host. An odd number stops before and
 * after them by turns.
 */
export function describeTransactionKills(stride: number): void {
  afterAll(() => host.close());

  describe("an apply that is killed at any step", () => {
    test.each([
      ["while it stages", STAGE_SCRIPT, 40],
      ["while it commits", COMMIT_SCRIPT, 60],
    ] as const)(
      "%s: the next run finds everything old or everything new",
      async (_, script, least) => {
        const seen = { old: 0, new: 0 };
        const steps = await killEverywhere(script, stride, async (where) => {
          await recover(host, where);
          const side = await expectWhole(where);
          seen[side] += 1;
          expect(await recover(host, where)).toEqual({ outcome: "Nothing", left: [] });
          if (side === "old") await applyTransaction(host, transaction(where));
          expect(await expectWhole(where)).toBe("new");
        });
        expect(steps).toBeGreaterThan(least);
        expect(seen.old).toBeGreaterThan(0);
        expect(seen.new > 0).toBe(script === COMMIT_SCRIPT);
      },
      600_000,
    );

    test("and its recovery is killed at every step too", async () => {
      let kills = 0;
      await killEverywhere(COMMIT_SCRIPT, 4 * stride, async (where) => {
        kills += await recoverKilled(where);
        await expectWhole(where);
      });
      expect(kills).toBeGreaterThan(60);
    }, 600_000);

    test("with a staged file lost: everything is old again, however often the recovery is killed", async () => {
      let undone = 0;
      await killEverywhere(COMMIT_SCRIPT, stride, async (where) => {
        const { intent } = await readHostState(host, where.spoolDirectory);
        const staged = join(where.configDirectory, "sub", `.asterisk-iac-${intent?.id ?? ""}`, "d.conf");
        if (intent?.committing !== true || !existsSync(staged)) return;
        writeFileSync(staged, "torn");
        if (undone % 2 === 0) await recoverKilled(where);
        else expect(await recover(host, where)).toEqual({ outcome: "Restored", left: [] });
        expect(await expectWhole(where)).toBe("old");
        undone += 1;
      });
      expect(undone).toBeGreaterThan(1);
    }, 600_000);

    test("with a file that somebody wrote since: theirs stays, the others are old again", async () => {
      let seen = 0;
      await killEverywhere(COMMIT_SCRIPT, stride, async (where) => {
        const { intent } = await readHostState(host, where.spoolDirectory);
        if (intent?.committing !== true || treeOf(where)["a.conf"] !== NEW["a.conf"]) return;
        writeFileSync(join(where.configDirectory, "b.conf"), "theirs");
        const before = (await readHostState(host, where.spoolDirectory)).record;
        const recovered = await recover(host, where);
        if (before !== undefined) return;
        seen += 1;
        expect(recovered).toEqual({ outcome: "Restored", left: ["b.conf"] });
        expect(treeOf(where)).toEqual({ ...OLD, "b.conf": "0600 theirs" });
      });
      expect(seen).toBeGreaterThan(2);
    }, 600_000);
  });
}
