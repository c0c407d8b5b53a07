import { describe, expect, test } from "@jest/globals";
import { effectiveView, filesOf } from "../../../core/conf/document.ts";
import { load } from "../../../core/conf/load.ts";
import { confCases } from "../../support/conf-cases.ts";
import { contentsOf, toAnswer } from "../../support/get-config.ts";

function view(files: Record<string, string>, options = {}) {
  return effectiveView("root.conf", filesOf(contentsOf("", Object.entries(files))), options);
}

function problems(files: Record<string, string>, options = {}) {
  return view(files, options).problems.map(({ kind, file, line, subject, fatal }) =>
    [kind, `${file}:${line}`, subject, ...(fatal ? ["fatal"] : [])].join(" "),
  );
}

describe("what Asterisk sees", () => {
  test.each(confCases)("$name", ({ files, answer }) => {
    expect(toAnswer(load("case/root.conf", filesOf(contentsOf("case", Object.entries(files)))))).toEqual(
      answer,
    );
  });

  test("each variable tells where it comes from, and what a += made of it", () => {
    const { sections } = view({
      "root.conf": "[t](!)\nv => 1\n[a](t)\n#include a.conf\nv += 2\nw += 3\n",
      "a.conf": "x = 4\n",
    });
    expect(sections[1]).toEqual({
      name: "a",
      template: false,
      inherits: ["t"],
      file: "root.conf",
      line: 3,
      variables: [
        { name: "v", value: "1 2", operator: "=>", file: "root.conf", line: 2 },
        { name: "x", value: "4", operator: "=", file: "a.conf", line: 1 },
        { name: "w", value: "3", operator: "+=", file: "root.conf", line: 6 },
      ],
    });
  });

  test("what nothing extended stays marked as inherited", () => {
    const { sections } = view({ "root.conf": "[t](!)\nv=1\n[a](t)\n" });
    expect(sections[1]?.variables).toEqual([
      { name: "v", value: "1", operator: "=", file: "root.conf", line: 2, inherited: true },
    ]);
  });

  test("from 23.0 a += writes to the last of equal value", () => {
    const files = { "root.conf": "[a]\nv=x\nv=X\nv+=2\n" };
    const values = (asteriskVersion: number) =>
      view(files, { asteriskVersion }).sections[0]?.variables.map(({ value }) => value);
    expect(values(22)).toEqual(["X2", "X"]);
    expect(values(23)).toEqual(["x", "X2"]);
  });

  test("an empty filter at the end counts from 18 on, not in 16", () => {
    const files = { "root.conf": "[a]\nv=1\n[a](+v=1&)\n" };
    expect(view(files, { asteriskVersion: 16 }).invalid).toBeUndefined();
    expect(view(files, { asteriskVersion: 22 }).invalid?.kind).toBe("unknown-section");
  });
});

describe("text", () => {
  test("a file is read as UTF-8 if all of it is, else as ISO-8859-1", () => {
    const { sections } = view({
      "root.conf": "[\xC3\xBC]\nv=\xC3\xA9\n#include latin1.conf\n",
      "latin1.conf": "v=\xC3\xA9\nw=\xE9\n",
    });
    expect(sections[0]?.name).toBe("ü");
    expect(sections[0]?.variables.map(({ value }) => value)).toEqual(["é", "Ã©", "é"]);
  });

  test("a value from files of two encodings is judged by itself", () => {
    const { sections } = view({
      "root.conf": "[a]\nv=\xC3\xBC\n#include latin1.conf\n",
      "latin1.conf": "v+=\xE9\n",
    });
    expect(sections[0]?.variables[0]?.value).toBe("Ã¼é");
  });

  test("an include may name a file beyond ASCII", () => {
    const files = new Map([
      ["root.conf", Buffer.from("[a]\n#include ü.conf\n#include ?.conf\n")],
      ["ü.conf", Buffer.from("v=1\n")],
    ]);
    expect(effectiveView("root.conf", filesOf(files)).sections[0]?.variables).toHaveLength(2);
  });
});

describe("problems", () => {
  test("why Asterisk refuses the file, and what it had read until then", () => {
    const { invalid, sections } = view({ "root.conf": "[a]\nv=1\n[b](t)\nw=2\n" });
    expect(invalid).toEqual({
      kind: "unknown-parent",
      file: "root.conf",
      line: 3,
      subject: "t",
      fatal: true,
    });
    expect(sections.map(({ name }) => name)).toEqual(["a"]);
  });

  test("a file that is not there", () => {
    expect(view({}).invalid).toMatchObject({ kind: "file-missing", file: "root.conf", line: 0 });
  });

  test("what is only skipped or stops an included file leaves the view valid", () => {
    const files = {
      "root.conf": "[a]\nv\n=1\n#foo x\n#include\n#include a.conf\n",
      "a.conf": `${"z".repeat(9000)}\n[${"n".repeat(80)}]\n[x](+)\n`,
    };
    expect(view(files).invalid).toBeUndefined();
    expect(problems(files)).toEqual([
      "no-equals root.conf:2 ",
      "no-name root.conf:3 ",
      "unknown-directive root.conf:4 foo",
      "directive-without-argument root.conf:5 include",
      "too-long a.conf:1 ",
      `name-cut a.conf:2 ${"n".repeat(80)}`,
      "unknown-section a.conf:3 x fatal",
    ]);
  });

  test("comments that hide more than they should", () => {
    expect(problems({ "root.conf": "[a]\n;--\nv=1\n;--\nw=2\n--;\n" })).toEqual([
      "unterminated-comment root.conf:2 ",
    ]);
    expect(problems({ "root.conf": "[a]\nv=1 --;\nw=2\nx=3\n" })).toEqual(["silenced root.conf:3 "]);
  });

  test("#exec is never run, and the view is incomplete", () => {
    const { problems: found, incomplete, invalid } = view({ "root.conf": "[a]\n#exec /bin/true\nv=1\n" });
    expect(found).toMatchObject([{ kind: "exec", line: 2, subject: "/bin/true" }]);
    expect({ incomplete, invalid }).toEqual({ incomplete: true, invalid: undefined });
  });

  test.each([
    "/etc/passwd",
    "../secret.conf",
    "x/../../y.conf",
    "/etc/asterisk-2/a.conf",
    "/etc/asterisk/../a.conf",
  ])("an include of %s leaves the directory: told, not followed", (path) => {
    const read: string[] = [];
    const root = Buffer.from(`[a]\n#include ${path}\nv=1\n`);
    const files = {
      read: (name: string) => (read.push(name), name === "root.conf" ? root : undefined),
      glob: () => [],
    };
    const { problems: found, incomplete, invalid, sections } = effectiveView("root.conf", files);
    expect(found).toMatchObject([{ kind: "include-external", line: 2, subject: path, fatal: false }]);
    expect({ incomplete, invalid }).toEqual({ incomplete: true, invalid: undefined });
    expect(sections[0]?.variables).toHaveLength(1);
    expect(read).toEqual(["root.conf"]);
  });

  test("absolute includes are followed below the configuration directory, wherever that is", () => {
    const files = { "root.conf": "[a]\n#include /opt/pbx/etc/a.conf\n", "a.conf": "v=1\n" };
    expect(view(files, { configDirectory: "/opt/pbx/etc/" }).included).toEqual(["root.conf", "a.conf"]);
    expect(view(files).incomplete).toBe(true);
  });

  test("a circle is told once", () => {
    const found = problems({ "root.conf": "[a]\n#include a.conf\n", "a.conf": "#include root.conf\n" });
    expect(found).toEqual([
      "include-circle a.conf:1 root.conf",
      "include-circle root.conf:2 a.conf",
      "include-too-deep root.conf:2 a.conf",
      "include-missing root.conf:2 a.conf fatal",
    ]);
  });

  test("a file beyond the tenth level is told", () => {
    const files: Record<string, string> = { "root.conf": "[a]\n#tryinclude 1.conf\n" };
    for (let level = 1; level <= 11; level++) files[`${level}.conf`] = `#tryinclude ${level + 1}.conf\n`;
    expect(problems(files)).toEqual(["include-too-deep 10.conf:1 11.conf"]);
    expect(view(files).included).not.toContain("11.conf");
  });

  test("what would keep Asterisk busy for weeks stops at a limit", () => {
    const files = { "root.conf": `[a]\n${"#tryinclude root.conf\n".repeat(50)}` };
    const { invalid, incomplete } = view(files, { sizeLimit: 10_000_000 });
    expect({ kind: invalid?.kind, incomplete }).toEqual({ kind: "too-large", incomplete: true });
  });

  test("braces that double with each pair stop at a limit", () => {
    const { invalid } = view({ "root.conf": `[a]\n#tryinclude ${"{a,b}".repeat(40)}\n` });
    expect(invalid).toMatchObject({ kind: "too-large", file: "root.conf", line: 2 });
  });

  test("sections that double with each generation stop at a limit", () => {
    let root = "[s0]\nv=1\n";
    for (let generation = 1; generation <= 40; generation++) {
      root += `[s${generation}](s${generation - 1},s${generation - 1})\n`;
    }
    expect(view({ "root.conf": root }).invalid?.kind).toBe("too-large");
  });

  test.each([
    ["nested-too-deep", "[a]\n" + ";--\n".repeat(129)],
    ["inherits-itself", "[a]\nv=1\n[a](+,a)\n"],
  ])("%s: where Asterisk never comes back, we do", (kind, included) => {
    const files = { "root.conf": "[z]\n#include a.conf\n[y]\n", "a.conf": included };
    expect(view(files).invalid).toMatchObject({ kind, file: "a.conf", fatal: true });
  });
});
