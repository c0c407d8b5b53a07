import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { parse } from "../../core/conf/cst.ts";
import { applyEdits, modify } from "../../core/conf/edit.ts";
import type { Change } from "../../core/conf/edit.ts";
import { effectiveView, filesOf } from "../../core/conf/index.ts";
import { isConf } from "../../core/conf/lint/roots.ts";
import { isSecretKey } from "../../core/conf/secrets.ts";
import type { Detail, Effect } from "../../core/difference.ts";
import { differenceOf } from "../../core/difference.ts";
import { rootTree } from "../../lab/root-tree.ts";
import { confDirectory } from "../support/conf-arbitraries.ts";
import { contentsOf } from "../support/get-config.ts";
import { viewOf } from "../support/views.ts";

/** One whose sections stand for themselves, and those with words of their own. */
const roots = ["x.conf", "pjsip.conf", "manager.conf", "queues.conf", "voicemail.conf", "extensions.conf"];
const root = fc.constantFrom(...roots);

const anyView = confDirectory.map((files) => effectiveView("root.conf", filesOf(contentsOf("", files))));

/** The same seen from the other side; places of what is on both sides are left out. */
function reverse(effect: Effect): object {
  const { kind, action, name, context, details } = effect;
  const backwards = {
    added: "removed",
    removed: "added",
    changed: "changed",
    reordered: "reordered",
  } as const;
  return { kind, action: backwards[action], name, context, details: sorted(details.map(reverseDetail)) };
}

function reverseDetail(detail: Detail): object {
  const { action, name, old, new: now, secret, granted, position } = detail;
  const backwards = {
    ...{ added: "removed", removed: "added" },
    changed: "changed",
    reordered: "reordered",
  } as const;
  const turned = action === "renumbered" ? action : backwards[action];
  return { action: turned, name, old: now, new: old, secret, granted, position };
}

const sorted = (all: readonly object[]): string[] => all.map((one) => JSON.stringify(one)).sort();
const plainDetail = (detail: Detail): object => {
  const { action, name, old, new: now, secret, granted, position } = detail;
  return { action, name, old, new: now, secret, granted, position };
};
const plainEffect = ({ kind, action, name, context, details }: Effect): object => {
  return { kind, action, name, context, details: sorted(details.map(plainDetail)) };
};

describe("any two views", () => {
  test("a view does not differ from itself", () => {
    fc.assert(
      fc.property(anyView, root, (view, name) => {
        expect(differenceOf(view, view, name).effects).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });

  test("the way back is the way there, turned round", () => {
    fc.assert(
      fc.property(anyView, anyView, root, (a, b, name) => {
        const there = differenceOf(a, b, name);
        const back = differenceOf(b, a, name);
        if (there.refused !== undefined || back.refused !== undefined) return;
        expect(sorted(back.effects.map(reverse))).toEqual(sorted(there.effects.map(plainEffect)));
      }),
      { numRuns: 500 },
    );
  });

  test("it is JSON as it stands, and the same each time", () => {
    fc.assert(
      fc.property(anyView, anyView, root, (a, b, name) => {
        const difference = differenceOf(a, b, name);
        expect(JSON.parse(JSON.stringify(difference))).toEqual(difference);
        expect(differenceOf(a, b, name)).toEqual(difference);
      }),
      { numRuns: 100 },
    );
  });
});

const word = fc.stringMatching(/^[a-z][a-z0-9]{0,5}$/);
/** The values of others, such as `pwd`, are not shown. */
const variableName = word.filter((name) => !isSecretKey("x.conf", name));
const sections = fc.uniqueArray(
  fc.record({
    name: word,
    variables: fc.uniqueArray(fc.record({ name: variableName, value: word }), {
      selector: ({ name }) => name,
      minLength: 1,
      maxLength: 5,
    }),
  }),
  { selector: ({ name }) => name, minLength: 1, maxLength: 6 },
);

describe("an edit of a file shows as that edit and nothing else", () => {
  const file = fc.tuple(sections, fc.nat(), fc.nat()).map(([all, first, second]) => {
    const section = all[first % all.length];
    const variable = section?.variables[second % section.variables.length];
    if (section === undefined || variable === undefined) throw new Error("an empty file was generated");
    const text = all
      .map(
        ({ name, variables }) =>
          `[${name}]\n${variables.map((one) => `${one.name} = ${one.value}\n`).join("")}`,
      )
      .join("\n");
    return { text, section, variable };
  });
  type Case = typeof file extends fc.Arbitrary<infer Value> ? Value : never;

  function check(changeOf: (one: Case) => Change, expected: (one: Case) => object): void {
    fc.assert(
      fc.property(file, (one) => {
        const bytes = Buffer.from(one.text);
        const after = applyEdits(bytes, modify(parse(bytes), changeOf(one)));
        const { effects } = differenceOf(
          viewOf("x.conf", one.text),
          viewOf("x.conf", Buffer.from(after).toString()),
          "x.conf",
        );
        expect(effects).toMatchObject([expected(one)]);
        expect(effects[0]?.details).toHaveLength(
          effects[0]?.action === "removed" ? one.section.variables.length : 1,
        );
      }),
      { numRuns: 150 },
    );
  }
  const changed = ({ section }: Case, detail: object) => ({
    kind: "section",
    action: "changed",
    name: section.name,
    details: [detail],
  });

  test("a value is set", () => {
    check(
      ({ section, variable: { name } }) => ({ kind: "set-variable", section, name, value: "NEW" }),
      (one) =>
        changed(one, { action: "changed", name: one.variable.name, old: one.variable.value, new: "NEW" }),
    );
  });

  test("a variable is added", () => {
    check(
      ({ section }) => ({ kind: "add-variable", section, name: "new-name", value: "NEW" }),
      (one) => changed(one, { action: "added", name: "new-name", new: "NEW" }),
    );
  });

  test("a variable is removed", () => {
    check(
      ({ section, variable: { name } }) => ({ kind: "remove-variable", section, name }),
      (one) => changed(one, { action: "removed", name: one.variable.name, old: one.variable.value }),
    );
  });

  test("a section is added", () => {
    check(
      () => ({ kind: "add-section", name: "new-name", variables: [{ name: "v", value: "1" }] }),
      () => ({ kind: "section", action: "added", name: "new-name", details: [{ name: "v", new: "1" }] }),
    );
  });

  test("a section is removed", () => {
    check(
      ({ section }) => ({ kind: "remove-section", section }),
      ({ section }) => ({ kind: "section", action: "removed", name: section.name }),
    );
  });
});

test("Debian's files: none differs from itself, and against an empty file all of it is removed", async () => {
  const directory = join(await rootTree(22, () => undefined), "etc/asterisk");
  const paths = (await readdir(directory, { recursive: true })).filter(isConf);
  const contents = paths.map(async (path) => [path, await readFile(join(directory, path))] as const);
  const files = filesOf(new Map(await Promise.all(contents)));
  expect(paths.length).toBeGreaterThan(80);
  for (const path of paths) {
    const view = effectiveView(path, files);
    expect(differenceOf(view, view, path).effects).toEqual([]);
    const { effects } = differenceOf(view, viewOf(path, ""), path);
    const actions = effects.flatMap(({ action, details }) => [action, ...details.map((one) => one.action)]);
    expect([...new Set(actions)]).toEqual(view.sections.length === 0 ? [] : ["removed"]);
  }
}, 300_000);
