import { expect, test } from "@jest/globals";
import { parse } from "../../../core/conf/index.ts";
import { parseOnce } from "../../../core/conf/parse-once.ts";

test("the same bytes read the same way are parsed once; another way, or equal bytes elsewhere, anew", () => {
  const bytes = Buffer.from("[a]\nb = c\n--;\n");
  const first = parseOnce(bytes);
  expect(first).toEqual(parse(bytes));
  expect(parseOnce(bytes, { depth: 0, skipByteOrderMark: true })).toBe(first);
  expect(parseOnce(Buffer.from(bytes))).not.toBe(first);
  const inside = parseOnce(bytes, { depth: 1 });
  expect(inside).toEqual(parse(bytes, { depth: 1 }));
  expect(inside).not.toEqual(first);
});
