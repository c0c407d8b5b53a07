import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import type { Change, DiffPolicy, Triple } from "../../core/diff.ts";
import { diff } from "../../core/diff.ts";
import type { UpdateDirection } from "../../core/resource/index.ts";

/** S is the side of truth and T the other, as in the design's table; letters are hashes, null is "not there". */
interface Cell {
  readonly name: string;
  readonly S: string | null;
  readonly T: string | null;
  readonly recorded: string | null;
  readonly prune?: boolean;
  readonly drift?: "Correct" | "Report";
  readonly kind: Change["kind"] | "nothing";
  readonly details?: object;
}

const cells: Cell[] = [
  { name: "nothing moved", S: "a", T: "a", recorded: "a", kind: "InSync" },
  {
    name: "S moved",
    S: "b",
    T: "a",
    recorded: "a",
    kind: "Write",
    details: { cause: "change", creates: false },
  },
  {
    name: "T moved, drift corrected",
    S: "a",
    T: "b",
    recorded: "a",
    kind: "Write",
    details: { cause: "drift", creates: false },
  },
  {
    name: "T gone, drift corrected",
    S: "a",
    T: null,
    recorded: "a",
    kind: "Write",
    details: { cause: "drift", creates: true },
  },
  { name: "T moved, drift reported", S: "a", T: "b", recorded: "a", drift: "Report", kind: "Drift" },
  { name: "T gone, drift reported", S: "a", T: null, recorded: "a", drift: "Report", kind: "Drift" },
  { name: "S gone, prune", S: null, T: "a", recorded: "a", prune: true, kind: "Remove" },
  { name: "S gone, no prune", S: null, T: "a", recorded: "a", kind: "Left" },
  {
    name: "both moved apart",
    S: "b",
    T: "c",
    recorded: "a",
    kind: "Conflict",
    details: { why: "both-moved" },
  },
  { name: "both moved to the same bytes", S: "b", T: "b", recorded: "a", kind: "Record" },
  {
    name: "S moved, T gone",
    S: "b",
    T: null,
    recorded: "a",
    kind: "Conflict",
    details: { why: "moved-and-gone" },
  },
  {
    name: "S gone, T moved",
    S: null,
    T: "b",
    recorded: "a",
    prune: true,
    kind: "Conflict",
    details: { why: "moved-and-gone" },
  },
  { name: "both gone", S: null, T: null, recorded: "a", kind: "Record" },
  {
    name: "never recorded, only in S",
    S: "a",
    T: null,
    recorded: null,
    kind: "Write",
    details: { cause: "change", creates: true },
  },
  {
    name: "never recorded, only in T",
    S: null,
    T: "a",
    recorded: null,
    prune: true,
    kind: "Unmanaged",
    details: { why: "only-there" },
  },
  { name: "never recorded, equal in both", S: "a", T: "a", recorded: null, kind: "Record" },
  {
    name: "never recorded, different in both",
    S: "a",
    T: "b",
    recorded: null,
    kind: "Conflict",
    details: { why: "never-recorded" },
  },
  { name: "nowhere at all", S: null, T: null, recorded: null, kind: "nothing" },
];

function policy(direction: UpdateDirection | undefined, cell: Partial<Cell> = {}): DiffPolicy {
  return {
    pathPolicy: () =>
      direction === undefined ? { kind: "DirectionNotSet" } : { kind: "Managed", direction },
    prune: cell.prune ?? false,
    drift: cell.drift ?? "Correct",
  };
}

function triple(direction: UpdateDirection, { S, T, recorded }: Pick<Cell, "S" | "T" | "recorded">): Triple {
  return {
    path: "extensions.conf",
    recorded,
    ...(direction === "ToAsterisk" ? { source: S, server: T } : { source: T, server: S }),
  };
}

describe.each(["ToAsterisk", "FromAsterisk"] as const)("what happens, %s", (direction) => {
  test.each(cells)("$name: $kind", (cell) => {
    const [change] = diff([triple(direction, cell)], policy(direction, cell));
    if (cell.kind === "nothing") {
      expect(change).toBeUndefined();
      return;
    }
    const written = direction === "ToAsterisk" ? "server" : "source";
    const side =
      cell.kind === "Left"
        ? { on: written }
        : ["Write", "Remove", "Drift"].includes(cell.kind)
          ? { to: written }
          : {};
    expect(change).toEqual({ kind: cell.kind, path: "extensions.conf", ...side, ...cell.details });
  });
});

const hash = fc.constantFrom("a", "b", "c", null);
const side = fc.constantFrom("a", "b", "c", null, "unknown" as const);
const anyTriple = fc.record({
  path: fc.constantFrom("a.conf", "b.conf", "c/d.conf"),
  source: side,
  server: side,
  recorded: hash,
});

describe("whatever the three parties say", () => {
  test("without a direction nothing is ever written or removed", () => {
    fc.assert(
      fc.property(fc.array(anyTriple), fc.boolean(), (triples, prune) => {
        const kinds = diff(triples, policy(undefined, { prune })).map((change) => change.kind);
        expect(kinds).not.toContain("Write");
        expect(kinds).not.toContain("Remove");
      }),
    );
  });

  test("a side that could not be read leads to no write and no removal", () => {
    fc.assert(
      fc.property(
        anyTriple,
        fc.constantFrom("ToAsterisk" as const, "FromAsterisk" as const),
        (one, direction) => {
          fc.pre(one.source === "unknown" || one.server === "unknown");
          expect(diff([one], policy(direction, { prune: true }))).toEqual([
            expect.objectContaining({ kind: "Unknown" }),
          ]);
        },
      ),
    );
  });

  test("only the side that is not the truth is written", () => {
    fc.assert(
      fc.property(fc.array(anyTriple), (triples) => {
        for (const change of diff(triples, policy("ToAsterisk", { prune: true }))) {
          if ("to" in change) expect(change.to).toBe("server");
        }
      }),
    );
  });

  test("the result is sorted by path and names every path once", () => {
    fc.assert(
      fc.property(fc.uniqueArray(anyTriple, { selector: (one) => one.path }), (triples) => {
        const paths = diff(triples, policy("ToAsterisk")).map((change) => change.path);
        expect(paths).toEqual([...new Set(paths)].sort());
      }),
    );
  });
});

test("a rule that calls a path unmanaged comes before everything else", () => {
  const unmanaged: DiffPolicy = {
    ...policy("ToAsterisk"),
    pathPolicy: () => ({ kind: "Unmanaged", rule: "voicemail.conf" }),
  };
  expect(diff([{ path: "voicemail.conf", source: "a", server: "b", recorded: "c" }], unmanaged)).toEqual([
    { kind: "Unmanaged", path: "voicemail.conf", why: "rule", rule: "voicemail.conf" },
  ]);
});
