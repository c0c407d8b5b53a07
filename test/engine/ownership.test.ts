/** What resources own in files, on a real server: bytes of server and source, and the record. */
import { beforeAll, describe, expect, test } from "@jest/globals";
import { rmSync } from "node:fs";
import type { AsteriskServerSpec } from "../../core/resource/index.ts";
import type { ApplyResult } from "../../engine/apply.ts";
import type { DeclaredConfFile } from "../../engine/desired.ts";
import { importServer } from "../../engine/import.ts";
import { DeclaredReconciler, declaredAccount, declaredFile } from "../support/declared.ts";
import { useLab } from "../support/lab.ts";
import type { RunOptions } from "../support/lab-reconciler.ts";

const lab = useLab();
let server: DeclaredReconciler;

const careful: Partial<AsteriskServerSpec> = { drift: "Report", prune: false };
const bold: Partial<AsteriskServerSpec> = { drift: "Correct", prune: true };
const all = (): boolean => true;

/** ISO-8859-1, CRLF and no final newline: bytes that a round trip through text would spoil. */
const before = Buffer.from(
  "; J\xfcrgen\r\n[others]\r\nkeep = 1 ; this\r\n\r\n[shared]\r\nmine = old ; why\r\ntheirs = 2",
  "latin1",
);
const withMine = (value: string): string =>
  before.toString("latin1").replace("mine = old", `mine = ${value}`);

/** A ConfFile that owns the key `mine` of [shared]. */
const owner = (path: string, value: string, spec: object = {}): DeclaredConfFile =>
  declaredFile(path.replace(".conf", ""), {
    path,
    sections: [{ name: "shared", lines: `mine = ${value}` }],
    ...spec,
  });

const apply = (
  spec: Partial<AsteriskServerSpec>,
  options: Omit<RunOptions, "spec"> = {},
): Promise<ApplyResult> => server.apply({ spec, ...options });

/** How the plan of an apply told a path: the file's change, and each owner's. */
function told({ plan }: ApplyResult, path: string): string | undefined {
  const planned = plan.changes.find(({ change }) => change.path === path);
  if (planned === undefined) return undefined;
  return [planned.change.kind, ...(planned.owners ?? []).map(({ kind }) => kind)].join(" ");
}

async function expectNothingMore(spec: Partial<AsteriskServerSpec>): Promise<void> {
  const then = await server.snapshot();
  const again = await apply(spec);
  expect([again.outcome, again.server]).toEqual(["NothingToDo", undefined]);
  expect(await server.snapshot()).toEqual(then);
}

const cells = [
  "same",
  "changed",
  "drifted",
  "removed",
  "withdrawn",
  "withdrawn-edited-elsewhere",
  "retained",
  "edited-elsewhere",
  "both-sides",
  "source-moved",
  "gone-both",
].map((name) => `cell-${name}.conf`);
const made = ["made.conf", "made-shared.conf"];
const madeOwner = (path: string): DeclaredConfFile =>
  declaredFile(path.replace(".conf", ""), { path, sections: [{ name: "shared", lines: "mine = declared" }] });

beforeAll(async () => {
  server = await DeclaredReconciler.of(lab);
  for (const path of [...cells, "equal.conf", "differs.conf", "both-moved.conf"])
    server.put("server", path, before, 0o664);
  server.put("server", "equal.conf", withMine("declared"), 0o664);
  await server.import();
}, 600_000);

describe("the table", () => {
  test("created: only the keys are written, the record knows their owners and no value, the source nothing", async () => {
    server.files = [...cells.map((path) => owner(path, "declared")), ...made.map(madeOwner)];
    server.files = [...server.files, owner("equal.conf", "declared")];
    const source = (await server.snapshot()).source;
    const result = await apply(bold);
    expect(result.outcome).toBe("Applied");
    for (const path of cells) {
      expect([path, told(result, path)]).toEqual([path, "Write Write"]);
      expect(server.text("server", path)).toBe(withMine("declared"));
    }
    for (const path of made) expect(server.text("server", path)).toBe("[shared]\nmine = declared\n");
    expect((await server.snapshot()).server.get(cells[0] ?? "")).toMatchObject({ mode: "664" });
    expect((await server.snapshot()).server.get("made.conf")).toMatchObject({
      mode: "640",
      owner: "asterisk:asterisk",
    });
    expect((await server.snapshot()).source).toEqual(source);
    const record = await server.hostRecord();
    for (const { name, spec } of server.files) expect(record.owners(spec.path)).toEqual([`ConfFile ${name}`]);
    expect(record.text).not.toContain("declared");
  });

  test("what was there already as declared was recorded, not written", async () => {
    expect(server.text("server", "equal.conf")).toBe(withMine("declared"));
    const kept = await server.server.run([
      "sh",
      "-c",
      "grep -rl equal.conf /var/spool/asterisk/asterisk-iac/kept",
    ]);
    expect(kept.stdout).toBe("");
  });

  test("applied again: nothing is written, not even times", async () => {
    await expectNothingMore(bold);
    await expectNothingMore(careful);
  });

  test("each cell with drift: Report and prune: false", async () => {
    const without = ["withdrawn", "withdrawn-edited-elsewhere", "retained", "gone-both"].map(
      (name) => `cell-${name}.conf`,
    );
    server.files = [
      ...cells
        .filter((path) => !without.includes(path))
        .map((path) =>
          owner(path, path.includes("changed") || path.includes("both-sides") ? "newer" : "declared"),
        ),
      owner("equal.conf", "declared"),
      ...made.map(madeOwner),
    ];
    const edit = (path: string, from: string, to: string): void =>
      server.put(
        "server",
        path,
        Buffer.from((server.text("server", path) ?? "").replace(from, to), "latin1"),
      );
    edit("cell-drifted.conf", "mine = declared", "mine = by hand");
    edit("cell-removed.conf", "mine = declared ; why\r\n", "");
    edit("cell-gone-both.conf", "mine = declared ; why\r\n", "");
    edit("cell-edited-elsewhere.conf", "theirs = 2", "theirs = by hand");
    edit("cell-withdrawn-edited-elsewhere.conf", "keep = 1", "keep = by hand");
    for (const path of ["cell-both-sides.conf", "cell-source-moved.conf"])
      server.put(
        "source",
        path,
        Buffer.from(before.toString("latin1").replace("theirs = 2", "theirs = 3"), "latin1"),
      );
    const then = await server.snapshot();
    const result = await apply(careful);
    expect(result.outcome).toBe("Applied");
    expect(Object.fromEntries([...cells, ...made].map((path) => [path, told(result, path)]))).toEqual({
      "cell-same.conf": undefined,
      "cell-changed.conf": "Write Write",
      "cell-drifted.conf": "Drift Drift",
      "cell-removed.conf": "Drift Drift",
      "cell-withdrawn.conf": "Left Left",
      "cell-withdrawn-edited-elsewhere.conf": "Drift Left",
      "cell-retained.conf": "Left Left",
      "cell-edited-elsewhere.conf": "Drift InSync",
      "cell-both-sides.conf": "Write Write",
      "cell-source-moved.conf": "Write InSync",
      "cell-gone-both.conf": "Record Release",
      "made.conf": undefined,
      "made-shared.conf": undefined,
    });
    expect(server.text("server", "cell-changed.conf")).toBe(withMine("newer"));
    expect(server.text("server", "cell-both-sides.conf")).toBe(
      withMine("newer").replace("theirs = 2", "theirs = 3"),
    );
    expect(server.text("server", "cell-source-moved.conf")).toBe(
      withMine("declared").replace("theirs = 2", "theirs = 3"),
    );
    const after = await server.snapshot();
    expect(after.source).toEqual(then.source);
    for (const path of cells) {
      if (/changed|both-sides|source-moved/.test(path)) continue;
      expect([path, after.server.get(path)]).toEqual([path, then.server.get(path)]);
    }
    await expectNothingMore(careful);
  });

  test("each cell with drift: Correct and prune: true", async () => {
    const retained = owner("cell-retained.conf", "declared", { deletionPolicy: "Retain" });
    server.files = [...server.files, retained];
    expect((await apply(careful)).outcome).toBe("Applied");
    server.files = server.files.filter((file) => file !== retained && !made.includes(file.spec.path));
    const result = await apply(bold);
    expect(result.outcome).toBe("Applied");
    expect(Object.fromEntries([...cells, ...made].map((path) => [path, told(result, path)]))).toEqual({
      "cell-same.conf": undefined,
      "cell-changed.conf": undefined,
      "cell-drifted.conf": "Write Write",
      "cell-removed.conf": "Write Write",
      "cell-withdrawn.conf": "Write Remove",
      "cell-withdrawn-edited-elsewhere.conf": "Write Remove",
      "cell-retained.conf": "Record Release",
      "cell-edited-elsewhere.conf": "Write InSync",
      "cell-both-sides.conf": undefined,
      "cell-source-moved.conf": undefined,
      "cell-gone-both.conf": "Write",
      "made.conf": "Remove Remove",
      "made-shared.conf": "Remove Remove",
    });
    expect(server.text("server", "cell-drifted.conf")).toBe(withMine("declared"));
    expect(server.text("server", "cell-edited-elsewhere.conf")).toBe(withMine("declared"));
    for (const path of ["cell-withdrawn.conf", "cell-withdrawn-edited-elsewhere.conf"])
      expect([path, server.bytes("server", path)]).toEqual([path, before]);
    expect(server.text("server", "cell-retained.conf")).toBe(withMine("declared"));
    for (const path of made) expect(server.bytes("server", path)).toBeNull();
    const record = await server.hostRecord();
    for (const path of ["cell-withdrawn.conf", "cell-retained.conf", "cell-gone-both.conf", ...made])
      expect([path, record.owners(path)]).toEqual([path, []]);
  });
});
