import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { parse } from "../../core/conf/index.ts";
import { selectPaths } from "../../engine/select.ts";

const piece = fc.constantFrom(
  ...[
    "#include b.conf",
    "#tryInclude b.conf",
    "#INCLUDE <b.conf>",
    "# include b.conf",
    "#in",
    "clude b.conf",
  ],
  ...[";-- --;", ";--", "--;", ";", "#", "include ", "b.conf", "[section]", "\n", " ", "\\"],
);

test("what a file includes is selected with it, however its lines are broken by comments", async () => {
  let included = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 10 }), async (pieces) => {
      const bytes = Buffer.from(pieces.join(""));
      const paths = new Map([
        ["a.conf", "a"],
        ["b.conf", "b"],
      ]);
      const read = (names: readonly string[]) =>
        Promise.resolve(new Map(names.map((name) => [name, name === "a.conf" ? bytes : Buffer.from("")])));
      const { selected } = await selectPaths({ paths, read }, ["a.conf"], "/etc/asterisk");
      const isIncluded = parse(bytes).nodes.some(
        (node) =>
          node.kind === "directive" &&
          (node.directive === "include" || node.directive === "tryinclude") &&
          node.argument === "b.conf",
      );
      if (isIncluded) included++;
      if (isIncluded) expect(selected).toContain("b.conf");
    }),
    { numRuns: 3_000 },
  );
  expect(included).toBeGreaterThan(100);
});
