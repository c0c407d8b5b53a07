/** What resources own in files, on a real server: bytes of server and source, and the record. */
import { beforeAll, describe, expect, test } from "@jest/globals";
import type { AsteriskServerSpec } from "../../core/resource/index.ts";
import type { ApplyResult } from "../../engine/apply.ts";
import type { DeclaredConfFile } from "../../engine/desired.ts";
import { DeclaredReconciler, declaredFile } from "../support/declared.ts";
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
  declaredFile(path.replace(/\W/g, "-"), {
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
  const done = again.plan.changes.filter(
    ({ change }) => change.kind === "Conflict" || change.kind === "Write",
  );
  expect([done, again.outcome, again.server]).toEqual([[], "NothingToDo", undefined]);
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
const made = ["made.conf", "made-below/deep.conf"];
/** Keys and a section that were not there. */
const added = declaredFile("added", {
  path: "added.conf",
  sections: [
    { name: "shared", lines: "new = 1\nnew = 2" },
    { name: "fresh", lines: "a => b", exclusive: true },
  ],
});
const madeOwner = (path: string): DeclaredConfFile =>
  declaredFile(path.replace(/\W/g, "-"), { path, sections: [{ name: "shared", lines: "mine = declared" }] });

beforeAll(async () => {
  server = await DeclaredReconciler.of(lab);
  for (const path of [...cells, "equal.conf", "added.conf"]) server.put("server", path, before, 0o664);
  server.put("server", "equal.conf", Buffer.from(withMine("declared"), "latin1"), 0o664);
  await server.import();
}, 600_000);

describe("the table", () => {
  test("there by hand and otherwise it is a conflict; taken or new, only the keys are written, the record knows their owners and no value, the source nothing", async () => {
    server.files = [...cells.map((path) => owner(path, "declared")), ...made.map(madeOwner)];
    server.files = [...server.files, owner("equal.conf", "declared"), added];
    const then = await server.snapshot();
    const refused = await apply(bold);
    expect([refused.outcome, refused.refusals.map(({ code }) => code)]).toEqual(["Refused", ["Conflict"]]);
    for (const path of cells) expect([path, told(refused, path)]).toEqual([path, "Conflict Conflict"]);
    expect(await server.snapshot()).toEqual(then);

    const { source } = then;
    const result = await apply(bold, { take: { side: "source", scope: "conflicts", matches: all } });
    expect(result.outcome).toBe("Applied");
    expect(server.text("server", "added.conf")).toBe(
      `${before.toString("latin1")}\r\nnew = 1\r\nnew = 2\r\n\r\n[fresh]\r\na => b\r\n`,
    );
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
    const kept = await server.server.run(["sh", "-c", "find /var/spool/asterisk/asterisk-iac/kept"]);
    expect(kept.stdout).toContain("cell-same.conf");
    expect(kept.stdout).not.toContain("equal.conf");
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
      "made-below/deep.conf": undefined,
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
      "cell-retained.conf": "Left Left",
      "cell-edited-elsewhere.conf": "Write InSync",
      "cell-both-sides.conf": undefined,
      "cell-source-moved.conf": undefined,
      "cell-gone-both.conf": "Write",
      "made.conf": "Remove Remove",
      "made-below/deep.conf": "Remove Remove",
    });
    expect(server.text("server", "cell-drifted.conf")).toBe(withMine("declared"));
    expect(server.text("server", "cell-edited-elsewhere.conf")).toBe(withMine("declared"));
    for (const path of ["cell-withdrawn.conf", "cell-withdrawn-edited-elsewhere.conf", "added.conf"])
      expect([path, server.bytes("server", path)]).toEqual([path, before]);
    expect(server.text("server", "cell-retained.conf")).toBe(withMine("declared"));
    for (const path of made) expect(server.bytes("server", path)).toBeNull();
    const record = await server.hostRecord();
    for (const path of ["cell-withdrawn.conf", "cell-gone-both.conf", "added.conf", ...made])
      expect([path, record.owners(path)]).toEqual([path, []]);
    expect(record.owners("cell-retained.conf")).toEqual(["ConfFile cell-retained-conf"]);
    await expectNothingMore(bold);
  });

  test("both moved: nothing is written until the declaration is taken", async () => {
    const path = "cell-same.conf";
    server.put("server", path, Buffer.from(withMine("by hand"), "latin1"));
    server.files = [...server.files.filter(({ spec }) => spec.path !== path), owner(path, "newest")];
    const then = await server.snapshot();
    const refused = await apply(bold);
    expect([refused.outcome, told(refused, path)]).toEqual(["Refused", "Conflict Conflict"]);
    expect(await server.snapshot()).toEqual(then);
    expect((await apply(bold, { take: { side: "source", scope: "conflicts", matches: all } })).outcome).toBe(
      "Applied",
    );
    expect(server.text("server", path)).toBe(withMine("newest"));
    await expectNothingMore(bold);
  });
});

describe("a declaration that changes its shape", () => {
  const path = "shape.conf";
  const shape = (name: string, sections: Record<string, string>): DeclaredConfFile =>
    declaredFile(name, {
      path,
      sections: Object.entries(sections).map(([section, lines]) => ({ name: section, lines })),
    });
  const applied = async (...files: DeclaredConfFile[]): Promise<string> => {
    server.files = files;
    expect((await apply(bold)).outcome).toBe("Applied");
    await expectNothingMore(bold);
    return server.text("server", path) ?? "gone";
  };

  beforeAll(() => {
    for (const side of ["server", "source"] as const) server.put(side, path, "[theirs]\nkeep = 1\n");
  });

  test("sections and keys are added, and those left out go", async () => {
    expect(await applied(shape("q", { a: "one = 1" }))).toBe("[theirs]\nkeep = 1\n\n[a]\none = 1\n");
    expect(await applied(shape("q", { a: "one = 1\ntwo = 2", theirs: "ours = 1" }))).toBe(
      "[theirs]\nkeep = 1\nours = 1\n\n[a]\none = 1\ntwo = 2\n",
    );
    expect(await applied(shape("q", { a: "two = 2" }))).toBe("[theirs]\nkeep = 1\n\n[a]\ntwo = 2\n");
    expect(await applied(shape("q", { b: "two = 2" }))).toBe("[theirs]\nkeep = 1\n\n[b]\ntwo = 2\n");
  });

  test("a resource that is renamed keeps its keys", async () => {
    const generation = async (): Promise<string> => (await server.snapshot()).server.get(path)?.inode ?? "";
    const then = await generation();
    expect(await applied(shape("renamed", { b: "two = 2" }))).toBe("[theirs]\nkeep = 1\n\n[b]\ntwo = 2\n");
    expect(await generation()).toBe(then);
    expect((await server.hostRecord()).owners(path)).toEqual(["ConfFile renamed"]);
  });

  test("of two owners of a file one goes: the other's keys stay, and then all is as it was", async () => {
    const first = shape("first", { d: "two = 2", theirs: "ours = 1" });
    await applied(first, shape("second", { c: "three = 3", theirs: "more = 2" }));
    const without = await applied(first);
    // Which of two blank lines goes is open.
    expect(without.replace(/\n+/g, "\n")).toBe("[theirs]\nkeep = 1\nours = 1\n[d]\ntwo = 2\n");
    expect(await applied()).toBe("[theirs]\nkeep = 1\n");
  });

  test("an edit by hand beside the keys is still drift when only the keys were written since", async () => {
    await applied(shape("q", { a: "one = 1" }));
    server.put("server", path, "[theirs]\nkeep = by hand\n\n[a]\none = 1\n");
    server.files = [shape("q", { a: "one = 2" })];
    expect(told(await apply(careful), path)).toBe("Write Write");
    expect(server.text("server", path)).toBe("[theirs]\nkeep = by hand\n\n[a]\none = 2\n");
    expect(told(await apply(careful), path)).toBe("Drift InSync");
    server.files = [];
    expect(told(await apply({ ...careful, prune: true }), path)).toBe("Write Remove");
    expect(server.text("server", path)).toBe("[theirs]\nkeep = by hand\n");
    expect(told(await apply(careful), path)).toBe("Drift");
    expect(await applied()).toBe("[theirs]\nkeep = 1\n");
  });

  test("a file of ours with two owners that go one after the other is gone in the end", async () => {
    const one = declaredFile("one", { path: "ours.conf", sections: [{ name: "a", lines: "x = 1" }] });
    const two = declaredFile("two", { path: "ours.conf", sections: [{ name: "b", lines: "x = 2" }] });
    await applied(one, two);
    await applied(two);
    expect(server.text("server", "ours.conf")?.trim()).toBe("[b]\nx = 2");
    await applied();
    expect(server.bytes("server", "ours.conf")).toBeNull();
  });
});
