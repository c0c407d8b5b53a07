import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { parse } from "../../../core/conf/cst.ts";
import type { ConfFile } from "../../../core/conf/cst.ts";
import { applyEdits, modify } from "../../../core/conf/edit.ts";
import type { Change } from "../../../core/conf/edit.ts";
import { ConfError } from "../../../core/conf/errors.ts";

const bytesOf = (text: string) => Buffer.from(text, "latin1");

/** The file after the change, as latin1 text. */
function edited(text: string, change: Change): string {
  const bytes = bytesOf(text);
  return Buffer.from(applyEdits(bytes, modify(parse(bytes), change))).toString("latin1");
}

function refusal(text: string, change: Change): ConfError {
  try {
    edited(text, change);
  } catch (error) {
    if (error instanceof ConfError) return error;
    throw error;
  }
  throw new Error("The change was made.");
}

const manager = [
  "; accounts",
  "[general]",
  "enabled = yes",
  "port=5038 ; the usual",
  "",
  "[odoo]",
  "secret   =  hidden\t; keep me",
  "deny=0.0.0.0/0.0.0.0",
  "permit=10.0.0.1/255.255.255.255",
  "; read comes next",
  "read = call",
  "",
  "; the last one",
  "[other]",
  "secret = x",
  "",
].join("\n");

describe("setting a variable", () => {
  test("replaces the value and nothing else on the line", () => {
    const after = edited(manager, {
      kind: "set-variable",
      section: { name: "odoo" },
      name: "secret",
      value: "a;b",
    });
    expect(after).toBe(manager.replace("secret   =  hidden\t; keep me", "secret   =  a\\;b\t; keep me"));
  });

  test("gives a variable without a value one, spaced like its operator", () => {
    const change = { kind: "set-variable", section: { name: "a" }, name: "x", value: "1" } as const;
    expect(edited("[a]\nx = ; note\r\n", change)).toBe("[a]\nx = 1 ; note\r\n");
    expect(edited("[a]\nx=;note\n", change)).toBe("[a]\nx=1;note\n");
  });

  test("keeps a value that ends in a backslash or dashes apart from the comment behind it", () => {
    const change = { kind: "set-variable", section: { name: "a" }, name: "x" } as const;
    expect(edited("[a]\nx=1;note\n", { ...change, value: "a\\" })).toBe("[a]\nx=a\\ ;note\n");
    expect(edited("[a]\nx=1;note\n", { ...change, value: "a--" })).toBe("[a]\nx=a-- ;note\n");
  });

  test("asks which one where there are several", () => {
    const text = "[a]\npermit=1.1.1.1\npermit=2.2.2.2\n";
    const change = {
      kind: "set-variable",
      section: { name: "a" },
      name: "permit",
      value: "3.3.3.3",
    } as const;
    expect(refusal(text, change).code).toBe("Ambiguous");
    expect(edited(text, { ...change, occurrence: 1 })).toBe("[a]\npermit=1.1.1.1\npermit=3.3.3.3\n");
    expect(refusal(text, { ...change, occurrence: 2 }).code).toBe("NotFound");
  });

  test("asks which section where there are several, as pjsip has them", () => {
    const text = "[6001]\ntype=endpoint\n[6001]\ntype=auth\npassword=x\n";
    const change = { kind: "set-variable", name: "password", value: "y" } as const;
    expect(refusal(text, { ...change, section: { name: "6001" } }).code).toBe("Ambiguous");
    expect(edited(text, { ...change, section: { name: "6001", occurrence: 1 } })).toContain("password=y");
  });

  test("reaches the lines of a fragment before any header", () => {
    const change = { kind: "set-variable", section: {}, name: "x", value: "2" } as const;
    expect(edited("\xEF\xBB\xBFx=1\n[a]\nx=1", change)).toBe("\xEF\xBB\xBFx=2\n[a]\nx=1");
  });

  test("refuses a value that += extends elsewhere, and a value with a block comment in it", () => {
    const change = { kind: "set-variable", section: { name: "a" }, name: "x", value: "2" } as const;
    expect(refusal("[a]\nx=1\nx += ,2\n", change)).toMatchObject({ code: "Ambiguous", line: 3 });
    expect(refusal("[a]\nx += 1\n", change).code).toBe("Ambiguous");
    expect(refusal("[a]\nx = 1;-- one --;1\n", change)).toMatchObject({ code: "Ambiguous", line: 2 });
  });

  test("refuses what Asterisk does not read", () => {
    const change = { kind: "set-variable", section: { name: "b" }, name: "x", value: "2" } as const;
    expect(refusal("[a\n[b]\nx=1\n", change)).toMatchObject({ code: "NotRead", line: 1 });
    expect(refusal("[a]\ny=1 --;\n[b]\nx=1\n", change).code).toBe("NotFound");
  });

  test.each([
    ["a carriage return", "hunter\r2"],
    ["a line feed", "hunter\n2"],
    ["a NUL byte", "hunter\0"],
    ["the end of a block comment", "hunter--;"],
    ["a leading >", ">hunter"],
    ["a blank in front", " hunter"],
    ["a tab at the end", "hunter\t"],
    ["characters that are no bytes", "hunter\u20ac"],
    ["more than a line holds", "hunter".repeat(1400)],
  ])("refuses a value with %s", (_, value) => {
    const error = refusal(manager, {
      kind: "set-variable",
      section: { name: "other" },
      name: "secret",
      value,
    });
    expect(error.code).toBe("Unwritable");
    expect(error.message + error.hint).not.toContain("hunter");
  });

  test("fills a line to its last byte", () => {
    const change = { kind: "set-variable", section: { name: "a" }, name: "x" } as const;
    expect(edited("[a]\nx=\n", { ...change, value: "a".repeat(8188) })).toHaveLength(4 + 8190 + 1);
    expect(refusal("[a]\nx=\n", { ...change, value: "a".repeat(8189) }).code).toBe("Unwritable");
  });
});

test("a line that Asterisk reads in pieces is refused wherever the change is", () => {
  const text = `[a]\nx=1\n\0${"y".repeat(9000)}\n`;
  const change = { kind: "remove-variable", section: { name: "a" }, name: "x" } as const;
  expect(refusal(text, change)).toMatchObject({ code: "Ambiguous", line: 3 });
});

describe("adding a variable", () => {
  const permit = {
    kind: "add-variable",
    section: { name: "odoo" },
    name: "permit",
    value: "10.0.0.2",
  } as const;
  const first = "permit=10.0.0.1/255.255.255.255\n";

  test("puts another of a list behind the last one of its name", () => {
    expect(edited(manager, permit)).toBe(manager.replace(first, `${first}permit=10.0.0.2\n`));
  });

  test("puts it in front of the one asked for", () => {
    expect(edited(manager, { ...permit, at: 0 })).toBe(manager.replace(first, `permit=10.0.0.2\n${first}`));
    expect(edited(manager, { ...permit, at: 1 })).toBe(edited(manager, permit));
    expect(refusal(manager, { ...permit, at: 2 }).code).toBe("NotFound");
  });

  test("puts a new name behind the section's last variable, in the section's style", () => {
    const change = {
      kind: "add-variable",
      section: { name: "odoo" },
      name: "write",
      value: "originate",
    } as const;
    expect(edited(manager, change)).toBe(
      manager.replace("read = call\n", "read = call\nwrite = originate\n"),
    );
    expect(edited("[odoo]\r\n  a => 1\r\n", change)).toBe("[odoo]\r\n  a => 1\r\n  write => originate\r\n");
    expect(edited("[odoo]\r\n", change)).toBe("[odoo]\r\nwrite = originate\r\n");
  });

  test("ends a last line that has no end first", () => {
    expect(edited("[odoo]\r\na=1", permit)).toBe("[odoo]\r\na=1\r\npermit=10.0.0.2\r\n");
  });

  test("steps over a block comment that begins on the last variable's line", () => {
    const text = "[odoo]\na=1 ;-- old\nb=2\n--;\n[x]\n";
    expect(edited(text, permit)).toBe("[odoo]\na=1 ;-- old\nb=2\n--;\npermit=10.0.0.2\n[x]\n");
  });

  test("refuses a place that Asterisk does not read", () => {
    expect(refusal("[odoo]\na=1 ;-- never closed\n", permit)).toMatchObject({ code: "NotRead", line: 2 });
    expect(refusal("[odoo]\na=1 --;\n", permit)).toMatchObject({ code: "NotRead", line: 2 });
    expect(refusal("[odoo]\n\\ =1\n[odoo2]\n", { ...permit, section: { name: "odoo2" } }).code).toBe(
      "NotRead",
    );
  });

  test("refuses a place in front of a line on which a block comment ends, and a line too long", () => {
    const text = "[odoo]\n;-- old\n--; permit=1.1.1.1\n";
    expect(refusal(text, { ...permit, at: 0 })).toMatchObject({ code: "NotRead", line: 2 });
    expect(refusal(manager, { ...permit, value: "a".repeat(8184) }).code).toBe("Unwritable");
  });

  test("refuses to come between a variable and the += that extends it", () => {
    const text = "[odoo]\npermit=1.1.1.1\n[odoo](+)\npermit += ,2.2.2.2\n";
    const change = { ...permit, section: { name: "odoo", occurrence: 0 } };
    expect(refusal(text, change)).toMatchObject({ code: "Ambiguous", line: 4 });
  });

  test.each(["", "[x", "#x", ";x", "\\x", "a=b", "a;b", "a+", " a", "a ", "a\nb", "a--;b"])(
    "refuses the name %j",
    (name) => {
      expect(refusal(manager, { ...permit, name }).code).toBe("Unwritable");
    },
  );
});

describe("removing a variable", () => {
  test("takes the whole line", () => {
    const change = { kind: "remove-variable", section: { name: "odoo" }, name: "secret" } as const;
    expect(edited(manager, change)).toBe(manager.replace("secret   =  hidden\t; keep me\n", ""));
  });

  test("leaves the end of a block comment that shares its line", () => {
    const change = { kind: "remove-variable", section: { name: "a" }, name: "x" } as const;
    expect(edited("[a]\n;-- old\n--; x=1 ; note\ny=2\n", change)).toBe("[a]\n;-- old\n--;  ; note\ny=2\n");
    expect(edited("[a]\nx=1 ;-- old\n--;\ny=2\n", change)).toBe("[a]\n ;-- old\n--;\ny=2\n");
  });

  test("leaves a byte order mark where it is", () => {
    const change = { kind: "remove-variable", section: {}, name: "x" } as const;
    expect(edited("\xEF\xBB\xBFx=1\n\xEF\xBB\xBFy=2\n", change)).toBe("\xEF\xBB\xBF\xEF\xBB\xBFy=2\n");
    // Line 2 would come first, and its mark be skipped.
    expect(refusal("x=1\n\xEF\xBB\xBFy=2\n", change)).toMatchObject({ code: "Ambiguous", line: 2 });
  });
});

describe("adding a section", () => {
  test("puts it at the end, behind a blank line, in the file's style", () => {
    const change = {
      kind: "add-section",
      name: "new",
      inherits: ["odoo"],
      variables: [
        { name: "secret", value: "s" },
        { name: "read", value: "" },
      ],
    } as const;
    expect(edited(manager, change)).toBe(`${manager}\n[new](odoo)\nsecret = s\nread =\n`);
    expect(edited("[a]\r\nx=1", change)).toBe("[a]\r\nx=1\r\n\r\n[new](odoo)\r\nsecret=s\r\nread=\r\n");
    expect(edited("", { kind: "add-section", name: "t", template: true })).toBe("[t](!)\n");
  });

  test("refuses a file that ends inside a block comment or behind a stray end of one", () => {
    const change = { kind: "add-section", name: "new" } as const;
    expect(refusal("[a]\n;-- open\n", change).code).toBe("NotRead");
    expect(refusal("[a]\n--;\n", change).code).toBe("NotRead");
  });

  test.each(["a]", "a\nb", "a--;b", "x".repeat(80)])("refuses the name %j", (name) => {
    expect(refusal(manager, { kind: "add-section", name }).code).toBe("Unwritable");
  });

  test.each(["", "!", "+", "a,b", "a)"])("refuses to inherit from %j", (parent) => {
    const change = { kind: "add-section", name: "new", inherits: [parent] } as const;
    expect(refusal(manager, change).code).toBe("Unwritable");
  });
});

describe("removing a section", () => {
  test("takes header to last variable and leaves the comments around it", () => {
    const after = edited(manager, { kind: "remove-section", section: { name: "odoo" } });
    expect(after).toBe(
      "; accounts\n[general]\nenabled = yes\nport=5038 ; the usual\n\n; the last one\n[other]\nsecret = x\n",
    );
  });

  test("refuses one that others inherit from or append to", () => {
    const change = { kind: "remove-section", section: { name: "T", occurrence: 0 } } as const;
    expect(refusal("[T](!)\nx=1\n[b](t)\n", change)).toMatchObject({ code: "InUse", line: 3 });
    expect(refusal("[T]\nx=1\n[T](+)\ny=1\n", change)).toMatchObject({ code: "InUse", line: 3 });
    expect(edited("[T]\nx=1\n[T](+)\ny=1\n", { ...change, section: { name: "T", occurrence: 1 } })).toBe(
      "[T]\nx=1\n",
    );
  });

  test("refuses one that an empty parent may mean", () => {
    const change = { kind: "remove-section", section: { name: "a" } } as const;
    expect(refusal("[a]\nx=1\n[b]()\n", change)).toMatchObject({ code: "InUse", line: 3 });
  });

  test("leaves a byte order mark where it is", () => {
    const change = { kind: "remove-section", section: { name: "a" } } as const;
    expect(edited("\xEF\xBB\xBF[a]\nx=1\n[b]\n", change)).toBe("\xEF\xBB\xBF[b]\n");
  });

  test("refuses one that holds an include unless told to keep it", () => {
    const text = "[a]\nx=1\n#include one.conf\ny=1\n#include two.conf\n[b]\n";
    const change = { kind: "remove-section", section: { name: "a" } } as const;
    expect(refusal(text, change)).toMatchObject({ code: "Ambiguous", line: 3 });
    expect(edited(text, { ...change, keepIncludes: true })).toBe(
      "#include one.conf\n#include two.conf\n[b]\n",
    );
  });

  test("refuses one whose end lies in a block comment", () => {
    const text = "[a]\nx=1 ;-- from here\n[b]\n--;\n[c]\n";
    const error = refusal(text, { kind: "remove-section", section: { name: "a" } });
    expect(error).toMatchObject({ code: "Ambiguous", line: 2 });
  });
});

describe("renaming a section", () => {
  const change = { kind: "rename-section", section: { name: "a" }, to: "b;c" } as const;

  test("replaces the name between the brackets", () => {
    expect(edited("[a](!,t) ; note\nx=1\n", change)).toBe("[b\\;c](!,t) ; note\nx=1\n");
  });

  test("refuses where another section is built on the old or the new name", () => {
    expect(refusal("[a]\n[x](A)\n", change)).toMatchObject({ code: "InUse", line: 2 });
    expect(refusal("[b]\n[a]\n[x](b)\n", { ...change, to: "B" })).toMatchObject({ code: "InUse", line: 3 });
    expect(refusal("[a](+)\n", change)).toMatchObject({ code: "InUse", line: 1 });
  });
});

test("edits that overlap or leave the file are refused", () => {
  const bytes = bytesOf("abc");
  const one = { offset: 0, length: 2, text: "" };
  expect(() => applyEdits(bytes, [one, { offset: 1, length: 1, text: "" }])).toThrow(RangeError);
  expect(() => applyEdits(bytes, [{ offset: 2, length: 2, text: "" }])).toThrow(RangeError);
  expect(Buffer.from(applyEdits(bytes, [{ offset: 3, length: 0, text: "d" }, one])).toString()).toBe("cd");
});

/** What Asterisk reads: sections in order with what stands in them, up to the line at which it gives up. */
interface Model {
  name: string | undefined;
  options: string;
  variables: { name: string; operator: string; value: string }[];
}

function modelOf(file: ConfFile): Model[] {
  const sections: Model[] = [{ name: undefined, options: "", variables: [] }];
  for (const node of file.nodes) {
    if (node.kind === "invalid") break;
    if (node.kind === "section") {
      const options = node.options?.map((option) => {
        if (option.kind === "template") return "!";
        return option.kind === "append" ? `+${option.filter}` : option.name;
      });
      sections.push({ name: node.name, options: options?.join() ?? "none", variables: [] });
    } else if (node.kind === "variable") {
      const { name, operator, value } = node;
      sections.at(-1)?.variables.push({ name, operator, value });
    } else if (node.kind === "directive" && node.directive !== undefined) {
      const { word, argument = "" } = node;
      sections.at(-1)?.variables.push({ name: "#", operator: word, value: argument });
    }
  }
  return sections;
}

/** The change as it should come out, made on the model. */
function expected(before: readonly Model[], change: Change): Model[] {
  const model = structuredClone(before) as Model[];
  const pick = (reference: { name?: string; occurrence?: number }) =>
    model.filter((section) => section.name === reference.name)[reference.occurrence ?? 0] as Model;
  const named = (section: Model, name: string) =>
    section.variables.filter((variable) => variable.name === name && variable.operator !== "+=");
  switch (change.kind) {
    case "set-variable": {
      const variable = named(pick(change.section), change.name)[change.occurrence ?? 0];
      if (variable) variable.value = change.value;
      break;
    }
    case "remove-variable": {
      const section = pick(change.section);
      const variable = named(section, change.name)[change.occurrence ?? 0];
      section.variables = section.variables.filter((other) => other !== variable);
      break;
    }
    case "add-variable": {
      const section = pick(change.section);
      const front = change.at === undefined ? undefined : named(section, change.name)[change.at];
      const same = section.variables.findLastIndex((variable) => variable.name === change.name);
      const last = section.variables.findLastIndex((variable) => variable.name !== "#");
      const index = front ? section.variables.indexOf(front) : (same >= 0 ? same : last) + 1;
      section.variables.splice(index, 0, { name: change.name, operator: "?", value: change.value });
      break;
    }
    case "add-section": {
      const options = [...(change.template === true ? ["!"] : []), ...(change.inherits ?? [])].join();
      const variables = (change.variables ?? []).map((variable) => ({ ...variable, operator: "?" }));
      model.push({ name: change.name, options: options === "" ? "none" : options, variables });
      break;
    }
    case "remove-section": {
      const section = pick(change.section);
      const at = model.indexOf(section);
      const includes = section.variables.filter((variable) => variable.name === "#");
      (model[at - 1] as Model).variables.push(...includes);
      model.splice(at, 1);
      break;
    }
    case "rename-section":
      pick(change.section).name = change.to;
  }
  return model;
}

/** Operators of added lines follow their neighbours: `=` or `=>`, whichever, but never `+=`. */
function withoutNewOperators(model: Model[], like: Model[]): Model[] {
  return model.map((section, index) => ({
    ...section,
    variables: section.variables.map((variable, at) =>
      like[index]?.variables[at]?.operator === "?" && variable.operator !== "+="
        ? { ...variable, operator: "?" }
        : variable,
    ),
  }));
}

const word = fc.constantFrom("a", "b", "A", "x", "permit", "\xe9");
const line = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .tuple(word, fc.constantFrom("=", " = ", " => ", "  =", " += "), word)
      .map((parts) => parts.join("")),
  },
  {
    weight: 4,
    arbitrary: fc
      .tuple(word, fc.constantFrom("", "(!)", "(a)", "(+)", " (t)", "(!,b)"))
      .map(([name, options]) => `[${name}]${options}`),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      "",
      " ",
      "; c",
      "x=1 ; c",
      "x=1;c",
      "#include a",
      "#bad",
      "novalue",
      "=x",
      "x=",
      "x = ;c",
      "\\[x=1",
      "x=a\\;b",
      "x=\\\\;b",
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      ";--",
      "--;",
      ";-- c --;",
      "x=1 ;-- c",
      "--; x=1",
      "x=1 ;-- c --; 2",
      "x;-- --;=1",
      "[a;-- --;b]",
      "--; [b]",
      "[b] ;--",
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      "[x",
      "[x](t",
      "\\ x=1",
      `x=${"y".repeat(8190)}`,
      "x=1\0y",
      `x=1\0${"y".repeat(9000)}`,
      "\xEF\xBB\xBFx=1",
    ),
  },
);
const text = fc
  .tuple(fc.boolean(), fc.constantFrom("\n", "\r\n"), fc.array(line, { maxLength: 14 }), fc.boolean())
  .map(([mark, eol, lines, final]) => (mark ? "\xEF\xBB\xBF" : "") + lines.join(eol) + (final ? eol : ""));
const value = fc.oneof(
  word,
  fc.constantFrom(
    "",
    "a;b",
    "\\",
    "\\;",
    ";--",
    "-",
    "a--",
    "[x]",
    "#x",
    "a = b",
    "--",
    "+",
    "a\0",
    " a",
    "a--;",
    ">",
  ),
  fc.string({
    unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
    maxLength: 6,
  }),
);
const name = fc.oneof(word, value);
const occurrence = fc.option(fc.integer({ min: 0, max: 2 }), { nil: undefined });
const optional = <K extends string, V>(key: K, item: V | undefined) =>
  (item === undefined ? {} : { [key]: item }) as Partial<Record<K, V>>;
const section = fc
  .tuple(fc.option(word, { nil: undefined, freq: 6 }), occurrence)
  .map(([named, which]) => ({ ...optional("name", named), ...optional("occurrence", which) }));
const change: fc.Arbitrary<Change> = fc.oneof(
  fc.tuple(section, word, value, occurrence).map(([at, named, to, which]) => ({
    kind: "set-variable" as const,
    section: at,
    name: named,
    value: to,
    ...optional("occurrence", which),
  })),
  fc.tuple(section, name, value, occurrence).map(([at, named, to, which]) => ({
    kind: "add-variable" as const,
    section: at,
    name: named,
    value: to,
    ...optional("at", which),
  })),
  fc.tuple(section, word, occurrence).map(([at, named, which]) => ({
    kind: "remove-variable" as const,
    section: at,
    name: named,
    ...optional("occurrence", which),
  })),
  fc
    .tuple(name, fc.boolean(), fc.array(name, { maxLength: 2 }), name, value)
    .map(([named, template, inherits, key, to]) => ({
      kind: "add-section" as const,
      name: named,
      template,
      inherits,
      variables: [{ name: key, value: to }],
    })),
  fc
    .tuple(section, fc.boolean())
    .map(([at, keepIncludes]) => ({ kind: "remove-section" as const, section: at, keepIncludes })),
  fc.tuple(section, name).map(([at, to]) => ({ kind: "rename-section" as const, section: at, to })),
);

test("whatever is accepted reads back as exactly that, and no other byte moves", () => {
  let made = 0;
  fc.assert(
    fc.property(text, change, (before, wanted) => {
      const bytes = bytesOf(before);
      const file = parse(bytes);
      let edits;
      try {
        edits = modify(file, wanted);
      } catch (error) {
        expect(error).toBeInstanceOf(ConfError);
        return;
      }
      made++;
      const after = Buffer.from(applyEdits(bytes, edits));
      let [from, to] = [0, 0];
      for (const { offset, length, text: written } of edits) {
        expect(after.subarray(to, to + offset - from)).toEqual(bytes.subarray(from, offset));
        to += offset - from + written.length;
        from = offset + length;
      }
      expect(after.subarray(to)).toEqual(bytes.subarray(from));
      const model = expected(modelOf(file), wanted);
      expect(withoutNewOperators(modelOf(parse(after)), model)).toEqual(model);
    }),
    { numRuns: 20_000 },
  );
  expect(made).toBeGreaterThan(1_000);
});
