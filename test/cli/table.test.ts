import { beforeAll, describe, expect, test } from "@jest/globals";
import type { Side, Take } from "../../core/diff.ts";
import type { Plan } from "../../core/plan.ts";
import type { AsteriskServerSpec, UpdateDirection } from "../../core/resource/index.ts";
import type { ApplyResult } from "../../engine/apply.ts";
import type { FileState, Snapshot } from "../support/lab-reconciler.ts";
import { LabReconciler, sha256Of } from "../support/lab-reconciler.ts";
import type { ReloadWatch } from "../support/reload-watch.ts";
import { watchReloads } from "../support/reload-watch.ts";
import { useLab } from "../support/lab.ts";

/** A side against what is recorded; where nothing is, `moved` is there and `gone` is not. */
type State = "same" | "moved" | "moved alike" | "gone";

/** Whence both sides were in step: the import, or a write of ours. */
type Origin = "imported" | "written" | "never";

/** What becomes of a path: neither side touched, T like S, or gone from T. */
type Outcome = "untouched" | "S to T" | "removed from T";

interface Cell {
  readonly s: State;
  readonly t: State;
  /** The kind of the change in the plan; undefined: the path is not in it. */
  readonly careful: readonly [kind: string | undefined, outcome: Outcome];
  readonly bold: readonly [kind: string | undefined, outcome: Outcome];
}

/** The table "What happens", with `drift: Report` and `prune: false`, and then with `drift: Correct` and `prune: true`. */
const recordedCells: readonly Cell[] = [
  { s: "same", t: "same", careful: [undefined, "untouched"], bold: [undefined, "untouched"] },
  { s: "moved", t: "same", careful: ["Write", "S to T"], bold: [undefined, "untouched"] },
  { s: "same", t: "moved", careful: ["Drift", "untouched"], bold: ["Write", "S to T"] },
  { s: "same", t: "gone", careful: ["Drift", "untouched"], bold: ["Write", "S to T"] },
  { s: "gone", t: "same", careful: ["Left", "untouched"], bold: ["Remove", "removed from T"] },
  { s: "moved alike", t: "moved alike", careful: ["Record", "untouched"], bold: [undefined, "untouched"] },
  { s: "gone", t: "gone", careful: ["Record", "untouched"], bold: [undefined, "untouched"] },
];
const unrecordedCells: readonly Cell[] = [
  { s: "moved", t: "gone", careful: ["Write", "S to T"], bold: [undefined, "untouched"] },
  { s: "gone", t: "moved", careful: ["Unmanaged", "untouched"], bold: ["Unmanaged", "untouched"] },
  { s: "moved alike", t: "moved alike", careful: ["Record", "untouched"], bold: [undefined, "untouched"] },
];
const cells: readonly (readonly [Origin, Cell])[] = [
  ...recordedCells.map((cell) => ["imported", cell] as const),
  ...recordedCells.map((cell) => ["written", cell] as const),
  ...unrecordedCells.map((cell) => ["never", cell] as const),
];

/** The cells that stop everything until somebody decides. */
const conflicts: readonly (readonly [Origin, State, State, why: string])[] = [
  ["imported", "moved", "moved", "both-moved"],
  ["imported", "moved", "gone", "moved-and-gone"],
  ["imported", "gone", "moved", "moved-and-gone"],
  ["written", "moved", "moved", "both-moved"],
  ["written", "moved", "gone", "moved-and-gone"],
  ["written", "gone", "moved", "moved-and-gone"],
  ["never", "moved", "moved", "never-recorded"],
];

/** Bytes that a round trip through text would spoil: ISO-8859-1, CRLF, no final newline. */
const recorded = (path: string): Buffer => Buffer.from(`[recorded]\r\nname = J\xfcrgen ${path}`, "latin1");
const moved = (side: Side, path: string): Buffer =>
  Buffer.from(`[moved]\nwhere = ${side} \xe9\nname = ${path}`, "latin1");

const nameOf = (origin: Origin, s: State, t: State, prefix = "cell"): string =>
  `${prefix}-${origin}-${s}-${t}.conf`.replaceAll(" ", "-");

const careful: Partial<AsteriskServerSpec> = { drift: "Report", prune: false };
const bold: Partial<AsteriskServerSpec> = { drift: "Correct", prune: true };

/** A mode that is neither the server's usual one nor that of a new file. */
const oddMode = 0o664;

describe.each<UpdateDirection>(["ToAsterisk", "FromAsterisk"])("the table, %s", (updateDirection) => {
  const lab = useLab();
  const [truth, target]: [Side, Side] =
    updateDirection === "ToAsterisk" ? ["source", "server"] : ["server", "source"];
  let reconciler: LabReconciler;
  let reloads: ReloadWatch;

  beforeAll(async () => {
    reconciler = await LabReconciler.of(lab);
    reloads = await watchReloads(reconciler.server);
    for (const path of pathsOf("imported")) reconciler.put("server", path, recorded(path), oddMode);
    await reconciler.import();
    for (const path of pathsOf("written")) reconciler.put(truth, path, recorded(path));
    const first = await apply({});
    expect(first.outcome).toBe("Applied");
    for (const path of [...pathsOf("imported"), ...pathsOf("written")])
      expect([path, reconciler.bytes("source", path), reconciler.bytes("server", path)]).toEqual([
        path,
        recorded(path),
        recorded(path),
      ]);
    // A mode that we did not give: what is written over it keeps it.
    for (const path of pathsOf("written")) reconciler.put("server", path, recorded(path), oddMode);
  }, 600_000);

  function pathsOf(origin: Origin): string[] {
    return [
      ...cells.flatMap(([each, { s, t }]) => (each === origin ? [nameOf(origin, s, t)] : [])),
      ...conflicts.flatMap(([each, s, t]) => (each === origin ? [nameOf(origin, s, t, "conflict")] : [])),
    ];
  }

  const apply = (spec: Partial<AsteriskServerSpec>, take?: Take): Promise<ApplyResult> =>
    reconciler.apply({ spec: { ...spec, updateDirection }, ...(take === undefined ? {} : { take }) });

  /** Brings one side of a path into its state. */
  function move(side: Side, path: string, state: State): void {
    if (state === "same") return;
    const isThere = reconciler.bytes(side, path) !== null;
    if (state === "gone") {
      if (isThere) reconciler.put(side, path, null);
      return;
    }
    const bytes = moved(state === "moved alike" ? "source" : side, path);
    reconciler.put(side, path, bytes, side === "server" ? oddMode : 0o600);
  }

  const kindOf = (plan: Plan, path: string): string | undefined =>
    plan.changes.find(({ change }) => change.path === path)?.change.kind;

  function expectOutcome(path: string, outcome: Outcome, before: Snapshot, after: Snapshot): void {
    expect([path, after[truth].get(path)]).toEqual([path, before[truth].get(path)]);
    const [was, is] = [before[target].get(path), after[target].get(path)];
    if (outcome === "untouched") expect([path, is]).toEqual([path, was]);
    if (outcome === "removed from T") expect([path, is]).toEqual([path, undefined]);
    if (outcome === "S to T") {
      expect(is).toMatchObject({ sha256: before[truth].get(path)?.sha256, ...expectedAccess(path, was) });
    }
  }

  /**
   * Mode and owner of what was written: in the source always its owner's alone; on the server as they were, and where the
   * file was gone, as they are recorded.
   */
  function expectedAccess(path: string, was: FileState | undefined): Partial<FileState> {
    if (target === "source") return { mode: "600" };
    if (was !== undefined) return { mode: was.mode, owner: was.owner };
    return { mode: path.includes("-imported-") ? "664" : "640", owner: "asterisk:asterisk" };
  }

  async function expectNothingMore(spec: Partial<AsteriskServerSpec>): Promise<void> {
    const before = await reconciler.snapshot();
    await reloads.heard();
    const again = await apply(spec);
    expect(again.outcome).toBe("NothingToDo");
    expect(again).not.toHaveProperty("server");
    expect(await reloads.heard()).toEqual([]);
    expect(await reconciler.snapshot()).toEqual(before);
  }

  test("drift: Report and prune: false: every cell, and nothing more at the next apply", async () => {
    for (const [origin, { s, t }] of cells) {
      move(truth, nameOf(origin, s, t), s);
      move(target, nameOf(origin, s, t), t);
    }
    const before = await reconciler.snapshot();
    const result = await apply(careful);
    const after = await reconciler.snapshot();
    expect(result.outcome).toBe("Applied");
    for (const [origin, { s, t, careful: cell }] of cells) {
      const [kind, outcome] = cell;
      const path = nameOf(origin, s, t);
      expect([path, kindOf(result.plan, path)]).toEqual([path, kind]);
      expectOutcome(path, outcome, before, after);
    }
    expectNoStrays(before, after);
    await expectNothingMore(careful);
  });

  test("drift: Correct and prune: true: every cell, and nothing more at the next apply", async () => {
    const before = await reconciler.snapshot();
    const result = await apply(bold);
    const after = await reconciler.snapshot();
    expect(result.outcome).toBe("Applied");
    for (const [origin, { s, t, bold: cell }] of cells) {
      const [kind, outcome] = cell;
      const path = nameOf(origin, s, t);
      expect([path, kindOf(result.plan, path)]).toEqual([path, kind]);
      // What the server had before us is never removed from it.
      const wasThere = outcome === "removed from T" && target === "server" && origin === "imported";
      const blocked = result.plan.changes.find(({ change }) => change.path === path)?.blocked;
      expect([path, blocked]).toEqual([path, wasThere ? "it was there before asterisk-iac" : undefined]);
      expectOutcome(path, wasThere ? "untouched" : outcome, before, after);
    }
    expectNoStrays(before, after);
    await expectNothingMore(bold);
  });

  test("a conflict writes nothing, not even what is none; taken, each side once, nothing is lost", async () => {
    for (const [origin, s, t] of conflicts) {
      const path = nameOf(origin, s, t, "conflict");
      move(truth, path, s);
      move(target, path, t);
    }
    const bystander = "bystander.conf";
    reconciler.put(truth, bystander, recorded(bystander));
    const before = await reconciler.snapshot();
    await reloads.heard();
    const refused = await apply(bold);
    expect(refused.outcome).toBe("Refused");
    expect(refused.refusals.map(({ code }) => code)).toEqual(["Conflict"]);
    for (const [origin, s, t, why] of conflicts) {
      const path = nameOf(origin, s, t, "conflict");
      const planned = refused.plan.changes.find(({ change }) => change.path === path);
      expect(planned?.change).toEqual({ kind: "Conflict", path, why });
    }
    expect(await reconciler.snapshot()).toEqual(before);
    expect(await reloads.heard()).toEqual([]);

    const isFirst = (path: string): boolean => path === bystander || path.startsWith("conflict-imported");
    const first = await apply(bold, { side: truth, scope: "conflicts", matches: isFirst });
    expect(first.outcome).toBe("Refused");
    expect(await reconciler.snapshot()).toEqual(before);

    const all = (): boolean => true;
    const taken = await apply(bold, { side: truth, scope: "conflicts", matches: all });
    expect(taken.outcome).toBe("Applied");
    const after = await reconciler.snapshot();
    for (const [origin, s, t] of conflicts) {
      const path = nameOf(origin, s, t, "conflict");
      const blocked = s === "gone" && target === "server" && origin === "imported";
      if (blocked) expectOutcome(path, "untouched", before, after);
      else expectOutcome(path, s === "gone" ? "removed from T" : "S to T", before, after);
      const lost = before[target].get(path);
      if (lost !== undefined && !blocked) expect(keptHashes(after)).toContain(lost.sha256);
    }
    expectOutcome(bystander, "S to T", before, after);

    // What the server had before us is not removed from it, so that conflict is ended only by taking the server's side.
    const open = (await apply(bold)).plan.changes.filter(({ change }) => change.kind === "Conflict");
    const left = target === "server" ? [nameOf("imported", "gone", "moved", "conflict")] : [];
    expect(open.map(({ change }) => change.path)).toEqual(left);
    if (left.length > 0) {
      expect((await apply(bold, { side: "server", scope: "conflicts", matches: all })).outcome).toBe(
        "Applied",
      );
      for (const path of left) expect(reconciler.bytes("source", path)).toEqual(moved("server", path));
    }
    await expectNothingMore(bold);
  });

  test("a conflict that goes the other way: T is taken, and S keeps its old bytes", async () => {
    const path = "other-way.conf";
    reconciler.put(truth, path, recorded(path));
    expect((await apply(bold)).outcome).toBe("Applied");
    move(truth, path, "moved");
    move(target, path, "moved");
    const before = await reconciler.snapshot();
    const taken = await apply(bold, { side: target, scope: "conflicts", matches: (each) => each === path });
    expect(taken.outcome).toBe("Applied");
    const after = await reconciler.snapshot();
    expect(after[target].get(path)).toEqual(before[target].get(path));
    expect(after[truth].get(path)?.sha256).toBe(sha256Of(moved(target, path)));
    expect(keptHashes(after)).toContain(sha256Of(moved(truth, path)));
    await expectNothingMore(bold);
  });

  /** What lies among the kept bytes of either side. */
  function keptHashes({ records }: Snapshot): string[] {
    return [...records].flatMap(([path, { sha256 }]) => (path.includes("kept/") ? [sha256] : []));
  }

  /** Only files of the table come and go: no temporary file, and nothing of what Asterisk ships. */
  function expectNoStrays(before: Snapshot, after: Snapshot): void {
    for (const side of ["source", "server"] as const) {
      const others = (snapshot: Snapshot): [string, FileState][] =>
        [...snapshot[side]].filter(([path]) => !/^(cell|conflict)-/.test(path));
      expect(others(after)).toEqual(others(before));
    }
  }
});
