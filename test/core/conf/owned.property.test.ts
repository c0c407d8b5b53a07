import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { parse, stringify } from "../../../core/conf/cst.ts";
import { ConfError } from "../../../core/conf/errors.ts";
import { filesOf } from "../../../core/conf/document.ts";
import { load } from "../../../core/conf/load.ts";
import {
  isAsOwned,
  overlappingKeys,
  type OwnedSection,
  ownedKeys,
  readOwned,
  restoreOwned,
  writeOwned,
} from "../../../core/conf/owned.ts";
import { fragmentText } from "../../support/conf-arbitraries.ts";

const pick = <T>(values: readonly T[]) => fc.constantFrom(...values);
const variable = fc.record({
  name: pick(["v", "v", "w", "V", "permit", "new key"]),
  value: pick(["", "1", "1", "x", "x y", "a,b", "a;b", "yz", "\\", "a--"]),
});
const section: fc.Arbitrary<OwnedSection> = fc.record({
  name: pick(["a", "b", "A", "base", "new", "x;y", "also new"]),
  variables: fc.array(variable, { maxLength: 5 }),
  whole: fc.boolean(),
});
/** Sections that claim nothing twice. */
const sections = fc.array(section, { minLength: 1, maxLength: 4 }).map((all) =>
  all.filter((one, index) => {
    const claimed = ownedKeys(all.slice(0, index));
    const isSomething = one.whole || one.variables.length > 0;
    return isSomething && overlappingKeys(ownedKeys([one]), claimed).length === 0;
  }),
);

/** A file as people write them: sections, comments, some block comments, an include now and then. */
const line = fc.oneof(
  {
    weight: 8,
    arbitrary: fc
      .tuple(
        pick(["v", "w", "V", "permit", "q"]),
        pick(["=", " = ", " => ", "  =\t"]),
        pick(["", "1", "x", "a\\;b", "yz"]),
        pick(["", "", " ; note", ";note"]),
      )
      .map((parts) => parts.join("")),
  },
  { weight: 1, arbitrary: pick(["v += 2", "w+=x", "w += 1 ; more"]) },
  { weight: 4, arbitrary: pick(["[a]", "[b]", "[A]", "[c]", "[a](+)", "[b](+) ; b", "[base]", "[new]"]) },
  {
    weight: 3,
    arbitrary: pick([
      "",
      "; c",
      " ; c",
      "\t",
      ";-- v=1 --;",
      "v=3 ;-- c --;",
      ";-- c --; v=4",
      ";--\nv=9\n--;",
      "v=1;--\n[b]\n--;",
    ]),
  },
);
const decentText = fc
  .tuple(
    pick(["\n", "\n", "\r\n"]),
    fc.array(line, { maxLength: 16 }),
    pick(["", "\n", "\n\n"]),
    pick(["", "", "\xEF\xBB\xBF"]),
  )
  .map(([end, lines, last, mark]) => mark + ["[c]", "v=0", ...lines].join("\n").replaceAll("\n", end) + last);
const anyText = fc.oneof(decentText, fragmentText);

/** What a refusal leaves: nothing. */
function attempt(change: () => Buffer): Buffer | undefined {
  try {
    return change();
  } catch (error) {
    if (error instanceof ConfError) return undefined;
    throw error;
  }
}

const bytesOf = (text: string) => Buffer.from(text, "latin1");

/** Own variables of the file, as section and line, without what is included. */
function viewOf(bytes: Uint8Array) {
  const { nodes, byteOrderMark } = parse(bytes);
  const alone = stringify({ nodes: nodes.filter(({ kind }) => kind !== "directive"), byteOrderMark });
  const { sections: loaded, invalid } = load("x.conf", filesOf(new Map([["x.conf", alone]])));
  const variables = loaded.flatMap(({ name, variables: own }) =>
    own.map((one) => ({ section: name.toLowerCase(), name: one.name, value: one.value })),
  );
  return { variables, invalid };
}

/** The lines that are not blank: of several sections at the end, the one above a blank line may be another then. */
const withoutBlanks = (bytes: Buffer) =>
  bytes
    .toString("latin1")
    .replaceAll(/^\s*\n/gm, "")
    .trimEnd();

/** Second headers that one owner has taken out come back only as long as no other has changed what lay between. */
const isRepeated = (bytes: Buffer, wanted: readonly OwnedSection[]) => {
  const names = parse(bytes).nodes.flatMap((node) =>
    node.kind === "section" ? [node.name.toLowerCase()] : [],
  );
  return wanted.some(
    ({ name }) => names.indexOf(name.toLowerCase()) !== names.lastIndexOf(name.toLowerCase()),
  );
};

const isOwned = (wanted: readonly OwnedSection[]) => (one: { section: string; name: string }) =>
  overlappingKeys([{ section: one.section, keys: [one.name] }], ownedKeys(wanted)).length > 0;

const runs = 1_000;

describe("sections written into any file", () => {
  test("are what Asterisk reads there, and all else is as before", () => {
    let seen = 0;
    fc.assert(
      fc.property(decentText, sections, (text, wanted) => {
        const before = bytesOf(text);
        const written = attempt(() => writeOwned(before, wanted));
        if (!written) return;
        const was = viewOf(before);
        if (was.invalid) return;
        const is = viewOf(written);
        expect(is.invalid).toBeUndefined();
        const others = (view: typeof is) => view.variables.filter((one) => !isOwned(wanted)(one));
        expect(others(is)).toEqual(others(was));
        for (const one of wanted) {
          const own = is.variables.filter(isOwned([one])).map(({ name, value }) => ({ name, value }));
          expect(own).toEqual(one.variables);
        }
        seen++;
      }),
      { numRuns: runs },
    );
    expect(seen).toBeGreaterThan(runs / 3);
  });

  test("are read back, and written again change nothing", () => {
    let seen = 0;
    fc.assert(
      fc.property(anyText, sections, (text, wanted) => {
        const written = attempt(() => writeOwned(bytesOf(text), wanted));
        if (!written) return;
        seen++;
        expect(writeOwned(written, wanted)).toBe(written);
        const read = readOwned(written, ownedKeys(wanted));
        expect(read.map((all) => all?.map(({ name, value }) => ({ name, value })))).toEqual(
          wanted.map(({ variables }) => variables),
        );
      }),
      { numRuns: runs },
    );
    expect(seen).toBeGreaterThan(runs / 4);
  });

  test("leave every comment where it was", () => {
    fc.assert(
      fc.property(anyText, sections, (text, wanted) => {
        const before = bytesOf(text);
        const written = attempt(() => writeOwned(before, wanted));
        if (!written) return;
        const comments = (bytes: Uint8Array) =>
          parse(bytes).nodes.flatMap(({ kind, source }) => (kind === "comment" ? [source.trimEnd()] : []));
        expect(comments(written)).toEqual(comments(before));
      }),
      { numRuns: runs },
    );
  });

  test("come out again, and every byte is as it was", () => {
    fc.assert(
      fc.property(anyText, sections, (text, wanted) => {
        const before = bytesOf(text);
        const written = attempt(() => writeOwned(before, wanted));
        if (!written) return;
        expect(restoreOwned(written, ownedKeys(wanted), before).toString("latin1")).toBe(text);
      }),
      { numRuns: runs },
    );
  });

  test("come out again, and every byte of what others did meanwhile stays", () => {
    fc.assert(
      fc.property(decentText, sections, (text, wanted) => {
        const mark = text.startsWith("\xEF\xBB\xBF") ? "\xEF\xBB\xBF" : "";
        const edited = (content: string) => {
          const body = content.slice(mark.length);
          return `${mark}; top\n[top]\nt = 1\n${body}${body.endsWith("\n") ? "" : text.includes("\r\n") ? "\r\n" : "\n"}\n[end]\ne = 1\n`;
        };
        const before = bytesOf(text);
        const written = attempt(() => writeOwned(before, wanted));
        if (!written) return;
        const later = bytesOf(edited(written.toString("latin1")));
        expect(restoreOwned(later, ownedKeys(wanted), before).toString("latin1")).toBe(edited(text));
      }),
      { numRuns: runs },
    );
  });

  test("are taken out of whatever the file has become, and nothing else is", () => {
    let seen = 0;
    fc.assert(
      fc.property(decentText, decentText, sections, (text, now, wanted) => {
        const [before, later] = [bytesOf(text), bytesOf(now)];
        const keys = ownedKeys(wanted);
        const restored = attempt(() => restoreOwned(later, keys, before));
        if (!restored) return;
        const held = (bytes: Buffer) =>
          readOwned(bytes, keys).map((all) => (all ?? []).map(({ name, value }) => ({ name, value })));
        expect(held(restored)).toEqual(held(before));
        const [was, is] = [viewOf(later), viewOf(restored)];
        if (was.invalid || is.invalid) return;
        const others = (view: typeof is) => view.variables.filter((one) => !isOwned(wanted)(one));
        expect(others(is)).toEqual(others(was));
        seen++;
      }),
      { numRuns: runs },
    );
    expect(seen).toBeGreaterThan(runs / 2);
  });

  test("of two owners mean the same in either order, and come out in either order", () => {
    let seen = 0;
    fc.assert(
      fc.property(decentText, sections, sections, (text, ours, all) => {
        const theirs = all.filter((one) => overlappingKeys(ownedKeys([one]), ownedKeys(ours)).length === 0);
        const before = bytesOf(text);
        const ab = attempt(() => writeOwned(writeOwned(before, ours), theirs));
        const ba = attempt(() => writeOwned(writeOwned(before, theirs), ours));
        if (!ab || !ba) return;
        seen++;
        for (const one of [...ours, ...theirs]) {
          expect(isAsOwned(ab, one)).toBe(true);
          expect(isAsOwned(ba, one)).toBe(true);
        }
        const others = (bytes: Uint8Array) =>
          viewOf(bytes).variables.filter((one) => !isOwned([...ours, ...theirs])(one));
        expect(others(ab)).toEqual(others(ba));
        const [ourKeys, theirKeys] = [ownedKeys(ours), ownedKeys(theirs)];
        const withoutOurs = restoreOwned(ab, ourKeys, before);
        for (const one of theirs) expect(isAsOwned(withoutOurs, one)).toBe(true);
        // Which of `=` and `=>` stands there means nothing to Asterisk, and stays where the value does.
        const held = (bytes: Buffer) =>
          readOwned(bytes, ourKeys).map((all) => (all ?? []).map(({ name, value }) => ({ name, value })));
        expect(held(withoutOurs)).toEqual(held(before));
        const withoutAny = restoreOwned(withoutOurs, theirKeys, before);
        if (isRepeated(before, [...ours, ...theirs])) return;
        expect(withoutBlanks(withoutAny)).toBe(withoutBlanks(before));
      }),
      { numRuns: runs },
    );
    expect(seen).toBeGreaterThan(runs / 4);
  });
});
