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

describe("a side that was taken", () => {
  const take = { side: "source" as const, scope: "conflicts" as const, matches: () => true };
  const one = (
    parts: Omit<Triple, "path">,
    policyParts: Partial<DiffPolicy> = {},
    direction: UpdateDirection | undefined = "ToAsterisk",
  ) => diff([{ path: "a.conf", ...parts }], { ...policy(direction), take, ...policyParts })[0];
  const undirected: Partial<DiffPolicy> = { pathPolicy: () => ({ kind: "DirectionNotSet" }) };

  test("ends a conflict", () => {
    expect(one({ source: "b", server: "c", recorded: "a" })).toEqual({
      kind: "Write",
      path: "a.conf",
      to: "server",
      cause: "taken",
      creates: false,
    });
  });

  test("ends it by a removal where that side removed the file", () => {
    expect(one({ source: null, server: "c", recorded: "a" })).toEqual({
      kind: "Remove",
      path: "a.conf",
      to: "server",
    });
  });

  test("never removes what only the other side ever had", () => {
    expect(one({ source: null, server: "c", recorded: null }, undirected)).toEqual({
      kind: "Unmanaged",
      path: "a.conf",
      why: "only-there",
    });
  });

  test("leaves alone what is no conflict, and what the choice is not for", () => {
    expect(one({ source: "a", server: "b", recorded: "a" }, { drift: "Report" })).toMatchObject({
      kind: "Drift",
    });
    expect(
      one({ source: "b", server: "c", recorded: "a" }, { take: { ...take, matches: () => false } }),
    ).toMatchObject({ kind: "Conflict" });
  });

  test("for all files: whatever that side has is written, against the direction too, and nothing is removed", () => {
    const all = { take: { ...take, scope: "all" as const } };
    expect(one({ source: "a", server: "b", recorded: "a" }, all, "FromAsterisk")).toMatchObject({
      kind: "Write",
      to: "server",
      cause: "taken",
    });
    expect(one({ source: "a", server: null, recorded: null }, { ...all, ...undirected })).toMatchObject({
      kind: "Write",
      to: "server",
      creates: true,
    });
    expect(one({ source: null, server: "a", recorded: "a" }, all)).toMatchObject({ kind: "Left" });
  });
});
